//! The kernel's own WireGuard: its links are made here, and its devices read
//! and changed over generic netlink (`<linux/wireguard.h>`).
//!
//! A device sends and takes its datagrams in the namespace the request to make
//! it came from, wherever its link is. So the link is made by a request in the
//! underlay, right into the tenant's namespace.
//!
//! What is to change is decided in [`crate::wireguard`]; here it is cut into
//! messages the kernel takes. Secrets are wiped from all that was written or
//! read.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the crate's attributes a few matter here, and more may come"
)]

use super::answer::NetlinkError;
use super::apply::ApplyError;
use super::netlink::Netlink;
use super::rtnl;
use crate::net::{Prefix, PresharedKey, PrivateKey, PublicKey, Timestamp};
use crate::wireguard::{
    KernelChanges, KernelDevice, KernelPeer, KernelPeerChange, KernelPeerSettings,
};
use netlink_packet_core::Emitable;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute,
    WireguardCmd, WireguardMessage, WireguardPeer, WireguardPeerAttribute, WireguardPeerFlags,
    WireguardTimeSpec,
};
use rustix::fd::{AsFd, OwnedFd};
use std::net::IpAddr;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of peers in one message. An attribute has at most 64 KiB, and the
/// kernel keeps a message in one piece of memory.
const MESSAGE: usize = 16 << 10;

/// Prefixes of one peer in one message: each takes 32 bytes or 20.
const PREFIXES: usize = 256;

/// That the kernel has no WireGuard.
const fn unsupported() -> ApplyError {
    ApplyError::Unsupported { what: "WireGuard", module: "wireguard" }
}

/// The number under which the kernel has its WireGuard family; `None` when it
/// has none. Asking loads the module where there is one.
///
/// # Errors
/// When the kernel cannot be asked.
pub(super) fn family(generic: &mut Netlink) -> Result<Option<u16>, NetlinkError> {
    let question = GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(WireguardMessage::family_name().to_owned())],
    };
    let answer = generic.get(&GenlMessage::from_payload(question), |answer| {
        answer.payload.nlas.into_iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(id),
            _ => None,
        })
    });
    match answer {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        answer => answer,
    }
}

/// Makes the link `name` in `tenant`, or in the calling thread's namespace,
/// which is the one its datagrams leave by.
pub(super) fn create(name: &str, tenant: Option<&OwnedFd>) -> Result<(), ApplyError> {
    let refused = |error: NetlinkError| match error.errno() {
        Some(libc::EOPNOTSUPP) => unsupported(),
        _ => ApplyError::Netlink { what: "make the link", object: name.to_owned(), source: error },
    };
    let mut route = Netlink::route().map_err(refused)?;
    rtnl::create_wireguard(&mut route, name, tenant.map(AsFd::as_fd)).map_err(refused)
}

/// Why a device could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] super::EnterError),
    /// The kernel has no WireGuard, or not any more.
    #[error(
        "the kernel has no WireGuard support: load the module `wireguard`, or use another kernel"
    )]
    Unsupported,
    /// The link is not there, or is none of WireGuard's.
    #[error("there is no WireGuard link {0}")]
    NoLink(String),
    /// Somebody else has the UDP port.
    #[error("UDP port {0} is taken by another program")]
    PortTaken(u16),
    /// The kernel refused.
    #[error("cannot {what} the WireGuard link {link}")]
    Netlink {
        /// What was to be done.
        what: &'static str,
        /// With which.
        link: String,
        /// Why.
        #[source]
        source: NetlinkError,
    },
}

/// A WireGuard link of the kernel's, to read and to change. It works from every
/// thread, and keeps the namespace it was found in alive.
pub struct WireGuardLink {
    generic: Netlink,
    family: u16,
    name: String,
}

impl std::fmt::Debug for WireGuardLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WireGuardLink({})", self.name)
    }
}

impl WireGuardLink {
    /// The link `name` of the calling thread's namespace.
    pub(super) fn open(name: &str) -> Result<Self, DeviceError> {
        let error = |source| DeviceError::Netlink { what: "open", link: name.to_owned(), source };
        let mut generic = Netlink::generic().map_err(error)?;
        let family = family(&mut generic).map_err(error)?.ok_or(DeviceError::Unsupported)?;
        generic.forget();
        Ok(Self { generic, family, name: name.to_owned() })
    }

    fn error(&self, what: &'static str) -> impl Fn(NetlinkError) -> DeviceError + use<> {
        let link = self.name.clone();
        move |source| match source.errno() {
            Some(libc::ENODEV | libc::EOPNOTSUPP) => DeviceError::NoLink(link.clone()),
            _ => DeviceError::Netlink { what, link: link.clone(), source },
        }
    }

