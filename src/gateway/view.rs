//! The snapshot: all that the gateway knows, as everyone may see it.

use super::tenant::TenantMachine;
use super::{Gateway, bgp_view, conntrack::Conntrack, site::Sites};
use crate::model::{Attachment, KernelFeatures, RefusalReason, Site, Tenant};
use crate::net::{ManagedName, Now, Prefix, SiteName, TenantName};
use crate::reconcile::{Device, Namespace, RouteKey, UnprogrammableReason, vlan_link};
use crate::status::{
    AttachmentKind, Backend, ConditionReason, ConditionStatus, ConditionType, Conditions,
    ConfigSnapshot, Count, DropPlace, DropSnapshot, PrefixSource, RefusedDocument, RouteSnapshot,
    RouteSource, SCHEMA, SitePrefixStatus, SiteReason, SiteSnapshot, SiteState, Snapshot,
    TenantSnapshot,
};
use std::collections::BTreeMap;

/// The conditions of tenants and sites, kept so that the time of their last
/// change is.
#[derive(Debug, Default)]
pub(super) struct ConditionMemory {
    tenants: BTreeMap<TenantName, Conditions>,
    sites: BTreeMap<(TenantName, SiteName), Conditions>,
}

/// A condition before it is compared with the one before.
pub(super) type Verdict = (ConditionType, ConditionStatus, ConditionReason, String);

impl Gateway {
    /// Everything anyone can see of it.
    pub fn snapshot(&mut self, now: Now) -> Snapshot {
        let mut memory = std::mem::take(&mut self.conditions);
        let tenants: Vec<TenantSnapshot> = self
            .tenants
            .iter()
            .filter_map(|(name, machine)| {
                let wanted = machine.wanted()?;
                Some(self.tenant_snapshot(name, &wanted.tenant, machine, &mut memory, now))
            })
            .collect();
        memory.tenants.retain(|name, _| self.tenants.contains_key(name));
        memory.sites.retain(|(name, site), _| {
            let wanted = self.tenants.get(name).and_then(TenantMachine::wanted);
            wanted.is_some_and(|wanted| wanted.tenant.sites.contains_key(site))
        });
        self.conditions = memory;
        Snapshot {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            taken: now.wall,
            backend: common_backend(&tenants),
            offloads: self.offloads,
            config: ConfigSnapshot {
                source: self.source.clone(),
                loaded_generation: self.generation,
                applied_generation: self.applied_generation,
                last_applied: self.last_applied,
                apply_duration_micros: self
                    .apply_duration
                    .map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
                last_reload: self.reload.clone(),
            },
            tenants,
            reflectors: bgp_view::reflectors(&self.shared, now),
            refused: self.refused_documents(),
            endpoint: None,
        }
    }

    fn refused_documents(&self) -> Vec<RefusedDocument> {
        let refused = self.config.refused.iter();
        refused
            .map(|refusal| RefusedDocument {
                origin: None,
                document: match &refusal.site {
                    Some(site) => {
                        format!("SiteAttachment/{}/{site}", refusal.tenant.namespace())
                    }
                    None => format!("TenantGateway/{}", refusal.tenant),
                },
                path: None,
                reason: refusal.reason.name().to_owned(),
                message: refusal.message.clone(),
            })
            .collect()
    }

    fn tenant_snapshot(
        &self,
        name: &TenantName,
        tenant: &Tenant,
        machine: &TenantMachine,
        memory: &mut ConditionMemory,
        now: Now,
    ) -> TenantSnapshot {
        let generation = self.generation;
        let verdicts = self.tenant_verdicts(name, tenant, machine);
        let conditions = memory.tenants.entry(name.clone()).or_default();
        for (kind, status, reason, message) in verdicts {
            conditions.set(kind, status, reason, &message, generation, now.wall);
        }
        let conditions = conditions.clone();
        let nowhere = Sites::default();
        let sites = self.sites.get(name).unwrap_or(&nowhere);
        let bgp = bgp_view::bgp(tenant, machine, &self.shared, now);
        let site_snapshots = tenant
            .sites
            .values()
            .map(|site| {
                let key = (name.clone(), site.name.clone());
                let conditions = memory.sites.entry(key).or_default();
                let mut site_snapshot =
                    self.site_snapshot(name, site, sites, machine, conditions, now);
                self.describe_keys(tenant, site, sites, &mut site_snapshot);
                if let Some((kind, status, reason, message)) =
                    bgp_view::established(site, bgp.as_ref())
                {
                    conditions.set(kind, status, reason, &message, generation, now.wall);
                    site_snapshot.conditions.clone_from(conditions);
                }
                site_snapshot
            })
            .collect();
        TenantSnapshot {
            name: name.clone(),
            netns: name.netns(),
            device: Some(ManagedName::wireguard().to_string()),
            backend: tenant.backend.backend.into(),
            backend_reason: tenant.backend.reason.to_string(),
            listen_port: tenant.listen_port,
            endpoint_host: tenant.class.advertised_host.clone(),
            public_key: self.identities.get(name).map(|identity| identity.current.public),
            next_public_key: self.next_key(tenant),
            keys: self.gateway_keys(tenant, sites),
            app_prefixes: tenant.app_prefixes.clone(),
            nmaas_domain: tenant.nmaas_domain.map(|domain| Count(domain.value())),
            conditions,
            sites: site_snapshots,
            drops: self.drop_snapshots(name, sites),
            conntrack: self.conntrack.get(name).and_then(Conntrack::snapshot),
            routes: routes(tenant, machine),
            bgp,
            events: machine.history.to_vec(),
        }
    }

