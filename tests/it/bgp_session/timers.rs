//! Silence, neighbors that take nothing, and how long to wait before the next
//! attempt.

use super::bytes::*;
use super::packing::{attributes, v4};
use super::pair::{Alone, End, Pair};
use lockgate::bgp::proto::{MessageKind, Notification, Offer};
use lockgate::bgp::session::{Advertised, DownReason, Event, SessionConfig, SessionState};
use lockgate::bgp::{Announcement, Update};
use lockgate::model::limits::{BGP_IDLE_HOLD_SECONDS, BGP_OUT_QUEUE_BYTES};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn keepalives_keep_a_quiet_session_up() {
    let mut pair = Pair::established(offer(), their_offer());
    let before = pair.ends[0].session.sample().counters.sent[MessageKind::Keepalive as usize];
    pair.pass(HOUR);
    pair.check_up();
    let after = pair.ends[0].session.sample().counters.sent[MessageKind::Keepalive as usize];
    // Every 22.5 to 30 s.
    assert!((120..=160).contains(&(after - before)), "{}", after - before);
}

#[test]
fn silence_ends_a_session_at_the_hold_time() {
    let mut alone = Alone::established(offer(), &bird_open());
    alone.pass(seconds(89));
    alone.sent();
    assert_eq!(alone.end.session.state(), SessionState::Established);
    // A message puts it off; part of one does not.
    alone.receive(&keepalive());
    alone.pass(seconds(60));
    alone.sent();
    alone.receive(&keepalive()[..18]);
    alone.pass(seconds(29));
    assert_eq!(alone.end.session.state(), SessionState::Established);
    alone.pass(seconds(1));
    let expired = Notification::new(4, 0, Vec::new());
    assert_eq!(alone.end.down(), (&DownReason::Sent(expired), false));
}

#[test]
fn without_a_hold_time_silence_lasts_for_ever() {
    let ours = Offer { hold_time: 0, ..offer() };
    let mut alone = Alone::established(ours, &bird_open());
    alone.pass(HOUR * 100);
    assert_eq!(alone.end.session.state(), SessionState::Established);
    assert_eq!(alone.sent(), []);
}

#[test]
fn who_never_says_open_is_let_go() {
    let mut alone = Alone::connected(offer());
    alone.receive(&[0xff]);
    alone.pass(seconds(239));
    assert_eq!(alone.end.session.state(), SessionState::OpenSent);
    alone.pass(seconds(1));
    assert_eq!(numbers(&alone.notification()), (4, 0));
    assert!(alone.end.events.is_empty());
}

#[test]
fn least_hold_times_are_insisted_on() {
    let ours = Offer { least_hold_time: 30, ..offer() };
    let mut alone = Alone::connected(ours);
    let number = u16::try_from(THEIR_ASN).unwrap();
    alone.receive(&open(number, 20, [10, 0, 0, 2], &[(1, &[0, 1, 0, 1])]));
    assert_eq!(numbers(&alone.notification()), (2, 6));
}

/// So many networks, each with attributes of its own.
fn many(count: u32) -> Update {
    let announced = (0..count).map(|number| {
        let mut said = attributes(OUR_ADDRESS);
        said.med = Some(number);
        Announcement { attributes: Arc::new(said), nlri: vec![v4(number)] }
    });
    Update { withdrawn: Vec::new(), announced: announced.collect() }
}

#[test]
fn a_neighbor_that_takes_nothing_holds_back_what_is_said_and_then_ends_the_session() {
    let mut alone = Alone::established(offer(), &bird_open());
    let mut update = many(60_000);
    let taken = alone.end.session.advertise(&mut update, alone.now);
    assert_eq!(taken, Ok(Advertised::Partly));
    assert!(!update.announced.is_empty());
    let queued = alone.end.session.unsent(alone.id).len();
    assert!((BGP_OUT_QUEUE_BYTES..BGP_OUT_QUEUE_BYTES + 4_096).contains(&queued), "{queued}");
    // It still speaks, and nothing more is put behind what waits.
    for _ in 0..15 {
        alone.pass(seconds(30));
        alone.receive(&keepalive());
    }
    assert_eq!(alone.end.session.unsent(alone.id).len(), queued);
    // Taking a byte is taking something.
    alone.end.session.handle_written(alone.id, 1, alone.now);
    alone.pass(seconds(80));
    alone.receive(&keepalive());
    assert_eq!(alone.end.session.state(), SessionState::Established);
    for _ in 0..14 {
        alone.pass(seconds(30));
        alone.receive(&keepalive());
    }
    assert_eq!(alone.end.down(), (&DownReason::SendHoldExpired, false));
    assert_eq!(alone.end.closed, [(alone.id, Vec::new())]);
}

