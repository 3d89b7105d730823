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
//!   handle_dirty    ┘
//!                          snapshot(), memory(): views
//! ```
//!
//! Feed it with `handle_*`, drain [`Gateway::poll_output`] until `None`, sleep
//! until [`Gateway::poll_timeout`].
//! It has one owner and no lock; it never reads a clock, and never waits.
//!
//! In reading order: [`Gateway`] here, `tenant` (one tenant's way to what is
//! wanted), `bgp` (its speaker), `learned` (what its speaker learned), `bfd` (who watches its neighbors), `device` (its WireGuard device), [`Identity`] and `key_ages` (keys), `names` (where its peers are), `site`
//! and `leg` (how a site is), `probe` (whether its devices answer), `conntrack` (how full its table is), `takeover` (who serves instead), `test_page` (who sees it, and where), `view`, `key_view` and `bgp_view` (the snapshot).

mod bfd;
mod bgp;
mod bgp_view;
mod conntrack;
mod convergence;
mod device;
mod identity;
mod key_ages;
mod key_view;
mod learned;
mod leg;
mod names;
mod probe;
mod site;
mod sockets;
mod takeover;
mod tenant;
mod test_page;
mod view;

use crate::model::{
    Attachment, Backend, Config, FabricLink, Placement, Tenant, VlanAttachment, VlanLink,
    WireGuardPeer, limits,
};
use crate::net::{Instant, ManagedName, Now, PublicKey, TenantName, Timestamp};
use crate::probe::Shot;
use crate::reconcile::{
    Borrowed, ConntrackSample, Device, LegSample, Namespace, Step, StepFailure, Unprogrammable,
    desired_tenant, unprogrammable, vlan_link,
};
use crate::status::{EventReason, History, Offloads, Reload, ReloadOutcome};
use crate::wireguard::{DeviceConfig, Sample};
pub use identity::{GatewayKey, Identity};
pub use sockets::{BfdAction, BfdEndpoint, BgpAction, Listening, SocketEvent};
pub use test_page::{TestPage, test_pages};