    fn tenant_verdicts(
        &self,
        name: &TenantName,
        tenant: &Tenant,
        machine: &TenantMachine,
    ) -> Vec<Verdict> {
        let mut verdicts = vec![(
            ConditionType::Accepted,
            ConditionStatus::True,
            ConditionReason::Accepted,
            String::new(),
        )];
        let unresolved = self.config.refused.iter().find(|refusal| {
            refusal.tenant == *name && refusal.reason == RefusalReason::SecretUnresolved
        });
        verdicts.push(match unresolved {
            Some(refusal) => (
                ConditionType::ResolvedRefs,
                ConditionStatus::False,
                ConditionReason::SecretNotFound,
                refusal.message.clone(),
            ),
            None => (
                ConditionType::ResolvedRefs,
                ConditionStatus::True,
                ConditionReason::ResolvedRefs,
                String::new(),
            ),
        });
        let programmed = programmed(tenant, machine, self.left_out(name, None));
        let isolated = isolated(machine);
        let ready = [&programmed, &isolated].into_iter().find(|it| it.1 != ConditionStatus::True);
        let ready = match ready {
            None => (
                ConditionType::Ready,
                ConditionStatus::True,
                ConditionReason::Established,
                String::new(),
            ),
            Some((_, status, reason, message)) => {
                (ConditionType::Ready, *status, *reason, message.clone())
            }
        };
        verdicts.extend([programmed, isolated, ready]);
        verdicts
    }