#[test]
fn what_is_held_back_goes_on_when_there_is_room() {
    let mut pair = Pair::established(offer(), their_offer());
    let mut update = many(15_000);
    let mut rounds = 0;
    let now = pair.now;
    while pair.ends[0].session.advertise(&mut update, now) == Ok(Advertised::Partly) {
        rounds += 1;
        pair.settle();
        let events = &mut pair.ends[0].events;
        assert_eq!(events.pop(), Some(Event::Writable));
    }
    pair.settle();
    assert!(2 < rounds, "{rounds}");
    let networks = pair.ends[1]
        .events
        .iter()
        .map(|event| if let Event::Update(update) = event { update.announced.len() } else { 0 });
    assert_eq!(networks.sum::<usize>(), 15_000);
}

#[test]
fn a_message_that_is_cut_short_is_finished_before_the_last_words() {
    let mut alone = Alone::established(offer(), &bird_open());
    let mut update = many(1);
    alone.end.session.advertise(&mut update, alone.now).unwrap();
    let mut wire = alone.end.session.unsent(alone.id)[..30].to_vec();
    alone.end.session.handle_written(alone.id, 30, alone.now);
    let mut second = many(100);
    alone.end.session.advertise(&mut second, alone.now).unwrap();
    alone.receive(&[0; 19]);
    wire.extend(&alone.end.closed[0].1);
    let kinds: Vec<_> = super::pair::split(&wire).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [MessageKind::Update, MessageKind::Notification]);
}

/// Moments at which it dials, when each dial meets the same end.
fn dials(end: &mut End, count: usize, mut meet: impl FnMut(&mut End, usize)) -> Vec<Duration> {
    let begin = lockgate::net::Instant::from_secs(1_000);
    let mut now = begin;
    let mut moments = Vec::new();
    end.session.start(now);
    end.drain();
    while moments.len() < count {
        if !end.dials.is_empty() {
            moments.push(now.since(begin));
            meet(end, usize::try_from(now.as_nanos() / 1_000_000_000).unwrap());
            end.drain();
        }
        let next = end.session.poll_timeout().expect("it tries again");
        assert!(now < next, "it does not spin");
        now = next;
        end.session.handle_timeout(now);
        end.drain();
    }
    moments
}

