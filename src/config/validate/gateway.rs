//! One `TenantGateway`, checked by itself.

use super::class::CheckedClass;
use super::finding::Findings;
use super::{Inputs, OwnKeys, Unresolved, fabric};
use crate::config::error::Problem;
use crate::config::schema::{BackendMode, TenantGatewaySpec};
use crate::model::{Ability, Backend, BackendChoice, Fabric, limits};
use crate::net::{Mtu, Prefix, PrivateKey, PublicKey, SiteName, TenantName};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A tenant without its sites.
#[derive(Debug)]
pub(super) struct CheckedGateway {
    pub(super) name: TenantName,
    pub(super) class: Arc<CheckedClass>,
    pub(super) listen_port: Option<u16>,
    pub(super) tunnel_mtu: Mtu,
    /// What is to carry its tunnels; `None` leaves the choice to us.
    pub(super) backend: Option<Backend>,
    /// Whether the kernel can.
    pub(super) kernel: Ability,
    /// Whether the kernel takes rules about ARP.
    pub(super) bounds_arp: bool,
    pub(super) private_key: Option<PrivateKey>,
    pub(super) next_private_key: Option<PrivateKey>,
    pub(super) test_page: bool,
    /// Its public keys, where they are known here.
    pub(super) own_keys: Option<OwnKeys>,
    /// Each with where in the document's list it stands.
    pub(super) app_prefixes_written: Vec<(usize, Prefix)>,
    pub(super) fabric: Fabric,
    /// A Secret that is not as it has to be.
    pub(super) unresolved: Option<Unresolved>,
}

impl CheckedGateway {
    /// What carries its tunnels; `aliased` is a tunnelled site that has an alias.
    pub(super) fn choose_backend(&self, aliased: Option<&SiteName>) -> BackendChoice {
        let has_next_key = self.own_keys.is_some_and(|own| own.next.is_some());
        BackendChoice::new(self.backend, aliased, has_next_key, self.kernel)
    }

    /// Which of the gateway's keys this is, for a person.
    pub(super) fn role_of(&self, key: PublicKey) -> Option<&'static str> {
        let own = self.own_keys?;
        match key {
            _ if key == own.current => Some("own"),
            _ if Some(key) == own.next => Some("next"),
            _ => None,
        }
    }
}

/// The most WireGuard adds to a packet: 40 bytes of IPv6, 8 of UDP, 32 of its own.
const OVERHEAD: u16 = 80;

/// The largest MTU inside a tunnel whose datagrams fit into 65,535 bytes.
const MAX_TUNNEL_MTU: u32 = 65_535 - OVERHEAD as u32;

pub(super) fn check(
    name: TenantName,
    spec: &TenantGatewaySpec,
    class: Arc<CheckedClass>,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<CheckedGateway> {
    found.ranged::<u32>("spec.replicas", spec.replicas, 1, 8);
    let listen_port =
        spec.listen_port.map(|port| found.ranged::<u16>("spec.listenPort", port, 1, 65_535));
    let tunnel_mtu = match spec.tunnel_mtu {
        Some(bytes) => tunnel_mtu(bytes, found),
        None => Some(tunnel_mtu_of(inputs.options.uplink_mtu)),
    };
    let app_prefixes_written = app_prefixes(&spec.app_prefixes, &class, found);
    let fabric = fabric::check(spec.fabric.as_ref(), name.namespace(), &class, inputs, found);
    let backend = match spec.backend.unwrap_or(class.backend) {
        BackendMode::Auto => None,
        BackendMode::Kernel => Some(Backend::Kernel),
        BackendMode::Userspace => Some(Backend::Userspace),
    };
    let mut unresolved = None;
    let mut private_key = None;
    if let Some(secret) = &spec.private_key_secret_ref {
        match inputs.secret(name.namespace(), secret).and_then(|text| private(&text)) {
            Ok(key) => private_key = Some(key),
            Err(why) => unresolved = Some(why),
        }
    }
    let mut next_private_key = None;
    if let Some(secret) = &spec.next_private_key_secret_ref {
        if spec.private_key_secret_ref.is_none() {
            found.note("spec.nextPrivateKeySecretRef", Problem::NextOfNoPrivateKey);
        }
        match inputs.secret(name.namespace(), secret).and_then(|text| private(&text)) {
            Ok(key) => next_private_key = Some(key),
            Err(why) => unresolved = Some(why),
        }
    }
    let given = private_key.as_ref().map(|key| OwnKeys {
        current: key.public(),
        next: next_private_key.as_ref().filter(|next| *next != key).map(PrivateKey::public),
    });
    let own_keys = given.or_else(|| inputs.options.own_keys.get(&name).copied());
    Some(CheckedGateway {
        name,
        class,
        listen_port: listen_port.flatten(),
        tunnel_mtu: tunnel_mtu?,
        backend,
        kernel: inputs.options.kernel.wireguard,
        bounds_arp: inputs.options.kernel.arp != Ability::Missing,
        private_key,
        next_private_key,
        test_page: spec.test_page,
        own_keys,
        app_prefixes_written,
        fabric: fabric?,
        unresolved,
    })
}

fn tunnel_mtu(bytes: u32, found: &mut Findings) -> Option<Mtu> {
    let mtu = found.mtu("spec.tunnelMTU", bytes, false)?;
    if MAX_TUNNEL_MTU < bytes {
        let (value, max) = (u64::from(bytes), u64::from(MAX_TUNNEL_MTU));
        found.note("spec.tunnelMTU", Problem::Range { value, min: 576, max });
    }
    Some(mtu)
}

/// The MTU of a tunnel whose datagrams leave by `uplink` whole.
///
/// Never more than Ethernet's: an uplink with jumbo frames says nothing about
/// the path behind it. Never less than IPv6 needs: below that datagrams are
/// fragmented instead.
fn tunnel_mtu_of(uplink: Option<Mtu>) -> Mtu {
    let uplink = uplink.unwrap_or(Mtu::ETHERNET).min(Mtu::ETHERNET);
    uplink.less(OVERHEAD).max(Mtu::IPV6_MIN)
}

fn private(text: &Zeroizing<String>) -> Result<PrivateKey, Unresolved> {
    let key: PrivateKey = text.parse().map_err(Unresolved::NotAKey)?;
    if key.as_bytes().iter().all(|byte| *byte == 0) { Err(Unresolved::AllZero) } else { Ok(key) }
}

fn app_prefixes(
    texts: &[String],
    class: &CheckedClass,
    found: &mut Findings,
) -> Vec<(usize, Prefix)> {
    let path = "spec.appPrefixes";
    if texts.is_empty() {
        found.note(path, Problem::Empty);
    }
    if limits::APP_PREFIXES < texts.len() {
        found.note(path, Problem::TooMany { max: limits::APP_PREFIXES });
        return Vec::new();
    }
    let mut prefixes = Vec::with_capacity(texts.len());
    let mut seen = std::collections::BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(prefix) = found.prefix(&path, text) else { continue };
        if prefix.length() == 0 {
            found.note(path, Problem::DefaultRoute(prefix));
        } else if let Some((forbidden, why)) = class.nobodys.meets(prefix) {
            found.note(path, Problem::Forbidden { prefix, forbidden, why });
        } else if !seen.insert(prefix) {
            found.note(path, Problem::Twice);
        } else {
            prefixes.push((index, prefix));
        }
    }
    prefixes
}
