//! Tagged VLANs: made on a trunk of the underlay, right into the tenant's
//! namespace, and known again there by what they stand on.
//!
//! With two tags the outer one is a link of ours in the underlay, which several
//! tenants' inner ones may stand on. It is made when it is needed and goes when
//! no tenant needs it any more.

use super::answer::NetlinkError;
use super::apply::ApplyError;
use super::netlink::Netlink;
use super::rtnl::{self, ShownLink};
use super::sysctl::{SettingError, Settings};
use crate::model::Vlan;
use crate::net::ManagedName;
use crate::reconcile::{Device, Family, LinkSetting, Scope, Sysctl};
use rustix::fd::{AsFd, OwnedFd};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Looks at links of the underlay from wherever it is.
#[derive(Clone)]
pub(super) struct Underlay(Arc<Mutex<Netlink>>);

impl std::fmt::Debug for Underlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Underlay")
    }
}

impl Underlay {
    /// Of the calling thread's namespace.
    pub(super) fn here() -> Result<Self, NetlinkError> {
        Ok(Self(Arc::new(Mutex::new(Netlink::route()?))))
    }

    fn link(&self, index: u32) -> Option<ShownLink> {
        let mut route = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rtnl::link(&mut route, index).ok().flatten()
    }

    /// What the VLAN `link` is made of; `None` when what it stands on is not a
    /// trunk of the underlay. `is_here` when `link` is in the underlay itself.
    pub(super) fn tags(&self, link: &ShownLink, is_here: bool) -> Option<Vlan> {
        let (id, protocol) = link.tag?;
        if link.is_below_elsewhere == is_here {
            return None;
        }
        let below = self.link(link.below?)?;
        if !ManagedName::recognize(&below.name).is_some_and(|name| name.is_outer_vlan()) {
            let parent = below.name.parse().ok()?;
            return Some(Vlan { parent, id, protocol, inner_id: None });
        }
        let (outer_id, protocol) = below.tag?;
        let parent = self.link(below.below?)?.name.parse().ok()?;
        Some(Vlan { parent, id: outer_id, protocol, inner_id: Some(id) })
    }
}

/// Makes a VLAN on a trunk of the calling thread's namespace, in `tenant` or
/// else right there.
pub(super) fn create(
    name: &ManagedName,
    vlan: &Vlan,
    tenant: Option<&OwnedFd>,
) -> Result<(), ApplyError> {
    let asked = |source| ApplyError::Netlink {
        what: "find the trunk",
        object: vlan.parent.to_string(),
        source,
    };
    let mut route = Netlink::route().map_err(asked)?;
    // By name, for beside the trunk there is a link of every tenant.
    let trunk = rtnl::link_named(&mut route, vlan.parent.as_str()).map_err(asked)?;
    let trunk = trunk.ok_or_else(|| ApplyError::NoTrunk(vlan.parent.clone()))?;
    let tenant = tenant.map(AsFd::as_fd);
    let Some(outer) = vlan.outer() else {
        return rtnl::create_vlan(
            &mut route,
            name.as_str(),
            trunk.index,
            (vlan.id, vlan.protocol),
            tenant,
        )
        .map_err(|error| refused(error, vlan));
    };
    let outer_name = outer.outer_link_name();
    let outer_index = match rtnl::link_named(&mut route, outer_name.as_str()).map_err(asked)? {
        Some(link) if is_outer(&link, &outer, trunk.index) => link.index,
        Some(_) => return Err(ApplyError::ForeignLink(outer_name.to_string())),
        None => {
            let tag = (outer.id, outer.protocol);
            let made = rtnl::create_vlan(&mut route, outer_name.as_str(), trunk.index, tag, None);
            match made {
                // Another tenant's was quicker.
                Err(error) if error.errno() == Some(libc::EEXIST) => {}
                made => made.map_err(|error| refused(error, &outer))?,
            }
            let link = rtnl::link_named(&mut route, outer_name.as_str()).map_err(asked)?;
            link.filter(|link| is_outer(link, &outer, trunk.index))
                .ok_or_else(|| ApplyError::VlanTaken(outer.clone()))?
                .index
        }
    };
    shut(outer_name)?;
    rtnl::set_up(&mut route, outer_index).map_err(|error| refused(error, &outer))?;
    let inner = (vlan.inner_id.unwrap_or(vlan.id), crate::model::VlanProtocol::Dot1q);
    rtnl::create_vlan(&mut route, name.as_str(), outer_index, inner, tenant)
        .map_err(|error| refused(error, vlan))
}

/// Takes the host itself off the link of an outer tag. The link is there to stand
/// on, and is in the underlay: who sends that tag alone would otherwise be heard
/// by everything that listens on the host, and believed to be its router.
fn shut(outer: ManagedName) -> Result<(), ApplyError> {
    let scope = Scope::Link(Device::Managed(outer));
    let settings = Settings::here()?;
    for (family, setting, value) in [
        (Family::V6, LinkSetting::DisableIpv6, 1),
        // Without an address there no answer goes back there, so none may come.
        (Family::V4, LinkSetting::RpFilter, 1),
        (Family::V4, LinkSetting::Forwarding, 0),
        // Not for any address of the host's.
        (Family::V4, LinkSetting::ArpIgnore, 8),
    ] {
        let sysctl = Sysctl { family, scope: scope.clone(), setting };
        match settings.write(&sysctl, value) {
            // A kernel without the family.
            Err(SettingError::Unknown(_)) => {}
            done => done?,
        }
    }
    Ok(())
}

fn is_outer(link: &ShownLink, outer: &Vlan, trunk: u32) -> bool {
    link.tag == Some((outer.id, outer.protocol)) && link.below == Some(trunk)
}

fn refused(error: NetlinkError, vlan: &Vlan) -> ApplyError {
    match error.errno() {
        Some(libc::EOPNOTSUPP) => ApplyError::Unsupported { what: "802.1Q", module: "8021q" },
        Some(libc::EEXIST) => ApplyError::VlanTaken(vlan.clone()),
        _ => {
            let object = vlan.to_string();
            ApplyError::Netlink { what: "make the VLAN", object, source: error }
        }
    }
}

/// Removes the outer tags of the calling thread's namespace that are not among `wanted`.
///
/// # Errors
/// When links cannot be listed or one cannot be removed.
pub(super) fn sweep_outer(
    wanted: &BTreeSet<ManagedName>,
) -> Result<Vec<ManagedName>, NetlinkError> {
    let mut route = Netlink::route()?;
    let mut swept = Vec::new();
    for link in rtnl::links(&mut route)? {
        let Some(name) = ManagedName::recognize(&link.name) else { continue };
        if name.is_outer_vlan() && link.tag.is_some() && !wanted.contains(&name) {
            match rtnl::delete_link(&mut route, link.index) {
                Err(error) if error.errno() == Some(libc::ENODEV) => {}
                done => done?,
            }
            swept.push(name);
        }
    }
    Ok(swept)
}
