//! The gateway as one machine.
//!
//! It holds what is wanted, what is known of the world, and decides what to do.
//! It does nothing itself: the daemon carries its [`Output`]s out and brings
//! back what came of them.
//!
//! ```text
//!   handle_config ──┐                        ┌── Observe, Apply   (kernel)
//!   handle_observed ┤                        ├── Attach, Configure, Detach   (datapath)
//!   handle_applied   ┼──▶  Gateway  ──────────┤
//!   handle_samples  ┤   a TenantMachine each ├── Bgp   (sockets)
//!   handle_socket   ┤                        ├── Bfd   (sockets)
//!   handle_bfd      ┤                        ├── Probe   (sockets)
//!   handle_probe    ┤                        └── Resolve   (DNS)
//!   handle_shared   ┤                        ├── Shared   (sockets of the underlay)
//!   handle_dirty    ┘
//!                          snapshot(), memory(): views
//! ```
//!
//! Feed it with `handle_*`, drain [`Gateway::poll_output`] until `None`, sleep
//! until [`Gateway::poll_timeout`].
//! It has one owner and no lock; it never reads a clock, and never waits.
//!
//! In reading order: [`Gateway`] here, `inputs` and `wanting` (what it is told, and
//! what comes of it for each tenant), `questions`, `tenant` (one tenant's way to what
//! is wanted), `deadlines` (who has something to do when), `bgp` (its speaker), `learned`
//! (what its speaker learned), `following` (what that is of sites' networks), `bfd` (who
//! watches its neighbors), `shared` (sessions of several tenants), `device` (its WireGuard device), [`Identity`] and `key_ages`
//! (keys), `names` (where its peers are), `site` and `leg` (how a site is), `probe`
//! (whether its devices answer), `conntrack` (how full its table is), `takeover` (who
//! serves instead), `test_page` (who sees it, and where), `view`, `key_view` and
//! `bgp_view` (the snapshot).

mod bfd;
mod bgp;
mod bgp_view;
mod conntrack;
mod convergence;
mod deadlines;
mod device;
mod following;
mod identity;
mod inputs;
mod key_ages;
mod key_view;
mod learned;
mod leg;
mod names;
mod probe;
mod questions;
mod shared;
mod site;
mod sockets;
mod takeover;
mod tenant;
mod test_page;
mod view;
mod wanting;

use crate::bgp::speaker::SocketWork;
use crate::model::{Backend, Config, Placement, Refusal, Tenant, limits};
use crate::net::{Instant, Now, PublicKey, TenantName, Timestamp};
use crate::probe::Shot;
use crate::reconcile::{Borrowed, Step, Unprogrammable};
use crate::status::{History, Offloads, Reload};
use crate::wireguard::DeviceConfig;
pub use identity::{GatewayKey, Identity};
pub use shared::SharedName;
pub use sockets::{BfdAction, BfdEndpoint, BgpAction, Listening, SocketEvent};
pub use test_page::{TestPage, test_pages};

use bgp::Bgp;
use conntrack::Conntrack;
use deadlines::Deadlines;
use key_ages::KeyAges;
use names::Names;
use probe::Probes;
use shared::Shared;
use site::Sites;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tenant::TenantMachine;
use view::ConditionMemory;

/// Something for the daemon to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Carry these steps out in the tenant's namespace, in order, up to the
    /// first that fails; then [`Gateway::handle_applied`].
    Apply(TenantName, Vec<Step>),
    /// Start the tenant's device on the link that is there for it: open its TUN,
    /// or take up the kernel's device and change what differs; then
    /// [`Gateway::handle_attached`].
    Attach(TenantName, Backend, DeviceConfig),
    /// Make the running device this one; then [`Gateway::handle_attached`].
    Configure(TenantName, DeviceConfig),
    /// Stop the device, or let go of the kernel's, which goes with its link; then
    /// [`Gateway::handle_detached`].
    Detach(TenantName),
    /// Look at the tenant's namespace; then [`Gateway::handle_observed`].
    Observe(TenantName),
    /// Something for the sockets of the tenant's BGP.
    Bgp(TenantName, BgpAction),
    /// Something for the sockets of a session that tenants share, in the underlay; then
    /// [`Gateway::handle_shared`].
    Shared(SharedName, SocketWork),
    /// Something for the sockets of the tenant's BFD.
    Bfd(TenantName, BfdAction),
    /// Ask a device of the tenant's whether it is there; then [`Gateway::handle_probe`].
    Probe(TenantName, Shot),
    /// Ask for the addresses of a name; then [`Gateway::handle_resolved`].
    Resolve(String),
}

