//! Routes past their session.

use crate::bgp_scene::{announce, attributes, explained, name, nlri, rib, router_id, say, shown};
use lockgate::bgp::{Attributes, Community, Family, Retain, Rib};
use lockgate::net::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const V4: Family = Family::Ipv4Unicast;

fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

fn restart(seconds: u64) -> Retain {
    Retain {
        families: [V4].into(),
        restart_time: Duration::from_secs(seconds),
        long_lived: BTreeMap::new(),
    }
}

fn long(seconds: u64, then: u64) -> Retain {
    Retain { long_lived: [(V4, Duration::from_secs(then))].into(), ..restart(seconds) }
}

fn up(rib: &mut Rib, preserved: &[Family]) {
    let preserved: BTreeSet<Family> = preserved.iter().copied().collect();
    rib.neighbor_up(&name("peer"), router_id("peer"), &preserved);
}

/// Two routes of a neighbor whose session ended.
fn after(retain: &Retain) -> Rib {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    say(&mut rib, "peer", "192.168.72.128/26", "10.1.0.8", &[]);
    rib.neighbor_down(&name("peer"), retain, at(100));
    rib
}

fn count(rib: &mut Rib) -> usize {
    rib.routes().len()
}

#[test]
fn without_graceful_restart_all_goes_with_the_session() {
    let mut rib = after(&Retain::default());
    assert_eq!(rib.size(), (0, 0));
    assert_eq!(rib.poll_timeout(), None);
    assert_eq!(count(&mut rib), 0);
}

#[test]
fn stale_routes_serve_until_their_time_is_up() {
    let mut rib = after(&restart(120));
    assert_eq!(count(&mut rib), 2);
    assert_eq!(
        explained(&mut rib, "192.168.72.64/26"),
        ["192.168.72.64/26 of peer via 10.1.0.8: best, stale"]
    );
    assert_eq!(rib.poll_timeout(), Some(at(220)));
    rib.handle_timeout(at(219));
    assert_eq!(count(&mut rib), 2);
    rib.handle_timeout(at(220));
    assert_eq!(count(&mut rib), 0);
    assert_eq!(rib.poll_timeout(), None);
}

