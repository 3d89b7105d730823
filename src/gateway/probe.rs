//! Whose devices are asked whether they are there, and what follows from what they
//! answer.
//!
//! A site whose attachment is up and of which no device answers cannot carry packets: it
//! is Blackholed, or Down on a VLAN, and what hangs on that (another site that serves
//! instead, what BGP neighbors are told) follows as from any other state. The first
//! answer brings it back. Probes never make a state better than the attachment's.
//!
//! A packet goes where the tenant's routes lead, and of two sites with the same network
//! they lead to one. A probe of an address that another site reaches would be about that
//! one: it *stands by* meanwhile, and see `probe::Session` for how the site gets its
//! networks back.
//!
//! Over a restart a site that was lost stays so until a device of its answers, and what
//! was not lost is not taken for lost: nothing is told to neighbors, and taken back, for
//! our own sake.

use super::device::owners;
use super::site::Lost;
use super::tenant::TenantMachine;
use super::view::Verdict;
use super::{Gateway, Output};
use crate::model::limits::PROBES_UNDER_WAY;
use crate::model::{Attachment, Probe, Site, Tenant};
use crate::net::{Instant, Jitter, Now, Prefix, SiteName, TenantName};
use crate::probe::{self, Change, Failure, Outcome, ProbeId, Prober, Session, Settings, Target};
use crate::reconcile::serving;
use crate::status::{ConditionReason, ConditionStatus, ConditionType, EventReason, ProbeSnapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The probers of all tenants that have probes.
#[derive(Debug, Default)]
pub(super) struct Probes {
    tenants: BTreeMap<TenantName, Prober>,
    /// Probers made so far, so that no two draw the same numbers.
    rounds: u64,
    /// The sites that an earlier process left lost, of tenants that are not there yet.
    remembered: BTreeMap<TenantName, Vec<SiteName>>,
}

impl Probes {
    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.tenants.values().filter_map(Prober::poll_timeout).min()
    }

    /// Takes the sites that an earlier process left lost.
    pub(super) fn handle_memory(&mut self, lost: BTreeSet<(TenantName, SiteName)>) {
        for (tenant, site) in lost {
            self.remembered.entry(tenant).or_default().push(site);
        }
    }

    /// The tenant is not there any more.
    pub(super) fn forget(&mut self, name: &TenantName) {
        self.tenants.remove(name);
    }

    /// How the probes of a site are.
    pub(super) fn snapshots(&self, tenant: &TenantName, site: &SiteName) -> Vec<ProbeSnapshot> {
        let prober = self.tenants.get(tenant);
        let probes = prober.into_iter().flat_map(|prober| prober.of_site(site));
        probes.map(|(target, session)| ProbeSnapshot::new(target, session)).collect()
    }

    /// Whether the devices of a site are reachable, as its probes say.
    pub(super) fn reachable(&self, tenant: &TenantName, site: &SiteName) -> Option<Verdict> {
        let prober = self.tenants.get(tenant)?;
        let of_site = || prober.of_site(site);
        let named = |which: fn(&Session) -> bool| {
            let which = of_site().filter(|(_, session)| which(session));
            which.map(|(target, session)| describe(target, session)).collect::<Vec<_>>().join("; ")
        };
        let is_failing =
            |it: &Session| matches!(it.health(), probe::Health::Lost | probe::Health::Refused);
        let is_open = |it: &Session| it.health() == probe::Health::Pending;
        let (status, reason, message) = match prober.verdict(site)? {
            probe::Verdict::Pending => {
                (ConditionStatus::Unknown, ConditionReason::Pending, named(is_open))
            }
            probe::Verdict::Answered => {
                let all: Vec<String> = of_site().map(|(target, _)| target.to_string()).collect();
                let message = format!("{} answers", all.join(", "));
                (ConditionStatus::True, ConditionReason::ProbesAnswered, message)
            }
            probe::Verdict::Impaired => {
                (ConditionStatus::False, ConditionReason::ProbeFailed, named(is_failing))
            }
            probe::Verdict::Lost => {
                (ConditionStatus::False, ConditionReason::ProbesLost, named(is_failing))
            }
        };
        Some((ConditionType::Reachable, status, reason, message))
    }
}

