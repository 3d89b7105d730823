//! A kernel's peer whose customer changes over from one preshared key to another: the
//! peer has one at a time, and nobody says which one the customer has.

use super::net::{public, secs};
use lockgate::net::{Instant, Mtu, Now, PresharedKey, PrivateKey, Timestamp};
use lockgate::wireguard::{
    DeviceConfig, KernelDevice, KernelPeer, KernelPeerChange, Overlap, PeerConfig, PresharedTrials,
    Sample, kernel_changes,
};

const START: u64 = 1_800_000_000;

/// Bytes of an initiation, and of its answer.
const INITIATION: u64 = 148;
const RESPONSE: u64 = 92;

fn psk(seed: u8) -> Option<PresharedKey> {
    Some(seed).filter(|seed| *seed != 0).map(|seed| PresharedKey::from_random([seed; 32]))
}

/// A device whose one peer has these preshared keys, none by 0.
fn wanted(first: u8, next: u8) -> DeviceConfig {
    let overlap = psk(next)
        .map(|next| Box::new(Overlap { next_preshared_key: Some(next), ..Overlap::default() }));
    let peer = PeerConfig { preshared_key: psk(first), overlap, ..PeerConfig::default() };
    DeviceConfig {
        private_key: PrivateKey::from_random([1; 32]),
        next_private_key: None,
        listen_port: 51_820,
        mtu: Mtu::new(1420).unwrap(),
        peers: [(public(7), peer)].into(),
    }
}

/// A kernel's peer that is looked at each second, and its customer.
struct Scene {
    wanted: DeviceConfig,
    device: KernelDevice,
    trials: PresharedTrials,
    now: Now,
    /// What the customer has.
    customers: u8,
    /// How often the peer's key was changed.
    changes: usize,
}

impl Scene {
    fn new(first: u8, next: u8) -> Self {
        let wanted = wanted(first, next);
        let peer = KernelPeer { preshared_key: psk(first), ..KernelPeer::default() };
        let device = KernelDevice {
            private_key: Some(wanted.private_key.clone()),
            listen_port: wanted.listen_port,
            peers: [(public(7), peer)].into(),
        };
        let mut scene = Self {
            wanted,
            device,
            trials: PresharedTrials::default(),
            now: Now { mono: Instant::from_secs(1_000), wall: Timestamp::new(START, 0) },
            customers: first,
            changes: 0,
        };
        scene.look();
        scene
    }

    fn peer(&mut self) -> &mut KernelPeer {
        self.device.peers.get_mut(&public(7)).unwrap()
    }

    fn look(&mut self) {
        for change in self.trials.look(&self.wanted, &self.device, self.now) {
            let KernelPeerChange::Set(key, settings) = change else { panic!("{change:?}") };
            assert!(key == public(7) && !settings.is_new, "the peer is not made again");
            let key = settings.preshared_key.expect("nothing else is changed");
            let is_none = key.as_bytes() == &[0; 32];
            self.peer().preshared_key = Some(key).filter(|_| !is_none);
            self.changes += 1;
        }
        // A key that is tried is one that is wanted, and is left alone.
        let changes = kernel_changes(&self.wanted, None, &self.device, self.now.wall);
        assert!(changes.is_empty(), "{changes:?}");
    }

    /// A second, in which so many bytes come and go.
    fn second(&mut self, received: u64, sent: u64) {
        self.peer().received_bytes += received;
        self.peer().sent_bytes += sent;
        self.now = self.now + secs(1);
        self.look();
    }

    fn quiet(&mut self, seconds: usize) {
        (0..seconds).for_each(|_| self.second(0, 0));
    }

    /// The customer's attempt at a handshake: an answer that it can read is one that
    /// leads to a session. Gives whether it can.
    fn attempt(&mut self) -> bool {
        let customers = psk(self.customers);
        let is_readable = self.peer().preshared_key == customers;
        if is_readable {
            self.peer().last_handshake = Some(self.now.wall + secs(1));
        }
        let keepalive = if is_readable { 32 } else { 0 };
        self.second(INITIATION + keepalive, RESPONSE);
        is_readable
    }

    fn uses_next(&self) -> bool {
        let mut sample =
            Sample { peers: [(public(7), Default::default())].into(), ..Sample::default() };
        self.trials.describe(&mut sample);
        sample.peers[&public(7)].by_next_preshared_key
    }
}