/// The gateway.
#[derive(Debug)]
pub struct Gateway {
    placement: Placement,
    started: Timestamp,
    source: String,
    offloads: Offloads,
    config: Config,
    identities: BTreeMap<TenantName, Identity>,
    key_ages: KeyAges,
    last_endpoints: BTreeMap<TenantName, BTreeMap<PublicKey, SocketAddr>>,
    /// What the next machine of a tenant begins with.
    borrowed: Borrowed,
    tenants: BTreeMap<TenantName, TenantMachine>,
    deadlines: Deadlines,
    shared: Shared,
    sites: BTreeMap<TenantName, Sites>,
    drops: BTreeMap<TenantName, BTreeMap<String, u64>>,
    conntrack: BTreeMap<TenantName, Conntrack>,
    names: Names,
    probes: Probes,
    /// What of the config is not programmed, and why.
    left_out: BTreeMap<TenantName, Vec<Unprogrammable>>,
    generation: u64,
    applied_generation: u64,
    /// Not every tenant has been told of the generation yet.
    is_telling: bool,
    last_applied: Option<Timestamp>,
    apply_duration: Option<Duration>,
    reload: Option<Reload>,
    conditions: ConditionMemory,
    /// A random number.
    seed: u64,
    stopping: bool,
    outputs: VecDeque<Output>,
}

/// Whether a tenant goes on to be served, if it was, though its documents are refused. One
/// that is leaving does not.
fn goes_on(config: &Config, name: &TenantName) -> bool {
    let is_of = |refusal: &Refusal| refusal.site.is_none() && refusal.tenant == *name;
    !config.tenants.contains_key(name) && config.refused.iter().any(is_of)
}

/// The tenants of the documents, and those that go on to be served while theirs are
/// refused.
fn tenants<'a>(
    config: &'a Config,
    machines: impl Iterator<Item = (&'a TenantName, &'a TenantMachine)>,
) -> impl Iterator<Item = &'a Arc<Tenant>> {
    let others = machines.filter(|(name, _)| goes_on(config, name));
    let others = others.filter_map(|(_, machine)| machine.wanted());
    config.tenants.values().chain(others.map(|wanted| &wanted.tenant))
}

impl Gateway {
    /// A gateway that serves nobody yet. `source` says where documents come from.
    pub fn new(placement: Placement, source: String, now: Now) -> Self {
        Self {
            placement,
            started: now.wall,
            source,
            offloads: Offloads::default(),
            config: Config::default(),
            identities: BTreeMap::new(),
            key_ages: KeyAges::default(),
            last_endpoints: BTreeMap::new(),
            borrowed: Borrowed::default(),
            tenants: BTreeMap::new(),
            deadlines: Deadlines::default(),
            shared: Shared::default(),
            sites: BTreeMap::new(),
            drops: BTreeMap::new(),
            conntrack: BTreeMap::new(),
            names: Names::default(),
            probes: Probes::default(),
            left_out: BTreeMap::new(),
            generation: 0,
            applied_generation: 0,
            is_telling: false,
            last_applied: None,
            apply_duration: None,
            reload: None,
            conditions: ConditionMemory::default(),
            seed: 0,
            stopping: false,
            outputs: VecDeque::new(),
        }
    }

    // Commands.

