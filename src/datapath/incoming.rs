//! From the peer to the TUN.
//!
//! One call hands over up to 32 datagrams or trains of datagrams. Each is opened
//! where it lies; what belongs together is written to the TUN as one.

use super::buffer::{Buffers, PIECE_LEN};
use super::reason::PathDrop;
use super::tenant::{Tenant, TunLost};
use super::tun::Written;
use super::udp::{self, Incoming};
use crate::net::Now;
use crate::packet::{Ecn, GRO_SEGMENTS, Gro, Offload, ecn};
use crate::wireguard::Received;
use arrayvec::ArrayVec;
use std::io::IoSlice;
use std::ops::Range;

/// Messages taken in one call when they are long trains: half a MB, which is as
/// much as another tenant's packets should wait for, and as a core's cache holds.
pub(super) const TRAINS: usize = 8;

/// Bytes of a message from which on it is a long train.
const LONG: usize = 16 << 10;

impl Tenant {
    /// Takes what has come, up to a share: what one call hands over.
    pub(super) fn handle_udp(&mut self, buffers: &mut Buffers, now: Now) -> Result<(), TunLost> {
        let Buffers { received, receiver, gro, .. } = buffers;
        let offload = Offload { tcp: self.tun.tso, udp: self.tun.uso };
        let Some(udp) = &self.udp else { return Ok(()) };
        // An error is one of an earlier datagram of ours; what is to be read
        // makes the socket ready again.
        let pieces = if self.trains { TRAINS } else { udp::BATCH };
        let room = received.get_mut(..pieces * PIECE_LEN).unwrap_or_default();
        let Ok(messages) = udp.receive(receiver, room, PIECE_LEN) else { return Ok(()) };
        let mut bytes = 0;
        let mut lost = None;
        for index in 0..messages {
            let Some(message) = receiver.message(index) else { continue };
            if message.truncated {
                self.drops.count(PathDrop::ReceiveTruncated, 1);
                continue;
            }
            bytes += message.len;
            let begin = index * PIECE_LEN;
            let end = begin + message.len;
            let mut at = begin;
            // An empty datagram is one, too: it is counted like any other.
            loop {
                let datagram = at..end.min(at + message.stride);
                at = datagram.end;
                if let Some(packet) = self.open(received, datagram, &message, now) {
                    gro.push(received, packet, offload);
                    if gro.is_full() {
                        self.deliver(gro, received, &mut lost);
                    }
                }
                if end <= at {
                    break;
                }
            }
        }
        self.deliver(gro, received, &mut lost);
        self.trains = messages * LONG <= bytes;
        self.finish(buffers, now);
        lost.map_or(Ok(()), Err)
    }

    /// Opens one datagram in place; says where in `received` its packet is, if
    /// there is one to hand on.
    fn open(
        &mut self,
        received: &mut [u8],
        datagram: Range<usize>,
        message: &Incoming,
        now: Now,
    ) -> Option<Range<usize>> {
        let begin = datagram.start;
        let datagram = received.get_mut(datagram)?;
        let opened = self.device.handle_datagram(message.from, message.to, datagram, now);
        let Received::Packet { range, .. } = opened else { return None };
        let outer = Ecn::from_bits(message.ecn);
        if ecn::decapsulate(outer, datagram.get_mut(range.clone())?).is_err() {
            self.drops.count(PathDrop::EcnInvalid, 1);
            return None;
        }
        Some(begin + range.start..begin + range.end)
    }

    /// Writes to the TUN what was put together, unless it is `lost`.
    fn deliver(&mut self, gro: &mut Gro, received: &mut [u8], lost: &mut Option<TunLost>) {
        let Self { tun, drops, tun_lost, .. } = self;
        gro.flush(received, |header, packets| {
            if !*tun_lost && lost.is_none() {
                let header = header.encode();
                let mut parts = ArrayVec::<_, { 1 + GRO_SEGMENTS }>::new();
                parts.push(IoSlice::new(&header));
                parts.extend(packets.iter().map(|packet| IoSlice::new(packet)));
                match tun.write(&parts) {
                    Written::Whole => return,
                    Written::Refused => {}
                    Written::Lost(error) => *lost = Some(error.into()),
                }
            }
            drops.count(PathDrop::TunRefused, packets.len() as u64);
        });
    }
}
