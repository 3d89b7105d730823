//! All tenants together: what in the underlay can be one's only.
//!
//! Interfaces, VLANs and UDP ports. The earlier document has it, and the later
//! one is refused. Networks are not among them: that two tenants have the same
//! ones is what this program is for.

use super::tenant::Draft;
use super::{Allocations, Set};
use crate::config::document::Documents;
use crate::config::error::Problem;
use crate::model::{
    Ability, Attachment, FabricLink, RefusalReason, Vlan, VlanAttachment, VlanLink,
};
use crate::net::{LinkName, SiteName, TenantName};
use std::collections::{BTreeMap, BTreeSet};

/// Something of the underlay that is one document's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    Link(LinkName),
    Vlan { parent: LinkName, id: u16, dot1ad: bool, inner_id: Option<u16> },
}

impl Resource {
    fn vlan(vlan: &Vlan) -> Self {
        Self::Vlan {
            parent: vlan.parent.clone(),
            id: vlan.id.value(),
            dot1ad: vlan.protocol == crate::model::VlanProtocol::Dot1ad,
            inner_id: vlan.inner_id.map(crate::net::VlanId::value),
        }
    }

    const fn is_vlan(&self) -> bool {
        matches!(self, Self::Vlan { .. })
    }

    fn describe(&self) -> String {
        match self {
            Self::Link(name) => format!("interface `{name}`"),
            Self::Vlan { parent, id, inner_id: None, .. } => format!("VLAN {id} of `{parent}`"),
            Self::Vlan { parent, id, inner_id: Some(inner), .. } => {
                format!("VLAN {id}.{inner} of `{parent}`")
            }
        }
    }
}

/// Gives each tenant its port, and refuses who comes second for anything.
pub(super) fn check(
    drafts: &mut BTreeMap<TenantName, Draft>,
    documents: &Documents,
    earlier: &Allocations,
    set: &mut Set<'_>,
) -> Allocations {
    let mut order: Vec<TenantName> = drafts.keys().cloned().collect();
    order.sort_by_key(|name| drafts.get(name).map(|draft| draft.document));
    check_links(drafts, documents, &order, set);
    allocate(drafts, documents, &order, earlier, set)
}

/// Sites and gateways are in lists of their own, so all gateways come first:
/// a fabric is the platform's to give, and a tenant without it serves nobody.
fn check_links(
    drafts: &mut BTreeMap<TenantName, Draft>,
    documents: &Documents,
    order: &[TenantName],
    set: &mut Set<'_>,
) {
    let mut owners: BTreeMap<Resource, String> = BTreeMap::new();
    for name in order {
        let Some(draft) = drafts.get_mut(name) else { continue };
        let Some(link) = draft.fabric_link() else { continue };
        let (resource, path) = match link {
            FabricLink::Interface(link) => {
                (Resource::Link(link.clone()), "spec.fabric.interface.name")
            }
            FabricLink::Veth { peer } => (Resource::Link(peer.clone()), "spec.fabric.veth.peer"),
            FabricLink::Vlan(vlan) => (Resource::vlan(vlan), "spec.fabric.vlan.id"),
            FabricLink::Pod(_) => continue,
        };
        let document = &documents.gateways[draft.document];
        if resource.is_vlan() && set.kernel.vlan == Ability::Missing {
            set.notes.push(document.error(path, Problem::NoKernelVlan));
        }
        if let Some(problem) = claim(&mut owners, resource, document.object.to_string()) {
            draft.refuse(RefusalReason::Conflict, problem.to_string());
            set.errors.push(document.error(path, problem));
        }
    }
    let mut sites: Vec<(usize, TenantName, SiteName, Resource, &str)> = Vec::new();
    for draft in drafts.values().filter(|draft| draft.may_have_links()) {
        for (index, site) in draft.sites() {
            let Attachment::Vlan(VlanAttachment { link, .. }) = &site.attachment else {
                continue;
            };
            let (resource, path) = match link {
                VlanLink::Interface(link) => (Resource::Link(link.clone()), "spec.vlan.interface"),
                VlanLink::Tagged(vlan) => (Resource::vlan(vlan), "spec.vlan.id"),
            };
            sites.push((index, draft.name.clone(), site.name.clone(), resource, path));
        }
    }
    sites.sort();
    for (index, tenant, site, resource, path) in sites {
        let document = &documents.sites[index];
        if resource.is_vlan() && set.kernel.vlan == Ability::Missing {
            set.notes.push(document.error(path, Problem::NoKernelVlan));
        }
        if let Some(problem) = claim(&mut owners, resource, document.object.to_string()) {
            if let Some(draft) = drafts.get_mut(&tenant) {
                draft.refuse_site(&site, RefusalReason::Conflict, problem.to_string());
            }
            set.errors.push(document.error(path, problem));
        }
    }
    check_trunks(drafts, documents, &owners, set);
}

/// Notes whose it is; or that it is another's already.
fn claim(
    owners: &mut BTreeMap<Resource, String>,
    resource: Resource,
    owner: String,
) -> Option<Problem> {
    if let Some(other) = owners.get(&resource).or_else(|| around(owners, &resource)) {
        return Some(Problem::Claimed { what: resource.describe(), owner: other.clone() });
    }
    owners.insert(resource, owner);
    None
}