    fn site_snapshot(
        &self,
        tenant: &TenantName,
        site: &Site,
        sites: &Sites,
        machine: &TenantMachine,
        conditions: &mut Conditions,
        now: Now,
    ) -> SiteSnapshot {
        let generation = self.generation;
        let kind = match &site.attachment {
            Attachment::WireGuard(_) => AttachmentKind::WireGuard,
            Attachment::Vlan { .. } => AttachmentKind::Vlan,
        };
        let mut snapshot = SiteSnapshot::starting(site.name.clone(), kind, now.wall);
        sites.describe(site, &mut snapshot);
        let left_out = self.left_out(tenant, Some(site));
        let link = vlan_link(site);
        let broken = link.as_ref().and_then(|link| machine.broken_link(link));
        let is_there = is_there(machine, link.as_ref());
        if !self.is_programmed(tenant, site, machine) {
            // It is not for want of the customer that nothing comes.
            if snapshot.state != SiteState::NeverConnected {
                snapshot.state = SiteState::Down;
            }
            snapshot.reason = SiteReason::NotProgrammed;
            broken.unwrap_or_else(|| snapshot.reason.message()).clone_into(&mut snapshot.message);
        }
        // Whether its router says which of them it has is not ours to put in place.
        let served = machine.wanted().and_then(|it| it.served().sites.get(&site.name));
        let follows = served.is_some_and(|site| site.bounds.is_some());
        snapshot.prefixes = site
            .prefixes
            .iter()
            .map(|prefix| SitePrefixStatus {
                cidr: prefix.real,
                alias: prefix.alias,
                source: if follows { PrefixSource::Bgp } else { PrefixSource::Static },
                installed: machine.observed().is_some_and(|observed| {
                    let visible = prefix.visible();
                    let said = machine.bgp.following.said().of(&site.name).iter();
                    let mut parts = said.filter(|part| visible.covers(**part));
                    is_on(observed, link.as_ref(), RouteKey::new(visible))
                        || parts.any(|it| is_on(observed, link.as_ref(), RouteKey::learned(*it)))
                }),
            })
            .collect();
        let installed = follows || snapshot.prefixes.iter().all(|prefix| prefix.installed);
        let attached = is_there && broken.is_none();
        let connected = snapshot.state.is_usable();
        let yes = |kind, reason| (kind, ConditionStatus::True, reason, String::new());
        let no = |kind, reason, message: &str| {
            (kind, ConditionStatus::False, reason, message.to_owned())
        };
        let verdicts = [
            yes(ConditionType::Accepted, ConditionReason::Accepted),
            yes(ConditionType::ResolvedRefs, ConditionReason::ResolvedRefs),
            if installed && attached {
                yes(ConditionType::Programmed, ConditionReason::Programmed)
            } else {
                let (reason, message) = match left_out {
                    Some(left_out) => (ConditionReason::Unsupported, left_out.message()),
                    None => match broken {
                        Some(broken) => (ConditionReason::ApplyFailed, broken),
                        None => (ConditionReason::Programming, ""),
                    },
                };
                no(ConditionType::Programmed, reason, message)
            },
            if connected {
                yes(ConditionType::Connected, ConditionReason::Established)
            } else {
                no(ConditionType::Connected, ConditionReason::NotEstablished, &snapshot.message)
            },
        ];
        let reachable = self.probes.reachable(tenant, &site.name);
        if reachable.is_none() {
            conditions.remove(ConditionType::Reachable);
        }
        for (kind, status, reason, message) in verdicts.into_iter().chain(reachable) {
            conditions.set(kind, status, reason, &message, generation, now.wall);
        }
        snapshot.conditions = conditions.clone();
        snapshot.probes = self.probes.snapshots(tenant, &site.name);
        snapshot
    }

    /// Whether it is not for want of us that nothing comes from a site.
    fn is_programmed(&self, tenant: &TenantName, site: &Site, machine: &TenantMachine) -> bool {
        let link = vlan_link(site);
        let broken = link.as_ref().and_then(|link| machine.broken_link(link));
        let failed = machine.failure().is_some() || machine.device_failure().is_some();
        self.left_out(tenant, Some(site)).is_none()
            && ((!failed && broken.is_none()) || is_there(machine, link.as_ref()))
    }

    /// Whether packets for a site can be expected to arrive.
    pub(super) fn is_usable(
        &self,
        tenant: &TenantName,
        site: &Site,
        machine: &TenantMachine,
    ) -> bool {
        let state = self.sites.get(tenant).and_then(|sites| sites.state(&site.name));
        state.is_some_and(SiteState::is_usable) && self.is_programmed(tenant, site, machine)
    }

    /// Why a site, or a tenant's fabric, is not programmed at all.
    fn left_out(&self, tenant: &TenantName, site: Option<&Site>) -> Option<UnprogrammableReason> {
        let parts = self.left_out.get(tenant)?;
        let part = parts.iter().find(|part| part.site.as_ref() == site.map(|site| &site.name))?;
        Some(part.reason)
    }

    fn drop_snapshots(&self, name: &TenantName, sites: &Sites) -> Vec<DropSnapshot> {
        let datapath = sites.drops().map(|(reason, packets)| DropSnapshot {
            place: DropPlace::Datapath,
            reason: reason.to_owned(),
            packets: Count(packets),
        });
        let firewall =
            self.drops.get(name).into_iter().flatten().map(|(reason, packets)| DropSnapshot {
                place: DropPlace::Firewall,
                reason: reason.clone(),
                packets: Count(*packets),
            });
        let conntrack = self.conntrack.get(name).and_then(Conntrack::dropped);
        let conntrack = conntrack.map(|packets| DropSnapshot {
            place: DropPlace::Conntrack,
            reason: "table_full".to_owned(),
            packets: Count(packets),
        });
        datapath.chain(firewall).chain(conntrack).collect()
    }
}

/// Whether what a site is reached by is there: its VLAN, or the tunnels.
fn is_there(machine: &TenantMachine, link: Option<&Device>) -> bool {
    match link {
        Some(link) => machine.observed().is_some_and(|it| it.links.contains_key(link)),
        None => machine.is_attached(),
    }
}