use bgp::Bgp;
use conntrack::Conntrack;
use key_ages::KeyAges;
use names::Names;
use probe::Probes;
use site::Sites;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tenant::{TenantMachine, Wanted};
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

    // What comes from outside.

    /// Takes a whole set of documents, with every tenant's keys.
    ///
    /// Tenants that are not in it go, except those that are refused in it:
    /// a mistake in a document does not cut a customer off.
    pub fn handle_config(
        &mut self,
        config: Config,
        identities: BTreeMap<TenantName, Identity>,
        errors: Vec<String>,
        now: Now,
    ) {
        if self.stopping {
            // They were being read when the word to stop came.
            return;
        }
        self.generation += 1;
        self.reload = Some(Reload { at: now.wall, outcome: ReloadOutcome::Accepted, errors });
        let known = std::mem::replace(&mut self.identities, identities);
        let refused: BTreeSet<TenantName> = config
            .refused
            .iter()
            .filter(|refusal| refusal.site.is_none())
            .map(|refusal| refusal.tenant.clone())
            .collect();
        self.key_ages.handle_config(&config, &self.identities, now.wall);
        self.left_out = unprogrammable(&config, self.placement);
        self.config = config;
        self.is_telling = true;
        let names: Vec<TenantName> = self.tenants.keys().cloned().collect();
        for name in names {
            if !self.config.tenants.contains_key(&name) && !refused.contains(&name) {
                self.release(&name, now);
            }
        }
        let names: Vec<TenantName> = self.config.tenants.keys().cloned().collect();
        for name in names {
            let same_key = known.get(&name) == self.identities.get(&name);
            if !(same_key && self.is_wanted_already(&name)) {
                self.want(&name, now);
            } else if let Some(machine) = self.tenants.get_mut(&name) {
                machine.handle_still_wanted(self.generation, now);
                self.collect(&name, now);
            }
        }
        self.is_telling = false;
        self.note_applied(now);
        self.forget_names();
        self.advance(now);
    }

    /// Takes notice of a set of documents that is not taken; what runs stays.
    pub fn handle_refused_config(&mut self, errors: Vec<String>, now: Now) {
        let message = match errors.first() {
            Some(first) if errors.len() > 1 => format!("{first} (and {} more)", errors.len() - 1),
            Some(first) => first.clone(),
            None => String::new(),
        };
        for machine in self.tenants.values_mut() {
            machine.history.push(EventReason::ConfigRefused, None, message.clone(), now.wall);
        }
        self.reload = Some(Reload { at: now.wall, outcome: ReloadOutcome::Refused, errors });
    }

    /// Takes the tenants whose namespaces were found at the start. One that is
    /// not wanted is removed, unless its documents are refused.
    pub fn handle_present(&mut self, present: Vec<TenantName>, now: Now) {
        for name in present {
            let refused = self.config.refused.iter().any(|refusal| refusal.tenant == name);
            if !self.tenants.contains_key(&name) && !refused {
                let machine = self.machine(&name);
                machine.handle_wanted(None, now);
                self.collect(&name, now);
            }
        }
    }

    /// Takes notice that something in the tenant's namespace may have changed.
    pub fn handle_dirty(&mut self, name: &TenantName, now: Now) {
        self.with(name, now, |machine| machine.handle_dirty(now));
    }

    /// Takes notice that links or addresses of the underlay changed: what could
    /// not be done for want of a link is tried again.
    pub fn handle_underlay(&mut self, now: Now) {
        let failed: Vec<TenantName> = self
            .tenants
            .iter()
            .filter(|(_, machine)| machine.failure().is_some() || machine.has_broken_links())
            .map(|(name, _)| name.clone())
            .collect();
        for name in failed {
            self.with(&name, now, |machine| machine.handle_retry(now));
        }
    }

    /// Takes what the tenant's namespace holds, `None` when there is none.
    ///
    /// `Err` is why it could not be looked at, for a person.
    pub fn handle_observed(
        &mut self,
        name: &TenantName,
        observed: Result<Option<Namespace>, String>,
        now: Now,
    ) {
        self.with(name, now, |machine| match observed {
            Ok(observed) => machine.handle_observed(observed, now),
            Err(error) => machine.handle_observe_error(error, now),
        });
    }

    /// Takes what became of a plan: the steps that failed.
    pub fn handle_applied(&mut self, name: &TenantName, failed: Vec<StepFailure>, now: Now) {
        self.with(name, now, |machine| machine.handle_applied(failed, now));
    }

    /// Takes what became of attaching or configuring a device; `Err` is why not, for a person.
    pub fn handle_attached(&mut self, name: &TenantName, result: Result<(), String>, now: Now) {
        self.with(name, now, |machine| machine.handle_attached(result, now));
    }

    /// Takes notice that a device stopped by itself, as when its TUN is deleted.
    pub fn handle_device_failure(&mut self, name: &TenantName, error: String, now: Now) {
        // The next one calls whom this one had found, as another process would.
        if let Some(sites) = self.sites.get(name) {
            self.last_endpoints.entry(name.clone()).or_default().extend(sites.endpoints());
        }
        self.with(name, now, |machine| machine.handle_device_failure(error, now));
        self.configure_device(name, now);
        self.collect(name, now);
    }

    /// Takes notice that a device is gone, as was asked.
    pub fn handle_detached(&mut self, name: &TenantName, now: Now) {
        self.with(name, now, |machine| machine.handle_detached(now));
    }

    /// Takes how the devices are.
    pub fn handle_samples(&mut self, samples: BTreeMap<TenantName, Sample>, now: Now) {
        for (name, sample) in samples {
            let (Some(tenant), Some(machine), Some(sites)) = (
                self.config.tenants.get(&name),
                self.tenants.get_mut(&name),
                self.sites.get_mut(&name),
            ) else {
                continue;
            };
            let names = &self.names;
            let unresolved = |peer: &WireGuardPeer| names.is_unresolved(peer);
            let (device, history) = machine.device_and_history();
            let is_another = sites.handle_sample(tenant, device, sample, unresolved, history, now);
            self.renew_probes(&name, now);
            if is_another {
                self.want(&name, now);
            }
            self.collect(&name, now);
        }
    }

    /// Takes how the tenant's links to sites on VLANs are; one that is not
    /// there is absent.
    pub fn handle_legs(
        &mut self,
        name: &TenantName,
        samples: &BTreeMap<Device, LegSample>,
        now: Now,
    ) {
        let (Some(tenant), Some(machine), Some(sites)) =
            (self.config.tenants.get(name), self.tenants.get_mut(name), self.sites.get_mut(name))
        else {
            return;
        };
        let is_another = sites.handle_legs(tenant, samples, &mut machine.history, now);
        self.renew_probes(name, now);
        if is_another {
            self.want(name, now);
        }
        self.collect(name, now);
    }

    /// The links to sites on VLANs of each tenant that has any, with the
    /// customer's routers there.
    pub fn legs(&self, name: &TenantName) -> Vec<(Device, Vec<IpAddr>)> {
        let sites = self.config.tenants.get(name).into_iter().flat_map(|it| it.sites.values());
        let legs = sites.filter_map(|site| match &site.attachment {
            Attachment::WireGuard(_) => None,
            Attachment::Vlan(vlan) => Some((vlan_link(site)?, vlan.next_hops.clone())),
        });
        legs.collect()
    }

    /// The outer tags that double-tagged VLANs of any tenant stand on.
    pub fn outer_vlans(&self) -> BTreeSet<ManagedName> {
        let tenants = self.tenants.values().filter_map(TenantMachine::wanted);
        let tenants = tenants.map(|wanted| &wanted.tenant);
        let vlans = tenants.flat_map(|tenant| {
            let sites = tenant.sites.values().filter_map(|site| match &site.attachment {
                Attachment::Vlan(VlanAttachment { link: VlanLink::Tagged(vlan), .. }) => Some(vlan),
                Attachment::Vlan(_) | Attachment::WireGuard(_) => None,
            });
            let fabric = match &tenant.fabric.link {
                FabricLink::Vlan(vlan) => Some(vlan),
                FabricLink::Interface(_) | FabricLink::Pod(_) | FabricLink::Veth { .. } => None,
            };
            sites.chain(fabric)
        });
        vlans.filter_map(|vlan| Some(vlan.outer()?.outer_link_name())).collect()
    }

    /// Takes how many packets the tenant's rules have dropped, by reason, and how full
    /// its connection tracking is, when that is known.
    pub fn handle_counters(
        &mut self,
        name: &TenantName,
        drops: BTreeMap<String, u64>,
        conntrack: Option<ConntrackSample>,
        now: Now,
    ) {
        let Some(machine) = self.tenants.get_mut(name) else { return };
        self.drops.insert(name.clone(), drops);
        if let Some(sample) = conntrack {
            let table = self.conntrack.entry(name.clone()).or_default();
            table.handle_sample(sample, &mut machine.history, now);
        }
    }

    /// Takes the addresses of a name; none when there are none.
    pub fn handle_resolved(&mut self, name: &str, addresses: &[IpAddr], now: Now) {
        let tenants: Vec<&Tenant> = self
            .config
            .tenants
            .values()
            .map(Arc::as_ref)
            .filter(|tenant| device::names(tenant).any(|wanted| wanted == name))
            .collect();
        // A name is whatever the customer's DNS says at the moment; nobody is to
        // reach pods or nodes with it.
        let may_be_dialled = |address: &IpAddr| {
            let forbidden = |tenant: &&Tenant| {
                tenant.class.forbidden_prefixes.iter().any(|prefix| prefix.contains(*address))
            };
            !tenants.iter().any(forbidden)
        };
        if self.names.handle_resolved(name, addresses, may_be_dialled, now) {
            let tenants: Vec<TenantName> =
                tenants.into_iter().map(|tenant| tenant.name.clone()).collect();
            for tenant in tenants {
                self.configure_device(&tenant, now);
                self.collect(&tenant, now);
            }
        }
    }

    /// Takes what is remembered of peers' endpoints and of settings.
    pub fn handle_memory(
        &mut self,
        endpoints: impl IntoIterator<Item = ((TenantName, PublicKey), SocketAddr)>,
        borrowed: Borrowed,
    ) {
        self.borrowed = borrowed;
        for ((tenant, key), endpoint) in endpoints {
            self.last_endpoints.entry(tenant).or_default().insert(key, endpoint);
        }
    }

    /// Takes since when keys are known.
    pub fn handle_key_ages(&mut self, known: BTreeMap<(TenantName, PublicKey), Timestamp>) {
        self.key_ages.handle_memory(known);
    }

    /// Takes a random number, with which waits are made uneven.
    pub const fn handle_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Takes which offloads are in force.
    pub const fn handle_offloads(&mut self, offloads: Offloads) {
        self.offloads = offloads;
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let due: Vec<TenantName> = self
            .tenants
            .iter()
            .filter(|(_, machine)| machine.poll_timeout().is_some_and(|at| at <= now.mono))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.with(&name, now, |machine| machine.handle_timeout(now));
        }
        self.probe(now);
        self.resolve(now);
    }

    // Commands.

    /// Removes everything it made. [`Gateway::is_done`] says when.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        self.config.tenants.clear();
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
        let tenants = self.tenants.values().filter_map(TenantMachine::poll_timeout).min();
        [tenants, self.names.poll_timeout(), self.probes.poll_timeout()].into_iter().flatten().min()
    }

    // Questions.

    /// Whether it was stopped and nothing of it is left.
    pub fn is_done(&self) -> bool {
        self.stopping && self.tenants.is_empty()
    }

    /// How many sets of documents were accepted.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it was stopped.
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether every tenant is as the last accepted set asks.
    pub fn is_settled(&self) -> bool {
        self.tenants.values().all(TenantMachine::is_in_sync)
    }

    /// What is wanted.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Who the gateway is to each tenant's customers.
    pub const fn identities(&self) -> &BTreeMap<TenantName, Identity> {
        &self.identities
    }

    /// Where every peer is or was last seen, for the next process.
    pub fn endpoints(&self) -> BTreeMap<(TenantName, PublicKey), SocketAddr> {
        let mut endpoints = BTreeMap::new();
        for (tenant, sites) in &self.sites {
            if let Some(last) = self.last_endpoints.get(tenant) {
                endpoints.extend(last.iter().map(|(key, at)| ((tenant.clone(), *key), *at)));
            }
            endpoints.extend(sites.endpoints().map(|(key, at)| ((tenant.clone(), key), at)));
        }
        endpoints.retain(|(tenant, key), _| !self.has_forgotten(tenant, key));
        endpoints
    }

    /// Since when each key is known, for the next process.
    pub const fn key_ages(&self) -> &BTreeMap<(TenantName, PublicKey), Timestamp> {
        self.key_ages.all()
    }

    /// Settings that outlive the tenants, for the next process. Only who has no
    /// namespace of its own leaves any, and of these there is one.
    pub fn borrowed(&self) -> &Borrowed {
        self.tenants.values().next().map_or(&self.borrowed, TenantMachine::borrowed)
    }

    /// Whether the tenant is served and has no such peer any more.
    pub fn has_forgotten(&self, tenant: &TenantName, key: &PublicKey) -> bool {
        self.config.tenants.get(tenant).is_some_and(|tenant| {
            !device::wireguard_sites(tenant)
                .any(|(_, peer)| peer.public_keys().any(|own| own == *key))
        })
    }

    /// The latest handshake stamp any device has sent.
    pub fn last_initiation(&self) -> Timestamp {
        self.sites.values().map(Sites::last_initiation).max().unwrap_or_default()
    }

    // What these have in common.

    fn machine(&mut self, name: &TenantName) -> &mut TenantMachine {
        self.tenants.entry(name.clone()).or_insert_with(|| {
            let history = History::new(limits::EVENTS_PER_TENANT);
            let (borrowed, bgp) = (self.borrowed.clone(), Bgp::with_seed(self.seed));
            TenantMachine::new(name.clone(), self.placement, borrowed, bgp, history)
        })
    }

    fn with(&mut self, name: &TenantName, now: Now, feed: impl FnOnce(&mut TenantMachine)) {
        if let Some(machine) = self.tenants.get_mut(name) {
            feed(machine);
            self.collect(name, now);
        }
    }

    /// Brings the tenant's outputs up and draws the conclusions.
    fn collect(&mut self, name: &TenantName, now: Now) {
        self.tell_up(name, now);
        self.gather(name, now);
    }

    /// As [`Self::collect`], where nothing about sites can have changed.
    fn gather(&mut self, name: &TenantName, now: Now) {
        self.open_probes(name);
        let Some(machine) = self.tenants.get_mut(name) else { return };
        while let Some(output) = machine.poll_output() {
            self.outputs.push_back(output);
        }
        if let Some(duration) = machine.take_duration(now) {
            self.apply_duration = Some(duration);
        }
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
        if is_due && !self.stopping && self.is_settled() {
            self.applied_generation = self.generation;
            self.last_applied = Some(now.wall);
        }
    }

    /// Whether the tenant is the very one that is wanted, whom nobody had to judge
    /// again.
    fn is_wanted_already(&self, name: &TenantName) -> bool {
        let wanted = self.tenants.get(name).and_then(TenantMachine::wanted);
        let asked_for = self.config.tenants.get(name);
        wanted.zip(asked_for).is_some_and(|(wanted, tenant)| Arc::ptr_eq(&wanted.tenant, tenant))
    }

    fn want(&mut self, name: &TenantName, now: Now) {
        let is_taken =
            self.placement == Placement::Current && self.tenants.keys().any(|other| other != name);
        // Where there is one namespace for all, the one that has it goes first, or
        // its going would take the other's along.
        if is_taken {
            return;
        }
        let Some(tenant) = self.config.tenants.get(name).cloned() else { return };
        let tenant = &tenant;
        let (generation, placement) = (self.generation, self.placement);
        let sites = self.sites.entry(name.clone()).or_default();
        sites.handle_config(tenant, now);
        self.configure_probes(tenant, now);
        let sites = self.sites.entry(name.clone()).or_default();
        let served = takeover::served(tenant, sites.unusable());
        self.stand_by(tenant, served.as_deref().unwrap_or(tenant), now);
        // Of a thousand tenants one changes: the others' work is not done again.
        if let Some(machine) = self.tenants.get_mut(name).filter(|machine| {
            let before = machine.wanted();
            before.is_some_and(|before| before.tenant == *tenant && before.served == served)
        }) {
            machine.handle_still_wanted(generation, now);
            self.configure_device(name, now);
            self.collect(name, now);
            return;
        }
        let tenant = Arc::clone(tenant);
        let namespace = desired_tenant(served.as_deref().unwrap_or(&tenant), placement);
        let site_links = tenant.sites.values().filter_map(vlan_link).collect();
        let is_new = !self.tenants.contains_key(name);
        let machine = self.machine(name);
        if is_new {
            let message = format!("{} sites", tenant.sites.len());
            machine.history.push(EventReason::TenantAdded, None, message, now.wall);
        }
        let wanted = Wanted { tenant, served, namespace, site_links, generation };
        machine.handle_wanted(Some(wanted), now);
        self.configure_device(name, now);
        self.collect(name, now);
    }

    fn release(&mut self, name: &TenantName, now: Now) {
        self.probes.forget(name);
        self.with(name, now, |machine| machine.leave(now));
    }

    /// Works out what the tenant's device is to be.
    fn configure_device(&mut self, name: &TenantName, now: Now) {
        let config = self.device_config(name);
        if let Some(machine) = self.tenants.get_mut(name) {
            machine.handle_device(config, now);
        }
    }

    fn device_config(&self, name: &TenantName) -> Option<DeviceConfig> {
        let tenant: &Tenant = self.config.tenants.get(name)?;
        let nobody = BTreeMap::new();
        let nowhere = Sites::default();
        let addresses = self.names.addresses();
        let sites = self.sites.get(name).unwrap_or(&nowhere);
        device::wireguard_sites(tenant).next()?;
        Some(device::device(
            tenant,
            &device::Circumstances {
                identity: self.identities.get(name)?,
                addresses: &addresses,
                last_endpoints: self.last_endpoints.get(name).unwrap_or(&nobody),
                unusable: sites.unusable(),
            },
        ))
    }

    fn forget_names(&mut self) {
        self.names.keep(self.config.tenants.values().flat_map(|tenant| device::names(tenant)));
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
