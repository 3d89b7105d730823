//! Sessions that are stopped, restarted and found dead: what is said, and what may
//! be kept (RFC 4724, RFC 8538).

use super::bytes::*;
use super::pair::{Alone, Pair, last_words};
use lockgate::bgp::Family;
use lockgate::bgp::proto::{MessageKind, Notification, Offer, RestartOffer};
use lockgate::bgp::session::{DownReason, SessionState, StopReason};
use std::time::Duration;

fn shutdown(text: &str) -> StopReason {
    StopReason::Shutdown { text: text.to_owned() }
}

/// Both offer to keep routes, over NOTIFICATIONs as well or not.
fn pair(notification: bool) -> Pair {
    let restart = RestartOffer { restart_time: 120, notification, ..RestartOffer::default() };
    Pair::established(
        Offer { restart: Some(restart.clone()), ..offer() },
        Offer { restart: Some(restart), ..their_offer() },
    )
}

#[test]
fn routes_are_kept_over_a_connection_that_is_lost() {
    for notification in [false, true] {
        let mut pair = pair(notification);
        pair.cut(0);
        for end in &pair.ends {
            assert_eq!(end.down(), (&DownReason::Lost, true));
        }
        // They come back by themselves, and soon.
        pair.pass(Duration::from_secs(8));
        pair.connect(0);
        pair.settle();
        pair.check_up();
        assert_eq!(pair.ends[0].session.sample().counters.established, 2);
        assert_eq!(pair.ends[0].session.sample().counters.flaps, 1);
    }
    let mut pair = Pair::established(offer(), Offer { restart: None, ..their_offer() });
    pair.cut(0);
    for end in &pair.ends {
        assert_eq!(end.down(), (&DownReason::Lost, false));
    }
}

#[test]
fn a_shutdown_says_why_and_that_routes_go() {
    let mut pair = pair(true);
    let now = pair.now;
    pair.ends[0].session.stop(&shutdown("moving house"), now);
    pair.settle();
    let expected = Notification::cease_with_text(2, "moving house").into_hard_reset();
    assert_eq!(expected.text().as_deref(), Some("moving house"));
    assert_eq!(pair.ends[0].down(), (&DownReason::Sent(expected.clone()), false));
    assert_eq!(pair.ends[1].down(), (&DownReason::Received(expected), false));
    assert_eq!(pair.ends[0].session.state(), SessionState::Stopped);
    let (error, _) = pair.ends[1].session.sample().last_error.unwrap();
    assert!(error.contains("Administrative Shutdown") && error.contains("moving house"), "{error}");
    // Nobody gets in, and nothing is dialed, until it is started.
    pair.pass(Duration::from_secs(400));
    assert!(pair.ends[0].dials.is_empty());
    pair.connect(1);
    assert_eq!(pair.ends[0].session.state(), SessionState::Stopped);
    pair.settle();
    let now = pair.now;
    pair.ends[0].session.start(now);
    pair.ends[0].drain();
    assert_eq!(pair.ends[0].session.state(), SessionState::Connect);
}

#[test]
fn without_the_n_bit_a_shutdown_is_no_hard_reset() {
    let mut pair = pair(false);
    let now = pair.now;
    pair.ends[0].session.stop(&shutdown(""), now);
    pair.settle();
    let expected = Notification::cease(2);
    assert_eq!(pair.ends[1].down(), (&DownReason::Received(expected), false));
}

#[test]
fn a_reset_keeps_routes_where_that_was_agreed_on_and_comes_back() {
    for notification in [false, true] {
        let mut pair = pair(notification);
        let now = pair.now;
        pair.ends[0].session.stop(&StopReason::Reset { text: "new policy".to_owned() }, now);
        pair.settle();
        let (reason, keeps_routes) = pair.ends[1].down();
        let DownReason::Received(received) = reason else { panic!("{reason}") };
        assert_eq!((numbers(received), keeps_routes), ((6, 4), notification));
        assert_eq!(pair.ends[0].down().1, notification);
        pair.pass(Duration::from_secs(8));
        assert_eq!(pair.ends[0].dials.len(), 1);
    }
}

