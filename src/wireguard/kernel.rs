//! A kernel's WireGuard device, and what it takes to make it what is wanted.
//!
//! The kernel is told differences only: a peer that is as it should be is not
//! mentioned, so its session, its counters and its learned endpoint stay. Five
//! things are not plain from its interface (`<linux/wireguard.h>`), and each is
//! dealt with here, for the order of changes is the whole point:
//! - A prefix that is given to a peer is taken from whoever has it in the same
//!   instant. So what one peer loses to another is given to the other, and is
//!   never without an owner in between.
//! - A prefix that nobody is to have any more can only be taken from a peer by
//!   taking all of its prefixes, which for an instant drops the packets of those
//!   it keeps. So it is given to a peer that is made for this and removed.
//! - A customer that changes over to another key is two peers, of which only one
//!   can have its prefixes: the one that shook hands last, as the kernel tells. They
//!   are given to the other one when it does, which is not before we look again.
//! - A peer has one preshared key; while its customer changes over to another one,
//!   either is good: see `kernel_preshared` for which of them it has.
//! - There is no word for "begin a handshake". A keepalive interval that was off
//!   and is set sends an empty packet, which needs a session; see [`wake`].

use super::constants::REJECT_AFTER_TIME;
use super::{DeviceConfig, PeerConfig};
use crate::net::{Prefix, PresharedKey, PrivateKey, PublicKey, Timestamp};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A kernel's WireGuard device, as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelDevice {
    /// `None` while it has none: it then answers nobody.
    pub private_key: Option<PrivateKey>,
    /// The UDP port in the namespace it was made from.
    pub listen_port: u16,
    /// Its peers by public key.
    pub peers: BTreeMap<PublicKey, KernelPeer>,
}

/// A peer of a kernel's device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelPeer {
    /// Mixed into the handshake.
    pub preshared_key: Option<PresharedKey>,
    /// Where datagrams to it go: as configured, or where it was heard last.
    pub endpoint: Option<SocketAddr>,
    /// Seconds of silence after which an empty packet is sent; 0 is never.
    pub keepalive: u16,
    /// When the last handshake was completed, by the kernel's clock.
    pub last_handshake: Option<Timestamp>,
    /// Datagram bytes received and authenticated since the peer was made.
    pub received_bytes: u64,
    /// Datagram bytes sent since the peer was made.
    pub sent_bytes: u64,
    /// What may come from it and goes to it.
    pub allowed_ips: BTreeSet<Prefix>,
}

impl KernelPeer {
    /// Whether it has a session, as far as can be seen.
    fn is_alive(&self, now: Timestamp) -> bool {
        self.last_handshake.is_some_and(|at| now.since(at) < REJECT_AFTER_TIME)
    }
}

/// What is to change of a device. Applied in order; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelChanges {
    /// Another private key. It ends every session.
    pub private_key: Option<PrivateKey>,
    /// Another UDP port.
    pub listen_port: Option<u16>,
    /// Changes of peers.
    pub peers: Vec<KernelPeerChange>,
}

impl KernelChanges {
    /// Whether the device is as it should be.
    pub const fn is_empty(&self) -> bool {
        self.private_key.is_none() && self.listen_port.is_none() && self.peers.is_empty()
    }
}

/// What is to change of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelPeerChange {
    /// Forget it with its session and its prefixes.
    Remove(PublicKey),
    /// Make it or change it.
    Set(PublicKey, KernelPeerSettings),
}

/// What a peer is to be; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelPeerSettings {
    /// Whether it is made. A change of one that is not there any more must not
    /// bring half of it back, without its preshared key above all.
    pub is_new: bool,
    /// Mixed into the handshake: of a peer that is made, and of one that has two by turns.
    /// One of zeros is none.
    pub preshared_key: Option<PresharedKey>,
    /// Where to send from now on.
    pub endpoint: Option<SocketAddr>,
    /// Seconds of silence after which an empty packet is sent; 0 is never.
    pub keepalive: Option<u16>,
    /// Prefixes it gets in addition, whoever has them.
    pub allowed_ips: Vec<Prefix>,
}

/// The peer that is given what nobody is to have, and removed. Its key is 32
/// bytes of text: nobody knows a secret half of it.
const NOBODY: &[u8; 32] = b"lockgate: prefixes to be removed";

