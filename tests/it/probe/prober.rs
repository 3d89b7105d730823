//! When devices are asked, and what is made of their answers.

use super::world::{ANSWER, NO_ANSWER, World, id, target};
use lockgate::model::limits::{PROBES_PER_SITE, PROBES_UNDER_WAY_PER_TENANT};
use lockgate::net::Instant;
use lockgate::probe::{
    Change, Failure, Health, IcmpError, LONGEST_TRIAL, LOST_IN_A_ROW, Outcome, TIMEOUT, TRIAL,
    Target, Verdict,
};
use std::time::Duration;

const ONE: &str = "192.168.1.1";
const TWO: &str = "192.168.1.2";

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn times(world: &World, address: &str) -> Vec<Instant> {
    let of = world.asked.iter().filter(|(_, asked)| *asked == target(address));
    of.map(|(at, _)| *at).collect()
}

#[test]
fn a_device_is_asked_soon_and_then_about_once_an_interval() {
    let mut world = World::new(&[ONE], 30);
    let began = world.now.mono;
    world.pass(seconds(1));
    let first = times(&world, ONE);
    assert_eq!(first.len(), 1, "within a second");
    assert_eq!(world.health(ONE), Health::Answered);
    assert_eq!(world.changes, [(target(ONE), Change::Found)]);
    world.pass(seconds(3_000));
    let all = times(&world, ONE);
    assert!((90..=112).contains(&all.len()), "{} times in 100 intervals", all.len());
    let mut waits: Vec<Duration> = all.windows(2).map(|two| two[1].since(two[0])).collect();
    waits.sort();
    assert!(seconds(22) <= waits[0] && *waits.last().unwrap() <= seconds(38), "{waits:?}");
    assert_ne!(waits[0], *waits.last().unwrap(), "not in step with anybody else's");
    assert!(all[0].since(began) < seconds(1));
    assert_eq!(world.changes.len(), 1, "nothing new is nothing to tell");
}

#[test]
fn three_losses_in_a_row_are_believed_and_one_answer_is() {
    let mut world = World::new(&[ONE], 30);
    world.pass(seconds(60));
    world.changes.clear();
    world.delay = TIMEOUT;
    world.devices.insert(target(ONE), NO_ANSWER);
    let began = world.now.mono;
    while world.health(ONE) != Health::Lost {
        world.pass(Duration::from_millis(100));
        assert!(world.now.mono.since(began) < seconds(60));
    }
    let sample = world.session(ONE).sample();
    assert_eq!(sample.lost, u64::from(LOST_IN_A_ROW));
    assert_eq!(world.changes, [(target(ONE), Change::Lost(Failure::Timeout))]);
    // A loss is looked into at once: once the first was missed it takes 8 seconds.
    let all = times(&world, ONE);
    let last = &all[all.len() - usize::from(LOST_IN_A_ROW)..];
    assert!(last[2].since(last[0]) < seconds(7), "{last:?}");

    // Somebody waits for it to come back: it is asked every five seconds.
    let before = times(&world, ONE).len();
    world.pass(seconds(100));
    let often = times(&world, ONE).len() - before;
    assert!((13..=20).contains(&often), "{often} times in 100 s");
    world.devices.clear();
    world.pass(seconds(8));
    assert_eq!(world.health(ONE), Health::Answered);
    assert_eq!(world.changes.last(), Some(&(target(ONE), Change::Answered)));
}

