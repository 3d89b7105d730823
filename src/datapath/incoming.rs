//! From the peer to the TUN.

use super::buffer::{Buffers, PIECE_LEN};
use super::reason::PathDrop;
use super::tenant::{Tenant, TunLost};
use super::tun::Written;
use crate::net::Now;
use crate::wireguard::Received;
use std::io::IoSlice;

impl Tenant {
    /// Takes what has come, up to a share: what one call hands over.
    pub(super) fn handle_udp(&mut self, buffers: &mut Buffers, now: Now) -> Result<(), TunLost> {
        let Buffers { received, receiver, .. } = buffers;
        let Some(udp) = &self.udp else { return Ok(()) };
        let Ok(messages) = udp.receive(receiver, received, PIECE_LEN) else { return Ok(()) };
        let mut result = Ok(());
        for (index, piece) in received.chunks_exact_mut(PIECE_LEN).take(messages).enumerate() {
            let Some(message) = receiver.message(index) else { continue };
            if message.truncated {
                self.drops.count(PathDrop::ReceiveTruncated, 1);
                continue;
            }
            let Some(bytes) = piece.get_mut(..message.len) else { continue };
            for datagram in bytes.chunks_mut(message.stride) {
                let received = self.device.handle_datagram(message.from, message.to, datagram, now);
                let Received::Packet { range, .. } = received else { continue };
                let Some(packet) = datagram.get(range) else { continue };
                if self.tun_lost() {
                    continue;
                }
                match self.tun.write(&[IoSlice::new(&[0; 10]), IoSlice::new(packet)]) {
                    Written::Whole => {}
                    Written::Refused => self.drops.count(PathDrop::TunRefused, 1),
                    Written::Lost(error) => {
                        result = Err(error.into());
                    }
                }
            }
        }
        self.finish(buffers, now);
        result
    }
}
