//! Whatever devices do, and whenever links come and go.

use super::world::{ANSWER, NO_ANSWER, World, id, target};
use lockgate::model::limits::{PROBE_READINGS, PROBES_UNDER_WAY_PER_TENANT};
use lockgate::probe::{Failure, Health, LOST_IN_A_ROW, Outcome, Verdict};
use proptest::prelude::*;
use std::time::Duration;

const ADDRESSES: [&str; 3] = ["192.168.1.1", "192.168.1.2", "2001:db8::3"];

#[derive(Clone, Debug)]
enum Deed {
    Pass(u16),
    Become(usize, u8),
    StandBy(usize, bool),
    Open(bool),
    Room(usize),
    Configure(usize, u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1_u16..20_000).prop_map(Deed::Pass),
        3 => (0..ADDRESSES.len(), 0_u8..4).prop_map(|(at, what)| Deed::Become(at, what)),
        1 => (0..ADDRESSES.len(), any::<bool>()).prop_map(|(at, by)| Deed::StandBy(at, by)),
        1 => any::<bool>().prop_map(Deed::Open),
        1 => (0_usize..4).prop_map(Deed::Room),
        1 => (1..=ADDRESSES.len(), 1_u64..60).prop_map(|(many, often)| Deed::Configure(many, often)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn counts_agree_and_bounds_hold(deeds in prop::collection::vec(deed(), 1..60)) {
        let mut world = World::new(&ADDRESSES, 5);
        for deed in deeds {
            match deed {
                Deed::Pass(millis) => world.pass(Duration::from_millis(millis.into())),
                Deed::Become(at, what) => {
                    let outcome = match what {
                        0 => ANSWER,
                        1 => NO_ANSWER,
                        2 => Outcome::Refused(Duration::from_millis(1)),
                        _ => Outcome::Lost(Failure::NoRoute),
                    };
                    world.devices.insert(target(ADDRESSES[at]), outcome);
                }
                Deed::StandBy(at, by) => {
                    world.prober.stand_by(&id("hq", ADDRESSES[at]), by, world.now.mono);
                }
                Deed::Open(open) => world.prober.set_open(open),
                Deed::Room(room) => world.room = room,
                Deed::Configure(many, often) => world.configure(&ADDRESSES[..many], often),
            }
            let site = world.site();
            prop_assert!(world.prober.under_way() <= PROBES_UNDER_WAY_PER_TENANT);
            let mut healths = Vec::new();
            for (_, session) in world.prober.of_site(&site) {
                let sample = session.sample();
                let answered = sample.durations.count;
                prop_assert_eq!(sample.sent, answered + sample.lost);
                prop_assert!(sample.refused <= answered);
                let kept = sample.window.iter().count();
                prop_assert_eq!(kept as u64, sample.sent.min(PROBE_READINGS as u64));
                if session.health() == Health::Lost {
                    prop_assert!(u64::from(LOST_IN_A_ROW) <= sample.lost);
                }
                healths.push(session.health());
            }
            let is_lost = world.prober.verdict(&site) == Some(Verdict::Lost);
            prop_assert_eq!(is_lost, healths.iter().all(|it| *it == Health::Lost));
        }
    }

    /// Once a device answers for good it is found, whatever was before.
    #[test]
    fn nothing_stays_lost_that_answers(losses in 0_u64..2_000, interval in 1_u64..120) {
        let mut world = World::new(&ADDRESSES[..1], interval);
        world.devices.insert(target(ADDRESSES[0]), NO_ANSWER);
        world.pass(Duration::from_secs(losses));
        world.devices.clear();
        world.pass(Duration::from_secs(interval * 5 / 4 + 1));
        prop_assert_eq!(world.health(ADDRESSES[0]), Health::Answered);
    }
}
