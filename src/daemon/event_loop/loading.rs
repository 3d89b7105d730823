//! When documents are read, and what comes of it.

use super::EventLoop;
use crate::daemon::load::{Earlier, LoadError, Loaded};
use crate::daemon::reload::Judgement;
use crate::daemon::task::Load;
use crate::gateway::test_pages;
use crate::linux;
use notify::RecommendedWatcher;
use std::time::Duration;
use tokio::time::Instant;

/// How long after a set of documents was taken it is kept for a restart: writing a
/// thousand tenants' takes the processor from the change they ask for.
const KEEP_AFTER: Duration = Duration::from_secs(1);

impl EventLoop {
    /// Reads the documents; what is read comes back as an input.
    pub(in crate::daemon) fn load(&mut self) {
        if !self.parts.reload.begin() {
            return;
        }
        // A key that was handed in is not the tenant's own.
        let mut identities = self.parts.gateway.identities().clone();
        let tenants = &self.parts.gateway.config().tenants;
        identities.retain(|name, _| tenants.get(name).is_some_and(|it| it.private_key.is_none()));
        let reload = &self.parts.reload;
        self.tasks.load(Load {
            source: reload.source.clone(),
            changed: reload.changed.clone(),
            state: self.parts.state.clone(),
            placement: self.parts.placement,
            earlier: Earlier {
                ports: self.ports.clone(),
                identities,
                documents: reload.documents(),
                checked: reload.checked(),
                files: reload.files(),
                now: self.now().wall,
            },
        });
    }

    pub(super) fn handle_loaded(
        &mut self,
        loaded: Result<Loaded, LoadError>,
        watcher: Option<RecommendedWatcher>,
    ) {
        let now = self.now();
        let parts = &mut self.parts;
        let first = parts.gateway.generation() == 0;
        match parts.reload.handle_loaded(loaded, watcher, first) {
            Judgement::Take(loaded) => {
                if loaded.errors.is_empty() && self.kept != Some(loaded.digest) {
                    self.kept = Some(loaded.digest);
                    // Not later for each set that follows.
                    let due = self.to_keep.take().map(|(due, _)| due);
                    let due = due.unwrap_or_else(|| Instant::now() + KEEP_AFTER);
                    self.to_keep = Some((due, loaded.files));
                }
                let Loaded { config, identities, errors, ports, uplink_mtu, .. } = *loaded;
                parts.reload.handle_taken(loaded.documents, loaded.checked);
                let tenants = config.tenants.len();
                let neighbours = config.neighbours();
                self.ports = ports;
                self.uplink_mtu = uplink_mtu;
                parts.gateway.handle_config(config, identities, errors, now);
                self.test_pages.serve(test_pages(parts.gateway.config()));
                let generation = parts.gateway.generation();
                tracing::info!(tenants, generation, "config accepted");
                self.warn_of_crowd(neighbours);
                self.remember();
            }
            Judgement::Refuse(errors) => parts.gateway.handle_refused_config(errors, now),
            Judgement::Wait => {}
        }
        if self.parts.reload.end() {
            self.load();
        }
    }

    /// Says when the kernel may have too little room for the routers there are. Half
    /// of it is left to hosts beside them and to the rest of the machine.
    fn warn_of_crowd(&mut self, neighbours: usize) {
        let limit = linux::neighbour_limit();
        let is_crowded = limit.is_some_and(|limit| limit < 2 * neighbours);
        if is_crowded && !std::mem::replace(&mut self.is_crowded, is_crowded) {
            tracing::warn!(
                neighbours,
                limit,
                "the kernel may not remember all neighbours, and tenants' sites fall silent by \
                 turns: raise net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3"
            );
        }
        self.is_crowded = is_crowded;
    }
}