    /// How the device is.
    ///
    /// # Errors
    /// When the link is gone, or the kernel does not answer.
    pub fn read(&mut self) -> Result<KernelDevice, DeviceError> {
        let name = vec![WireguardAttribute::IfName(self.name.clone())];
        let payload = WireguardMessage { cmd: WireguardCmd::GetDevice, attributes: name };
        let mut question = GenlMessage::from_payload(payload);
        question.set_resolved_family_id(self.family);
        let parts = self.generic.dump(&question, |answer: GenlMessage<WireguardMessage>| {
            Some(Part(answer.payload.attributes))
        });
        self.generic.forget();
        let mut device = KernelDevice::default();
        for mut part in parts.map_err(self.error("read"))? {
            part.take_into(&mut device);
        }
        Ok(device)
    }

    /// Changes the device.
    ///
    /// # Errors
    /// When the link is gone, its port is taken, or the kernel refuses. What was
    /// changed before stays so: [`kernel_changes`](crate::wireguard::kernel_changes)
    /// of what is read next says what is left.
    pub fn change(&mut self, changes: &KernelChanges) -> Result<(), DeviceError> {
        // Without peers first, so that no peer is spoken to with the wrong key.
        let mut attributes = Vec::new();
        let private_key = changes.private_key.as_ref();
        attributes.extend(private_key.map(|key| WireguardAttribute::PrivateKey(*key.as_bytes())));
        attributes.extend(changes.listen_port.map(WireguardAttribute::ListenPort));
        if !attributes.is_empty() {
            self.set(attributes).map_err(|error| match (error.errno(), changes.listen_port) {
                (Some(libc::EADDRINUSE), Some(port)) => DeviceError::PortTaken(port),
                _ => self.error("change")(error),
            })?;
        }
        let mut peers = Vec::new();
        let mut bytes = 0;
        for peer in changes.peers.iter().flat_map(pieces) {
            let len = peer.0.as_slice().buffer_len();
            if MESSAGE < bytes + len && !peers.is_empty() {
                self.set_peers(std::mem::take(&mut peers))?;
                bytes = 0;
            }
            bytes += len;
            peers.push(peer);
        }
        if !peers.is_empty() {
            self.set_peers(peers)?;
        }
        Ok(())
    }

    fn set_peers(&mut self, peers: Vec<WireguardPeer>) -> Result<(), DeviceError> {
        let error = self.error("change the peers of");
        self.set(vec![WireguardAttribute::Peers(peers)]).map_err(error)
    }

    fn set(&mut self, attributes: Vec<WireguardAttribute>) -> Result<(), NetlinkError> {
        let mut all = Part(vec![WireguardAttribute::IfName(self.name.clone())]);
        all.0.extend(attributes);
        let payload = WireguardMessage {
            cmd: WireguardCmd::SetDevice,
            attributes: std::mem::take(&mut all.0),
        };
        let mut message = GenlMessage::from_payload(payload);
        let mut body = Zeroizing::new(vec![0; message.buffer_len()]);
        message.emit(&mut body);
        all.0 = std::mem::take(&mut message.payload.attributes);
        drop(all);
        let done = self.generic.change_raw(self.family, &body);
        self.generic.forget();
        done
    }
}

/// Attributes of a message, wiped when they are dropped.
struct Part(Vec<WireguardAttribute>);