fn waits(moments: &[Duration]) -> Vec<f64> {
    moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

#[test]
fn who_refuses_is_dialed_steadily() {
    let begin = lockgate::net::Instant::from_secs(1_000);
    let mut end = End::new(offer(), OUR_ADDRESS, begin);
    let moments = dials(&mut end, 20, |end, second| {
        let dial = end.dials.pop_front().unwrap();
        let now = lockgate::net::Instant::from_secs(u64::try_from(second).unwrap() + 1);
        end.session.handle_closed(dial, "connection refused", now);
    });
    for wait in waits(&moments) {
        assert!((3.7..=7.3).contains(&wait), "{wait}");
    }
    let sample = end.session.sample();
    assert_eq!(sample.counters.dials_failed, 19 + 1);
    assert_eq!(sample.last_error.unwrap().0, "cannot connect: connection refused");
}

#[test]
fn who_does_not_answer_is_given_up_and_dialed_again() {
    let begin = lockgate::net::Instant::from_secs(1_000);
    let mut end = End::new(offer(), OUR_ADDRESS, begin);
    end.session.start(begin);
    end.drain();
    let dial = end.dials[0];
    let until = end.session.poll_timeout().unwrap();
    end.session.handle_timeout(until);
    end.drain();
    assert_eq!(end.closed, [(dial, Vec::new())]);
    let next = end.session.poll_timeout().unwrap();
    end.session.handle_timeout(next);
    end.drain();
    assert_eq!(end.dials.len(), 1);
    // What comes of the first one after all is not wanted.
    end.session.handle_connected(dial, OUR_ADDRESS, THEIR_ADDRESS, next);
    end.drain();
    assert_eq!(end.closed.len(), 2);
}

#[test]
fn errors_are_waited_out_longer_and_longer_but_not_for_ever() {
    let begin = lockgate::net::Instant::from_secs(1_000);
    let mut end = End::new(offer(), OUR_ADDRESS, begin);
    let moments = dials(&mut end, 14, |end, second| {
        let dial = end.dials.pop_front().unwrap();
        let now = lockgate::net::Instant::from_secs(u64::try_from(second).unwrap() + 1);
        end.session.handle_connected(dial, OUR_ADDRESS, THEIR_ADDRESS, now);
        end.session.handle_bytes(dial, &message(3, &[2, 2]), now);
        assert_eq!(end.session.state(), SessionState::Idle);
        // Nobody gets in meanwhile.
        end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, now);
        assert_eq!(end.session.state(), SessionState::Idle);
    });
    let waits = waits(&moments);
    assert!(waits[0] < 8.0 && 14.0 < waits[2] && 60.0 < waits[5], "{waits:?}");
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let most = BGP_IDLE_HOLD_SECONDS as f64;
    for wait in &waits[7..] {
        assert!((most * 0.7..=most * 1.3).contains(wait), "{waits:?}");
    }
}

/// Whoever shuts it down there, or resets it, makes no error: it was turned away without a
/// word for up to five minutes when it came back.
#[test]
fn a_neighbor_that_was_shut_on_purpose_was_not_let_in_again() {
    for subcode in [2, 3, 4, 6] {
        let mut end = End::new(offer(), OUR_ADDRESS, lockgate::net::Instant::from_secs(1_000));
        let ended = |end: &mut End, second: usize| {
            let dial = end.dials.pop_front().unwrap();
            let now = lockgate::net::Instant::from_secs(u64::try_from(second).unwrap() + 1);
            end.session.handle_connected(dial, OUR_ADDRESS, THEIR_ADDRESS, now);
            end.session.handle_bytes(dial, &message(3, &[6, subcode]), now);
            now
        };
        let moments = dials(&mut end, 7, |end, second| {
            ended(end, second);
        });
        let waits = waits(&moments);
        assert!(waits[0] < 8.0 && 60.0 < waits[5], "it is not dialed soon: {waits:?}");
        // The next dial is under way; it ends so, too, and then it is the neighbor who dials.
        let now = ended(&mut end, 2_000);
        assert_eq!(end.session.state(), SessionState::Active, "6/{subcode}");
        end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, now);
        assert_eq!(end.session.state(), SessionState::OpenSent, "6/{subcode}");
    }
    // What it cannot have, it asks for again no sooner than any error.
    for subcode in [1, 5, 8] {
        let mut alone = Alone::of(SessionConfig { passive: true, ..SessionConfig::new(offer()) });
        alone.receive(&message(3, &[6, subcode]));
        assert_eq!(alone.end.session.state(), SessionState::Idle, "6/{subcode}");
    }
}

#[test]
fn a_session_that_lasted_begins_anew() {
    let config = SessionConfig { passive: true, ..SessionConfig::new(offer()) };
    let mut alone = Alone::of(config);
    for _ in 0..8 {
        alone.receive(&message(3, &[2, 2]));
        let until = alone.end.session.poll_timeout().unwrap();
        alone.pass(until.since(alone.now));
        alone.id = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    }
    alone.receive(&bird_open());
    alone.receive(&keepalive());
    for _ in 0..20 {
        alone.pass(seconds(30));
        alone.receive(&keepalive());
        alone.sent();
    }
    alone.receive(&message(3, &[2, 2]));
    let wait = alone.end.session.poll_timeout().unwrap().since(alone.now);
    assert!(wait < seconds(8), "{wait:?}");
}