#[test]
fn a_packet_lost_now_and_then_is_no_outage() {
    let mut world = World::new(&[ONE], 1);
    world.pass(seconds(5));
    for _ in 0..50 {
        let lost = world.session(ONE).sample().lost;
        world.devices.insert(target(ONE), NO_ANSWER);
        while world.session(ONE).sample().lost < lost + u64::from(LOST_IN_A_ROW) - 1 {
            world.pass(Duration::from_millis(50));
        }
        world.devices.clear();
        let sent = world.session(ONE).sample().sent;
        while world.session(ONE).sample().sent == sent {
            world.pass(Duration::from_millis(50));
        }
        assert_eq!(world.health(ONE), Health::Answered);
    }
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn a_refusal_is_an_answer_of_the_device_and_none_of_the_port() {
    let mut world = World::new(&[ONE], 1);
    world.devices.insert(target(ONE), Outcome::Refused(Duration::from_millis(3)));
    world.pass(seconds(10));
    assert_eq!(world.health(ONE), Health::Refused);
    assert_eq!(world.prober.verdict(&world.site()), Some(Verdict::Impaired), "not lost");
    assert_eq!(world.changes, [(target(ONE), Change::Refused)]);
    let sample = world.session(ONE).sample();
    assert_eq!((sample.lost, sample.refused), (0, sample.sent));
    assert_eq!(sample.last_answer, Some(Duration::from_millis(3)));
}

#[test]
fn a_site_is_lost_only_when_none_of_its_devices_answers() {
    let mut world = World::new(&[ONE, TWO], 1);
    let site = world.site();
    assert_eq!(world.prober.verdict(&site), Some(Verdict::Pending));
    assert_eq!(world.prober.verdict(&"other".parse().unwrap()), None);
    world.pass(seconds(5));
    assert_eq!(world.prober.verdict(&site), Some(Verdict::Answered));
    world.devices.insert(target(ONE), NO_ANSWER);
    world.pass(seconds(20));
    assert_eq!(world.prober.verdict(&site), Some(Verdict::Impaired));
    world.devices.insert(target(TWO), NO_ANSWER);
    world.pass(seconds(20));
    assert_eq!(world.prober.verdict(&site), Some(Verdict::Lost));
    world.devices.remove(&target(ONE));
    world.pass(seconds(7));
    assert_eq!(world.prober.verdict(&site), Some(Verdict::Impaired));
}

/// A box whose threads were busy took every site for dead.
#[test]
fn what_could_not_be_sent_was_taken_for_a_loss() {
    let mut world = World::new(&[ONE], 1);
    world.pass(seconds(3));
    let before = world.session(ONE).sample().sent;
    for ours in [Outcome::Unsent, Outcome::Lost(Failure::NotPermitted)] {
        world.devices.insert(target(ONE), ours);
        world.pass(seconds(60));
        assert_eq!(world.health(ONE), Health::Answered, "{ours:?} says nothing about the device");
    }
    let sample = world.session(ONE).sample();
    // The last before the first of them was answered, or not.
    assert!(sample.sent <= before + 1 && sample.lost == 0, "{sample:?}");
    let (failure, _) = sample.last_failure.unwrap();
    assert_eq!(failure, Failure::NotPermitted, "and it is told why");
}

#[test]
fn a_shot_nobody_tells_of_is_forgotten_and_its_place_given_up() {
    let mut world = World::new(&[ONE], 1);
    world.now = world.now + seconds(1);
    world.prober.handle_timeout(usize::MAX, world.now.mono);
    let shot = world.prober.poll_output().unwrap();
    assert_eq!(world.prober.under_way(), 1);
    world.now = world.now + seconds(61);
    world.prober.handle_timeout(usize::MAX, world.now.mono);
    assert_eq!(world.prober.under_way(), 0);
    let late = world.prober.handle_outcome(&shot.probe, shot.number, NO_ANSWER, world.now);
    assert_eq!((late, world.session(ONE).sample().sent), (None, 0), "too late to count");
}

#[test]
fn an_answer_to_another_shot_is_no_answer() {
    let mut world = World::new(&[ONE], 1);
    world.now = world.now + seconds(1);
    world.prober.handle_timeout(usize::MAX, world.now.mono);
    let shot = world.prober.poll_output().unwrap();
    for number in [shot.number - 1, shot.number + 1] {
        world.prober.handle_outcome(&shot.probe, number, ANSWER, world.now);
        world.prober.handle_outcome(&id("hq", TWO), shot.number, ANSWER, world.now);
        world.prober.handle_outcome(&id("other", ONE), shot.number, ANSWER, world.now);
    }
    assert_eq!((world.health(ONE), world.prober.under_way()), (Health::Pending, 1));
    world.prober.handle_outcome(&shot.probe, shot.number, ANSWER, world.now);
    world.prober.handle_outcome(&shot.probe, shot.number, NO_ANSWER, world.now);
    assert_eq!((world.health(ONE), world.session(ONE).sample().sent), (Health::Answered, 1));
}

#[test]
fn no_more_are_under_way_than_may_be_and_all_get_their_turn() {
    let addresses: Vec<String> = (0..200).map(|n| format!("10.0.0.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    assert!(PROBES_PER_SITE < addresses.len(), "more than one site may have");
    let mut world = World::new(&addresses, 1);
    world.now = world.now + seconds(1);
    world.prober.handle_timeout(usize::MAX, world.now.mono);
    assert_eq!(world.prober.under_way(), PROBES_UNDER_WAY_PER_TENANT);
    let next = world.prober.poll_timeout().unwrap();
    assert!(world.now.mono < next, "what waits does not keep it awake");
    let mut world = World::new(&addresses, 1);
    world.room = 3;
    world.pass(seconds(30));
    let asked: std::collections::BTreeSet<Target> =
        world.asked.iter().map(|(_, target)| *target).collect();
    assert_eq!(asked.len(), addresses.len(), "everyone was asked once");
    let mut world = World::new(&addresses, 1);
    world.room = 0;
    world.pass(seconds(30));
    assert_eq!(world.asked, []);
}

#[test]
fn nothing_is_asked_before_the_links_are_there() {
    let mut world = World::new(&[ONE], 1);
    world.prober.set_open(false);
    assert_eq!(world.prober.poll_timeout(), None);
    world.pass(seconds(60));
    assert_eq!((world.asked.len(), world.health(ONE)), (0, Health::Pending));
    world.prober.set_open(true);
    world.pass(Duration::from_millis(100));
    assert_eq!(world.asked.len(), 1, "and at once when they are");
}

#[test]
fn a_probe_that_stays_goes_on_and_one_that_goes_leaves_nothing() {
    let mut world = World::new(&[ONE, TWO], 30);
    world.pass(seconds(1));
    world.configure(&[ONE], 30);
    let site = world.site();
    assert_eq!(world.prober.of_site(&site).count(), 1);
    assert_eq!(world.session(ONE).sample().sent, 1, "it was not begun anew");
    world.asked.clear();
    world.configure(&[ONE], 1);
    world.pass(seconds(10));
    assert!(5 < world.asked.len(), "the new interval holds at once");
    world.prober.configure(&std::collections::BTreeMap::new(), world.now.mono);
    assert_eq!((world.prober.under_way(), world.prober.poll_timeout()), (0, None));
}

#[test]
fn one_that_stands_by_is_not_asked_and_says_nothing() {
    let mut world = World::new(&[ONE], 1);
    world.pass(seconds(5));
    world.prober.stand_by(&id("hq", ONE), true, world.now.mono);
    assert_eq!(world.health(ONE), Health::Pending);
    world.asked.clear();
    world.pass(seconds(7_200));
    assert_eq!(world.asked, []);
    world.prober.stand_by(&id("hq", ONE), false, world.now.mono);
    world.pass(seconds(1));
    assert_eq!(world.health(ONE), Health::Answered);
}

/// The prober of a site that is lost, and stands by since.
fn on_trial(world: &mut World) {
    world.devices.insert(target(ONE), NO_ANSWER);
    while world.health(ONE) != Health::Lost {
        world.pass(Duration::from_millis(100));
    }
    world.prober.stand_by(&id("hq", ONE), true, world.now.mono);
}

#[test]
fn what_was_lost_is_tried_again_later_and_later() {
    let mut world = World::new(&[ONE], 1);
    let mut wait = TRIAL;
    for _ in 0..8 {
        on_trial(&mut world);
        let began = world.now.mono;
        assert_eq!(world.health(ONE), Health::Lost, "another site serving is no answer");
        while world.health(ONE) == Health::Lost {
            world.pass(seconds(1));
        }
        let waited = world.now.mono.since(began);
        assert!(wait * 3 / 4 <= waited && waited <= wait * 5 / 4 + seconds(1), "{waited:?}");
        world.prober.stand_by(&id("hq", ONE), false, world.now.mono);
        wait = (wait * 2).min(LONGEST_TRIAL);
    }
    assert_eq!(wait, LONGEST_TRIAL);
    // An answer forgives.
    world.devices.clear();
    world.pass(seconds(10));
    assert_eq!(world.health(ONE), Health::Answered);
    on_trial(&mut world);
    world.pass(TRIAL * 5 / 4 + seconds(1));
    assert_eq!(world.health(ONE), Health::Pending);
}

#[test]
fn an_answer_that_came_by_another_site_counted_for_this_one() {
    let mut world = World::new(&[ONE], 1);
    world.now = world.now + seconds(1);
    world.prober.handle_timeout(usize::MAX, world.now.mono);
    let shot = world.prober.poll_output().unwrap();
    world.prober.stand_by(&id("hq", ONE), true, world.now.mono);
    assert_eq!(world.prober.under_way(), 0);
    world.prober.handle_outcome(&shot.probe, shot.number, ANSWER, world.now);
    assert_eq!(world.health(ONE), Health::Pending);
}

#[test]
fn failures_say_what_is_wrong_and_who_says_so() {
    let error = |is_v4, kind, code| {
        let from = Some("10.255.30.1".parse().unwrap());
        Failure::Unreachable(IcmpError { is_v4, kind, code, from }).to_string()
    };
    assert_eq!(error(true, 3, 1), "host unreachable, says 10.255.30.1");
    assert_eq!(error(true, 3, 13), "administratively prohibited, says 10.255.30.1");
    assert_eq!(error(false, 1, 3), "host unreachable, says 10.255.30.1");
    assert_eq!(error(false, 3, 0), "time exceeded, says 10.255.30.1");
    assert_eq!(error(true, 12, 0), "ICMP error 12/0, says 10.255.30.1");
    assert_eq!(Failure::Timeout.to_string(), "no answer");
    let is_refusal = |is_v4, kind, code| IcmpError { is_v4, kind, code, from: None }.is_refusal();
    assert!(is_refusal(true, 3, 3) && is_refusal(false, 1, 4) && is_refusal(true, 3, 13));
    assert!(!is_refusal(true, 3, 1) && !is_refusal(false, 1, 3) && !is_refusal(true, 11, 0));
    let ssh = |address: &str| {
        Target { address: address.parse().unwrap(), tcp_port: Some(22) }.to_string()
    };
    assert_eq!(
        (ssh(ONE), ssh("2001:db8::1")),
        ("192.168.1.1:22".into(), "[2001:db8::1]:22".into())
    );
}
