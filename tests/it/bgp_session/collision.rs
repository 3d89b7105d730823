//! Two connections that meet: one of them is kept (RFC 4271 §6.8).

use super::bytes::*;
use super::pair::{Alone, Pair, last_words};
use lockgate::bgp::proto::Offer;
use lockgate::bgp::session::{DownReason, Event, SessionState};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Both dial at once; gives which end's dial survives.
fn survivor(ours: Offer, theirs: Offer, piece: usize) -> usize {
    let mut pair = Pair::new(ours, theirs);
    pair.start();
    pair.connect(0);
    pair.connect(1);
    for pipe in &mut pair.pipes {
        pipe.piece = piece;
    }
    pair.settle();
    pair.check_up();
    for end in &pair.ends {
        assert_eq!(end.closed.len(), 1, "{:?}", end.closed);
        assert_eq!(end.events.len(), 1, "{:?}", end.events);
        assert!(end.dials.is_empty());
        assert_eq!(end.session.sample().counters.flaps, 0);
    }
    let (closed, _) = pair.ends[0].closed[0];
    let loser = pair.pipes.iter().position(|pipe| pipe.ids[0] == closed).unwrap();
    1 - loser
}

#[test]
fn the_dial_of_the_higher_identifier_survives_on_both_ends() {
    let higher = |offer: Offer| Offer { router_id: Ipv4Addr::new(10, 9, 9, 9), ..offer };
    for piece in [1, 7, 29, 64, usize::MAX] {
        assert_eq!(survivor(offer(), their_offer(), piece), 1);
        assert_eq!(survivor(higher(offer()), their_offer(), piece), 0);
    }
}

#[test]
fn of_equal_identifiers_the_higher_system_decides() {
    let theirs = Offer { router_id: offer().router_id, ..their_offer() };
    assert_eq!(survivor(offer(), theirs, usize::MAX), 1);
}