    /// Removes everything it made. [`Gateway::is_done`] says when.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        self.config.tenants.clear();
        self.config.refused.clear();
        let names: Vec<TenantName> = self.tenants.keys().cloned().collect();
        for name in names {
            self.release(&name, now);
        }
        self.forget_names();
    }

    /// Says to every neighbor that BFD ends here as planned, for what was made stays
    /// when the process ends: nobody is to take that for a failure (RFC 5882 §3.2).
    pub fn end_bfd(&mut self, now: Now) {
        let names: Vec<TenantName> = self.tenants.keys().cloned().collect();
        for name in names {
            self.with(&name, now, |machine| machine.end_bfd(now));
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Gateway::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tenants = self.deadlines.first();
        debug_assert_eq!(
            tenants,
            self.tenants.values().filter_map(TenantMachine::poll_timeout).min()
        );
        let shared = self.shared.poll_timeout();
        let others = [shared, self.names.poll_timeout(), self.probes.poll_timeout()];
        others.into_iter().chain([tenants]).flatten().min()
    }

    // What these have in common.

    fn machine(&mut self, name: &TenantName) -> &mut TenantMachine {
        self.tenants.entry(name.clone()).or_insert_with(|| {
            let history = History::new(limits::EVENTS_PER_TENANT);
            let (borrowed, bgp) = (self.borrowed.clone(), Bgp::with_seed(self.seed));
            TenantMachine::new(name.clone(), self.placement, borrowed, bgp, history)
        })
    }

    /// A tenant as asked for: as documents have it now or, where they are refused, as it
    /// goes on to be served.
    fn tenant(&self, name: &TenantName) -> Option<Arc<Tenant>> {
        let served = || {
            let machine = self.tenants.get(name).filter(|_| goes_on(&self.config, name))?;
            Some(&machine.wanted()?.tenant)
        };
        self.config.tenants.get(name).or_else(served).cloned()
    }

    fn with(&mut self, name: &TenantName, now: Now, feed: impl FnOnce(&mut TenantMachine)) {
        if let Some(machine) = self.tenants.get_mut(name) {
            feed(machine);
            self.collect(name, now);
        }
    }

    /// Brings the tenant's outputs up and draws the conclusions.
    fn collect(&mut self, name: &TenantName, now: Now) {
        if self.tenants.get_mut(name).is_some_and(|machine| machine.take_to_follow(now)) {
            self.want(name, now);
        }
        self.tell_up(name, now);
        self.gather(name, now);
    }

    /// As [`Self::collect`], where nothing about sites can have changed.
    fn gather(&mut self, name: &TenantName, now: Now) {
        self.open_probes(name);
        self.share(name, now);
        let Some(machine) = self.tenants.get_mut(name) else { return };
        while let Some(output) = machine.poll_output() {
            self.outputs.push_back(output);
        }
        if let Some(duration) = machine.take_duration(now) {
            self.apply_duration = Some(duration);
        }
        let deadline = machine.poll_timeout().filter(|_| !machine.is_gone());
        self.deadlines.set(name, deadline);
        if machine.is_gone() {
            self.tenants.remove(name);
            self.borrowed = Borrowed::default();
            self.sites.remove(name);
            self.drops.remove(name);
            self.conntrack.remove(name);
            self.probes.forget(name);
            if self.placement == Placement::Current && !self.stopping {
                let waiting: Vec<TenantName> = self.config.tenants.keys().cloned().collect();
                for name in waiting {
                    self.want(&name, now);
                }
            }
        }
        self.note_applied(now);
    }

    fn note_applied(&mut self, now: Now) {
        let is_due = self.applied_generation < self.generation && !self.is_telling;
        // A device that cannot be made is a condition of its tenant; one that is being
        // changed does not know of the generation yet.
        let is_changing = || self.tenants.values().any(TenantMachine::is_device_changing);
        if is_due && !self.stopping && self.is_settled() && !is_changing() {
            self.applied_generation = self.generation;
            self.last_applied = Some(now.wall);
        }
    }

    fn forget_names(&mut self) {
        let all = tenants(&self.config, self.tenants.iter());
        self.names.keep(all.flat_map(|tenant| device::names(tenant)));
    }

    fn resolve(&mut self, now: Now) {
        self.outputs.extend(self.names.ask(now).into_iter().map(Output::Resolve));
    }

    fn advance(&mut self, now: Now) {
        self.resolve(now);
        if self.tenants.is_empty() && self.applied_generation < self.generation {
            self.applied_generation = self.generation;
            self.last_applied = Some(now.wall);
        }
    }
}
