//! One tenant's WireGuard device.

use super::reason::COUNT;
use super::{DeviceConfig, DropReason, PeerIndex, Received, Sample, SendState, Transmit};
use crate::net::{Instant, Mtu, Now, PublicKey, Timestamp};
use std::net::{IpAddr, SocketAddr};

/// Bytes of room [`Device::seal`] wants before the packet.
pub const HEADER_LEN: usize = 16;

/// One tenant's WireGuard device.
pub struct Device {
    config: DeviceConfig,
    last_initiation: Timestamp,
    drops: [u64; COUNT],
}

impl Device {
    /// A device as `config` describes it.
    ///
    /// `seed` is 32 random bytes from the system, used once.
    /// `last_initiation` is the latest stamp an earlier process sent with this
    /// key (see [`Sample::last_initiation`]), the epoch if there was none.
    pub fn new(
        config: DeviceConfig,
        _seed: [u8; 32],
        last_initiation: Timestamp,
        _now: Now,
    ) -> Self {
        Self { config, last_initiation, drops: [0; COUNT] }
    }

    /// Makes the device what `config` describes, touching only what differs.
    pub fn configure(&mut self, config: DeviceConfig, _now: Now) {
        self.config = config;
    }

    /// The UDP port to listen on.
    pub fn listen_port(&self) -> u16 {
        self.config.listen_port
    }

    /// The MTU inside the tunnel.
    pub fn mtu(&self) -> Mtu {
        self.config.mtu
    }

    /// The room [`Device::poll_transmit`] needs, in bytes.
    pub fn transmit_len(&self) -> usize {
        usize::from(self.config.mtu.bytes()) + 2 * HEADER_LEN + 16
    }

    /// The peer with this key.
    pub fn peer(&self, _key: &PublicKey) -> Option<PeerIndex> {
        None
    }

    /// The peer that packets to `destination` are for: longest prefix match
    /// among the allowed IPs of all peers.
    pub fn route(&self, _destination: IpAddr) -> Option<PeerIndex> {
        None
    }

    /// Whether packets for `peer` can be sealed now, and where to send them.
    ///
    /// Holds for a batch: [`Device::seal`] as many as there are, then
    /// [`Device::sent`] once.
    pub fn begin_send(&mut self, _peer: PeerIndex, _now: Now) -> SendState {
        SendState::NoEndpoint
    }

    /// Makes a datagram of a packet, in place, and returns its length.
    ///
    /// `buffer` holds [`HEADER_LEN`] bytes of room, the packet of `len` bytes,
    /// and room for padding to a multiple of 16 (not beyond the MTU) and the
    /// 16-byte tag. The packet is padded as far as there is room.
    ///
    /// # Errors
    /// The reason to drop it for, counted already.
    pub fn seal(
        &mut self,
        _peer: PeerIndex,
        _buffer: &mut [u8],
        _len: usize,
    ) -> Result<usize, DropReason> {
        Err(self.dropped(DropReason::NoSession))
    }

    /// Says that `datagrams` of `bytes` in all, sealed since
    /// [`Device::begin_send`], were sent.
    pub fn sent(&mut self, _peer: PeerIndex, _datagrams: u64, _bytes: u64, _now: Now) {}

    /// Keeps a packet until there is a session, and asks for one.
    ///
    /// At [`limits::STAGED_PACKETS`](crate::model::limits::STAGED_PACKETS) or
    /// `STAGED_BYTES` the oldest ones make room, counted as
    /// [`DropReason::StagingFull`].
    ///
    /// # Errors
    /// The reason to drop it for, counted already.
    pub fn stage(&mut self, _peer: PeerIndex, _packet: &[u8], _now: Now) -> Result<(), DropReason> {
        Err(self.dropped(DropReason::NoEndpoint))
    }

    /// Takes a datagram that came `from` a socket address to the address `to`
    /// of ours (`None` if not known); opens it in place.
    pub fn handle_datagram(
        &mut self,
        _from: SocketAddr,
        _to: Option<IpAddr>,
        _datagram: &mut [u8],
        _now: Now,
    ) -> Received {
        Received::Dropped(self.dropped(DropReason::MessageType))
    }

    /// The next datagram to send that no packet at hand is the cause of:
    /// handshakes, cookies, keepalives, packets that were staged.
    ///
    /// Call until `None` after every batch of other calls. `buffer` has
    /// [`Device::transmit_len`] bytes.
    pub fn poll_transmit(&mut self, _buffer: &mut [u8], _now: Now) -> Option<Transmit> {
        None
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// When to call [`Device::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Counts `packets` the caller dropped before they came here.
    pub fn count_drops(&mut self, reason: DropReason, packets: u64) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count = count.saturating_add(packets);
        }
    }

    /// How the device is.
    pub fn sample(&self, _now: Now) -> Sample {
        Sample { last_initiation: self.last_initiation, ..Sample::default() }
    }

    fn dropped(&mut self, reason: DropReason) -> DropReason {
        self.count_drops(reason, 1);
        reason
    }
}
