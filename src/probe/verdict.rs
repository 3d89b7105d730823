//! What all probes of a site say together.

use super::session::Health;

/// What the probes of one site say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some have not been decided yet, and none of the others fails.
    Pending,
    /// All are answered.
    Answered,
    /// Some are not, or a port refuses.
    Impaired,
    /// No device answers at all.
    Lost,
}

impl Verdict {
    /// The verdict of probes that are like this; `None` when there are none.
    ///
    /// A site is lost only when nothing of it answers: one device that is switched off
    /// is no reason to send what is for all the others another way. A port that
    /// refuses is an answer of the device (RFC 9293 §3.5.2).
    pub fn of(probes: impl Iterator<Item = Health>) -> Option<Self> {
        let (mut all, mut lost, mut refused, mut pending) = (0, 0, 0, 0);
        for health in probes {
            all += 1;
            match health {
                Health::Pending => pending += 1,
                Health::Answered => {}
                Health::Refused => refused += 1,
                Health::Lost => lost += 1,
            }
        }
        Some(match () {
            () if all == 0 => return None,
            () if lost == all => Self::Lost,
            () if 0 < lost + refused => Self::Impaired,
            () if 0 < pending => Self::Pending,
            () => Self::Answered,
        })
    }
}