/// Who has the outer tag alone that a double-tagged VLAN stands on, or one that
/// stands on this tag: a tag by itself takes the frames of all tags inside it.
fn around<'a>(owners: &'a BTreeMap<Resource, String>, resource: &Resource) -> Option<&'a String> {
    let Resource::Vlan { parent, id, dot1ad, inner_id } = resource else { return None };
    let with =
        |inner_id| Resource::Vlan { parent: parent.clone(), id: *id, dot1ad: *dot1ad, inner_id };
    match inner_id {
        Some(_) => owners.get(&with(None)),
        None => owners.range(with(Some(0))..=with(Some(u16::MAX))).next().map(|(_, owner)| owner),
    }
}

/// A trunk stays in the underlay, so it cannot be given away as an interface.
fn check_trunks(
    drafts: &mut BTreeMap<TenantName, Draft>,
    documents: &Documents,
    owners: &BTreeMap<Resource, String>,
    set: &mut Set<'_>,
) {
    let mut trunks: BTreeMap<&LinkName, &String> = BTreeMap::new();
    for (resource, owner) in owners {
        if let Resource::Vlan { parent, .. } = resource {
            trunks.entry(parent).or_insert(owner);
        }
    }
    for draft in drafts.values_mut() {
        let Some(FabricLink::Interface(link)) = draft.fabric_link() else { continue };
        if let Some(owner) = trunks.get(link) {
            let what = format!("interface `{link}` as a trunk");
            let problem = Problem::Claimed { what, owner: (*owner).clone() };
            let document = &documents.gateways[draft.document];
            draft.refuse(RefusalReason::Conflict, problem.to_string());
            set.errors.push(document.error("spec.fabric.interface.name", problem));
        }
    }
}

/// Asked-for ports first, then those given before, then the lowest free ones,
/// each in the order of the documents. A tenant with errors keeps its port, for
/// its customers have it in their configuration.
fn allocate(
    drafts: &mut BTreeMap<TenantName, Draft>,
    documents: &Documents,
    order: &[TenantName],
    earlier: &Allocations,
    set: &mut Set<'_>,
) -> Allocations {
    let mut given = Allocations::new();
    let mut owners: BTreeMap<u16, TenantName> = BTreeMap::new();
    for name in order {
        let Some(draft) = drafts.get_mut(name) else { continue };
        let Some(port) = draft.asked_port() else { continue };
        if let Some(other) = owners.get(&port) {
            let owner = drafts
                .get(other)
                .map(|other| documents.gateways[other.document].object.to_string());
            let what = format!("UDP port {port}");
            let problem = Problem::Claimed { what, owner: owner.unwrap_or_default() };
            let Some(draft) = drafts.get_mut(name) else { continue };
            draft.refuse(RefusalReason::Conflict, problem.to_string());
            set.errors.push(documents.gateways[draft.document].error("spec.listenPort", problem));
        } else {
            owners.insert(port, name.clone());
            given.insert(name.clone(), port);
        }
    }
    for name in order {
        let Some(port) = earlier.get(name).copied().filter(|port| *port != 0) else { continue };
        let draft = drafts.get(name);
        let class = draft.and_then(|draft| draft.class());
        let fits = class.is_none_or(|class| {
            draft.is_some_and(|draft| draft.asked_port().is_none())
                && (class.first_port..=class.last_port).contains(&port)
        });
        if fits && !owners.contains_key(&port) {
            owners.insert(port, name.clone());
            given.insert(name.clone(), port);
        }
    }
    let taken: BTreeSet<u16> = owners.into_keys().collect();
    give_free_ports(drafts, documents, order, taken, &mut given, set);
    given
}

fn give_free_ports(
    drafts: &mut BTreeMap<TenantName, Draft>,
    documents: &Documents,
    order: &[TenantName],
    mut taken: BTreeSet<u16>,
    given: &mut Allocations,
    set: &mut Set<'_>,
) {
    // Where the search for a class's next free port goes on.
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    for name in order {
        let Some(draft) =
            drafts.get_mut(name).filter(|draft| !given.contains_key(name) && !draft.is_refused())
        else {
            continue;
        };
        let Some(class) = draft.class() else { continue };
        let from =
            next.entry(class.class.name.clone()).or_insert_with(|| u32::from(class.first_port));
        let free = (*from..=u32::from(class.last_port))
            .filter_map(|port| u16::try_from(port).ok())
            .find(|port| !taken.contains(port));
        match free {
            Some(port) => {
                *from = u32::from(port) + 1;
                taken.insert(port);
                given.insert(name.clone(), port);
            }
            None => {
                *from = u32::from(class.last_port) + 1;
                let problem = Problem::NoPortLeft(class.class.name.clone());
                draft.refuse(RefusalReason::NoPortLeft, problem.to_string());
                set.errors
                    .push(documents.gateways[draft.document].error("spec.listenPort", problem));
            }
        }
    }
}