/// From none to one, from one to another, and back: the second attempt is answered with
/// the right one, which then stays.
#[test]
fn a_customer_that_starts_anew_with_its_other_key_is_answered_at_its_second_attempt() {
    for (first, next) in [(0, 1), (1, 2)] {
        let mut scene = Scene::new(first, next);
        assert!(scene.attempt() && !scene.uses_next());
        for customers in [next, first, next] {
            scene.quiet(20);
            let before = scene.changes;
            scene.customers = customers;
            assert!(!scene.attempt(), "with the other one");
            scene.quiet(4);
            assert!(scene.attempt(), "from {first} to {next}: {customers}");
            assert_eq!(scene.uses_next(), customers == next);
            assert_eq!(scene.changes, before + 1);
        }
    }
}

/// It goes on in the session it has, and shakes hands when that has grown old: before it
/// ends both keys have been tried.
#[test]
fn a_customer_that_takes_its_other_key_in_a_session_is_found_out_before_that_ends() {
    let mut scene = Scene::new(1, 2);
    assert!(scene.attempt());
    scene.customers = 2;
    // A session is begun after 120 seconds, and tried again each five.
    for second in 0..180 {
        if 120 <= second && second % 5 == 0 {
            let is_readable = scene.peer().preshared_key == psk(2);
            if is_readable {
                scene.peer().last_handshake = Some(scene.now.wall + secs(1));
            }
            scene.second(INITIATION + 1_000, RESPONSE + 1_000);
            if is_readable {
                assert!(scene.uses_next() && scene.changes == 1);
                return;
            }
        } else {
            scene.second(1_000, 1_000);
        }
    }
    panic!("the session ended");
}

/// Who waits to be called answers nothing that can be read; its bytes are not counted.
#[test]
fn a_customer_that_is_called_is_called_with_either_key() {
    let mut scene = Scene::new(1, 2);
    assert!(scene.attempt());
    scene.customers = 2;
    // It has started anew, and what it is sent in the old session it cannot read.
    (0..15).for_each(|_| scene.second(0, 1_000));
    let mut keys = Vec::new();
    for _ in 0..6 {
        scene.second(0, INITIATION + 1_000);
        keys.push(scene.peer().preshared_key.clone());
        (0..4).for_each(|_| scene.second(0, 1_000));
    }
    assert!(keys.contains(&psk(1)) && keys.contains(&psk(2)));
}

/// A key has its turn for as long as an attempt takes, however often it is looked at.
#[test]
fn who_has_neither_key_is_tried_with_both_by_turns() {
    let mut scene = Scene::new(1, 2);
    scene.customers = 3;
    for _ in 0..12 {
        assert!(!scene.attempt());
        scene.quiet(4);
    }
    // 60 seconds are at most eight turns of seven, and more than four.
    assert!((5..=9).contains(&scene.changes), "{}", scene.changes);
    assert!(!scene.uses_next());
}

#[test]
fn nobody_is_tried_with_another_key_whose_handshakes_are_done() {
    // In use, with a handshake each two minutes, one of which is seen in its middle.
    let mut scene = Scene::new(1, 2);
    for _ in 0..5 {
        scene.second(INITIATION, RESPONSE);
        scene.peer().last_handshake = Some(scene.now.wall + secs(1));
        (0..120).for_each(|_| scene.second(1_000, 1_000));
    }
    assert_eq!(scene.changes, 0);
    // With keepalives only, in a session that nobody renews.
    for _ in 0..12 {
        scene.quiet(24);
        scene.second(32, 32);
    }
    assert_eq!(scene.changes, 0);
    // And one that has one key has no turns.
    let mut scene = Scene::new(1, 0);
    scene.customers = 2;
    for _ in 0..12 {
        assert!(!scene.attempt());
        scene.quiet(4);
    }
    assert_eq!(scene.changes, 0);
}

/// The end of the change costs no session of who has changed over, and ends that of who
/// has not.
#[test]
fn a_preshared_key_that_is_retired_is_good_no_more() {
    let mut scene = Scene::new(1, 2);
    let retired = wanted(2, 0);
    let changes = kernel_changes(&retired, Some(&scene.wanted), &scene.device, scene.now.wall);
    let [KernelPeerChange::Remove(removed), KernelPeerChange::Set(made, settings)] =
        &changes.peers[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!([*removed, *made], [public(7); 2]);
    assert_eq!((settings.is_new, settings.preshared_key.clone()), (true, psk(2)));
    scene.peer().preshared_key = psk(2);
    let changes = kernel_changes(&retired, Some(&scene.wanted), &scene.device, scene.now.wall);
    assert!(changes.is_empty(), "{changes:?}");
}
