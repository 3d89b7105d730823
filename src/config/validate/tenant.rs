//! A tenant's documents together: its sites may not meet.

use super::Set;
use super::checked::Known;
use super::class::CheckedClass;
use super::gateway::CheckedGateway;
use super::site::CheckedSite;
use crate::config::document::Documents;
use crate::config::error::{Errors, Forbidden, Problem};
use crate::config::look::Look;
use crate::config::overlap::{Claim, ForbiddenSet, Role, meetings};
use crate::model::{
    Ability, Attachment, Backend, DomainId, FabricLink, Refusal, RefusalReason, Site, Tenant,
    limits,
};
use crate::net::{PublicKey, SiteName, TenantName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A tenant while its documents are checked.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: TenantName,
    /// Which of the `TenantGateway` documents.
    pub(super) document: usize,
    /// `None` when its document has an error.
    pub(super) gateway: Option<CheckedGateway>,
    /// The sites without errors, each with which of the `SiteAttachment` documents it is.
    pub(super) sites: Vec<(usize, CheckedSite)>,
    /// Whose it is in NMaaS.
    pub(super) nmaas_domain: Option<DomainId>,
    /// What is known of it from the set before; it has then neither gateway nor
    /// sites here.
    pub(super) known: Option<Arc<Known>>,
    /// Sites that are left out alone.
    refused_sites: BTreeMap<SiteName, (RefusalReason, String)>,
    /// Why the tenant is left out: the first thing found.
    refused: Option<(RefusalReason, String)>,
    /// Whether something was noted about it.
    noted: bool,
}

impl Draft {
    pub(super) const fn new(name: TenantName, document: usize) -> Self {
        Self {
            name,
            document,
            gateway: None,
            sites: Vec::new(),
            nmaas_domain: None,
            known: None,
            refused_sites: BTreeMap::new(),
            refused: None,
            noted: false,
        }
    }

    /// Leaves out the tenant. Of several reasons an error counts more than a
    /// Secret that may come, and the first error more than the later.
    pub(super) fn refuse(&mut self, reason: RefusalReason, message: String) {
        let is_weak =
            |(reason, _): &(RefusalReason, String)| *reason == RefusalReason::SecretUnresolved;
        if self.refused.as_ref().is_none_or(is_weak) {
            self.refused = Some((reason, message));
        }
    }

    /// Leaves out one site.
    pub(super) fn refuse_site(&mut self, site: &SiteName, reason: RefusalReason, message: String) {
        self.refused_sites.entry(site.clone()).or_insert((reason, message));
    }

    pub(super) const fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether there is nothing to say about it.
    pub(super) fn is_plain(&self) -> bool {
        let is_resolved = |(_, site): &(usize, CheckedSite)| site.unresolved.is_none();
        self.refused.is_none()
            && self.refused_sites.is_empty()
            && !self.noted
            && self.sites.iter().all(is_resolved)
    }

    /// Its class, when that is known.
    pub(super) fn class(&self) -> Option<&Arc<CheckedClass>> {
        let known = self.known.as_ref().map(|known| &known.class);
        known.or_else(|| self.gateway.as_ref().map(|gateway| &gateway.class))
    }

    /// Its link to the applications, when that is known.
    pub(super) fn fabric_link(&self) -> Option<&FabricLink> {
        let known = self.known.as_ref().map(|known| &known.tenant.fabric);
        let fabric = known.or_else(|| self.gateway.as_ref().map(|gateway| &gateway.fabric));
        fabric.map(|fabric| &fabric.link)
    }

    /// The port it asks for.
    pub(super) fn asked_port(&self) -> Option<u16> {
        match &self.known {
            Some(known) => known.asks_for_port.then_some(known.tenant.listen_port),
            None => self.gateway.as_ref().and_then(|gateway| gateway.listen_port),
        }
    }

    /// Its sites without errors, each with which of the documents it is.
    pub(super) fn sites(&self) -> impl Iterator<Item = (usize, &Site)> {
        let known = self.known.iter().flat_map(|known| {
            // Plain as it is, it has a site for each of these documents.
            known
                .sites
                .iter()
                .filter_map(|(index, name, _)| Some((*index, known.tenant.sites.get(name)?)))
        });
        known.chain(self.sites.iter().map(|(index, checked)| (*index, &checked.site)))
    }

