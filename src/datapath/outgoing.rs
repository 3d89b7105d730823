//! From the TUN to the peer.
//!
//! One read is one packet or one superpacket, which has one destination: one
//! lookup finds the peer. Its segments are laid out where they will be sent
//! from and sealed there. What is read next for the same peer goes behind them,
//! so that a flood of small packets leaves in few calls, too.

use super::batch::Batch;
use super::buffer::Buffers;
use super::reason::PathDrop;
use super::tenant::{Tenant, TunLost};
use super::udp::{Flow, MAX_SEGMENTS};
use crate::net::Now;
use crate::packet::{Segment, Superpacket, VIRTIO_LEN, View, VirtioHeader, ecn, protocol};
use crate::wireguard::{DropReason, HEADER_LEN, PeerIndex, SendState};
use std::net::{IpAddr, SocketAddr};

/// Bytes read from one TUN in one round; then it is another tenant's turn.
const SHARE: usize = 256 << 10;

/// Packets read from one TUN in one round.
const SHARE_PACKETS: usize = 2 * MAX_SEGMENTS;

/// What to do with packets for one destination, as found for the last one.
#[derive(Clone, Copy)]
pub(super) struct Route {
    destination: IpAddr,
    verdict: Verdict,
}

#[derive(Clone, Copy)]
enum Verdict {
    Seal(PeerIndex, Flow),
    Stage(PeerIndex),
    Unreachable(DropReason),
}

impl Tenant {
    /// Sends what there is to read, up to a share.
    pub(super) fn handle_tun(&mut self, buffers: &mut Buffers, now: Now) -> Result<(), TunLost> {
        let mut read = 0;
        let mut route = None;
        let mut result = Ok(());
        for _ in 0..SHARE_PACKETS {
            match self.tun.read(&mut buffers.packet) {
                Ok(Some(len)) => {
                    self.outgoing(len, buffers, &mut route, now);
                    read += len;
                }
                Ok(None) => break,
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
            }
            if SHARE <= read {
                break;
            }
        }
        self.flush(&mut buffers.batch, now);
        self.finish(buffers, now);
        result
    }

    /// Sends the `len` bytes that were read.
    fn outgoing(&mut self, len: usize, buffers: &mut Buffers, route: &mut Option<Route>, now: Now) {
        let Buffers { packet, batch, transmit, .. } = buffers;
        let read = packet.get(..len).and_then(|read| read.split_first_chunk::<VIRTIO_LEN>());
        let Some((header, packet)) = read else {
            return self.drops.count(PathDrop::TunHeader, 1);
        };
        let (Some(destination), Ok(ecn)) = (destination(packet), ecn::encapsulate(packet)) else {
            return self.device.count_drops(DropReason::InnerVersion, 1);
        };
        let Ok(superpacket) = Superpacket::read(&VirtioHeader::decode(header), packet) else {
            return self.drops.count(PathDrop::TunHeader, 1);
        };
        let verdict = match route {
            Some(found) if found.destination == destination => found.verdict,
            _ => {
                let verdict = self.verdict(destination, now);
                *route = Some(Route { destination, verdict });
                verdict
            }
        };
        match verdict {
            Verdict::Seal(_, flow) if is_datagram_to(flow.to, destination, packet) => {
                self.drops.count(PathDrop::RoutingLoop, superpacket.count() as u64);
            }
            Verdict::Seal(peer, flow) => {
                let flow = Flow { ecn: ecn.bits(), ..flow };
                for segment in superpacket.segments() {
                    self.seal(&segment, peer, flow, batch, now);
                }
            }
            Verdict::Stage(peer) => {
                for segment in superpacket.segments() {
                    // What cannot wait is counted by the device.
                    let _ = self.device.stage(peer, written(&segment, transmit), now);
                }
            }
            Verdict::Unreachable(reason) => {
                self.device.count_drops(reason, superpacket.count() as u64);
                if let Some(first) = superpacket.segments().next() {
                    self.answer(written(&first, transmit), now);
                }
            }
        }
    }

    fn verdict(&mut self, destination: IpAddr, now: Now) -> Verdict {
        let Some(peer) = self.device.route(destination) else {
            return Verdict::Unreachable(DropReason::NoRoute);
        };
        match self.device.begin_send(peer, now) {
            SendState::Ready(destination) => {
                let flow = Flow { to: destination.to, from: destination.from, ecn: 0 };
                Verdict::Seal(peer, flow)
            }
            SendState::Staging => Verdict::Stage(peer),
            SendState::NoEndpoint => Verdict::Unreachable(DropReason::NoEndpoint),
        }
    }

    fn seal(
        &mut self,
        segment: &Segment<'_, '_>,
        peer: PeerIndex,
        flow: Flow,
        batch: &mut Batch,
        now: Now,
    ) {
        let mtu = usize::from(self.device.mtu().bytes());
        let len = sealed_len(segment.len(), mtu);
        if !batch.fits(peer, &flow, len) {
            self.flush(batch, now);
        }
        let Some(room) = batch.room().get_mut(..len) else { return };
        let place = room.get_mut(HEADER_LEN..).unwrap_or_default();
        let Ok(packet_len) = segment.write(place) else { return };
        // What cannot be sealed is counted by the device.
        if let Ok(len) = self.device.seal(peer, room, packet_len) {
            batch.push(peer, flow, len);
        }
    }
}

/// One packet, in `room`, which is long enough for any.
fn written<'r>(segment: &Segment<'_, '_>, room: &'r mut [u8]) -> &'r [u8] {
    let len = segment.write(room).unwrap_or_default();
    room.get(..len).unwrap_or_default()
}

/// Bytes of the datagram that a packet of `len` bytes becomes: padded to a
/// multiple of 16, but not beyond the MTU, between header and tag.
fn sealed_len(len: usize, mtu: usize) -> usize {
    let padded = len.next_multiple_of(16).min(mtu.max(len));
    2 * HEADER_LEN + padded
}

/// Whether what was read, which goes to `destination`, is UDP to this very socket.
///
/// The device beside an endpoint may be had at the endpoint's address; what
/// listens at its port is WireGuard, and a datagram that would come there inside
/// the tunnel is one of ours that was led back into it.
fn is_datagram_to(endpoint: SocketAddr, destination: IpAddr, packet: &[u8]) -> bool {
    if endpoint.ip() != destination {
        return false;
    }
    let port = View::parse(packet)
        .ok()
        .filter(|view| view.protocol() == protocol::UDP && view.has_transport());
    let port = port.and_then(|view| packet.get(view.transport() + 2..)?.first_chunk::<2>());
    port.is_some_and(|port| u16::from_be_bytes(*port) == endpoint.port())
}

fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(16..)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*packet.get(24..)?.first_chunk::<16>()?)),
        _ => None,
    }
}
