//! What holds whatever neighbors say, in whatever order.

use crate::bgp_scene::{
    announce, attributes, name, namespace, nlri, policy, rib_of, router_id, surround, tenant,
};
use crate::random_config::Lot;
use lockgate::bgp::{
    Attributes, Candidate, Community, Multipath, Nlri, Origin, Rib, Standing, Update, Verdict,
    select,
};
use lockgate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const NEIGHBORS: [&str; 3] = ["peer", "second", "tor"];
const PREFIXES: [&str; 10] = [
    "192.168.72.64/26",
    "192.168.72.70/32",
    "192.168.18.128/26",
    "10.8.0.0/24",
    "10.8.1.0/24",
    "10.8.1.0/26",
    "10.8.2.0/24",
    "10.8.3.0/24",
    // Never taken.
    "10.96.0.0/16",
    "10.64.1.0/24",
];
const HOPS: [&str; 8] = [
    "10.1.0.6",
    "10.1.0.7",
    "10.8.0.1",
    "10.8.1.1",
    "10.8.1.65",
    "10.8.2.1",
    "10.8.3.1",
    "10.99.0.1",
];

fn some_attributes(lot: &mut Lot, neighbor: &str) -> Attributes {
    let mut path: Vec<u32> = (0..lot.below(3)).map(|_| 65_002 + lot.below(2) as u32).collect();
    if neighbor == "tor" {
        path.insert(0, 65_001);
    }
    Attributes {
        origin: lot.pick(&[Origin::Igp, Origin::Igp, Origin::Incomplete]),
        med: lot.pick(&[None, Some(10), Some(20)]),
        local_pref: if neighbor == "tor" { None } else { lot.pick(&[None, None, Some(200)]) },
        communities: lot.pick(&[
            vec![],
            vec![],
            vec![],
            vec![Community::BLACKHOLE],
            vec![Community::LLGR_STALE],
        ]),
        ..attributes(lot.pick(&HOPS), &path)
    }
}

pub(crate) fn some_update(lot: &mut Lot, neighbor: &str) -> Update {
    let id = |lot: &mut Lot, prefix: &str| Nlri { path_id: lot.below(2) as u32, ..nlri(prefix) };
    let withdrawn = if lot.one_in(3) {
        let prefix = lot.pick(&PREFIXES);
        vec![id(lot, prefix)]
    } else {
        Vec::new()
    };
    let mut said = Vec::new();
    for _ in 0..lot.below(3) {
        let prefix = lot.pick(&PREFIXES);
        said.push(id(lot, prefix));
    }
    Update { withdrawn, ..announce(some_attributes(lot, neighbor), said) }
}