#[test]
fn each_reason_has_its_number() {
    let maximum = StopReason::MaximumPrefixes {
        family: Family::Ipv6Unicast,
        maximum: 1_000,
        restart_after: None,
    };
    let cases = [
        (StopReason::Deconfigured, Notification::cease(3)),
        (StopReason::ConfigurationChange, Notification::cease(6)),
        (StopReason::OutOfResources, Notification::cease(8)),
        (maximum, Notification::new(6, 1, vec![0, 2, 1, 0, 0, 3, 0xe8])),
    ];
    for (reason, expected) in cases {
        let mut alone = Alone::established(offer(), &bird_open());
        alone.end.session.stop(&reason, alone.now);
        alone.end.drain();
        assert_eq!(alone.notification(), expected);
    }
    // A connection that is not up yet is told as well.
    let mut alone = Alone::connected(offer());
    alone.end.session.stop(&StopReason::Deconfigured, alone.now);
    alone.end.drain();
    assert_eq!(alone.notification(), Notification::cease(3));
    assert!(alone.end.events.is_empty());
}

#[test]
fn a_session_over_its_maximum_that_fell_at_once_kept_the_reason_of_its_fall() {
    let mut alone = Alone::established(offer(), &bird_open());
    // Its last UPDATE and its NOTIFICATION were read together: it has fallen before what
    // it said is judged.
    alone.receive(&message(3, &[6, 4]));
    let reason = StopReason::MaximumPrefixes {
        family: Family::Ipv4Unicast,
        maximum: 3,
        restart_after: Some(Duration::from_secs(300)),
    };
    alone.end.session.stop(&reason, alone.now);
    let sample = alone.end.session.sample();
    assert_eq!(sample.state, SessionState::Stopped);
    let (said, _) = sample.last_error.unwrap();
    assert_eq!(said, "said more than 3 networks, and is left down for 300 s");
}

#[test]
fn a_session_that_is_stopped_while_it_dials_comes_back_or_not() {
    let cases = [
        (StopReason::ConfigurationChange, true),
        (StopReason::OutOfResources, true),
        (shutdown(""), false),
        (StopReason::Release, false),
    ];
    for (reason, comes_back) in cases {
        let mut pair = Pair::new(offer(), their_offer());
        pair.start();
        let now = pair.now;
        pair.ends[0].session.stop(&reason, now);
        pair.ends[0].drain();
        assert!(pair.ends[0].dials.is_empty());
        pair.pass(Duration::from_secs(15));
        assert_eq!(pair.ends[0].dials.len(), usize::from(comes_back), "{reason:?}");
    }
}

#[test]
fn who_connects_to_a_stopped_session_is_told_so_unless_it_may_keep_our_routes() {
    for (reason, words) in [(shutdown(""), Some((6, 5))), (StopReason::Release, None)] {
        let mut alone = Alone::established(offer(), &bird_open());
        alone.end.session.stop(&reason, alone.now);
        alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
        alone.end.drain();
        let (_, last) = &alone.end.closed[1];
        let said = (!last.is_empty()).then(|| numbers(&last_words(last)));
        assert_eq!(said, words);
    }
}

#[test]
fn who_starts_it_does_not_wait_out_an_error() {
    let mut alone = Alone::connected(offer());
    alone.receive(&message(3, &[2, 2]));
    assert_eq!(alone.end.session.state(), SessionState::Idle);
    alone.end.session.start(alone.now);
    assert_eq!(alone.end.session.state(), SessionState::Active);
    assert_eq!(alone.end.session.poll_timeout(), None);
}

