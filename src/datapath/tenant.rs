//! One tenant on its thread: device, TUN and UDP socket, and what binds them.
//!
//! [`super::outgoing`] and [`super::incoming`] are its two directions; here is
//! what both need, and what the thread asks of it.

use super::batch::Batch;
use super::buffer::Buffers;
use super::reason::{Drops, PathDrop};
use super::udp::{Flow, Socket};
use super::unreachable::Limit;
use super::{DatapathError, Options, PathSample, TenantSample, Tun};
use crate::net::{Instant, Now, TenantName};
use crate::wireguard::{Device, DeviceConfig};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long a path that was too narrow for our datagrams is taken to be so.
const NARROW_FOR: Duration = Duration::from_secs(600);

/// Datagrams of the device's own that are sent in one go: what was staged for
/// a peer, and some handshakes.
const TRANSMITS: usize = 256;

/// One tenant.
pub(super) struct Tenant {
    name: TenantName,
    options: Options,
    pub(super) tun: Tun,
    pub(super) tun_lost: bool,
    pub(super) device: Device,
    pub(super) udp: Option<Socket>,
    pub(super) drops: Drops,
    narrow_since: Instant,
    /// What came last came in long trains.
    pub(super) trains: bool,
    pub(super) unreachable: Limit,
}

/// Its TUN is of no use any more.
#[derive(Debug)]
pub(super) struct TunLost(pub(super) io::Error);

impl From<Errno> for TunLost {
    fn from(errno: Errno) -> Self {
        Self(errno.into())
    }
}

impl Tenant {
    /// A tenant that does not listen yet.
    pub(super) fn new(
        name: TenantName,
        tun: Tun,
        device: Device,
        options: Options,
    ) -> Result<Self, DatapathError> {
        if let Err(error) = rustix::io::ioctl_fionbio(&tun.fd, true) {
            return Err(DatapathError::Watch { tenant: name, error: error.into() });
        }
        let tun = Tun {
            tso: tun.tso && options.tun_offload,
            uso: tun.uso && options.tun_offload && options.uso,
            ..tun
        };
        Ok(Self {
            name,
            options,
            tun,
            tun_lost: false,
            device,
            udp: None,
            drops: Drops::default(),
            narrow_since: Instant::default(),
            trains: true,
            unreachable: Limit::default(),
        })
    }

    /// Opens the device's UDP port in the namespace of the calling thread.
    pub(super) fn listen(&mut self) -> Result<(), DatapathError> {
        self.udp = Some(self.bind(self.device.listen_port())?);
        Ok(())
    }

    fn bind(&self, port: u16) -> Result<Socket, DatapathError> {
        Socket::bind(port, &self.options).map_err(|error| DatapathError::Bind {
            tenant: self.name.clone(),
            port,
            error,
        })
    }

    pub(super) fn name(&self) -> &TenantName {
        &self.name
    }

    pub(super) fn tun(&self) -> BorrowedFd<'_> {
        self.tun.as_fd()
    }

    pub(super) fn udp(&self) -> Option<BorrowedFd<'_>> {
        self.udp.as_ref().map(AsFd::as_fd)
    }

    /// The UDP port it listens on.
    pub(super) fn port(&self) -> u16 {
        self.udp.as_ref().map_or(0, Socket::port)
    }

    /// Whether its datagrams leave many in one call.
    pub(super) fn gso(&self) -> bool {
        self.udp.as_ref().is_some_and(Socket::gso)
    }

    /// Says that the TUN is lost; false when it was lost already.
    pub(super) fn lose_tun(&mut self) -> bool {
        !std::mem::replace(&mut self.tun_lost, true)
    }

    /// Makes the device what `config` says; true when there is a new socket.
    pub(super) fn configure(
        &mut self,
        config: DeviceConfig,
        buffers: &mut Buffers,
        now: Now,
    ) -> Result<bool, DatapathError> {
        let moved = config.listen_port != self.device.listen_port();
        if moved {
            // First, as it is what can fail.
            self.udp = Some(self.bind(config.listen_port)?);
        }
        self.device.configure(config, now);
        self.finish(buffers, now);
        Ok(moved)
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, buffers: &mut Buffers, now: Now) {
        self.device.handle_timeout(now);
        if NARROW_FOR < now.mono.since(self.narrow_since) {
            self.narrow_since = now.mono;
            if let Some(udp) = &mut self.udp {
                udp.forget_narrow();
            }
        }
        self.finish(buffers, now);
    }

    /// When to call [`Tenant::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.device.poll_timeout()
    }

    /// Sends what the device has to send by itself.
    pub(super) fn finish(&mut self, buffers: &mut Buffers, now: Now) {
        let Some(udp) = &mut self.udp else { return };
        for _ in 0..TRANSMITS {
            let Some(transmit) = self.device.poll_transmit(&mut buffers.transmit, now) else {
                return;
            };
            let flow = Flow { to: transmit.to, from: transmit.from, ecn: 0 };
            let Some(datagram) = buffers.transmit.get(..transmit.len) else { continue };
            let sent = udp.send(&flow, datagram, transmit.len);
            self.drops.count(PathDrop::SendNoRoom, sent.no_room);
            self.drops.count(PathDrop::SendRefused, sent.refused);
        }
    }

    /// Sends off what waits in `batch`.
    pub(super) fn flush(&mut self, batch: &mut Batch, now: Now) {
        if let (Some(udp), Some((peer, flow, bytes, segment))) = (&mut self.udp, batch.waiting()) {
            let sent = udp.send(&flow, bytes, segment);
            self.device.sent(peer, sent.datagrams, sent.bytes, now);
            self.drops.count(PathDrop::SendNoRoom, sent.no_room);
            self.drops.count(PathDrop::SendRefused, sent.refused);
        }
        batch.clear();
    }

    /// How it is.
    pub(super) fn sample(&self, now: Now) -> TenantSample {
        let mut device = self.device.sample(now);
        device.drops.extend(self.drops.iter());
        let udp = self.udp.as_ref();
        TenantSample {
            device,
            path: PathSample {
                thread: 0,
                port: self.port(),
                ipv6: udp.is_some_and(Socket::v6),
                udp_gso: self.gso(),
                udp_gro: udp.is_some_and(Socket::gro),
                tso: self.tun.tso,
                uso: self.tun.uso,
                tun_lost: self.tun_lost,
            },
        }
    }
}
