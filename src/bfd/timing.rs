//! How fast a session is, as far as this end has a say in it.

use std::time::Duration;

/// Packets are sent no more often than this while a session is not up (RFC 5880
/// §6.8.3): whoever is not there is not to be flooded.
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// What one end asks for. Both intervals are whole microseconds, up to 2³²−1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// We would send no more often than this; not zero.
    pub desired_min_tx: Duration,
    /// We want packets no more often than this; zero wants none.
    pub required_min_rx: Duration,
    /// So many of our packets in a row that do not come are a failure; not 0.
    pub detect_multiplier: u8,
}

impl Default for Timing {
    /// What every stock daemon can keep up with: a failure is known in 0.9 s.
    fn default() -> Self {
        let interval = Duration::from_millis(300);
        Self { desired_min_tx: interval, required_min_rx: interval, detect_multiplier: 3 }
    }
}