    /// Whether it may have a site on a VLAN or an interface.
    pub(super) fn may_have_links(&self) -> bool {
        self.known.as_ref().is_none_or(|known| known.has_links)
    }

    /// Whether what is known of it is not so any more.
    pub(super) fn is_outdated(&self, allocations: &super::Allocations) -> bool {
        self.known.as_ref().is_some_and(|known| {
            let port = allocations.get(&self.name).copied();
            !self.is_plain() || port != Some(known.tenant.listen_port)
        })
    }

    /// The tenant and the sites it is without; or why there is none.
    pub(super) fn to_tenant(
        &self,
        allocations: &super::Allocations,
    ) -> Result<(Arc<Tenant>, Vec<Refusal>), Vec<Refusal>> {
        if let Some(known) = &self.known {
            return Ok((Arc::clone(&known.tenant), Vec::new()));
        }
        let tenant = &self.name;
        let refusal = |site: Option<SiteName>, reason, message| Refusal {
            tenant: tenant.clone(),
            site,
            reason,
            message,
        };
        let port = allocations.get(tenant).copied();
        let (gateway, listen_port) = match (&self.refused, &self.gateway, port) {
            (None, Some(gateway), Some(port)) => (gateway, port),
            (Some((reason, message)), ..) => {
                return Err(vec![refusal(None, *reason, message.clone())]);
            }
            (None, ..) => return Err(vec![refusal(None, RefusalReason::Invalid, String::new())]),
        };
        let mut refused = self.refused_sites.clone();
        let mut sites = BTreeMap::new();
        for (_, CheckedSite { site, unresolved, .. }) in &self.sites {
            if let Some(why) = unresolved {
                refused
                    .entry(site.name.clone())
                    .or_insert_with(|| (RefusalReason::SecretUnresolved, why.to_string()));
            }
            if !refused.contains_key(&site.name) {
                sites.insert(site.name.clone(), site.clone());
            }
        }
        let aliased = sites.values().find(|site| has_tunnelled_alias(site));
        let aliased = aliased.map(|site: &Site| &site.name);
        let backend = gateway.choose_backend(aliased);
        let refused = refused
            .into_iter()
            .map(|(site, (reason, message))| refusal(Some(site), reason, message));
        let refused = refused.collect();
        let tenant = Tenant {
            name: tenant.clone(),
            class: Arc::clone(&gateway.class.class),
            private_key: gateway.private_key.clone(),
            next_private_key: gateway.next_private_key.clone(),
            test_page: gateway.test_page,
            listen_port,
            tunnel_mtu: gateway.tunnel_mtu,
            backend,
            bounds_arp: gateway.bounds_arp,
            app_prefixes: gateway.app_prefixes_written.iter().map(|(_, prefix)| *prefix).collect(),
            fabric: gateway.fabric.clone(),
            nmaas_domain: self.nmaas_domain,
            sites,
        };
        Ok((Arc::new(tenant), refused))
    }
}

/// Checks a tenant's sites against each other and against its gateway.
pub(super) fn check(draft: &mut Draft, documents: &Documents, set: &mut Set<'_>) {
    let Some(gateway) = &draft.gateway else { return };
    let mut problems = Vec::new();
    let notes_before = set.notes.count();
    check_keys(gateway, &draft.sites, documents, &mut problems, &mut set.notes);
    check_networks(gateway, &draft.sites, draft.document, documents, &mut problems);
    check_backend(gateway, &draft.sites, &mut problems);
    if gateway.backend == Some(Backend::Kernel) && gateway.kernel == Ability::Missing {
        let document = &documents.gateways[draft.document];
        set.notes.push(document.error("spec.backend", Problem::NoKernelWireGuard));
    }
    let document = &documents.gateways[draft.document];
    if let Err(text) = document.domain_id() {
        // No reason not to serve the tenant.
        let path = format!("metadata.annotations.{}", DomainId::ANNOTATION);
        set.notes.push(document.error(path, Problem::DomainId(text)));
    }
    draft.noted = set.notes.count() != notes_before;
    problems.truncate(limits::REPORTED_ERRORS + 1);
    for (place, path, problem) in problems {
        let error = match place {
            Place::Gateway => documents.gateways[draft.document].error(path, problem),
            Place::Site(index) => documents.sites[index].error(path, problem),
        };
        draft.refuse(RefusalReason::Invalid, error.to_string());
        set.errors.push(error);
    }
}