/// What it takes to make the device `observed` what is `wanted`.
///
/// `before` is what it was made to be by this process; `None` for a device that
/// an earlier one left, or that is new. It decides about endpoints alone: one
/// that is configured differently than before moves the peer there; otherwise
/// where a peer was heard that has a session is left alone, and only a peer
/// without one is sent to where it is configured to be.
pub fn kernel_changes(
    wanted: &DeviceConfig,
    before: Option<&DeviceConfig>,
    observed: &KernelDevice,
    now: Timestamp,
) -> KernelChanges {
    let mut changes = KernelChanges::default();
    // The kernel clamps what it is given.
    let clamped = PrivateKey::from_random(*wanted.private_key.as_bytes());
    if observed.private_key.as_ref() != Some(&clamped) {
        changes.private_key = Some(wanted.private_key.clone());
    }
    if observed.listen_port != wanted.listen_port {
        changes.listen_port = Some(wanted.listen_port);
    }
    // Handshakes with oneself lead nowhere, and the kernel makes no such peer.
    let own = if wanted.peers.is_empty() { None } else { Some(wanted.private_key.public()) };
    let peers: BTreeMap<&PublicKey, &PeerConfig> =
        wanted.peers.iter().filter(|(key, _)| Some(**key) != own).collect();
    let owners: BTreeMap<Prefix, &PublicKey> = peers
        .iter()
        .filter(|(key, peer)| is_served(key, peer, observed))
        .flat_map(|(key, peer)| peer.allowed_ips.iter().map(|prefix| (*prefix, *key)))
        .collect();
    let mut given: BTreeMap<&PublicKey, Vec<Prefix>> = BTreeMap::new();
    for (prefix, key) in &owners {
        given.entry(key).or_default().push(*prefix);
    }

    let mut released = Vec::new();
    for (key, peer) in &peers {
        let mut prefixes = given.remove(key).unwrap_or_default();
        // A preshared key is meant to be needed from now on: the session ends, unless it
        // was made with one that is still good.
        let found = observed.peers.get(key);
        let stays = found.filter(|found| keys_of(peer).contains(&found.preshared_key));
        match stays {
            None => {
                changes.peers.extend(found.map(|_| KernelPeerChange::Remove(**key)));
                add(**key, peer, found, prefixes, &mut changes.peers);
            }
            Some(found) => {
                let before = before.and_then(|before| before.peers.get(key));
                prefixes.retain(|prefix| !found.allowed_ips.contains(prefix));
                change(**key, peer, before, found, prefixes, now, &mut changes.peers);
                let nobodys = found.allowed_ips.iter().filter(|one| !owners.contains_key(*one));
                released.extend(nobodys.copied());
            }
        }
    }
    if let (false, Ok(nobody)) = (released.is_empty(), PublicKey::from_bytes(*NOBODY)) {
        let settings =
            KernelPeerSettings { is_new: true, allowed_ips: released, ..Default::default() };
        changes.peers.push(KernelPeerChange::Set(nobody, settings));
        changes.peers.push(KernelPeerChange::Remove(nobody));
    }
    // Last, so that what others take over from them is never without an owner.
    let gone = observed.peers.keys().filter(|key| !peers.contains_key(key));
    changes.peers.extend(gone.copied().map(KernelPeerChange::Remove));
    changes
}

/// Whether packets go to this peer and not to its twin: it shook hands last or, where
/// neither did, is the first of the two.
fn is_served(key: &PublicKey, peer: &PeerConfig, observed: &KernelDevice) -> bool {
    let Some(twin) = peer.twin() else { return true };
    let last = |key: &PublicKey| observed.peers.get(key).and_then(|peer| peer.last_handshake);
    match last(key).cmp(&last(&twin)) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => !peer.is_second(),
    }
}

/// Whether `changes` are no more than that customers changed over to another key.
pub fn is_changeover(wanted: &DeviceConfig, changes: &KernelChanges) -> bool {
    let is_twins = |change: &KernelPeerChange| match change {
        KernelPeerChange::Remove(_) => false,
        KernelPeerChange::Set(key, settings) => {
            let only = KernelPeerSettings {
                allowed_ips: settings.allowed_ips.clone(),
                ..Default::default()
            };
            *settings == only && wanted.peers.get(key).is_some_and(|it| it.twin().is_some())
        }
    };
    changes.private_key.is_none()
        && changes.listen_port.is_none()
        && changes.peers.iter().all(is_twins)
}

