//! [`Conntrack`]: how full a tenant's connection tracking is, and when to say so.
//!
//! The table is the tenant's own. When it is full, conversations that were answered
//! go on; of the others the kernel forgets some to take new ones in, and what finds no
//! room is dropped. Nobody sees that but who is told.

use crate::net::Now;
use crate::reconcile::ConntrackSample;
use crate::status::{ConntrackSnapshot, Count, EventReason, History};

/// Below how many percent a table that was nearly full has room again: apart from
/// when it becomes so, lest a table on the edge be told of with every look.
const ROOMY_PERCENT: u64 = 80;

/// What was said of the table last, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Roomy,
    NearlyFull,
    Full,
}

/// The table of one tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Conntrack {
    sample: Option<ConntrackSample>,
    level: Level,
}

impl Conntrack {
    /// Takes how the table is now, and tells of it when that is worse than before or
    /// good again. To lose packets is to be full, however many entries are left when
    /// somebody looks.
    pub(super) fn handle_sample(
        &mut self,
        sample: ConntrackSample,
        history: &mut History,
        now: Now,
    ) {
        // Who begins to look knows nothing of when the earlier ones were lost; of a
        // namespace made anew the count begins anew.
        let is_losing = self.sample.is_some_and(|before| before.dropped < sample.dropped);
        let table = snapshot(sample);
        let level = match self.level {
            _ if is_losing => Level::Full,
            before if table.is_nearly_full() => before.max(Level::NearlyFull),
            before if table.has_reached(ROOMY_PERCENT) => before,
            Level::Roomy | Level::NearlyFull | Level::Full => Level::Roomy,
        };
        self.sample = Some(sample);
        let before = std::mem::replace(&mut self.level, level);
        let of = format!("{} of {} conversations are tracked", sample.entries, sample.maximum);
        let message = match level {
            Level::NearlyFull if before < level => format!(
                "{of}: soon none can begin; raise net.netfilter.nf_conntrack_max or allow less"
            ),
            Level::Full if before < level => format!(
                "{of}, and packets that begin new ones were dropped ({} so far): raise \
                 net.netfilter.nf_conntrack_max or allow less",
                sample.dropped
            ),
            Level::Roomy if level < before => format!("{of}: there is room again"),
            Level::Roomy | Level::NearlyFull | Level::Full => return,
        };
        history.push(EventReason::ConntrackLimit, None, message, now.wall);
    }

    /// It as everyone may see it.
    pub(super) fn snapshot(&self) -> Option<ConntrackSnapshot> {
        self.sample.map(snapshot)
    }

    /// Packets dropped for want of room, when there were any.
    pub(super) fn dropped(&self) -> Option<u64> {
        Some(self.sample?.dropped).filter(|dropped| 0 < *dropped)
    }
}

const fn snapshot(sample: ConntrackSample) -> ConntrackSnapshot {
    let ConntrackSample { entries, maximum, evicted, .. } = sample;
    ConntrackSnapshot { entries, maximum, evicted: Count(evicted) }
}
