//! The replay window and the allowed IPs, against the plainest code that does
//! the same; and names.

use super::net::{Net, public};
use lockgate::net::Prefix;
use lockgate::wireguard::{AllowedIps, DropReason, PeerIndex, REPLAY_WINDOW, ReplayWindow};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Numbers as they come: mostly near the one before, at times far off.
fn steps() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0..20_u8, 0..20_000_u64), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_replay_window_is_the_set_of_numbers_within_it(start in 0..100_000_u64, steps in steps()) {
        let mut window = ReplayWindow::default();
        let mut naive = BTreeSet::new();
        let mut at = start;
        for (kind, step) in steps {
            at = match kind {
                0 => at.saturating_add(step * 1_000),
                1 => at.saturating_sub(step),
                2 => at.saturating_sub(8_120 + step % 20),
                3..8 => at.saturating_sub(step % 70),
                _ => at + step % 70,
            };
            let highest = naive.last().copied().unwrap_or(0);
            let is_in_reach = naive.is_empty() || highest <= at || highest - at < REPLAY_WINDOW;
            let expected = is_in_reach && !naive.contains(&at);
            prop_assert_eq!(window.is_new(at), expected);
            prop_assert_eq!(window.accept(at), expected, "{} with {} as the highest", at, highest);
            if expected {
                naive.insert(at);
            }
        }
    }

    #[test]
    fn the_longest_of_the_prefixes_that_hold_an_address_wins(
        entries in prop::collection::vec((any::<bool>(), any::<u32>(), 0..=32_u8, 0..4_usize, any::<bool>()), 1..60),
        asked in prop::collection::vec(any::<u32>(), 1..60),
    ) {
        let peers = four_peers();
        let mut table = AllowedIps::default();
        let mut naive: BTreeMap<Prefix, PeerIndex> = BTreeMap::new();
        // Few bits, so that they meet.
        let spread = |bits: u32| bits & 0xc003_0003;
        let address = |v4: bool, bits: u32| match v4 {
            true => IpAddr::V4(Ipv4Addr::from(bits)),
            false => IpAddr::V6(Ipv6Addr::from(u128::from(bits) << 96 | 0xfd << 64)),
        };
        for (v4, bits, length, peer, remove) in entries {
            let prefix = Prefix::containing_address(address(v4, spread(bits)), length).unwrap();
            if remove {
                table.remove(prefix, peers[peer]);
                if naive.get(&prefix) == Some(&peers[peer]) {
                    naive.remove(&prefix);
                }
            } else {
                table.insert(prefix, peers[peer]);
                naive.insert(prefix, peers[peer]);
            }
        }
        for bits in asked {
            for v4 in [true, false] {
                let address = address(v4, spread(bits));
                let holding = naive.iter().filter(|(prefix, _)| prefix.contains(address));
                let longest = holding.max_by_key(|(prefix, _)| prefix.length());
                prop_assert_eq!(table.longest_match(address), longest.map(|(_, peer)| *peer));
            }
        }
    }
}

fn four_peers() -> [PeerIndex; 4] {
    let peers = [11, 12, 13, 14].map(|key| (key, super::net::peer(&[])));
    let mut net = Net::new(vec![super::net::config(1, &peers)]);
    peers.map(|(key, _)| net.device(0).peer(&public(key)).unwrap())
}

#[test]
fn drop_reasons_have_names_of_their_own() {
    let names: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), DropReason::ALL.len());
    for name in names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
    }
}
