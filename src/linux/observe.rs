//! What a tenant's namespace holds, read from the kernel and nowhere else.
//!
//! Nothing is changed, and nothing is left out because it was expected
//! otherwise: what cannot be understood is shown as unrecognized.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use super::nft::{self, NftError, Reading};
use super::rtnl::{self, ShownTarget};
use super::sysctl::{SettingError, Settings};
use super::vlan::Underlay;
use crate::reconcile::{Device, Hop, Link, LinkKind, Namespace, Route, RouteTarget, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Why a namespace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Its links, addresses or routes.
    #[error("cannot read the {what} of the namespace")]
    Netlink {
        /// Which of them.
        what: &'static str,
        /// Why.
        #[source]
        source: NetlinkError,
    },
    /// Its settings.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Its rules.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] super::EnterError),
}

fn netlink(what: &'static str) -> impl FnOnce(NetlinkError) -> ObserveError {
    move |source| ObserveError::Netlink { what, source }
}

/// Reads the calling thread's namespace; `before` is what its rules were when
/// they were last read.
/// `is_underlay` when it is the underlay, where the tenant has none of its own.
pub(super) fn observe(
    before: Option<&Reading>,
    underlay: &Underlay,
    is_underlay: bool,
) -> Result<(Namespace, Reading), ObserveError> {
    let mut namespace = Namespace::default();
    let mut route = Netlink::route().map_err(netlink("links"))?;
    let mut devices = BTreeMap::new();
    for shown in rtnl::links(&mut route).map_err(netlink("links"))? {
        if shown.loopback {
            namespace.loopback_up = shown.up;
            continue;
        }
        // Nobody put it here, and nothing passes by it as long as nobody sets it up.
        if shown.is_of_every_namespace() && !shown.up {
            continue;
        }
        // What no document can name is nothing we could be asked to touch.
        let Ok(device) = shown.name.parse::<Device>() else { continue };
        let tags = shown.tag.and_then(|_| underlay.tags(&shown, is_underlay));
        let kind = LinkKind::recognize(
            &device,
            shown.kind.as_deref(),
            shown.alias.as_deref(),
            tags,
            shown.local,
        );
        let link = Link { kind, mtu: shown.mtu, up: shown.up, addresses: Default::default() };
        devices.insert(shown.index, device.clone());
        namespace.links.insert(device, link);
    }
    for (index, address) in rtnl::addresses(&mut route).map_err(netlink("addresses"))? {
        let link_local = match address.address() {
            IpAddr::V6(address) => address.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        };
        let link = devices.get(&index).and_then(|device| namespace.links.get_mut(device));
        if let (Some(link), false) = (link, link_local) {
            link.addresses.insert(address);
        }
    }
    for shown in rtnl::routes(&mut route).map_err(netlink("routes"))? {
        let target = match shown.target {
            ShownTarget::Link { index, via, source } => match devices.get(&index) {
                Some(device) => RouteTarget::Link { device: device.clone(), via, source },
                // By the loopback, or by a link that came after we listed them.
                None => RouteTarget::Unrecognized,
            },
            ShownTarget::Multipath(ways) => {
                let hop = |(index, via): (u32, Option<IpAddr>)| {
                    devices.get(&index).map(|device| Hop { device: device.clone(), via })
                };
                let shown = ways.len();
                let hops: BTreeSet<Hop> = ways.into_iter().filter_map(hop).collect();
                // Two of the same way, or one out of a link not listed.
                if hops.len() == shown && 1 < shown {
                    RouteTarget::Multipath(hops)
                } else {
                    RouteTarget::Unrecognized
                }
            }
            ShownTarget::Blackhole => RouteTarget::Blackhole,
            ShownTarget::Unreachable => RouteTarget::Unreachable,
            ShownTarget::Other => RouteTarget::Unrecognized,
        };
        namespace.routes.insert(shown.key, Route { target });
    }
    let scopes = [Scope::All, Scope::Default];
    let links = namespace.links.keys().cloned().map(Scope::Link);
    let settings = Settings::here()?;
    for scope in scopes.into_iter().chain(links) {
        settings.read(&scope, &mut namespace.sysctls)?;
    }
    let mut netfilter = Netlink::netfilter().map_err(NftError::from)?;
    let reading = nft::observe(&mut netfilter, before)?;
    namespace.ruleset = reading.ruleset.as_deref().cloned();
    Ok((namespace, reading))
}