/// What a neighbor has said by now.
type Said = BTreeMap<(&'static str, Prefix, u32), Attributes>;

fn learn(said: &mut Said, neighbor: &'static str, update: &Update) {
    for nlri in &update.withdrawn {
        said.remove(&(neighbor, nlri.prefix, nlri.path_id));
    }
    for announcement in &update.announced {
        for nlri in &announcement.nlri {
            let key = (neighbor, nlri.prefix, nlri.path_id);
            said.insert(key, (*announcement.attributes).clone());
        }
    }
}

fn everything(rib: &mut Rib) -> (String, Vec<String>) {
    let routes = rib.routes().iter().map(|(key, route)| format!("{key} {route}\n")).collect();
    let paths = rib.explain_all().flat_map(|it| it.paths);
    (routes, paths.map(|path| format!("{path} {:?}", path.nlri)).collect())
}

#[test]
fn a_row_of_updates_ends_where_its_last_word_begins() {
    let tenant = tenant();
    for seed in 0..300 {
        let mut lot = Lot(seed);
        let multipath = Multipath { maximum: 1 + lot.below(3), relax: lot.one_in(2) };
        let mut rib = rib_of(&tenant, multipath, "");
        let mut said = Said::new();
        let mut kernel = BTreeMap::new();
        for _ in 0..40 {
            let neighbor = lot.pick(&NEIGHBORS);
            let update = some_update(&mut lot, neighbor);
            rib.update(&name(neighbor), &update);
            learn(&mut said, neighbor, &update);
            if lot.one_in(8) {
                // A link comes and goes.
                let mut down = namespace("");
                down.links.get_mut(&"ens1".parse().unwrap()).unwrap().up = false;
                surround(&mut rib, &tenant, &down);
                surround(&mut rib, &tenant, &namespace(""));
            }
            if lot.one_in(3) {
                while let Some((key, route)) = rib.poll_route() {
                    match route {
                        Some(route) => kernel.insert(key, route),
                        None => kernel.remove(&key),
                    };
                }
                assert_eq!(kernel, rib.routes(), "seed {seed}: what was given out is not what is");
            }
        }
        let incremental = everything(&mut rib);
        // The same words in another order, each once.
        let mut rest: Vec<_> = said.into_iter().collect();
        let mut fresh = rib_of(&tenant, multipath, "");
        while !rest.is_empty() {
            let at = lot.below(rest.len());
            let ((neighbor, prefix, path_id), attributes) = rest.swap_remove(at);
            let nlri = Nlri { prefix, distinguisher: None, path_id };
            fresh.update(&name(neighbor), &announce(attributes, vec![nlri]));
        }
        assert_eq!(incremental, everything(&mut fresh), "seed {seed}");
    }
}

#[test]
fn what_is_withdrawn_in_full_leaves_nothing_behind() {
    let tenant = tenant();
    for seed in 0..100 {
        let mut lot = Lot(seed);
        let mut rib = rib_of(&tenant, Multipath::default(), "");
        for _ in 0..30 {
            let neighbor = lot.pick(&NEIGHBORS);
            rib.update(&name(neighbor), &some_update(&mut lot, neighbor));
        }
        for neighbor in NEIGHBORS {
            let all = PREFIXES
                .iter()
                .flat_map(|prefix| [0, 1].map(|path_id| Nlri { path_id, ..nlri(prefix) }));
            let gone = Update { withdrawn: all.collect(), announced: Vec::new() };
            rib.update(&name(neighbor), &gone);
            assert_eq!(rib.counts(&name(neighbor)).unwrap().held, 0);
        }
        assert_eq!(rib.size(), (0, 0), "seed {seed}");
        assert!(rib.routes().is_empty());
    }
}

fn some_candidate<'a>(lot: &mut Lot, attributes: &'a Attributes, index: usize) -> Candidate<'a> {
    Candidate {
        attributes,
        external: lot.one_in(2),
        router_id: Ipv4Addr::new(1, 1, 1, lot.below(2) as u8),
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, lot.below(2) as u8)),
        cost: lot.below(2) as u32,
        long_lived: lot.one_in(4),
        // What tells any two apart in the end.
        identity: (index as u32, 0),
    }
}

#[test]
fn the_best_is_the_same_in_every_order_and_there_is_one() {
    for seed in 0..2_000 {
        let mut lot = Lot(seed);
        let all: Vec<Attributes> =
            (0..1 + lot.below(6)).map(|_| some_attributes(&mut lot, "peer")).collect();
        let candidates: Vec<Candidate<'_>> = all
            .iter()
            .enumerate()
            .map(|(index, attributes)| some_candidate(&mut lot, attributes, index))
            .collect();
        let multipath = Multipath { maximum: 1 + lot.below(4), relax: lot.one_in(2) };
        let standings = select(&candidates, multipath);
        let best = standings.iter().filter(|it| **it == Standing::Best).count();
        assert_eq!(best, 1, "seed {seed}");
        let serving = standings.iter().filter(|it| !matches!(it, Standing::Lost(_))).count();
        assert!(serving <= multipath.maximum, "seed {seed}");
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, lot.below(at + 1));
        }
        let shuffled: Vec<Candidate<'_>> = order.iter().map(|index| candidates[*index]).collect();
        for (at, standing) in select(&shuffled, multipath).into_iter().enumerate() {
            assert_eq!(standing, standings[order[at]], "seed {seed}");
        }
    }
}

#[test]
fn of_one_neighboring_system_the_order_is_total() {
    // Without MED of several systems, comparing two at a time is enough: the
    // better of two stays better beside a third, and there is no ring.
    for seed in 0..2_000 {
        let mut lot = Lot(seed);
        let all: Vec<Attributes> = (0..3)
            .map(|_| {
                let mut one = some_attributes(&mut lot, "tor");
                one.communities.clear();
                one
            })
            .collect();
        let of: Vec<Candidate<'_>> = all
            .iter()
            .enumerate()
            .map(|(index, attributes)| some_candidate(&mut lot, attributes, index))
            .collect();
        let one = Multipath { maximum: 1, relax: false };
        let beats = |a: usize, b: usize| select(&[of[a], of[b]], one)[0] == Standing::Best;
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            assert_ne!(beats(a, b), beats(b, a), "seed {seed}");
        }
        for [a, b, c] in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            if beats(a, b) && beats(b, c) {
                assert!(beats(a, c), "seed {seed}");
                assert_eq!(select(&[of[a], of[b], of[c]], one)[0], Standing::Best, "seed {seed}");
            }
        }
    }
}