#[test]
fn too_many_prefixes_come_back_when_they_may() {
    for (restart_after, comes_back) in [(Some(Duration::from_secs(600)), true), (None, false)] {
        let mut pair = pair(true);
        let reason =
            StopReason::MaximumPrefixes { family: Family::Ipv4Unicast, maximum: 1, restart_after };
        let now = pair.now;
        pair.ends[0].session.stop(&reason, now);
        pair.settle();
        let DownReason::Received(received) = pair.ends[1].down().0 else { panic!() };
        assert_eq!((numbers(received), numbers(&received.inner())), ((6, 9), (6, 1)));
        pair.pass(Duration::from_secs(599));
        assert_eq!(pair.ends[0].session.state(), SessionState::Stopped);
        assert!(pair.ends[0].dials.is_empty());
        pair.pass(Duration::from_secs(1));
        assert_eq!(pair.ends[0].dials.len(), usize::from(comes_back));
    }
}

#[test]
fn our_own_restart_is_said_with_silence_and_then_with_the_r_bit() {
    let mut pair = pair(true);
    let now = pair.now;
    pair.ends[0].session.stop(&StopReason::Release, now);
    pair.settle();
    assert!(pair.ends[0].closed[0].1.is_empty());
    assert_eq!(pair.ends[0].down(), (&DownReason::Released, false));
    assert_eq!(pair.ends[1].down(), (&DownReason::Lost, true));
    pair.ends[0].session.set_restart(true, &[Family::Ipv4Unicast]);
    pair.ends[0].session.start(now);
    pair.ends[0].drain();
    pair.connect(0);
    pair.settle();
    pair.check_up();
    let restart = pair.ends[1].negotiated().restart.clone().unwrap();
    assert!(restart.restarting);
    let families = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, false)];
    assert_eq!(restart.families, families);
    // That was the restart; what comes later is none.
    pair.cut(1);
    pair.pass(Duration::from_secs(8));
    pair.connect(0);
    pair.settle();
    let restart = pair.ends[1].negotiated().restart.clone().unwrap();
    assert!(!restart.restarting);
    assert_eq!(restart.families, families);
}

#[test]
fn what_bfd_finds_dead_keeps_its_routes_only_if_bfd_may_have_died_with_it() {
    for (independent, keeps_routes) in [(true, false), (false, true)] {
        let mut pair = pair(true);
        let now = pair.now;
        pair.ends[0].session.bfd_down(independent, now);
        pair.settle();
        let reason = DownReason::Bfd { control_plane_independent: independent };
        assert_eq!(pair.ends[0].down(), (&reason, keeps_routes));
        let DownReason::Received(received) = pair.ends[1].down().0 else { panic!() };
        assert_eq!(numbers(&received.inner()), (6, 10));
        assert_eq!(received.is_hard_reset(), independent);
        assert_eq!(pair.ends[1].down().1, keeps_routes);
        pair.pass(Duration::from_secs(8));
        assert_eq!(pair.ends[0].dials.len(), 1);
    }
}

#[test]
fn hold_expiry_keeps_routes_where_that_was_agreed_on() {
    for notification in [false, true] {
        let mut pair = pair(notification);
        pair.pipes[0].piece = 0;
        pair.pass(Duration::from_secs(91));
        for end in &pair.ends {
            let (reason, keeps_routes) = end.down();
            assert_eq!(reason, &DownReason::Sent(Notification::new(4, 0, Vec::new())));
            assert_eq!(keeps_routes, notification);
        }
    }
}

#[test]
fn a_sample_says_how_it_is() {
    let mut pair = pair(true);
    let sample = pair.ends[0].session.sample();
    assert_eq!((sample.state, sample.since), (SessionState::Established, pair.now));
    assert_eq!(sample.counters.received[MessageKind::Open as usize], 1);
    assert_eq!(sample.counters.sent[MessageKind::Open as usize], 1);
    assert!(sample.negotiated.is_some());
    pair.pass(Duration::from_secs(100));
    let later = pair.ends[0].session.sample();
    assert_eq!(later.since, sample.since);
    let now = pair.now;
    pair.ends[0].session.stop(&shutdown(""), now);
    let stopped = pair.ends[0].session.sample();
    assert_eq!((stopped.state, stopped.since), (SessionState::Stopped, now));
    assert_eq!(stopped.counters.notifications_sent[&(6, 2)], 1);
    assert!(stopped.negotiated.is_none());
}