/// Makes a peer. One that takes the place of `earlier` stays where that was.
fn add(
    key: PublicKey,
    peer: &PeerConfig,
    earlier: Option<&KernelPeer>,
    allowed_ips: Vec<Prefix>,
    changes: &mut Vec<KernelPeerChange>,
) {
    let learned = earlier.and_then(|earlier| earlier.endpoint);
    let endpoint = learned.or(peer.endpoint).or(peer.last_endpoint);
    let interval = keepalive(peer);
    let settings = KernelPeerSettings {
        is_new: true,
        preshared_key: preshared_key(peer.preshared_key.as_ref()),
        endpoint,
        keepalive: Some(interval).filter(|interval| *interval != 0),
        allowed_ips,
    };
    changes.push(KernelPeerChange::Set(key, settings));
    if endpoint.is_some() && peer.initiate && interval == 0 {
        wake(key, 0, changes);
    }
}

/// Changes a peer in what differs.
fn change(
    key: PublicKey,
    peer: &PeerConfig,
    before: Option<&PeerConfig>,
    found: &KernelPeer,
    allowed_ips: Vec<Prefix>,
    now: Timestamp,
    changes: &mut Vec<KernelPeerChange>,
) {
    let interval = keepalive(peer);
    let settings = KernelPeerSettings {
        is_new: false,
        preshared_key: None,
        endpoint: endpoint(peer, before, found, now),
        keepalive: Some(interval).filter(|interval| *interval != found.keepalive),
        allowed_ips,
    };
    if settings == KernelPeerSettings::default() {
        return;
    }
    let is_moved = settings.endpoint.is_some();
    let is_woken = found.keepalive == 0 && settings.keepalive.is_some();
    changes.push(KernelPeerChange::Set(key, settings));
    if is_moved && !is_woken && (peer.initiate || interval != 0) {
        wake(key, interval, changes);
    }
}

/// Has the kernel send an empty packet to a peer, for which it begins a
/// handshake if there is no session; `interval` is the keepalive interval to go
/// on with. It sends one when the interval was off and is set.
fn wake(key: PublicKey, interval: u16, changes: &mut Vec<KernelPeerChange>) {
    let mut set = |interval| {
        let settings = KernelPeerSettings { keepalive: Some(interval), ..Default::default() };
        changes.push(KernelPeerChange::Set(key, settings));
    };
    if interval == 0 {
        set(1);
        set(0);
    } else {
        set(0);
        set(interval);
    }
}

/// Where a peer is to be sent to from now on, if elsewhere than so far.
fn endpoint(
    peer: &PeerConfig,
    before: Option<&PeerConfig>,
    found: &KernelPeer,
    now: Timestamp,
) -> Option<SocketAddr> {
    let Some(current) = found.endpoint else { return peer.endpoint.or(peer.last_endpoint) };
    let configured = peer.endpoint?;
    let is_there = current.ip().to_canonical() == configured.ip().to_canonical()
        && current.port() == configured.port();
    let moves = match before.and_then(|before| before.endpoint) {
        Some(before) => before != configured,
        None => !found.is_alive(now),
    };
    (moves && !is_there).then_some(configured)
}

fn keepalive(peer: &PeerConfig) -> u16 {
    let seconds = peer.keepalive.as_ref().map_or(0, Duration::as_secs);
    u16::try_from(seconds).unwrap_or(u16::MAX)
}

/// The preshared keys that are good, the first one twice where there is no other.
pub(super) fn keys_of(peer: &PeerConfig) -> [Option<PresharedKey>; 2] {
    let first = peer.preshared_key.as_ref();
    [first, peer.next_preshared_key().or(first)].map(preshared_key)
}

/// One of zeros is none, to the kernel as in the protocol.
fn preshared_key(key: Option<&PresharedKey>) -> Option<PresharedKey> {
    key.filter(|key| key.as_bytes().iter().any(|byte| *byte != 0)).cloned()
}
