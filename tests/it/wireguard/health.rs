//! What is said of a peer.

use super::net::{Net, endpoint, packet, public, secs};
use lockgate::net::Timestamp;
use lockgate::wireguard::{Health, PeerConfig, PeerReason, PeerSample, PeerState};
use std::time::Duration;

const START: u64 = 1_800_000_000;

fn when(seconds: u64) -> Timestamp {
    Timestamp::new(START + seconds, 0)
}

/// A sample: last handshake, received, sent, all in seconds; timeouts.
fn sample(
    handshake: Option<u64>,
    received: Option<u64>,
    sent: Option<u64>,
    timeouts: u64,
) -> PeerSample {
    PeerSample {
        endpoint: Some(endpoint(1)),
        last_handshake: handshake.map(when),
        last_received: received.map(when),
        last_sent: sent.map(when),
        received_bytes: received.unwrap_or(0) * 100,
        sent_packets: sent,
        handshakes: u64::from(handshake.is_some()),
        handshake_timeouts: timeouts,
        ..PeerSample::default()
    }
}

fn check(keepalive: bool, samples: &[PeerSample], now: u64, state: PeerState, reason: PeerReason) {
    let config = PeerConfig { keepalive: keepalive.then_some(secs(25)), ..PeerConfig::default() };
    let mut health = Health::new(&config);
    samples.iter().for_each(|sample| health.handle_sample(sample));
    assert_eq!(health.judge(when(now)), (state, reason), "{samples:?} at {now}");
}

#[test]
fn a_peer_is_judged_by_what_must_be_heard_of_it() {
    use PeerReason::*;
    use PeerState::*;
    let unknown = PeerSample::default();
    let quiet = sample(Some(10), Some(10), None, 0);
    let cases: &[(bool, &[PeerSample], u64, PeerState, PeerReason)] = &[
        (false, &[], 5, NeverConnected, WaitingForCustomer),
        (false, &[unknown], 5, NeverConnected, WaitingForCustomer),
        (false, &[sample(None, None, None, 0)], 5, NeverConnected, Starting),
        (true, &[sample(None, None, None, 1)], 8, NeverConnected, HandshakeUnanswered),
        // Its initiations are heard: a preshared key that differs, or a firewall on
        // the way back. Not that nobody began, nor that nobody answers.
        (false, &[sample(None, Some(3), None, 0)], 8, NeverConnected, HandshakeUnconfirmed),
        (true, &[sample(None, Some(3), None, 1)], 8, NeverConnected, HandshakeUnconfirmed),
        (false, &[quiet], 10, Up, SessionAlive),
        (false, &[quiet], 189, Up, SessionAlive),
        (false, &[quiet], 190, Stale, SessionExpired),
        // A keepalive is sent: so there should be a session.
        (true, &[quiet], 190, Down, HandshakeTimeout),
        // Handshakes that failed before the last one count no more.
        (false, &[sample(Some(10), Some(10), None, 7)], 190, Stale, SessionExpired),
        (false, &[quiet, sample(Some(10), Some(10), None, 1)], 190, Down, HandshakeTimeout),
        // A session that still holds while handshakes fail is not down yet.
        (false, &[quiet, sample(Some(10), Some(10), None, 1)], 189, Up, SessionAlive),
        (false, &[sample(Some(10), Some(10), Some(20), 0)], 34, Up, SessionAlive),
        (false, &[sample(Some(10), Some(10), Some(20), 0)], 35, Blackholed, NoReply),
        // It goes by the first packet that was not answered, not the last.
        (
            false,
            &[sample(Some(10), Some(10), Some(20), 0), sample(Some(10), Some(10), Some(34), 0)],
            35,
            Blackholed,
            NoReply,
        ),
        // Long silence and then one packet is no black hole yet.
        (false, &[quiet, sample(Some(10), Some(10), Some(150), 0)], 160, Up, SessionAlive),
        (
            false,
            &[sample(Some(10), Some(10), Some(20), 0), sample(Some(10), Some(30), Some(20), 0)],
            60,
            Up,
            SessionAlive,
        ),
        // Answered, and sent to again.
        (
            false,
            &[sample(Some(10), Some(10), Some(20), 0), sample(Some(10), Some(30), Some(40), 0)],
            54,
            Up,
            SessionAlive,
        ),
        (false, &[sample(Some(10), Some(10), Some(20), 0)], 190, Stale, SessionExpired),
    ];
    for (keepalive, samples, now, state, reason) in cases {
        check(*keepalive, samples, *now, *state, *reason);
    }
}

#[test]
fn a_judgement_changes_by_itself_exactly_when_it_says() {
    let mut health = Health::new(&PeerConfig::default());
    assert_eq!(health.poll_timeout(when(0)), None);
    health.handle_sample(&sample(Some(10), Some(10), Some(20), 0));
    let mut changes = Vec::new();
    let mut now = when(20);
    while let Some(next) = health.poll_timeout(now) {
        let before = next.before(Duration::from_nanos(1));
        assert_eq!(health.judge(before), health.judge(now), "not before");
        assert_ne!(health.judge(next), health.judge(now));
        changes.push(next);
        now = next;
    }
    assert_eq!(changes, [when(35), when(190)]);
}

#[test]
fn another_devices_samples_are_not_measured_by_the_ones_before() {
    let mut health = Health::new(&PeerConfig::default());
    health.handle_sample(&sample(Some(10), Some(10), Some(500), 9));
    health.handle_sample(&sample(None, None, None, 1));
    assert_eq!(
        health.judge(when(600)),
        (PeerState::NeverConnected, PeerReason::HandshakeUnanswered)
    );
}

#[test]
fn a_peer_that_vanishes_is_a_black_hole_and_then_down() {
    let mut net = Net::connected();
    let mut health = Health::new(&PeerConfig::default());
    let mut seen = Vec::new();
    for _ in 0..400 {
        net.send(0, &packet("10.0.0.1", "10.1.0.1", 60, 0));
        net.pass_losing(secs(1), |_| true);
        health.handle_sample(&net.sample(0, 2));
        let (state, _) = health.judge(net.now.wall);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    assert_eq!(seen, [PeerState::Up, PeerState::Blackholed, PeerState::Down]);
    // It is back.
    net.pass(secs(6));
    net.send(0, &packet("10.0.0.1", "10.1.0.1", 60, 0));
    net.settle();
    health.handle_sample(&net.sample(0, 2));
    assert_eq!(health.judge(net.now.wall).0, PeerState::Up);
    let _ = public(1);
}

#[test]
fn reasons_have_names_of_their_own() {
    for (at, reason) in PeerReason::ALL.iter().enumerate() {
        let others = &PeerReason::ALL[at + 1..];
        assert!(others.iter().all(|other| other.name() != reason.name()));
        assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    }
}