/// A probe that is not answered, and why.
fn describe(target: &Target, session: &Session) -> String {
    let failure = session.sample().last_failure.map(|(failure, _)| failure);
    match (session.health(), failure) {
        (probe::Health::Refused, _) => format!("{target} refuses the connection"),
        (probe::Health::Pending, _) if session.is_standing_by() => {
            format!("{target} is reached by another site now")
        }
        (probe::Health::Pending, Some(failure)) if !failure.is_of_the_way() => {
            format!("{target}: {failure}")
        }
        (probe::Health::Pending, _) => format!("{target} has not been judged yet"),
        (probe::Health::Lost | probe::Health::Answered, failure) => {
            format!("{target}: {}", failure.unwrap_or(Failure::Timeout))
        }
    }
}

impl Gateway {
    /// Takes what became of asking a device. Gives whether a site is not as it was.
    pub fn handle_probe(
        &mut self,
        tenant: &TenantName,
        id: &ProbeId,
        number: u64,
        outcome: Outcome,
        now: Now,
    ) -> bool {
        let Some(prober) = self.probes.tenants.get_mut(tenant) else { return false };
        let Some(change) = prober.handle_outcome(id, number, outcome, now) else { return false };
        // That a device is there as it should be is no news.
        let news = (change != Change::Found).then_some(change);
        if let Some((machine, news)) = self.tenants.get_mut(tenant).zip(news) {
            let target = id.target;
            let (reason, message) = match news {
                Change::Found | Change::Answered => {
                    (EventReason::ProbeAnswered, format!("{target} answers"))
                }
                Change::Refused => {
                    (EventReason::ProbeFailed, format!("{target} refuses the connection"))
                }
                Change::Lost(failure) => (EventReason::ProbeFailed, format!("{target}: {failure}")),
            };
            machine.history.push(reason, Some(id.site.clone()), message, now.wall);
        }
        self.judge_probes(tenant, std::slice::from_ref(&id.site), now);
        true
    }

    /// Asks who is due.
    pub(super) fn probe(&mut self, now: Now) {
        let mut under_way: usize = self.probes.tenants.values().map(Prober::under_way).sum();
        let mut changed: Vec<(TenantName, BTreeSet<SiteName>)> = Vec::new();
        for (name, prober) in &mut self.probes.tenants {
            if prober.poll_timeout().is_none_or(|at| now.mono < at) {
                continue;
            }
            let before = prober.under_way();
            let sites = prober.handle_timeout(PROBES_UNDER_WAY.saturating_sub(under_way), now.mono);
            under_way = under_way + prober.under_way() - before.min(under_way);
            while let Some(shot) = prober.poll_output() {
                self.outputs.push_back(Output::Probe(name.clone(), shot));
            }
            if !sites.is_empty() {
                changed.push((name.clone(), sites));
            }
        }
        for (name, sites) in changed {
            self.judge_probes(&name, &sites.into_iter().collect::<Vec<_>>(), now);
        }
    }

    /// Has exactly the probes of `tenant`, and forgets what others said.
    pub(super) fn configure_probes(&mut self, tenant: &Tenant, now: Now) {
        let name = &tenant.name;
        let wanted = wanted(tenant);
        let remembered = self.probes.remembered.remove(name).unwrap_or_default();
        if wanted.is_empty() {
            if self.probes.tenants.remove(name).is_none() {
                return;
            }
        } else {
            let prober = self.probes.tenants.entry(name.clone()).or_insert_with(|| {
                self.probes.rounds += 1;
                Prober::new(Jitter::new(self.seed.wrapping_add(self.probes.rounds)).number())
            });
            prober.configure(&wanted, now.mono);
            for site in &remembered {
                prober.begin_lost(site);
            }
        }
        let Some((sites, machine)) = self.sites.get_mut(name).zip(self.tenants.get_mut(name))
        else {
            return;
        };
        let prober = self.probes.tenants.get(name);
        for site in tenant.sites.keys() {
            let lost = prober.and_then(|prober| lost(prober, site));
            sites.handle_probes(site, lost, &mut machine.history, now);
        }
    }

    /// Has the probes whose address another site reaches stand by. `served` is the
    /// tenant as its namespace serves it.
    pub(super) fn stand_by(&mut self, tenant: &Tenant, served: &Tenant, now: Now) {
        let name = &tenant.name;
        let Some(prober) = self.probes.tenants.get_mut(name) else { return };
        let nobody = BTreeSet::new();
        let unusable = self.sites.get(name).map_or(&nobody, |sites| sites.unusable());
        let mut ways: Option<Ways<'_>> = None;
        for site in tenant.sites.values() {
            for probe in &site.probes {
                let id = id(site, probe);
                let is_contested = is_contested(tenant, site, probe.address);
                let is_elsewhere = is_contested && {
                    let ways = ways.get_or_insert_with(|| Ways::new(served, unusable));
                    ways.to(probe.address) != Some(&site.name)
                };
                prober.stand_by(&id, is_elsewhere, now.mono);
            }
        }
    }

