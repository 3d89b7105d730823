//! What a tenant's WireGuard device is to be: a tenant as asked for, its key,
//! what names resolve to, where peers were last seen, and which site of two
//! serves a prefix that both have.

use super::Identity;
use crate::model::{Attachment, Backend, Endpoint, Host, Site, Tenant, WireGuardPeer};
use crate::net::{Prefix, PublicKey, SiteName};
use crate::wireguard::{DeviceConfig, Overlap, PeerConfig, Translation};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What the documents do not say.
pub(super) struct Circumstances<'a> {
    /// The gateway's keys for this tenant.
    pub(super) identity: &'a Identity,
    /// Addresses of DNS names.
    pub(super) addresses: &'a BTreeMap<String, IpAddr>,
    /// Where peers were last seen by an earlier process.
    pub(super) last_endpoints: &'a BTreeMap<PublicKey, SocketAddr>,
    /// The sites that cannot carry packets now.
    pub(super) unusable: &'a BTreeSet<SiteName>,
}

/// The device of `tenant`.
pub(super) fn device(tenant: &Tenant, circumstances: &Circumstances<'_>) -> DeviceConfig {
    let owners = owners(tenant, circumstances.unusable);
    let mut peers = BTreeMap::new();
    for (site, peer) in wireguard_sites(tenant) {
        let mut config = peer_config(site, peer, circumstances, &owners);
        let last_endpoint = |key| circumstances.last_endpoints.get(key).copied();
        config.last_endpoint = last_endpoint(&peer.public_key);
        // The second key has a preshared key of its own or the same; without a second
        // key the one peer has both.
        let next_psk = peer.next_preshared_key.as_ref();
        match peer.next_public_key {
            Some(next) => {
                let twin = |twin, is_second| {
                    let overlap = Overlap { twin: Some(twin), is_second, next_preshared_key: None };
                    Some(Box::new(overlap))
                };
                let other = PeerConfig {
                    preshared_key: next_psk.or(peer.preshared_key.as_ref()).cloned(),
                    overlap: twin(peer.public_key, true),
                    last_endpoint: last_endpoint(&next),
                    ..config.clone()
                };
                peers.insert(next, other);
                config.overlap = twin(next, false);
            }
            None => {
                config.overlap = next_psk.cloned().map(|key| {
                    Box::new(Overlap { next_preshared_key: Some(key), ..Overlap::default() })
                });
            }
        }
        peers.insert(peer.public_key, config);
    }
    // A kernel's device has one key.
    let next = circumstances.identity.next.as_ref();
    let next = next.filter(|_| tenant.backend.backend == Backend::Userspace);
    DeviceConfig {
        private_key: circumstances.identity.current.private.clone(),
        next_private_key: next.map(|next| next.private.clone()),
        listen_port: tenant.listen_port,
        mtu: tenant.tunnel_mtu,
        peers,
    }
}

/// The sites of `tenant` that are reached through its WireGuard device.
pub(super) fn wireguard_sites(tenant: &Tenant) -> impl Iterator<Item = (&Site, &WireGuardPeer)> {
    tenant.sites.values().filter_map(|site| match &site.attachment {
        Attachment::WireGuard(peer) => Some((site, peer)),
        Attachment::Vlan { .. } => None,
    })
}

/// The DNS names of the endpoints of `tenant`.
pub(super) fn names(tenant: &Tenant) -> impl Iterator<Item = &str> {
    wireguard_sites(tenant).filter_map(|(_, peer)| match &peer.endpoint {
        Some(Endpoint { host: Host::Name(name), .. }) => Some(name.as_str()),
        Some(Endpoint { host: Host::Address(_), .. }) | None => None,
    })
}

fn peer_config(
    site: &Site,
    peer: &WireGuardPeer,
    circumstances: &Circumstances<'_>,
    owners: &BTreeMap<Prefix, &SiteName>,
) -> PeerConfig {
    let endpoint = peer.endpoint.as_ref().and_then(|Endpoint { host, port }| {
        let address = match host {
            Host::Address(address) => *address,
            Host::Name(name) => *circumstances.addresses.get(name)?,
        };
        Some(SocketAddr::new(address, *port))
    });
    let owned = |prefix: &Prefix| owners.get(prefix) == Some(&&site.name);
    let visible = site.prefixes.iter().map(|prefix| prefix.visible()).filter(|p| owned(p));
    let allowed_ips = visible.chain(peer.far_addresses().map(Prefix::host)).collect();
    let translations = site
        .prefixes
        .iter()
        .filter(|prefix| owned(&prefix.visible()))
        .filter_map(|prefix| Some(Translation { real: prefix.real, alias: prefix.alias? }))
        .collect();
    PeerConfig {
        preshared_key: peer.preshared_key.clone(),
        overlap: None,
        endpoint,
        last_endpoint: None,
        keepalive: peer.keepalive,
        allowed_ips,
        translations,
        initiate: true,
    }
}

/// The site that serves each prefix: of those that can carry packets the one
/// with the highest priority; when none can, the one with the highest priority.
pub(super) fn owners<'a>(
    tenant: &'a Tenant,
    unusable: &BTreeSet<SiteName>,
) -> BTreeMap<Prefix, &'a SiteName> {
    let mut owners: BTreeMap<Prefix, ((bool, u32), &SiteName)> = BTreeMap::new();
    for (site, _) in wireguard_sites(tenant) {
        let rank = (!unusable.contains(&site.name), site.priority);
        for prefix in &site.prefixes {
            let owner = owners.entry(prefix.visible()).or_insert((rank, &site.name));
            if owner.0 < rank {
                *owner = (rank, &site.name);
            }
        }
    }
    owners.into_iter().map(|(prefix, (_, site))| (prefix, site)).collect()
}
