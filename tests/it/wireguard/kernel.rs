//! What is asked of a kernel's device, against the plainest model of one; and
//! what is read off from what it tells.

use super::net::{endpoint, public, secs};
use lockgate::net::{Instant, Mtu, Now, Prefix, PresharedKey, PrivateKey, PublicKey, Timestamp};
use lockgate::wireguard::{
    DeviceConfig, Health, KernelChanges, KernelDevice, KernelPeer, KernelPeerChange, KernelSampler,
    Overlap, PeerConfig, PeerReason, PeerState, is_changeover, kernel_changes,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START: u64 = 1_800_000_000;

fn when(seconds: u64) -> Timestamp {
    Timestamp::new(START + seconds, 0)
}

/// A device's key and port, and its peers' preshared keys and keepalive intervals.
type Shape = (Option<PrivateKey>, u16, Vec<(PublicKey, Option<PresharedKey>, u16)>);

/// The kernel, as `drivers/net/wireguard/netlink.c` has it.
#[derive(Clone, Debug, Default)]
struct Kernel {
    device: KernelDevice,
    /// Peers an empty packet was sent to.
    woken: BTreeSet<PublicKey>,
    /// Peers that were made.
    made: BTreeSet<PublicKey>,
    /// Prefixes that somebody has in the end and nobody had for an instant.
    orphans: Vec<Prefix>,
}

impl Kernel {
    fn owners(&self) -> BTreeMap<Prefix, PublicKey> {
        let peers = self.device.peers.iter();
        peers.flat_map(|(key, peer)| peer.allowed_ips.iter().map(|one| (*one, *key))).collect()
    }

    fn apply(&mut self, changes: &KernelChanges) {
        let before = self.owners();
        let mut missing: BTreeSet<Prefix> = BTreeSet::new();
        if let Some(key) = &changes.private_key {
            self.device.private_key = Some(PrivateKey::from_random(*key.as_bytes()));
        }
        if let Some(port) = changes.listen_port {
            self.device.listen_port = port;
        }
        for change in &changes.peers {
            self.apply_peer(change);
            let owners = self.owners();
            missing.extend(before.keys().filter(|prefix| !owners.contains_key(prefix)));
        }
        let owners = self.owners();
        self.orphans = missing.into_iter().filter(|prefix| owners.contains_key(prefix)).collect();
    }

    fn apply_peer(&mut self, change: &KernelPeerChange) {
        match change {
            KernelPeerChange::Remove(key) => {
                self.device.peers.remove(key);
                self.made.remove(key);
            }
            KernelPeerChange::Set(key, settings) => {
                if !self.device.peers.contains_key(key) {
                    if !settings.is_new {
                        return;
                    }
                    self.made.insert(*key);
                }
                for prefix in &settings.allowed_ips {
                    for peer in self.device.peers.values_mut() {
                        peer.allowed_ips.remove(prefix);
                    }
                }
                let peer = self.device.peers.entry(*key).or_default();
                peer.allowed_ips.extend(&settings.allowed_ips);
                if settings.preshared_key.is_some() {
                    peer.preshared_key.clone_from(&settings.preshared_key);
                }
                peer.endpoint = settings.endpoint.or(peer.endpoint);
                if let Some(keepalive) = settings.keepalive {
                    if peer.keepalive == 0 && keepalive != 0 && peer.endpoint.is_some() {
                        self.woken.insert(*key);
                    }
                    peer.keepalive = keepalive;
                }
            }
        }
    }

    /// The device as a config has it, endpoints aside.
    fn shape(&self) -> Shape {
        let device = self.device.clone();
        let peers = device.peers.into_iter();
        let peers = peers.map(|(key, peer)| (key, peer.preshared_key, peer.keepalive));
        (device.private_key, device.listen_port, peers.collect())
    }
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

fn prefix(number: u8) -> Prefix {
    let text = match number % 3 {
        0 => format!("10.{number}.0.0/16"),
        1 => format!("10.{}.{number}.0/24", number - 1),
        _ => format!("2001:db8:{number}::/48"),
    };
    text.parse().unwrap()
}

#[derive(Clone, Debug)]
struct Wish {
    preshared: u8,
    endpoint: u8,
    last: u8,
    keepalive: u8,
    initiate: bool,
}

/// Configs of up to six peers, which share out a dozen prefixes.
fn configs() -> impl Strategy<Value = DeviceConfig> {
    let wish = (0..3_u8, 0..4_u8, 0..3_u8, 0..3_u8, any::<bool>()).prop_map(
        |(preshared, endpoint, last, keepalive, initiate)| Wish {
            preshared,
            endpoint,
            last,
            keepalive,
            initiate,
        },
    );
    let peers = prop::collection::btree_map(0..6_u8, wish, 0..6);
    let owners = prop::collection::btree_map(0..12_u8, 0..6_u8, 0..12);
    (1..3_u8, 0..2_u16, peers, owners).prop_map(|(own, port, peers, owners)| DeviceConfig {
        private_key: private(own),
        next_private_key: None,
        listen_port: 51_820 + port,
        mtu: Mtu::new(1420).unwrap(),
        peers: peers
            .into_iter()
            .map(|(number, wish)| (public(100 + number), peer(number, &wish, &owners)))
            .collect(),
    })
}

fn peer(number: u8, wish: &Wish, owners: &BTreeMap<u8, u8>) -> PeerConfig {
    let some = |value: u8| Some(value).filter(|value| *value != 0);
    PeerConfig {
        // One of zeros is none.
        preshared_key: some(wish.preshared).map(|key| PresharedKey::from_random([key - 1; 32])),
        endpoint: some(wish.endpoint).map(endpoint),
        last_endpoint: some(wish.last).map(|last| endpoint(last + 50)),
        keepalive: some(wish.keepalive).map(|seconds| secs(u64::from(seconds) * 10)),
        allowed_ips: owners
            .iter()
            .filter(|(_, owner)| **owner == number)
            .map(|(one, _)| prefix(*one))
            .collect(),
        overlap: None,
        translations: Vec::new(),
        initiate: wish.initiate,
    }
}

/// What a device that is `wanted` looks like, endpoints aside.
fn wanted_shape(wanted: &DeviceConfig) -> Shape {
    let peers = wanted.peers.iter().map(|(key, peer)| {
        let preshared = peer.preshared_key.clone().filter(|key| key.as_bytes() != &[0; 32]);
        let keepalive = peer.keepalive.map_or(0, |interval| interval.as_secs() as u16);
        (*key, preshared, keepalive)
    });
    (Some(wanted.private_key.clone()), wanted.listen_port, peers.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// One config after another, with customers that shake hands and move in
    /// between, and a new process now and then.
    #[test]
    fn a_device_becomes_what_is_wanted_by_differences_alone(
        steps in prop::collection::vec((configs(), any::<bool>(), 0..64_u8, 0..64_u8), 1..5)
    ) {
        let mut kernel = Kernel::default();
        let mut before: Option<DeviceConfig> = None;
        let mut now = when(0);
        for (wanted, restarts, alive, roamed) in steps {
            now = now + secs(1_000);
            for (number, peer) in kernel.device.peers.values_mut().enumerate() {
                if alive >> number & 1 == 1 {
                    peer.last_handshake = Some(now.before(secs(100)));
                    peer.received_bytes += 1_000;
                    peer.endpoint = peer.endpoint.or_else(|| Some(endpoint(90)));
                }
                if roamed >> number & 1 == 1 && peer.endpoint.is_some() {
                    peer.endpoint = Some(endpoint(91));
                }
            }
            if restarts {
                before = None;
            }
            let found = kernel.clone();
            kernel.woken.clear();
            kernel.made.clear();
            let changes = kernel_changes(&wanted, before.as_ref(), &kernel.device, now);
            kernel.apply(&changes);

            prop_assert_eq!(kernel.shape(), wanted_shape(&wanted));
            let owners: BTreeMap<Prefix, PublicKey> = wanted.peers.iter()
                .flat_map(|(key, peer)| peer.allowed_ips.iter().map(|one| (*one, *key)))
                .collect();
            prop_assert_eq!(kernel.owners(), owners);

            for (key, peer) in &wanted.peers {
                let is = &kernel.device.peers[key];
                let Some(was) = found.device.peers.get(key) else {
                    // New: where it is configured or was seen last, and called there.
                    prop_assert_eq!(is.endpoint, peer.endpoint.or(peer.last_endpoint));
                    let calls = (peer.initiate || peer.keepalive.is_some()) && is.endpoint.is_some();
                    prop_assert_eq!(kernel.woken.contains(key), calls);
                    continue;
                };
                if was.preshared_key != is.preshared_key {
                    // Its session ends, and it stays where it was.
                    prop_assert!(kernel.made.contains(key));
                    prop_assert!(was.endpoint.is_none() || is.endpoint == was.endpoint);
                    continue;
                }
                prop_assert!(!kernel.made.contains(key), "a peer is not made again");
                prop_assert_eq!(is.received_bytes, was.received_bytes);
                let configured = before.as_ref()
                    .and_then(|before| before.peers.get(key)).and_then(|peer| peer.endpoint);
                let is_alive = was.last_handshake.is_some_and(|at| now.since(at) < secs(180));
                let moves = peer.endpoint.is_some()
                    && if configured.is_some() { configured != peer.endpoint } else { !is_alive };
                let expected = match was.endpoint {
                    None => peer.endpoint.or(peer.last_endpoint),
                    Some(_) if moves => peer.endpoint,
                    Some(learned) => Some(learned),
                };
                prop_assert_eq!(is.endpoint, expected, "of {:?} after {:?}", peer, was);
            }
            // What passes from one peer to another is never without an owner,
            // unless a peer's session had to end.
            let replaced = kernel.made.iter().any(|key| found.device.peers.contains_key(key));
            prop_assert!(replaced || kernel.orphans.is_empty(), "{:?}", kernel.orphans);

            let again = kernel_changes(&wanted, Some(&wanted), &kernel.device, now);
            prop_assert!(again.is_empty(), "{:?}", again);
            before = Some(wanted);
        }
    }
}

#[test]
fn a_change_of_one_peer_does_not_mention_another() {
    let owners = BTreeMap::from([(0, 0), (1, 0), (2, 1), (3, 1)]);
    let wish = Wish { preshared: 2, endpoint: 1, last: 0, keepalive: 2, initiate: true };
    let config = |numbers: &[u8], owners: &BTreeMap<u8, u8>| DeviceConfig {
        private_key: private(1),
        next_private_key: None,
        listen_port: 51_820,
        mtu: Mtu::new(1420).unwrap(),
        peers: numbers.iter().map(|one| (public(100 + one), peer(*one, &wish, owners))).collect(),
    };
    let mut kernel = Kernel::default();
    let before = config(&[0, 1], &owners);
    kernel.apply(&kernel_changes(&before, None, &kernel.device, when(0)));
    let mentioned = |changes: &KernelChanges| -> BTreeSet<PublicKey> {
        let keys = changes.peers.iter().map(|change| match change {
            KernelPeerChange::Remove(key) | KernelPeerChange::Set(key, _) => *key,
        });
        keys.collect()
    };
    // Another comes, one goes.
    let more = kernel_changes(&config(&[0, 1, 2], &owners), Some(&before), &kernel.device, when(9));
    assert_eq!(mentioned(&more), [public(102)].into());
    let fewer = kernel_changes(&config(&[0], &owners), Some(&before), &kernel.device, when(9));
    assert_eq!(fewer.peers, [KernelPeerChange::Remove(public(101))]);
    // A backup takes a network over: it is given to the backup, and that is all.
    let taken = BTreeMap::from([(0, 1), (1, 0), (2, 1), (3, 1)]);
    let switch = kernel_changes(&config(&[0, 1], &taken), Some(&before), &kernel.device, when(9));
    let [KernelPeerChange::Set(key, settings)] = switch.peers.as_slice() else {
        panic!("{switch:?}")
    };
    assert_eq!((*key, settings.allowed_ips.as_slice()), (public(101), [prefix(0)].as_slice()));
    // A network that nobody has any more costs its peer nothing else.
    let less = BTreeMap::from([(1, 0), (2, 1), (3, 1)]);
    let release = kernel_changes(&config(&[0, 1], &less), Some(&before), &kernel.device, when(9));
    assert!(mentioned(&release).is_disjoint(&[public(100), public(101)].into()), "{release:?}");
    // Nor is a secret shown.
    let text = format!("{:?}", kernel_changes(&before, None, &KernelDevice::default(), when(0)));
    let secret = private(1).to_base64();
    assert!(!text.contains(secret.as_str()) && text.contains("redacted"), "{text}");
    assert!(!text.contains("1, 1, 1"), "{text}");
}

/// Of a customer's two keys the kernel lets one have the networks: the one that shook
/// hands last. They change hands in one change, and nothing else is touched.
#[test]
fn a_customers_networks_follow_the_key_that_shook_hands_last() {
    let owners = BTreeMap::from([(0, 0), (1, 0), (2, 2)]);
    let wish = Wish { preshared: 0, endpoint: 1, last: 0, keepalive: 0, initiate: true };
    let twin = |other: u8, is_second| {
        let twin = Some(public(100 + other));
        let overlap = Overlap { twin, is_second, next_preshared_key: None };
        PeerConfig { overlap: Some(Box::new(overlap)), ..peer(0, &wish, &owners) }
    };
    let wanted = DeviceConfig {
        private_key: private(1),
        next_private_key: None,
        listen_port: 51_820,
        mtu: Mtu::new(1420).unwrap(),
        peers: [
            (public(100), twin(1, false)),
            (public(101), twin(0, true)),
            (public(102), peer(2, &wish, &owners)),
        ]
        .into(),
    };
    let mut kernel = Kernel::default();
    let changes = kernel_changes(&wanted, None, &kernel.device, when(0));
    assert!(!is_changeover(&wanted, &changes), "it is made");
    kernel.apply(&changes);
    let networks: BTreeSet<_> = [prefix(0), prefix(1)].into();
    let owner = |kernel: &Kernel, number: u8| {
        kernel.device.peers[&public(100 + number)].allowed_ips == networks
    };
    assert!(owner(&kernel, 0) && !owner(&kernel, 1), "before any handshake it is the first");
    kernel.made.clear();
    for (number, at) in [(0, 10), (1, 20), (0, 30), (1, 40)] {
        let last = &mut kernel.device.peers.get_mut(&public(100 + number)).unwrap().last_handshake;
        *last = Some(when(at));
        let changes = kernel_changes(&wanted, Some(&wanted), &kernel.device, when(at));
        assert!(is_changeover(&wanted, &changes), "{changes:?}");
        kernel.apply(&changes);
        assert!(owner(&kernel, number) && !owner(&kernel, 1 - number), "after {at}");
        assert!(kernel.orphans.is_empty(), "{:?}", kernel.orphans);
        assert!(kernel.made.is_empty(), "no peer is made again");
    }
}

/// A kernel's peer that is looked at every second.
struct Watched {
    sampler: KernelSampler,
    device: KernelDevice,
    health: Health,
    now: Now,
}

impl Watched {
    fn new(keepalive: u16) -> Self {
        let peer = KernelPeer { endpoint: Some(endpoint(1)), keepalive, ..KernelPeer::default() };
        let device = KernelDevice { peers: [(public(1), peer)].into(), ..KernelDevice::default() };
        let interval = Some(keepalive).filter(|seconds| *seconds != 0);
        let config = PeerConfig {
            keepalive: interval.map(|seconds| secs(u64::from(seconds))),
            ..PeerConfig::default()
        };
        Self {
            sampler: KernelSampler::default(),
            device,
            health: Health::new(&config),
            now: Now { mono: Instant::from_secs(1_000), wall: when(1_000) },
        }
    }

    fn peer(&mut self) -> &mut KernelPeer {
        self.device.peers.get_mut(&public(1)).unwrap()
    }

    /// A second goes by, in which so many bytes are received and sent.
    fn second(&mut self, received: u64, sent: u64) {
        self.peer().received_bytes += received;
        self.peer().sent_bytes += sent;
        self.now = self.now + secs(1);
        self.look();
    }

    fn shake_hands(&mut self) {
        self.peer().last_handshake = Some(self.now.wall);
    }

    fn look(&mut self) {
        let sample = self.sampler.sample(&self.device, self.now);
        self.health.handle_sample(&sample.peers[&public(1)]);
    }

    fn judge(&self) -> (PeerState, PeerReason) {
        self.health.judge(self.now.wall)
    }

    fn sample(&mut self) -> lockgate::wireguard::PeerSample {
        self.sampler.sample(&self.device, self.now).peers[&public(1)]
    }
}

#[test]
fn a_kernel_peer_is_judged_as_one_of_ours() {
    let mut peer = Watched::new(25);
    peer.look();
    assert_eq!(peer.judge(), (PeerState::NeverConnected, PeerReason::Starting));
    // One initiation may yet be answered; with the second the first was not.
    peer.second(0, 148);
    assert_eq!(peer.judge(), (PeerState::NeverConnected, PeerReason::Starting));
    for _ in 0..4 {
        peer.second(0, 0);
    }
    peer.second(0, 148);
    assert_eq!(peer.judge(), (PeerState::NeverConnected, PeerReason::HandshakeUnanswered));
    assert_eq!(peer.sample().handshake_timeouts, 1);
    // It answers, and data goes both ways.
    peer.shake_hands();
    peer.second(92, 32);
    peer.second(128, 128);
    assert_eq!(peer.judge(), (PeerState::Up, PeerReason::SessionAlive));
    assert_eq!(peer.sample().handshakes, 1);
    // Keepalives ask for no answer.
    for _ in 0..3 {
        for _ in 0..24 {
            peer.second(0, 0);
        }
        peer.second(0, 32);
    }
    assert_eq!(peer.judge(), (PeerState::Up, PeerReason::SessionAlive));
    // Data does.
    for _ in 0..15 {
        peer.second(0, 128);
        assert_eq!(peer.judge(), (PeerState::Up, PeerReason::SessionAlive));
    }
    peer.second(0, 128);
    assert_eq!(peer.judge(), (PeerState::Blackholed, PeerReason::NoReply));
    peer.second(32, 0);
    assert_eq!(peer.judge(), (PeerState::Up, PeerReason::SessionAlive));
    // And once its session is over it is missed.
    for second in 0..180 {
        peer.second(0, if second % 5 == 0 { 148 } else { 0 });
    }
    assert_eq!(peer.judge(), (PeerState::Down, PeerReason::HandshakeTimeout));
}

#[test]
fn a_silent_kernel_peer_is_missed_only_when_it_is_needed() {
    let mut peer = Watched::new(0);
    peer.shake_hands();
    peer.look();
    for _ in 0..180 {
        peer.second(0, 0);
    }
    assert_eq!(peer.judge(), (PeerState::Stale, PeerReason::SessionExpired));
    peer.second(0, 148);
    assert_eq!(peer.judge(), (PeerState::Stale, PeerReason::SessionExpired));
    for _ in 0..5 {
        peer.second(0, 0);
    }
    peer.second(0, 148);
    assert_eq!(peer.judge(), (PeerState::Down, PeerReason::HandshakeTimeout));
}

#[test]
fn an_adopted_device_is_known_by_its_handshakes() {
    let mut peer = Watched::new(0);
    peer.peer().last_handshake = Some(when(950));
    peer.peer().received_bytes = 5_000_000;
    peer.peer().sent_bytes = 7_000_000;
    peer.look();
    assert_eq!(peer.judge(), (PeerState::Up, PeerReason::SessionAlive));
    let sample = peer.sample();
    assert_eq!(sample.last_handshake, Some(when(950)));
    assert_eq!(sample.last_received, Some(when(950)));
    assert_eq!((sample.last_sent, sample.handshakes), (None, 1));
    peer.second(1_000, 0);
    assert_eq!(peer.sample().last_received, Some(when(1_001)));
    // A peer that was removed and made again begins anew.
    peer.peer().received_bytes = 0;
    peer.peer().sent_bytes = 0;
    peer.peer().last_handshake = None;
    peer.second(0, 0);
    assert_eq!(peer.judge(), (PeerState::NeverConnected, PeerReason::Starting));
}

proptest! {
    /// Whatever a device tells, time moving either way.
    #[test]
    fn samples_never_count_backwards_nor_break(
        looks in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), any::<u16>(), 0..100_u64), 1..20)
    ) {
        let mut sampler = KernelSampler::default();
        for (received, sent, handshake, keepalive, second) in looks {
            let peer = KernelPeer {
                received_bytes: received,
                sent_bytes: sent,
                last_handshake: Some(Timestamp::new(u64::from(handshake), 0)),
                keepalive,
                ..KernelPeer::default()
            };
            let device = KernelDevice { peers: [(public(1), peer)].into(), ..Default::default() };
            let now = Now { mono: Instant::from_secs(second), wall: when(second) };
            let sample = sampler.sample(&device, now).peers[&public(1)];
            prop_assert_eq!((sample.received_bytes, sample.sent_bytes), (received, sent));
        }
    }
}
