//! From the TUN to the peer.
//!
//! One read is one packet or one superpacket, which has one destination: one
//! lookup finds the peer. Its segments are laid out where they will be sent
//! from and sealed there. What is read next for the same peer goes behind them,
//! so that a flood of small packets leaves in few calls, too.

use super::batch::Batch;
use super::buffer::Buffers;
use super::header::{VIRTIO_LEN, Virtio};
use super::reason::PathDrop;
use super::segment::{self, Superpacket};
use super::tenant::{Tenant, TunLost};
use super::udp::{Flow, MAX_SEGMENTS};
use super::unreachable::{self, ANSWER_LEN};
use crate::net::Now;
use crate::packet::{View, ecn};
use crate::wireguard::{DropReason, HEADER_LEN, PeerIndex, SendState};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// Bytes read from one TUN in one round; then it is another tenant's turn.
const SHARE: usize = 256 << 10;

/// Packets read from one TUN in one round.
const SHARE_PACKETS: usize = 2 * MAX_SEGMENTS;

/// The protocol number of UDP.
const UDP: u8 = 17;

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
                    let Buffers { packet, batch, .. } = buffers;
                    if let Some(packet) = packet.get_mut(..len) {
                        self.outgoing(packet, batch, &mut route, now);
                    }
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

    fn outgoing(
        &mut self,
        read: &mut [u8],
        batch: &mut Batch,
        route: &mut Option<Route>,
        now: Now,
    ) {
        let Some((virtio, packet)) = read.split_first_chunk_mut::<VIRTIO_LEN>() else {
            return self.drops.count(PathDrop::TunHeader, 1);
        };
        let (Some(destination), Ok(ecn)) = (destination(packet), ecn::encapsulate(packet)) else {
            return self.device.count_drops(DropReason::InnerVersion, 1);
        };
        let ecn = ecn.bits();
        let verdict = match route {
            Some(found) if found.destination == destination => found.verdict,
            _ => {
                let verdict = self.verdict(destination, now);
                *route = Some(Route { destination, verdict });
                verdict
            }
        };
        let Some(segments) = Segments::read(Virtio::read(virtio), packet) else {
            return self.drops.count(PathDrop::TunHeader, 1);
        };
        match verdict {
            Verdict::Seal(_, flow) if is_datagram_to(flow.to, destination, &segments) => {
                self.drops.count(PathDrop::RoutingLoop, segments.count() as u64);
            }
            Verdict::Seal(peer, flow) => {
                for index in 0..segments.count() {
                    self.seal(&segments, index, peer, Flow { ecn, ..flow }, batch, now);
                }
            }
            Verdict::Stage(peer) => {
                for index in 0..segments.count() {
                    let Some(room) = batch.room().get_mut(..segments.len(index)) else { continue };
                    segments.write(index, room);
                    // What cannot wait is counted by the device.
                    let _ = self.device.stage(peer, room, now);
                }
            }
            Verdict::Unreachable(reason) => {
                self.device.count_drops(reason, segments.count() as u64);
                self.answer(segments.packet(), now);
            }
        }
    }

    /// Tells the sender of `packet` that nobody can be sent it.
    fn answer(&mut self, packet: &[u8], now: Now) {
        let mut answer = [0; ANSWER_LEN];
        if let Some(len) = unreachable::answer(packet, &mut answer)
            && self.unreachable.take(now.mono)
        {
            let parts = [IoSlice::new(&[0; VIRTIO_LEN]), IoSlice::new(&answer[..len])];
            // Nothing depends on it.
            let _ = self.tun.write(&parts);
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
        segments: &Segments<'_>,
        index: usize,
        peer: PeerIndex,
        flow: Flow,
        batch: &mut Batch,
        now: Now,
    ) {
        let mtu = usize::from(self.device.mtu().bytes());
        let packet_len = segments.len(index);
        let len = sealed_len(packet_len, mtu);
        if !batch.fits(peer, &flow, len) {
            self.flush(batch, now);
        }
        let Some(room) = batch.room().get_mut(..len) else { return };
        let Some(place) = room.get_mut(HEADER_LEN..HEADER_LEN + packet_len) else { return };
        segments.write(index, place);
        // What cannot be sealed is counted by the device.
        if let Ok(len) = self.device.seal(peer, room, packet_len) {
            batch.push(peer, flow, len);
        }
    }
}

/// What was read: a packet, or a superpacket.
enum Segments<'a> {
    One(&'a [u8]),
    Super(Superpacket<'a>),
}

impl<'a> Segments<'a> {
    /// Reads `packet` as its header says; `None` when they contradict each other.
    fn read(virtio: Virtio, packet: &'a mut [u8]) -> Option<Self> {
        if let Some(protocol) = virtio.segments()? {
            return Superpacket::read(virtio, protocol, packet).map(Segments::Super);
        }
        if virtio.needs_checksum() && !segment::complete_checksum(virtio, packet) {
            return None;
        }
        Some(Segments::One(packet))
    }

    /// The packet as it was read.
    fn packet(&self) -> &[u8] {
        match self {
            Self::One(packet) => packet,
            Self::Super(superpacket) => superpacket.packet(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Super(superpacket) => superpacket.count(),
        }
    }

    fn len(&self, index: usize) -> usize {
        match self {
            Self::One(packet) => packet.len(),
            Self::Super(superpacket) => superpacket.len(index),
        }
    }

    fn write(&self, index: usize, out: &mut [u8]) {
        match self {
            Self::One(packet) => out.copy_from_slice(packet),
            Self::Super(superpacket) => superpacket.write(index, out),
        }
    }
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
fn is_datagram_to(endpoint: SocketAddr, destination: IpAddr, segments: &Segments<'_>) -> bool {
    if endpoint.ip() != destination {
        return false;
    }
    let packet = segments.packet();
    let port =
        View::parse(packet).ok().filter(|view| view.protocol() == UDP && view.has_transport());
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