impl Drop for Part {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
            match attribute {
                WireguardAttribute::PrivateKey(key) => key.zeroize(),
                WireguardAttribute::Peers(peers) => {
                    for one in peers.iter_mut().flat_map(|peer| &mut peer.0) {
                        if let WireguardPeerAttribute::PresharedKey(key) = one {
                            key.zeroize();
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

impl Part {
    /// Adds what this part of an answer says of the device. A peer that does not
    /// fit into one part goes on in the next.
    fn take_into(&mut self, device: &mut KernelDevice) {
        for attribute in &self.0 {
            match attribute {
                WireguardAttribute::PrivateKey(key) if key.iter().any(|byte| *byte != 0) => {
                    device.private_key = Some(PrivateKey::from_random(*key));
                }
                WireguardAttribute::ListenPort(port) => device.listen_port = *port,
                WireguardAttribute::Peers(peers) => {
                    for peer in peers {
                        take_peer(peer, device);
                    }
                }
                _ => {}
            }
        }
    }
}

fn take_peer(attributes: &WireguardPeer, device: &mut KernelDevice) {
    let key = attributes.iter().find_map(|attribute| match attribute {
        WireguardPeerAttribute::PublicKey(key) => PublicKey::from_bytes(*key).ok(),
        _ => None,
    });
    // A peer whose key is none cannot shake hands; somebody else's hand made it.
    let Some(key) = key else { return };
    let peer = device.peers.entry(key).or_default();
    for attribute in attributes.iter() {
        match attribute {
            WireguardPeerAttribute::PresharedKey(key) if key.iter().any(|byte| *byte != 0) => {
                peer.preshared_key = Some(PresharedKey::from_random(*key));
            }
            WireguardPeerAttribute::Endpoint(endpoint) => peer.endpoint = Some(*endpoint),
            WireguardPeerAttribute::PersistentKeepalive(seconds) => peer.keepalive = *seconds,
            WireguardPeerAttribute::LastHandshake(at) => peer.last_handshake = timestamp(*at),
            WireguardPeerAttribute::RxBytes(bytes) => peer.received_bytes = *bytes,
            WireguardPeerAttribute::TxBytes(bytes) => peer.sent_bytes = *bytes,
            WireguardPeerAttribute::AllowedIps(all) => take_prefixes(all, peer),
            _ => {}
        }
    }
}

fn take_prefixes(all: &[WireguardAllowedIp], peer: &mut KernelPeer) {
    for allowed in all {
        let (mut address, mut length) = (None, None);
        for attribute in allowed.iter() {
            match attribute {
                WireguardAllowedIpAttr::IpAddr(one) => address = Some(*one),
                WireguardAllowedIpAttr::Cidr(one) => length = Some(*one),
                _ => {}
            }
        }
        if let (Some(address), Some(length)) = (address, length) {
            peer.allowed_ips.extend(Prefix::containing_address(address, length));
        }
    }
}

/// The kernel's zero is never.
fn timestamp(at: WireguardTimeSpec) -> Option<Timestamp> {
    let seconds = u64::try_from(at.seconds).ok()?;
    let nanoseconds = u32::try_from(at.nano_seconds).ok()?;
    Some(Timestamp::new(seconds, nanoseconds)).filter(|at| *at != Timestamp::default())
}

/// A change of a peer, in pieces that fit into a message each.
fn pieces(change: &KernelPeerChange) -> Vec<WireguardPeer> {
    match change {
        KernelPeerChange::Remove(key) => {
            // One that is gone already is not made for this.
            let flags = WireguardPeerFlags::RemoveMe | WireguardPeerFlags::UpdateOnly;
            vec![WireguardPeer(vec![
                WireguardPeerAttribute::PublicKey(*key.as_bytes()),
                WireguardPeerAttribute::Flags(flags),
            ])]
        }
        KernelPeerChange::Set(key, settings) => {
            let mut prefixes = settings.allowed_ips.chunks(PREFIXES);
            let mut all = vec![piece(key, settings, prefixes.next().unwrap_or_default())];
            let rest = KernelPeerSettings::default();
            all.extend(prefixes.map(|prefixes| piece(key, &rest, prefixes)));
            all
        }
    }
}

fn piece(key: &PublicKey, settings: &KernelPeerSettings, prefixes: &[Prefix]) -> WireguardPeer {
    let mut attributes = vec![WireguardPeerAttribute::PublicKey(*key.as_bytes())];
    if !settings.is_new {
        attributes.push(WireguardPeerAttribute::Flags(WireguardPeerFlags::UpdateOnly));
    }
    let preshared_key = settings.preshared_key.as_ref();
    attributes
        .extend(preshared_key.map(|key| WireguardPeerAttribute::PresharedKey(*key.as_bytes())));
    attributes.extend(settings.endpoint.map(WireguardPeerAttribute::Endpoint));
    attributes.extend(settings.keepalive.map(WireguardPeerAttribute::PersistentKeepalive));
    if !prefixes.is_empty() {
        let prefixes = prefixes.iter().map(|prefix| allowed_ip(*prefix)).collect();
        attributes.push(WireguardPeerAttribute::AllowedIps(prefixes));
    }
    WireguardPeer(attributes)
}

fn allowed_ip(prefix: Prefix) -> WireguardAllowedIp {
    let family = match prefix.address() {
        IpAddr::V4(_) => WireguardAddressFamily::Ipv4,
        IpAddr::V6(_) => WireguardAddressFamily::Ipv6,
    };
    WireguardAllowedIp(vec![
        WireguardAllowedIpAttr::Family(family),
        WireguardAllowedIpAttr::IpAddr(prefix.address()),
        WireguardAllowedIpAttr::Cidr(prefix.length()),
    ])
}