/// Whose document is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Gateway,
    Site(usize),
}

type Problems = Vec<(Place, String, Problem)>;

/// Whether the site has a network that is renamed on its way through a tunnel.
fn has_tunnelled_alias(site: &Site) -> bool {
    let is_tunnelled = matches!(site.attachment, Attachment::WireGuard(_));
    is_tunnelled && site.prefixes.iter().any(|prefix| prefix.alias.is_some())
}

/// The kernel renames no networks, and its device has one private key.
fn check_backend(
    gateway: &CheckedGateway,
    sites: &[(usize, CheckedSite)],
    problems: &mut Problems,
) {
    if gateway.backend != Some(Backend::Kernel) {
        return;
    }
    if gateway.next_private_key.is_some() {
        let path = "spec.nextPrivateKeySecretRef".to_owned();
        problems.push((Place::Gateway, path, Problem::NextKeyInKernel));
    } else if gateway.own_keys.is_some_and(|own| own.next.is_some()) {
        problems.push((Place::Gateway, "spec.backend".to_owned(), Problem::KernelWhileChanging));
    }
    for (index, CheckedSite { site, .. }) in sites {
        if has_tunnelled_alias(site) {
            let first = site.prefixes.iter().position(|prefix| prefix.alias.is_some());
            let path = format!("spec.prefixes[{}].alias", first.unwrap_or_default());
            problems.push((Place::Site(*index), path, Problem::AliasInKernel));
        }
    }
}

