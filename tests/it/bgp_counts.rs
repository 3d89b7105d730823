//! How many routes of a neighbor there are is kept up with each change, and is what a walk
//! through all of them finds.

use crate::bgp_properties::{NEIGHBORS, some_update};
use crate::bgp_scene::{name, namespace, rib_of, router_id, settings, surround, tenant};
use crate::random_config::Lot;
use lockgate::bgp::{Family, Multipath, NeighborName, PathState, Retain, Rib};
use lockgate::model::Tenant;
use lockgate::net::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is counted of each neighbor's paths, path by path: held, accepted, serving, stale.
fn counted(rib: &mut Rib) -> BTreeMap<NeighborName, [u32; 4]> {
    rib.settle();
    let mut all: BTreeMap<NeighborName, [u32; 4]> = BTreeMap::new();
    for path in rib.explain_all().flat_map(|it| it.paths) {
        let is_accepted = !matches!(path.state, PathState::Refused(_));
        let serves =
            matches!(path.state, PathState::Best | PathState::BestDrops | PathState::Multipath);
        let counts = all.entry(path.neighbor).or_default();
        let more = [true, is_accepted, serves, path.stale.is_some()];
        *counts = std::array::from_fn(|at| counts[at] + u32::from(more[at]));
    }
    all
}

/// Something that happens to a neighbor beside what it says.
fn happen(rib: &mut Rib, lot: &mut Lot, tenant: &Tenant, neighbor: &str, now: Instant) {
    let of = name(neighbor);
    let families = BTreeSet::from([Family::Ipv4Unicast]);
    match lot.below(9) {
        0 => rib.neighbor_up(&of, router_id(neighbor), &families),
        1 => rib.neighbor_up(&of, router_id(neighbor), &BTreeSet::new()),
        2 => rib.neighbor_down(&of, &Retain::default(), now),
        3 => {
            let long = Duration::from_secs(lot.below(3) as u64 * 20);
            let retain = Retain {
                families,
                restart_time: Duration::from_secs(20),
                long_lived: [(Family::Ipv4Unicast, long)].into(),
            };
            rib.neighbor_down(&of, &retain, now);
        }
        4 => rib.end_of_rib(&of, Family::Ipv4Unicast),
        5 => rib.begin_refresh(&of, Family::Ipv4Unicast),
        6 => rib.end_refresh(&of, Family::Ipv4Unicast),
        7 => rib.remove_neighbor(&of),
        _ => {
            let mut link = namespace("");
            link.links.get_mut(&"ens1".parse().unwrap()).unwrap().up = lot.one_in(2);
            surround(rib, tenant, &link);
        }
    }
}

#[test]
fn counts_are_what_a_walk_through_the_table_counts() {
    let tenant = tenant();
    let mut narrow = tenant.clone();
    narrow.fabric.bgp.as_mut().unwrap().import.prefixes.truncate(1);
    let mut seen = [0; 4];
    for seed in 0..60 {
        let mut lot = Lot(seed);
        let multipath = Multipath { maximum: 1 + lot.below(3), relax: lot.one_in(2) };
        let mut rib = rib_of(&tenant, multipath, "");
        for second in 0..60 {
            let neighbor = lot.pick(&NEIGHBORS);
            let now = Instant::from_secs(second);
            rib.handle_timeout(now);
            match lot.below(6) {
                0 => happen(&mut rib, &mut lot, &tenant, neighbor, now),
                1 => {
                    let policy = if lot.one_in(2) { &tenant } else { &narrow };
                    rib.set_neighbor(name(neighbor), settings(policy, neighbor));
                }
                _ => drop(rib.update(&name(neighbor), &some_update(&mut lot, neighbor))),
            }
            let mut walked = counted(&mut rib);
            for neighbor in NEIGHBORS.map(name) {
                let known = rib.counts(&neighbor).unwrap_or_default();
                let known = [known.held, known.accepted, known.serving, known.stale];
                let walked = walked.remove(&neighbor).unwrap_or_default();
                assert_eq!(known, walked, "seed {seed}, second {second}: {neighbor}");
                seen = std::array::from_fn(|at| seen[at] + known[at]);
            }
            assert_eq!(walked, BTreeMap::new());
        }
    }
    assert!(seen.iter().all(|seen| 1_000 < *seen), "there was little to count: {seen:?}");
}
