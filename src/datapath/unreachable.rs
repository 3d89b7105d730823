//! Who sends to nobody is told so, but not for every packet: the answer is
//! written back into the TUN, a few times in a second.

use super::tenant::Tenant;
use crate::net::{Instant, Now};
use crate::packet::{VIRTIO_LEN, icmp};
use std::io::IoSlice;

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

impl Tenant {
    /// Tells the sender of `packet` that nobody can be sent it.
    pub(super) fn answer(&mut self, packet: &[u8], now: Now) {
        let mut answer = [0; icmp::ANSWER_LEN];
        if let Some(len) = icmp::host_unreachable(packet, &mut answer)
            && self.unreachable.take(now.mono)
        {
            let parts = [IoSlice::new(&[0; VIRTIO_LEN]), IoSlice::new(&answer[..len])];
            // Nothing depends on it.
            let _ = self.tun.write(&parts);
        }
    }
}