/// Whether packets for a network leave by the link of its site, `None` for the
/// tunnels: by a route of ours, or because the link is in that network.
fn is_on(observed: &Namespace, link: Option<&Device>, key: RouteKey) -> bool {
    let tunnel = Device::Managed(ManagedName::wireguard());
    let link = link.unwrap_or(&tunnel);
    let route = observed.routes.get(&key);
    let is_routed = route.is_some_and(|route| route.device() == Some(link));
    let own = observed.links.get(link).into_iter().flat_map(|link| &link.addresses);
    is_routed || own.into_iter().any(|own| own.network().covers(key.prefix))
}

/// The kernel when it is what carries every tenant's tunnels.
fn common_backend(tenants: &[TenantSnapshot]) -> Backend {
    let is_kernel = |tenant: &TenantSnapshot| tenant.backend == Backend::Kernel;
    match tenants {
        [_, ..] if tenants.iter().all(is_kernel) => Backend::Kernel,
        _ => Backend::Userspace,
    }
}

fn programmed(
    tenant: &Tenant,
    machine: &TenantMachine,
    left_out: Option<UnprogrammableReason>,
) -> Verdict {
    let no = |reason, message: &str| {
        (ConditionType::Programmed, ConditionStatus::False, reason, message.to_owned())
    };
    if let Some(failure) = machine.failure() {
        return no(ConditionReason::ApplyFailed, failure);
    }
    if let Some(failure) = machine.device_failure() {
        return no(ConditionReason::DeviceFailed, failure);
    }
    if let Some(left_out) = left_out {
        return no(ConditionReason::Unsupported, &format!("the fabric: {}", left_out.message()));
    }
    if !machine.is_in_sync() {
        return no(ConditionReason::Programming, "steps are still to be taken");
    }
    if super::device::wireguard_sites(tenant).next().is_some() && !machine.is_attached() {
        return no(ConditionReason::Programming, "the device is being started");
    }
    let (status, reason) = (ConditionStatus::True, ConditionReason::Programmed);
    (ConditionType::Programmed, status, reason, String::new())
}

/// Whether the rules that keep this tenant apart are in the kernel, as last
/// read back from it.
fn isolated(machine: &TenantMachine) -> Verdict {
    if machine.wanted().is_none() || machine.observed().is_none() {
        return (
            ConditionType::Isolated,
            ConditionStatus::Unknown,
            ConditionReason::Pending,
            String::new(),
        );
    }
    if let Some(leak) = machine.leak() {
        return (
            ConditionType::Isolated,
            ConditionStatus::False,
            ConditionReason::RulesDiffer,
            leak.to_owned(),
        );
    }
    let is_unbounded = machine
        .wanted()
        .is_some_and(|wanted| !wanted.tenant.bounds_arp && wanted.tenant.hears_arp());
    let (status, reason, message) = if machine.rules_hold() {
        let message = if is_unbounded { KernelFeatures::NO_ARP } else { "" };
        (ConditionStatus::True, ConditionReason::Verified, message)
    } else {
        let message = "new rules are being put in place; the old ones hold";
        (ConditionStatus::Unknown, ConditionReason::Programming, message)
    };
    (ConditionType::Isolated, status, reason, message.to_owned())
}

fn routes(tenant: &Tenant, machine: &TenantMachine) -> Vec<RouteSnapshot> {
    let Some(wanted) = machine.wanted() else { return Vec::new() };
    let nothing = Namespace::default();
    let observed = machine.observed().unwrap_or(&nothing);
    let fabric = |device: &Device| {
        let tun = Device::Managed(ManagedName::wireguard());
        *device != tun && !wanted.site_links.contains(device)
    };
    // Of two sites with the same network the one with the higher priority.
    let mut owners: BTreeMap<Prefix, &Site> = BTreeMap::new();
    for site in tenant.sites.values() {
        for prefix in &site.prefixes {
            let owner = owners.entry(prefix.visible()).or_insert(site);
            if owner.priority < site.priority {
                *owner = site;
            }
        }
    }
    let mut routes = Vec::new();
    for (key, route) in &wanted.namespace.routes {
        let site = owners.get(&key.prefix);
        for (device, via) in route.hops() {
            routes.push(RouteSnapshot {
                prefix: key.prefix,
                via,
                link: device.to_string(),
                site: site.filter(|_| !fabric(device)).map(|site| site.name.clone()),
                source: if fabric(device) { RouteSource::App } else { RouteSource::Static },
                installed: observed.routes.get(key) == Some(route),
            });
        }
    }
    routes.extend(bgp_view::learned(tenant, machine, fabric));
    routes
}
