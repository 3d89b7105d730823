//! The answer to a packet that nobody can be sent: host unreachable, as the
//! kernel's WireGuard gives it.
//!
//! It comes from the address that was asked for. A gateway's own address would
//! be more usual, but a packet from outside with one is refused as a martian,
//! and the site's prefixes are what a tunnel's inside may speak for.

use super::View;
use super::bytes::put;
use super::checksum::{Sum, pseudo_header};
use super::ip::protocol::{ICMP, ICMPV6};
use super::ip::{V4_HEADER, V6_HEADER, addresses, write_len};
use std::net::IpAddr;

/// Bytes of the packet that are given back: what keeps the answer below 576
/// bytes for IPv4 (RFC 1812 §4.3.2.3), which is enough for IPv6, too.
const QUOTED: usize = 520;

/// Bytes of the header of ICMP.
const ICMP_HEADER: usize = 8;

/// Bytes an answer has at most.
pub const ANSWER_LEN: usize = V6_HEADER + ICMP_HEADER + QUOTED;

/// Writes the answer to `packet` and says how long it is; `None` when there must
/// be none (RFC 1122 §3.2.2, RFC 4443 §2.4), or it is no packet.
pub fn host_unreachable(packet: &[u8], out: &mut [u8; ANSWER_LEN]) -> Option<usize> {
    let view = View::parse(packet).ok()?;
    let is_answered = view.has_transport()
        && !is_error(packet, &view)
        && is_host(view.source())
        && is_host(view.destination());
    if !is_answered {
        return None;
    }
    let is_v4 = view.is_v4();
    let quoted = packet.get(..view.len().min(QUOTED))?;
    let (source, destination) = addresses(packet, is_v4)
        .and_then(|addresses| addresses.split_at_checked(addresses.len() / 2))?;
    let at = if is_v4 { V4_HEADER } else { V6_HEADER };
    let len = at + ICMP_HEADER + quoted.len();
    let answer = out.get_mut(..len)?;
    answer.fill(0);
    let kind = if is_v4 {
        answer[0] = 0x45;
        answer[8..10].copy_from_slice(&[64, ICMP]);
        answer[12..16].copy_from_slice(destination);
        answer[16..20].copy_from_slice(source);
        // Host unreachable (RFC 792).
        [3, 1]
    } else {
        answer[0] = 0x60;
        answer[6..8].copy_from_slice(&[ICMPV6, 64]);
        answer[8..24].copy_from_slice(destination);
        answer[24..40].copy_from_slice(source);
        // Address unreachable (RFC 4443 §3.1).
        [1, 3]
    };
    answer[at..at + 2].copy_from_slice(&kind);
    answer[at + ICMP_HEADER..].copy_from_slice(quoted);
    write_len(answer, is_v4, at, len);
    let pseudo = if is_v4 {
        Sum::default()
    } else {
        pseudo_header(addresses(answer, is_v4)?, ICMPV6, len - at)
    };
    let checksum = pseudo.with(&answer[at..]).checksum();
    put(answer, at + 2, checksum);
    Some(len)
}

/// Whether it is an ICMP message that is no query, even behind extension
/// headers; redirects are counted among the errors (RFC 4443 §2.4 e.2).
fn is_error(packet: &[u8], view: &View) -> bool {
    let kind = packet.get(view.transport());
    match (view.is_v4(), view.protocol()) {
        (true, ICMP) => !matches!(kind, Some(0 | 8 | 13 | 14)),
        (false, ICMPV6) => kind.is_none_or(|&kind| kind < 128 || kind == 137),
        _ => false,
    }
}

/// Whether an address is one host's: not unspecified, loopback, multicast or
/// broadcast.
fn is_host(address: IpAddr) -> bool {
    match address {
        // 0.0.0.0/8 is "this network", 240.0.0.0/4 reserved (RFC 1122 §3.2.1.3).
        IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_loopback() && !v6.is_multicast(),
    }
}