#[test]
fn the_loser_is_told_why_and_not_that_its_open_was_good() {
    let config = lockgate::bgp::session::SessionConfig::new(offer());
    let mut alone = Alone::of(config);
    let dial = alone.end.dials.pop_front().unwrap();
    alone.end.session.handle_connected(dial, OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    alone.sent();
    // Its identifier is higher: its dial is kept, ours loses, whichever OPEN comes
    // first.
    alone.end.session.handle_bytes(dial, &bird_open(), alone.now);
    alone.end.drain();
    let [(closed, last)] = &alone.end.closed[..] else { panic!("{:?}", alone.end.closed) };
    assert_eq!((*closed, numbers(&last_words(last))), (dial, (6, 7)));
    assert_eq!(last.len(), 21, "no KEEPALIVE in front");
    assert_eq!(alone.end.session.state(), SessionState::OpenSent);
}

#[test]
fn one_that_is_up_is_not_disturbed() {
    let mut alone = Alone::established(Offer { restart: None, ..offer() }, &bird_open());
    let second = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    alone.end.drain();
    let [(closed, last)] = &alone.end.closed[..] else { panic!("{:?}", alone.end.closed) };
    assert_eq!((*closed, numbers(&last_words(last))), (second, (6, 7)));
    assert_eq!(alone.end.session.state(), SessionState::Established);
    assert_eq!(alone.end.session.sample().counters.refused, 1);
}

#[test]
fn a_neighbor_that_restarts_replaces_what_it_left_behind() {
    let mut alone = Alone::established(offer(), &bird_open());
    alone.pass(Duration::from_secs(6));
    let old = alone.id;
    alone.id = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    alone.end.drain();
    alone.receive(&bird_open());
    assert!(alone.end.closed.is_empty(), "it may be no more than a dial that came late");
    alone.receive(&keepalive());
    assert_eq!(alone.end.closed, [(old, Vec::new())]);
    assert_eq!(alone.end.down(), (&DownReason::Replaced, true));
    assert_eq!(alone.end.session.state(), SessionState::Established);
    assert!(matches!(alone.end.events.last(), Some(Event::Established(_))));
}

#[test]
fn a_late_dial_of_a_neighbor_that_is_up_replaces_nothing() {
    let mut alone = Alone::established(offer(), &bird_open());
    alone.pass(Duration::from_secs(6));
    let late = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    let bytes = [bird_open(), message(3, &[6, 7])].concat();
    alone.end.session.handle_bytes(late, &bytes, alone.now);
    alone.end.drain();
    assert_eq!(alone.end.closed, [(late, Vec::new())]);
    assert_eq!(alone.end.session.state(), SessionState::Established);
    assert_eq!(alone.end.session.sample().counters.flaps, 0);
    assert!(alone.end.session.negotiated().is_some());
}

/// One in twenty sessions of two ends that both dial went down as soon as it was up: the
/// neighbor, which was not up yet, was offered its own dial as well, chose it, and ended
/// the one that we were up on.
#[test]
fn a_dial_that_came_just_after_the_session_was_up_took_it_down_again() {
    let mut alone = Alone::established(offer(), &bird_open());
    alone.sent();
    alone.pass(Duration::from_secs(4));
    let late = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    alone.end.drain();
    let [(closed, last)] = &alone.end.closed[..] else { panic!("{:?}", alone.end.closed) };
    assert_eq!((*closed, numbers(&last_words(last))), (late, (6, 7)));
    assert!(alone.end.session.unsent(late).is_empty(), "no OPEN, which it could take up");
    assert_eq!(alone.end.session.state(), SessionState::Established);
    assert_eq!(alone.end.session.sample().counters.flaps, 0);
}

/// Our dial, of the lower identifier, is as far as our KEEPALIVE when the neighbor's comes
/// in: with our OPEN on that, too, the neighbor chose it and ended ours, on which we were up
/// by then. A stock BIRD did so once in fifty times that both dialed at one moment.
#[test]
fn a_dial_that_came_just_before_the_session_was_up_took_it_down_again() {
    let nearly_up = || {
        let mut alone = Alone::of(lockgate::bgp::session::SessionConfig::new(offer()));
        // Only what we dial.
        alone.end.session.handle_closed(alone.id, "lost", alone.now);
        let dial = alone.end.dials.pop_front().unwrap();
        alone.end.session.handle_connected(dial, OUR_ADDRESS, THEIR_ADDRESS, alone.now);
        alone.end.session.handle_bytes(dial, &bird_open(), alone.now);
        assert_eq!(alone.end.session.state(), SessionState::OpenConfirm);
        let second = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
        alone.end.session.handle_bytes(second, &bird_open(), alone.now);
        alone.end.drain();
        assert!(alone.end.session.unsent(second).is_empty(), "no OPEN to choose between");
        assert!(alone.end.closed.is_empty(), "{:?}", alone.end.closed);
        (alone, dial, second)
    };
    let (mut alone, dial, second) = nearly_up();
    alone.end.session.handle_bytes(dial, &keepalive(), alone.now);
    alone.end.drain();
    let [(closed, last)] = &alone.end.closed[..] else { panic!("{:?}", alone.end.closed) };
    assert_eq!((*closed, numbers(&last_words(last))), (second, (6, 7)));
    assert_eq!(alone.end.session.state(), SessionState::Established);

    // The neighbor had chosen before: then the one that waited is all there is, and what
    // it said meanwhile is not lost.
    for end in [message(3, &[6, 7]), Vec::new()] {
        let (mut alone, dial, second) = nearly_up();
        if end.is_empty() {
            alone.end.session.handle_closed(dial, "reset", alone.now);
        } else {
            alone.end.session.handle_bytes(dial, &end, alone.now);
        }
        alone.end.drain();
        assert_eq!(alone.end.session.state(), SessionState::OpenConfirm);
        assert!(!alone.end.session.unsent(second).is_empty(), "our OPEN and KEEPALIVE");
        alone.end.session.handle_bytes(second, &keepalive(), alone.now);
        alone.end.drain();
        assert_eq!(alone.end.session.state(), SessionState::Established);
        assert_eq!(alone.end.session.sample().counters.flaps, 0);
    }

    // Who says more than an OPEN to that is no neighbor that waits for ours.
    let (mut alone, dial, second) = nearly_up();
    alone.end.session.handle_bytes(second, &[0; 5_000], alone.now);
    alone.end.drain();
    assert_eq!(alone.end.closed[0].0, second);
    alone.end.session.handle_bytes(dial, &keepalive(), alone.now);
    assert_eq!(alone.end.session.state(), SessionState::Established);
}

#[test]
fn a_newer_connection_replaces_one_that_never_spoke() {
    let mut alone = Alone::connected(offer());
    let old = alone.id;
    alone.id = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
    alone.end.drain();
    assert_eq!(alone.end.closed.len(), 1);
    assert_eq!(alone.end.closed[0].0, old);
    alone.receive(&bird_open());
    alone.receive(&keepalive());
    assert_eq!(alone.end.session.state(), SessionState::Established);
}

#[test]
fn a_dial_under_way_is_given_up_once_the_neighbors_is_up() {
    let mut pair = Pair::new(offer(), their_offer());
    pair.start();
    pair.connect(0);
    assert_eq!(pair.ends[1].dials.len(), 1);
    pair.settle();
    pair.check_up();
    assert!(pair.ends[1].dials.is_empty());
    pair.pass(Duration::from_secs(600));
    pair.check_up();
    assert!(pair.ends.iter().all(|end| end.dials.is_empty() && end.closed.len() <= 1));
}

#[test]
fn a_dial_that_is_not_through_when_the_neighbors_open_comes_is_given_up() {
    // It used to arrive once the neighbor was up, and took its session away.
    let mut pair = Pair::new(offer(), their_offer());
    pair.start();
    pair.connect(0);
    assert!(pair.move_piece(0, 0, usize::MAX));
    pair.ends[1].drain();
    assert_eq!(pair.ends[1].session.state(), SessionState::OpenConfirm);
    assert!(pair.ends[1].dials.is_empty());
    pair.settle();
    pair.check_up();
}

#[test]
fn who_is_passive_never_dials() {
    let mut alone = Alone::connected(offer());
    alone.receive(&message(3, &[6, 2]));
    alone.pass(Duration::from_secs(3_600));
    assert!(alone.end.dials.is_empty());
    assert_eq!(alone.end.session.state(), SessionState::Active);
}
