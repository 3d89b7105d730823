//! The answer to a packet that nobody can be sent: host unreachable, as the
//! kernel's WireGuard gives it, written back into the TUN.
//!
//! It comes from the address that was asked for. A gateway's own address would
//! be more usual, but a packet from outside with one is refused as a martian,
//! and the site's prefixes are what this TUN may speak for.

use super::header::{self, put};
use super::sum;
use crate::net::Instant;
use crate::packet::View;

/// Bytes of the packet that are given back: what keeps the answer below 576
/// bytes for IPv4 (RFC 1812 §4.3.2.3), which is enough for IPv6, too.
const QUOTED: usize = 520;

/// Bytes an answer has at most.
pub(super) const ANSWER_LEN: usize = 40 + 8 + QUOTED;

/// Answers given at once, and again for each second: the kernel's
/// `icmp_msgs_burst`.
const BURST: u64 = 50;

/// How many answers may be given.
#[derive(Debug)]
pub(super) struct Limit {
    left: u64,
    since: Instant,
}

impl Default for Limit {
    fn default() -> Self {
        Self { left: BURST, since: Instant::default() }
    }
}

impl Limit {
    /// Takes one answer, if there is one left in this second.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if now.since(self.since).as_secs() >= 1 {
            *self = Self { left: BURST, since: now };
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// Writes the answer to `packet` and returns its length; `None` when there must
/// be none (RFC 1122 §3.2.2, RFC 4443 §2.4).
pub(super) fn answer(packet: &[u8], out: &mut [u8; ANSWER_LEN]) -> Option<usize> {
    let v6 = packet.first()? >> 4 == 6;
    let header_len = header::network_len(packet)?;
    let addresses = header::addresses(packet);
    let (source, destination) = addresses.split_at_checked(addresses.len() / 2)?;
    // An ICMPv6 error may stand behind extension headers.
    let view = View::parse(packet).ok()?;
    let is_fragment = view.fragment().is_some_and(|fragment| fragment.offset != 0);
    let kind = packet.get(header_len).copied();
    let is_error = match (v6, view.protocol()) {
        (false, 1) => !matches!(kind, Some(0 | 8 | 13 | 14)),
        // Redirects are counted among the errors (RFC 4443 §2.4 e.2).
        (true, 58) => {
            let kind = packet.get(view.transport()).copied();
            kind.is_none_or(|kind| kind < 128 || kind == 137)
        }
        _ => false,
    };
    if is_fragment || is_error || !is_host(source) || !is_host(destination) {
        return None;
    }
    let quoted = packet.get(..packet.len().min(QUOTED))?;
    let begin = if v6 { 40 } else { 20 };
    let len = begin + 8 + quoted.len();
    let answer = out.get_mut(..len)?;
    answer.fill(0);
    if v6 {
        answer[0] = 0x60;
        answer[6] = 58;
        answer[7] = 64;
        answer[8..24].copy_from_slice(destination);
        answer[24..40].copy_from_slice(source);
        // Address unreachable (RFC 4443 §3.1).
        answer[40..42].copy_from_slice(&[1, 3]);
    } else {
        answer[0] = 0x45;
        answer[8..10].copy_from_slice(&[64, 1]);
        answer[12..16].copy_from_slice(destination);
        answer[16..20].copy_from_slice(source);
        // Host unreachable (RFC 792).
        answer[20..22].copy_from_slice(&[3, 1]);
    }
    answer[begin + 8..].copy_from_slice(quoted);
    header::write_length(answer, len, 0);
    let pseudo = if v6 { sum::pseudo_header(header::addresses(answer), 58, len - 40) } else { 0 };
    let checksum = !sum::fold(sum::add(pseudo, &answer[begin..]));
    put(answer, begin + 2, checksum);
    Some(len)
}

/// Whether an address is one host's: not unspecified, loopback, multicast or
/// broadcast.
fn is_host(address: &[u8]) -> bool {
    match (address.len(), address.first()) {
        (4, Some(&first)) => first != 0 && first != 127 && first < 224,
        (16, Some(&first)) => first != 0xff && address.iter().any(|&byte| byte != 0),
        _ => false,
    }
}