/// Each site has keys of its own, and none of them is a secret.
fn check_keys(
    gateway: &CheckedGateway,
    sites: &[(usize, CheckedSite)],
    documents: &Documents,
    problems: &mut Problems,
    notes: &mut Errors,
) {
    let mut owners: BTreeMap<PublicKey, (usize, &'static str)> = BTreeMap::new();
    let mut keys = Vec::with_capacity(sites.len());
    for (index, CheckedSite { site, .. }) in sites {
        let Attachment::WireGuard(peer) = &site.attachment else { continue };
        let both = [("publicKey", Some(peer.public_key)), ("nextPublicKey", peer.next_public_key)];
        for (field, key) in both {
            keys.extend(key.map(|key| (*index, field, key)));
        }
    }
    for (index, field, key) in &keys {
        let path = format!("spec.wireGuard.{field}");
        if let Some(role) = gateway.role_of(*key) {
            problems.push((Place::Site(*index), path, Problem::OwnKey(role)));
        } else if let Some((other, _)) = owners.get(key).filter(|(other, _)| other != index) {
            let owner = documents.sites[*other].object.to_string();
            problems.push((Place::Site(*index), path, Problem::KeyOfOther(owner)));
        } else {
            owners.insert(*key, (*index, field));
        }
    }
    for (index, field, key) in &keys {
        let path = format!("spec.wireGuard.{field}");
        let document = &documents.sites[*index];
        let [current, next] = &*document.looks;
        let look = if *field == "publicKey" { current } else { next };
        match look.get_or_init(|| Look::of(key)) {
            Look::Public => {}
            Look::Either(public)
                if !owners.contains_key(public) && gateway.role_of(*public).is_none() =>
            {
                notes.push(document.error(path, Problem::MaybePrivateKey));
            }
            Look::Private | Look::Either(_) => {
                problems.push((Place::Site(*index), path, Problem::PrivateKey));
            }
        }
    }
}

fn check_networks(
    gateway: &CheckedGateway,
    sites: &[(usize, CheckedSite)],
    document: usize,
    documents: &Documents,
    problems: &mut Problems,
) {
    let claims = collect(gateway, sites);
    let place = |claim: &Claim| match claim.site {
        usize::MAX => Place::Gateway,
        site => Place::Site(sites[site].0),
    };
    let name = |claim: &Claim| match place(claim) {
        Place::Gateway => documents.gateways[document].object.to_string(),
        Place::Site(index) => documents.sites[index].object.to_string(),
    };
    for meeting in meetings(&claims) {
        let (later, earlier) = (&claims[meeting.later], &claims[meeting.earlier]);
        let what = format!("{} of {}", earlier.path, name(earlier));
        let both_visible = later.role == Role::Visible && earlier.role == Role::Visible;
        let problem =
            if later.prefix == earlier.prefix && both_visible && later.site != earlier.site {
                Problem::SamePrefix { prefix: later.prefix, what }
            } else {
                Problem::Overlap { prefix: later.prefix, other: earlier.prefix, what }
            };
        problems.push((place(later), later.path.clone(), problem));
        if limits::REPORTED_ERRORS < problems.len() {
            return;
        }
    }
    // Behind an alias, a site's own network is hidden from us and not from the customer.
    let apps = gateway.app_prefixes_written.iter().map(|(_, prefix)| (*prefix, Forbidden::Class));
    let apps = ForbiddenSet::new(apps.collect());
    for (index, CheckedSite { site, whole, .. }) in sites {
        if !whole {
            continue;
        }
        let aliased = site.prefixes.iter().enumerate().filter(|(_, prefix)| prefix.alias.is_some());
        for (at, prefix) in aliased {
            if let Some((app, _)) = apps.meets(prefix.real) {
                let problem = Problem::AppInsideSite { prefix: prefix.real, app };
                problems.push((Place::Site(*index), format!("spec.prefixes[{at}].cidr"), problem));
            }
        }
        let reals = site.prefixes.iter().enumerate().map(|(at, prefix)| Claim {
            prefix: prefix.real,
            role: Role::Visible,
            site: 0,
            priority: 0,
            path: format!("spec.prefixes[{at}].cidr"),
        });
        if site.prefixes.iter().all(|prefix| prefix.alias.is_none()) {
            continue;
        }
        let reals: Vec<Claim> = reals.collect();
        for meeting in meetings(&reals) {
            // Without aliases they have met above.
            if [meeting.later, meeting.earlier].iter().all(|at| site.prefixes[*at].alias.is_none())
            {
                continue;
            }
            let (later, earlier) = (&reals[meeting.later], &reals[meeting.earlier]);
            let what = format!("{} of the same site", earlier.path);
            let problem = Problem::Overlap { prefix: later.prefix, other: earlier.prefix, what };
            problems.push((Place::Site(*index), later.path.clone(), problem));
        }
    }
}

/// All networks of a tenant, as its own namespace knows them.
fn collect(gateway: &CheckedGateway, sites: &[(usize, CheckedSite)]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (index, prefix) in &gateway.app_prefixes_written {
        let path = format!("spec.appPrefixes[{index}]");
        claims.push(Claim {
            prefix: *prefix,
            role: Role::App,
            site: usize::MAX,
            priority: 0,
            path,
        });
    }
    for address in &gateway.fabric.addresses {
        let path = format!("spec.fabric address {address}");
        let prefix = address.network();
        claims.push(Claim { prefix, role: Role::Fabric, site: usize::MAX, priority: 0, path });
    }
    let nodes = gateway.fabric.ipip.iter().flat_map(|ipip| &ipip.nodes);
    claims.extend(nodes.enumerate().map(|(index, prefix)| Claim {
        prefix: *prefix,
        role: Role::Fabric,
        site: usize::MAX,
        priority: 0,
        path: format!("spec.fabric.ipip.nodes[{index}]"),
    }));
    for (at, (_, CheckedSite { site, whole, .. })) in sites.iter().enumerate() {
        if !whole {
            continue;
        }
        let (addresses, field) = match &site.attachment {
            Attachment::WireGuard(peer) => {
                (&peer.tunnel_addresses, "spec.wireGuard.tunnelAddresses")
            }
            Attachment::Vlan(vlan) => (&vlan.addresses, "spec.vlan.addresses"),
        };
        for (index, address) in addresses.iter().enumerate() {
            let path = format!("{field}[{index}]");
            let prefix = address.network();
            claims.push(Claim {
                prefix,
                role: Role::Link,
                site: at,
                priority: site.priority,
                path,
            });
        }
        for (index, prefix) in site.prefixes.iter().enumerate() {
            let field = if prefix.alias.is_some() { "alias" } else { "cidr" };
            let path = format!("spec.prefixes[{index}].{field}");
            let claim = Claim {
                prefix: prefix.visible(),
                role: Role::Visible,
                site: at,
                priority: site.priority,
                path,
            };
            claims.push(claim);
        }
    }
    claims
}