    /// Has the devices of sites that have just come up asked at once, and judged anew.
    pub(super) fn renew_probes(&mut self, name: &TenantName, now: Now) {
        let Some(sites) = self.sites.get_mut(name) else { return };
        let come_up = sites.take_come_up();
        let Some(prober) = self.probes.tenants.get_mut(name) else { return };
        for site in come_up {
            prober.begin_anew(&site, now.mono);
        }
    }

    /// Lets devices be asked when, and as long as, the tenant's links are there behind
    /// the rules that are to guard them.
    pub(super) fn open_probes(&mut self, name: &TenantName) {
        let Some(prober) = self.probes.tenants.get_mut(name) else { return };
        let machine = self.tenants.get(name);
        prober.set_open(machine.is_some_and(is_ready));
    }

    /// Draws the conclusions from what the probes of these sites say.
    fn judge_probes(&mut self, name: &TenantName, changed: &[SiteName], now: Now) {
        let (Some(prober), Some(sites), Some(machine)) =
            (self.probes.tenants.get(name), self.sites.get_mut(name), self.tenants.get_mut(name))
        else {
            return;
        };
        let mut is_another = false;
        for site in changed {
            let lost = lost(prober, site);
            is_another |= sites.handle_probes(site, lost, &mut machine.history, now);
        }
        if is_another {
            self.want(name, now);
        }
        self.collect(name, now);
    }
}

/// What no device of a site answers, for a person; `None` when one does, or none has
/// been judged.
fn lost(prober: &Prober, site: &SiteName) -> Option<Lost> {
    if prober.verdict(site) != Some(probe::Verdict::Lost) {
        return None;
    }
    let all = prober.of_site(site).map(|(target, session)| describe(target, session));
    let why = all.collect::<Vec<_>>().join("; ");
    let is_remembered = prober.of_site(site).any(|(_, session)| session.is_remembered());
    Some(Lost { why, is_remembered })
}

fn id(site: &Site, probe: &Probe) -> ProbeId {
    let target = Target { address: probe.address, tcp_port: probe.tcp_port };
    ProbeId { site: site.name.clone(), target }
}

fn wanted(tenant: &Tenant) -> BTreeMap<ProbeId, Settings> {
    let of_site = |site: &Site| {
        let probes = site.probes.iter();
        let probes = probes.map(|probe| (id(site, probe), Settings { interval: probe.interval }));
        probes.collect::<Vec<_>>()
    };
    tenant.sites.values().flat_map(of_site).collect()
}

/// Whether the tenant's packets go where they are to go. While another site takes over
/// they still go by the one before: an answer then is that one's.
fn is_ready(machine: &TenantMachine) -> bool {
    let Some(wanted) = machine.wanted() else { return false };
    let has_tunnels = super::device::wireguard_sites(&wanted.tenant).next().is_some();
    machine.rules_hold() && (machine.is_device_settled() || !has_tunnels)
}

/// Whether another site has a network with this address, too.
fn is_contested(tenant: &Tenant, site: &Site, address: IpAddr) -> bool {
    let has = |site: &Site| site.prefixes.iter().any(|it| it.visible().contains(address));
    has(site) && tenant.sites.values().any(|other| other.name != site.name && has(other))
}

/// By which site each network is reached.
struct Ways<'a> {
    /// By the routes.
    links: BTreeMap<Prefix, &'a Site>,
    /// Inside the device, among the tunnels.
    tunnels: BTreeMap<Prefix, &'a SiteName>,
}

impl<'a> Ways<'a> {
    fn new(served: &'a Tenant, unusable: &BTreeSet<SiteName>) -> Self {
        Self { links: serving(served), tunnels: owners(served, unusable) }
    }

    fn to(&self, address: IpAddr) -> Option<&'a SiteName> {
        let site = longest(&self.links, address)?;
        match site.attachment {
            Attachment::Vlan(_) => Some(&site.name),
            Attachment::WireGuard(_) => longest(&self.tunnels, address).copied(),
        }
    }
}

fn longest<T>(networks: &BTreeMap<Prefix, T>, address: IpAddr) -> Option<&T> {
    let covering = networks.iter().filter(|(prefix, _)| prefix.contains(address));
    covering.max_by_key(|(prefix, _)| prefix.length()).map(|(_, site)| site)
}