#[test]
fn no_policy_takes_what_is_forbidden() {
    let tenant = tenant();
    let mut forbidden: Vec<Prefix> = tenant.class.forbidden_prefixes.clone();
    forbidden
        .extend(lockgate::net::ALWAYS_FORBIDDEN.map(|(text, _)| text.parse::<Prefix>().unwrap()));
    let mut open = tenant;
    let bgp = open.fabric.bgp.as_mut().unwrap();
    bgp.import.prefixes = vec![
        crate::bgp_scene::import("0.0.0.0/0", 0, 32),
        crate::bgp_scene::import("::/0", 0, 128),
    ];
    for site in open.sites.values_mut() {
        site.prefixes[0].alias = None;
        site.prefixes[0].real = "0.0.0.0/0".parse().unwrap();
    }
    let policies = ["peer", "tor", "site/hq", "site/lab"].map(|it| (it, policy(&open, it)));
    let (mut lot, mut taken) = (Lot(3), 0);
    for _ in 0..20_000 {
        let address = if lot.one_in(5) {
            // Beside and inside what is forbidden.
            let near = lot.pick(&forbidden);
            near.address()
        } else {
            let bits = (lot.below(1 << 16) as u32) << 16 | lot.below(1 << 16) as u32;
            IpAddr::V4(bits.into())
        };
        let longest = if address.is_ipv4() { 33 } else { 129 };
        let length = lot.below(longest) as u8;
        let Ok(prefix) = Prefix::containing_address(address, length) else { continue };
        for (neighbor, policy) in &policies {
            let said = match *neighbor {
                "site/hq" => attributes("10.255.30.1", &[65_010]),
                "site/lab" => attributes("172.30.0.2", &[65_010]),
                "tor" => attributes("10.1.0.1", &[65_001]),
                _ => attributes("10.1.0.8", &[]),
            };
            let nlri = Nlri { prefix, distinguisher: None, path_id: 0 };
            if policy.judge(&nlri, &said) == Verdict::Accept {
                taken += 1;
                let met = forbidden.iter().find(|it| it.overlaps(prefix));
                assert_eq!(met, None, "{prefix} of {neighbor}");
            }
        }
    }
    assert!(1_000 < taken, "the lists are as open as can be: {taken}");
}

#[test]
fn tenants_with_the_same_networks_never_hear_of_each_other() {
    let tenant = tenant();
    for seed in 0..100 {
        let mut lot = Lot(seed);
        let mut ours = rib_of(&tenant, Multipath::default(), "");
        let mut both = [ours.clone(), rib_of(&tenant, Multipath::default(), "")];
        for _ in 0..40 {
            let neighbor = lot.pick(&NEIGHBORS);
            let update = some_update(&mut lot, neighbor);
            if lot.one_in(2) {
                both[1].update(&name(neighbor), &update);
                if lot.one_in(5) {
                    both[1].remove_neighbor(&name(neighbor));
                }
            } else {
                both[0].update(&name(neighbor), &update);
                ours.update(&name(neighbor), &update);
            }
        }
        assert_eq!(everything(&mut both[0]), everything(&mut ours), "seed {seed}");
    }
}

#[test]
fn a_session_that_comes_back_has_the_same_routes_as_one_that_stayed() {
    let tenant = tenant();
    let mut lot = Lot(11);
    let mut stayed = rib_of(&tenant, Multipath::default(), "");
    let mut back = stayed.clone();
    for _ in 0..30 {
        let neighbor = lot.pick(&NEIGHBORS);
        let update = some_update(&mut lot, neighbor);
        stayed.update(&name(neighbor), &update);
        if lot.one_in(4) {
            let none = lockgate::bgp::Retain::default();
            back.neighbor_down(&name(neighbor), &none, lockgate::net::Instant::from_secs(1));
            back.neighbor_up(&name(neighbor), router_id(neighbor), &BTreeSet::new());
            for explained in stayed.explain_all().collect::<Vec<_>>() {
                for path in explained.paths.iter().filter(|it| it.neighbor == name(neighbor)) {
                    let again = announce((*path.attributes).clone(), vec![path.nlri]);
                    back.update(&name(neighbor), &again);
                }
            }
        } else {
            back.update(&name(neighbor), &update);
        }
        assert_eq!(everything(&mut back), everything(&mut stayed));
    }
}