#[test]
fn end_of_rib_ends_what_was_not_said_again() {
    let mut rib = after(&restart(120));
    up(&mut rib, &[V4]);
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.9", &[]);
    assert_eq!(count(&mut rib), 2);
    // Of another family it says nothing.
    rib.end_of_rib(&name("peer"), Family::Ipv6Unicast);
    assert_eq!(count(&mut rib), 2);
    rib.end_of_rib(&name("peer"), V4);
    assert_eq!(shown(&mut rib), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.9\n");
    assert_eq!(rib.poll_timeout(), None);
    assert_eq!(rib.counts(&name("peer")).unwrap().stale, 0);
}

#[test]
fn a_second_end_of_rib_ends_nothing_more() {
    let mut rib = after(&restart(120));
    up(&mut rib, &[V4]);
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.9", &[]);
    rib.end_of_rib(&name("peer"), V4);
    say(&mut rib, "peer", "192.168.72.128/26", "10.1.0.9", &[]);
    let all = shown(&mut rib);
    rib.end_of_rib(&name("peer"), V4);
    assert_eq!(shown(&mut rib), all);
    assert_eq!(count(&mut rib), 2);
}

#[test]
fn the_longest_restart_time_ends_too() {
    // What twelve bits hold (RFC 4724 §3).
    let mut rib = after(&restart(4_095));
    rib.handle_timeout(at(100 + 4_094));
    assert_eq!(count(&mut rib), 2);
    assert_eq!(rib.poll_timeout(), Some(at(100 + 4_095)));
    rib.handle_timeout(at(100 + 4_095));
    assert_eq!((count(&mut rib), rib.size()), (0, (0, 0)));
}

#[test]
fn a_neighbor_that_never_ends_its_table_has_no_more_than_its_time() {
    let mut rib = after(&long(120, 3_600));
    up(&mut rib, &[V4]);
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.9", &[]);
    rib.handle_timeout(at(220));
    assert_eq!(count(&mut rib), 1);
    assert_eq!(rib.poll_timeout(), None);
}

#[test]
fn who_did_not_forward_meanwhile_begins_anew() {
    let mut rib = after(&restart(120));
    up(&mut rib, &[]);
    assert_eq!(count(&mut rib), 0);
    assert_eq!(rib.poll_timeout(), None);
}

#[test]
fn a_second_restart_deletes_what_is_stale_of_the_first() {
    let mut rib = after(&restart(120));
    up(&mut rib, &[V4]);
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.9", &[]);
    rib.neighbor_down(&name("peer"), &restart(120), at(150));
    assert_eq!(shown(&mut rib), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.9\n");
    assert_eq!(rib.poll_timeout(), Some(at(270)));
}

#[test]
fn long_lived_routes_come_last_and_go_in_their_time() {
    let mut rib = after(&long(120, 3_600));
    rib.handle_timeout(at(220));
    assert_eq!(rib.poll_timeout(), Some(at(3_820)));
    assert_eq!(
        explained(&mut rib, "192.168.72.64/26"),
        ["192.168.72.64/26 of peer via 10.1.0.8: best, long-lived stale"]
    );
    // Worse in everything but that it is fresh.
    say(&mut rib, "tor", "192.168.72.64/26", "10.1.0.1", &[65_001, 65_002, 65_003]);
    assert_eq!(
        explained(&mut rib, "192.168.72.64/26"),
        [
            "192.168.72.64/26 of peer via 10.1.0.8: lost: another path is not stale, long-lived stale",
            "192.168.72.64/26 of tor via 10.1.0.1 path 65001 65002 65003: best",
        ]
    );
    rib.handle_timeout(at(3_820));
    assert_eq!(count(&mut rib), 1);
}

#[test]
fn what_is_not_to_be_kept_for_long_is_not() {
    let mut rib = rib();
    let barred =
        Attributes { communities: vec![Community::NO_LLGR], ..attributes("10.1.0.8", &[]) };
    rib.update(&name("peer"), &announce(barred, vec![nlri("192.168.72.64/26")]));
    say(&mut rib, "peer", "192.168.72.128/26", "10.1.0.8", &[]);
    rib.neighbor_down(&name("peer"), &long(120, 3_600), at(100));
    assert_eq!(count(&mut rib), 2);
    rib.handle_timeout(at(220));
    assert_eq!(shown(&mut rib), "192.168.72.128/26 metric 32 dev ens1 via 10.1.0.8\n");
}

#[test]
fn coming_and_going_does_not_lengthen_the_long_time() {
    let mut rib = after(&long(120, 3_600));
    rib.handle_timeout(at(220));
    up(&mut rib, &[V4]);
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.9", &[]);
    rib.neighbor_down(&name("peer"), &long(120, 3_600), at(1_000));
    // Both are there still, also the one that was not said again.
    assert_eq!(count(&mut rib), 2);
    assert_eq!(rib.counts(&name("peer")).unwrap().stale, 2);
    assert_eq!(rib.poll_timeout(), Some(at(3_820)));
    rib.handle_timeout(at(3_820));
    assert_eq!(count(&mut rib), 0);
}

#[test]
fn a_route_that_says_it_is_stale_comes_last() {
    let mut rib = rib();
    let stale =
        Attributes { communities: vec![Community::LLGR_STALE], ..attributes("10.1.0.8", &[]) };
    rib.update(&name("peer"), &announce(stale, vec![nlri("192.168.72.64/26")]));
    say(&mut rib, "tor", "192.168.72.64/26", "10.1.0.1", &[65_001, 65_002]);
    assert_eq!(shown(&mut rib), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.1\n");
}

#[test]
fn a_refresh_ends_what_was_not_said_again_and_nothing_stale() {
    let mut rib = after(&restart(120));
    up(&mut rib, &[V4]);
    say(&mut rib, "peer", "192.168.73.0/26", "10.1.0.8", &[]);
    say(&mut rib, "peer", "192.168.74.0/26", "10.1.0.8", &[]);
    rib.begin_refresh(&name("peer"), V4);
    say(&mut rib, "peer", "192.168.74.0/26", "10.1.0.8", &[]);
    rib.end_refresh(&name("peer"), Family::Ipv6Unicast);
    assert_eq!(count(&mut rib), 4);
    rib.end_refresh(&name("peer"), V4);
    // Gone is the one; the two stale ones wait for EndOfRib.
    assert_eq!(count(&mut rib), 3);
    assert_eq!(explained(&mut rib, "192.168.73.0/26").len(), 0);
    rib.end_of_rib(&name("peer"), V4);
    assert_eq!(shown(&mut rib), "192.168.74.0/26 metric 32 dev ens1 via 10.1.0.8\n");
}

#[test]
fn a_refresh_that_the_session_did_not_outlive_is_forgotten() {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.73.0/26", "10.1.0.8", &[]);
    rib.begin_refresh(&name("peer"), V4);
    rib.neighbor_down(&name("peer"), &restart(120), at(100));
    up(&mut rib, &[V4]);
    rib.end_refresh(&name("peer"), V4);
    assert_eq!(count(&mut rib), 1);
}
