//! BFD packets as they are on the wire.

use lockgate::bfd::{
    Arrival, Diagnostic, Hops, Malformed, PACKET_LENGTH, Packet, Sessions, Settings, State, Timing,
};
use lockgate::net::Instant;
use proptest::prelude::*;
use std::time::Duration;

/// A packet of BIRD's, up and polling, written by hand after RFC 5880 §4.1.
const POLL: [u8; PACKET_LENGTH] = [
    0x20, 0xe0, 5, 24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 4, 0x93, 0xe0, 0, 2,
    0x49, 0xf0, 0, 0, 0, 0,
];

/// That with some bytes changed.
fn with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = POLL.to_vec();
    for (at, value) in changes {
        bytes[*at] = *value;
    }
    bytes
}

#[test]
fn a_packet_says_what_its_bytes_say() {
    let packet = Packet::decode(&POLL).unwrap();
    let expected = Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: true,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 5,
        my_discriminator: 0x1122_3344,
        your_discriminator: 0x5566_7788,
        desired_min_tx: Duration::from_millis(300),
        required_min_rx: Duration::from_millis(150),
        required_min_echo_rx: Duration::ZERO,
    };
    assert_eq!(packet, expected);
    assert_eq!(packet.encode(), POLL);
    let flagged = Packet::decode(&with(&[(0, 0x21), (1, 0x5a), (8, 0)])).unwrap();
    assert_eq!(flagged.state, State::Down);
    assert_eq!(flagged.diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
    assert!(flagged.is_final && flagged.control_plane_independent && flagged.demand);
    assert!(!flagged.poll);
}

#[test]
fn what_is_no_packet_is_known_by_why() {
    for (bytes, why) in [
        (with(&[(0, 0x00)]), Malformed::Version),
        (with(&[(0, 0x40)]), Malformed::Version),
        (with(&[(3, 23)]), Malformed::Length),
        (with(&[(3, 25)]), Malformed::Length),
        (POLL[..23].to_vec(), Malformed::Length),
        (Vec::new(), Malformed::Length),
        (with(&[(2, 0)]), Malformed::DetectMultiplier),
        (with(&[(1, 0xe1)]), Malformed::Multipoint),
        (with(&[(4, 0), (5, 0), (6, 0), (7, 0)]), Malformed::Discriminator),
        // Up and Init speak of a session that is known.
        (with(&[(8, 0), (9, 0), (10, 0), (11, 0)]), Malformed::State),
        (with(&[(1, 0x80), (8, 0), (9, 0), (10, 0), (11, 0)]), Malformed::State),
        // The A bit asks for two bytes more, and then for a key that nobody has.
        (with(&[(1, 0xe4)]), Malformed::Length),
        ([with(&[(1, 0xe4), (3, 26)]), vec![0, 2]].concat(), Malformed::Authentication),
    ] {
        assert_eq!(Packet::decode(&bytes), Err(why), "{bytes:02x?}");
    }
    // Who is down may not know us yet; what is behind a packet is no part of it.
    for state in [0x00, 0x40] {
        let bytes = with(&[(1, state), (8, 0), (9, 0), (10, 0), (11, 0)]);
        assert!(Packet::decode(&bytes).is_ok(), "{state:x}");
    }
    assert!(Packet::decode(&[&POLL[..], &[9; 40]].concat()).is_ok());
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let states =
        prop_oneof![Just(State::AdminDown), Just(State::Down), Just(State::Init), Just(State::Up)];
    let flags = any::<[bool; 4]>();
    (states, flags, 1_u8.., 1_u32.., 1_u32.., any::<[u32; 3]>()).prop_map(
        |(state, flags, detect_multiplier, mine, yours, times)| {
            let [poll, is_final, control_plane_independent, demand] = flags;
            let [tx, rx, echo] = times.map(|it| Duration::from_micros(it.into()));
            Packet {
                diagnostic: Diagnostic::NEIGHBOR_SIGNALED_DOWN,
                state,
                poll,
                is_final,
                control_plane_independent,
                demand,
                detect_multiplier,
                my_discriminator: mine,
                your_discriminator: yours,
                desired_min_tx: tx,
                required_min_rx: rx,
                required_min_echo_rx: echo,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(packet in any_packet()) {
        prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }

    /// Any bytes: no panic, and what is taken for a packet is written as it came, but
    /// for its length and what is behind it.
    #[test]
    fn any_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..60), fix in any::<bool>()) {
        if fix && PACKET_LENGTH <= bytes.len() {
            (bytes[0], bytes[3]) = (bytes[0] & 0x1f | 0x20, 24);
            bytes[1] &= !0x05;
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            let written = packet.encode();
            prop_assert_eq!(&written[..3], &bytes[..3]);
            prop_assert_eq!(&written[4..], &bytes[4..PACKET_LENGTH]);
        }
    }

    /// A neighbor that says anything in any order, for hours: at most one packet leaves
    /// for each that came, beside those of the clock, and no time overflows.
    #[test]
    fn a_hostile_neighbor_gains_nothing(
        steps in prop::collection::vec((any_packet(), any::<bool>(), 0_u64..2_000), 1..80),
    ) {
        let remote = "10.0.0.2".parse().unwrap();
        let settings =
            Settings { hops: Hops::Single, minimum_ttl: 255, timing: Timing::default() };
        let mut now = Instant::from_secs(10);
        let mut sessions = Sessions::new(7);
        sessions.configure(&[(remote, settings)].into(), now);
        let (mut sent, mut ticks, mut ours) = (0, 0, 0);
        for (mut packet, is_known, wait) in steps.clone() {
            let end = now + Duration::from_millis(wait);
            while let Some(at) = sessions.poll_timeout().filter(|at| *at <= end) {
                now = now.max(at);
                sessions.handle_timeout(now);
                ticks += 1;
                prop_assert!(ticks < 2_000, "it is awake all the time");
            }
            now = end;
            if is_known {
                packet.your_discriminator = ours;
            }
            let arrival = Arrival { remote, hops: Hops::Single, ttl: 255 };
            sessions.handle_packet(&arrival, &packet.encode(), now);
            while let Some(output) = sessions.poll_output() {
                if let lockgate::bfd::Output::Send(_, bytes) = output {
                    sent += 1;
                    ours = Packet::decode(&bytes).unwrap().my_discriminator;
                }
            }
        }
        // A timer may find both a silence to tell and a packet to send.
        prop_assert!(sent <= 2 * ticks + steps.len(), "{} for {} and {}", sent, ticks, steps.len());
    }
}
