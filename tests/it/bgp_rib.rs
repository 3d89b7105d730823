//! What is made of what neighbors say: the reported cluster, one step of the best
//! path after the other, several ways, limits, and why.

use crate::bgp_scene::{
    BLOCKS, CLUSTER, announce, attributes, explained, name, namespace, nlri, rib, rib_of, say,
    settings, shown, surround, tenant, withdraw,
};
use lockgate::bgp::{
    AsPath, AsSegment, Attributes, CALICO_NORMAL, Candidate, Community, Limit, Lost, Multipath,
    Nlri, Origin, Retain, RouteDistinguisher, Standing, preference, select,
};
use lockgate::model::limits::NEXT_HOPS_PER_TENANT;
use lockgate::net::{ExtendedCommunity, Instant, RouteTarget};
use std::net::{IpAddr, Ipv4Addr};

#[test]
fn the_reported_cluster_is_routed_node_by_node() {
    let mut rib = rib();
    for (block, node) in BLOCKS {
        say(&mut rib, "peer", block, node, &[]);
    }
    say(&mut rib, "peer", "192.168.11.66/32", "10.1.0.6", &[]);
    assert_eq!(
        shown(&mut rib),
        "192.168.11.66/32 metric 32 dev ens1 via 10.1.0.6
192.168.18.128/26 metric 32 dev ens1 via 10.1.0.6
192.168.72.64/26 metric 32 dev ens1 via 10.1.0.8
192.168.127.192/26 metric 32 dev ens1 via 10.1.0.7
192.168.165.128/26 metric 32 dev ens1 via 10.1.0.9
192.168.229.192/26 metric 32 dev ens1 via 10.1.0.10
"
    );
}

#[test]
fn a_moved_pod_is_found_at_its_new_node_and_back_in_its_block_after() {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    say(&mut rib, "peer", "192.168.72.70/32", "10.1.0.9", &[]);
    let way = |rib: &mut lockgate::bgp::Rib| {
        // What the kernel does: the longest of them serves.
        let pod: IpAddr = "192.168.72.70".parse().unwrap();
        let routes = rib.routes();
        let inside = routes.iter().filter(|(key, _)| key.prefix.contains(pod));
        inside.max_by_key(|(key, _)| key.prefix.length()).unwrap().1.to_string()
    };
    assert_eq!(way(&mut rib), "dev ens1 via 10.1.0.9");
    rib.update(&name("peer"), &withdraw("192.168.72.70/32"));
    assert_eq!(way(&mut rib), "dev ens1 via 10.1.0.8");
}

#[test]
fn only_what_changed_is_given_out() {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    let (key, route) = rib.poll_route().unwrap();
    assert_eq!(format!("{key}"), "192.168.72.64/26 metric 32");
    assert_eq!(route.unwrap().to_string(), "dev ens1 via 10.1.0.8");
    assert_eq!(rib.poll_route(), None);
    rib.update(&name("peer"), &withdraw("192.168.72.64/26"));
    assert_eq!(rib.poll_route(), Some((key, None)));
    assert_eq!(rib.poll_route(), None);
}

/// A path of 65001, external, by 10.1.0.1; each row of the table changes one thing.
fn common() -> Attributes {
    Attributes { med: Some(10), ..attributes("10.1.0.1", &[65_001, 65_002]) }
}

fn candidate(attributes: &Attributes) -> Candidate<'_> {
    Candidate {
        attributes,
        external: true,
        router_id: Ipv4Addr::new(2, 2, 2, 2),
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, 9)),
        cost: 5,
        long_lived: false,
        identity: (5, 0),
    }
}

#[test]
fn each_step_strikes_out_what_is_worse() {
    let base = common();
    let with = |change: &dyn Fn(&mut Attributes)| {
        let mut attributes = common();
        change(&mut attributes);
        attributes
    };
    let path = |systems: &[u32]| AsPath(vec![AsSegment::Sequence(systems.to_vec())]);
    // What is better, and at which step the common path loses to it.
    let table: Vec<(Attributes, Lost)> = vec![
        (with(&|it| it.local_pref = Some(101)), Lost::LocalPref),
        (with(&|it| it.as_path = path(&[65_009])), Lost::AsPathLength),
        (with(&|it| it.med = Some(9)), Lost::Med),
        (with(&|it| it.med = None), Lost::Med),
        (with(&|it| it.originator_id = Some(Ipv4Addr::new(1, 0, 0, 1))), Lost::RouterId),
    ];
    for (better, lost) in &table {
        let one = Multipath { maximum: 1, relax: false };
        let standings = select(&[candidate(&base), candidate(better)], one);
        assert_eq!(standings, [Standing::Lost(*lost), Standing::Best]);
        let standings = select(&[candidate(better), candidate(&base)], one);
        assert_eq!(standings, [Standing::Best, Standing::Lost(*lost)]);
    }
    let worse = with(&|it| it.origin = Origin::Incomplete);
    let standings = select(&[candidate(&worse), candidate(&base)], Multipath::default());
    assert_eq!(standings, [Standing::Lost(Lost::Origin), Standing::Best]);
    let clusters = with(&|it| it.cluster_list = vec![Ipv4Addr::new(9, 9, 9, 9)]);
    let standings = select(&[candidate(&clusters), candidate(&base)], Multipath::default());
    assert_eq!(standings, [Standing::Lost(Lost::ClusterList), Standing::Best]);
    type Change = fn(&mut Candidate<'_>);
    let table: [(Change, Lost); 6] = [
        (|it| it.long_lived = true, Lost::LongLivedStale),
        (|it| it.external = false, Lost::External),
        (|it| it.cost = 6, Lost::Cost),
        (|it| it.router_id = Ipv4Addr::new(2, 2, 2, 3), Lost::RouterId),
        (|it| it.address = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 10)), Lost::Address),
        (|it| it.identity = (6, 0), Lost::Identity),
    ];
    for (change, lost) in table {
        let mut worse = candidate(&base);
        change(&mut worse);
        let standings = select(&[worse, candidate(&base)], Multipath::default());
        assert_eq!(standings, [Standing::Lost(lost), Standing::Best]);
    }
}

#[test]
fn the_earlier_step_counts_whatever_the_later_say() {
    let base = common();
    let better = Attributes { local_pref: Some(200), med: Some(900), ..common() };
    let mut late = candidate(&better);
    late.external = false;
    late.cost = 99;
    late.router_id = Ipv4Addr::BROADCAST;
    let standings = select(&[candidate(&base), late], Multipath::default());
    assert_eq!(standings, [Standing::Lost(Lost::LocalPref), Standing::Best]);
}

#[test]
fn med_counts_among_one_neighboring_system_only() {
    // The known example without an order: a beats b, b beats c, c beats a.
    let a = Attributes { med: Some(20), ..attributes("10.1.0.1", &[1, 9]) };
    let b = Attributes { med: Some(30), ..attributes("10.1.0.2", &[2, 9]) };
    let c = Attributes { med: Some(10), ..attributes("10.1.0.3", &[1, 9]) };
    let all = [(&a, 1), (&b, 2), (&c, 3)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let candidates = order.map(|index| {
            let (attributes, cost) = all[index];
            Candidate { cost, ..candidate(attributes) }
        });
        let standings = select(&candidates, Multipath::default());
        let of = |index| standings[order.iter().position(|it| *it == index).unwrap()];
        assert_eq!(of(0), Standing::Lost(Lost::Med), "{order:?}");
        assert_eq!(of(1), Standing::Best, "{order:?}");
        assert_eq!(of(2), Standing::Lost(Lost::Cost), "{order:?}");
    }
}

#[test]
fn calicos_local_pref_is_compared_as_what_it_stands_for() {
    let with = |local_pref| preference(&Attributes { local_pref, ..common() });
    assert_eq!(with(None), 100);
    assert_eq!(with(Some(CALICO_NORMAL)), 100);
    // A pod that is moving has a lower kernel metric.
    assert_eq!(with(Some(CALICO_NORMAL + 512)), 612);
    assert_eq!(with(Some(CALICO_NORMAL - 200)), 0);
    assert_eq!(with(Some(300)), 300);
    assert_eq!(with(Some(u32::MAX)), u32::MAX);
    let going = Attributes { communities: vec![Community::GRACEFUL_SHUTDOWN], ..common() };
    assert_eq!(preference(&going), 0);
}

#[test]
fn ways_that_nothing_tells_apart_serve_together() {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.3.3/32", "10.1.0.7", &[]);
    say(&mut rib, "second", "192.168.3.3/32", "10.1.0.6", &[]);
    assert_eq!(
        shown(&mut rib),
        "192.168.3.3/32 metric 32 multipath dev ens1 via 10.1.0.6 dev ens1 via 10.1.0.7\n"
    );
    // The same next hop of both reflectors is one way.
    say(&mut rib, "second", "192.168.3.3/32", "10.1.0.7", &[]);
    assert_eq!(shown(&mut rib), "192.168.3.3/32 metric 32 dev ens1 via 10.1.0.7\n");
}

#[test]
fn other_systems_on_the_way_serve_together_when_that_is_relaxed() {
    let a = attributes("10.1.0.1", &[65_001, 65_100]);
    let b = attributes("10.1.0.2", &[65_002, 65_100]);
    let mut second = candidate(&b);
    second.address = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 10));
    let relaxed = Multipath { maximum: 2, relax: true };
    let both = [candidate(&a), second];
    assert_eq!(select(&both, relaxed), [Standing::Best, Standing::Multipath]);
    let strict = Multipath { maximum: 2, relax: false };
    assert_eq!(select(&both, strict), [Standing::Best, Standing::Lost(Lost::Address)]);
    let one = Multipath { maximum: 1, relax: true };
    assert_eq!(select(&both, one), [Standing::Best, Standing::Lost(Lost::Address)]);
}

#[test]
fn paths_of_one_neighbor_are_told_apart_by_their_identifier() {
    let mut rib = rib();
    let with = |path_id| Nlri { path_id, ..nlri("192.168.3.3/32") };
    rib.update(&name("peer"), &announce(attributes("10.1.0.6", &[]), vec![with(1)]));
    rib.update(&name("peer"), &announce(attributes("10.1.0.7", &[]), vec![with(2)]));
    assert_eq!(rib.counts(&name("peer")).unwrap().held, 2);
    let gone = lockgate::bgp::Update { withdrawn: vec![with(1)], announced: Vec::new() };
    rib.update(&name("peer"), &gone);
    assert_eq!(shown(&mut rib), "192.168.3.3/32 metric 32 dev ens1 via 10.1.0.7\n");
}

#[test]
fn every_path_says_what_became_of_it() {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.3.64/26", "10.1.0.7", &[]);
    say(&mut rib, "second", "192.168.3.64/26", "10.9.9.9", &[]);
    say(&mut rib, "tor", "192.168.3.64/26", "10.1.0.1", &[65_001]);
    assert_eq!(
        explained(&mut rib, "192.168.3.64/26"),
        [
            "192.168.3.64/26 of peer via 10.1.0.7: best",
            "192.168.3.64/26 of second via 10.9.9.9: not installed: nothing leads to its next hop",
            "192.168.3.64/26 of tor via 10.1.0.1 path 65001: lost: another path is shorter",
        ]
    );
    say(&mut rib, "peer", "10.96.0.0/24", "10.1.0.7", &[]);
    assert_eq!(
        explained(&mut rib, "10.96.0.0/24"),
        ["10.96.0.0/24 of peer via 10.1.0.7: refused: the class forbids this network"]
    );
    assert_eq!(explained(&mut rib, "192.168.99.0/26"), Vec::<String>::new());
}

#[test]
fn the_networks_around_one_are_known_the_longest_first() {
    let mut rib = rib();
    for network in ["192.168.3.64/26", "192.168.0.0/16", "192.168.3.128/26", "192.168.3.0/24"] {
        say(&mut rib, "peer", network, "10.1.0.7", &[]);
    }
    let around = |rib: &lockgate::bgp::Rib, network: &str| {
        let all = rib.around(network.parse().unwrap());
        all.map(|it| it.to_string()).collect::<Vec<_>>()
    };
    let all = ["192.168.3.64/26", "192.168.3.0/24", "192.168.0.0/16"];
    assert_eq!(around(&rib, "192.168.3.70/32"), all);
    assert_eq!(around(&rib, "192.168.3.64/26"), all[1..], "itself is not around it");
    assert_eq!(around(&rib, "10.0.0.0/8"), [""; 0]);
    rib.update(&name("peer"), &withdraw("192.168.3.0/24"));
    assert_eq!(around(&rib, "192.168.3.70/32"), [all[0], all[2]]);
}

#[test]
fn too_many_end_it_and_three_quarters_are_worth_a_word_once() {
    let mut tenant = tenant();
    tenant.fabric.bgp.as_mut().unwrap().import.maximum_prefixes = 4;
    let mut rib = rib_of(&tenant, Multipath::default(), "");
    let mut add = |at: u8| {
        let prefix = format!("192.168.{at}.0/26");
        rib.update(&name("peer"), &announce(attributes("10.1.0.6", &[]), vec![nlri(&prefix)]))
    };
    assert_eq!(
        [add(1), add(2), add(3), add(3), add(4)],
        [None, None, Some(Limit::Near), None, None]
    );
    // One message with many more is not read to its end.
    let many = (10..250).map(|at| nlri(&format!("192.168.{at}.0/26"))).collect();
    let many = announce(attributes("10.1.0.6", &[]), many);
    assert_eq!(rib.update(&name("peer"), &many), Some(Limit::Over));
    assert_eq!(rib.counts(&name("peer")).unwrap().held, 5);
    // Refused ones count: they are held too.
    let refused = announce(
        attributes("10.1.0.6", &[]),
        (0..9).map(|at| nlri(&format!("10.96.{at}.0/24"))).collect(),
    );
    assert_eq!(rib.update(&name("second"), &refused), Some(Limit::Over));
}

/// Each is looked for again whenever a link changes: one more than are kept track of is
/// refused with its route, and has its place when another goes.
#[test]
fn next_hops_beyond_what_is_kept_track_of_are_refused() {
    let mut tenant = tenant();
    tenant.fabric.bgp.as_mut().unwrap().import.maximum_prefixes = 20_000;
    let mut rib = rib_of(&tenant, Multipath::default(), "");
    let most = u32::try_from(NEXT_HOPS_PER_TENANT).unwrap();
    let add = |rib: &mut lockgate::bgp::Rib, at: u32| {
        let network = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(192, 168, 0, 0)) + at);
        let hop = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 9, 0, 0)) + at);
        say(rib, "peer", &format!("{network}/32"), &hop.to_string(), &[]);
        format!("{network}/32")
    };
    for at in 0..most {
        add(&mut rib, at);
    }
    let last = add(&mut rib, most);
    let refused = "refused: there are too many different next hops";
    assert!(explained(&mut rib, &last)[0].ends_with(refused));
    // Another route by one that is known is none the worse.
    say(&mut rib, "second", "192.168.0.0/32", "10.9.0.1", &[]);
    assert!(!explained(&mut rib, "192.168.0.0/32")[1].contains("refused"));
    rib.update(&name("peer"), &withdraw("192.168.0.9/32"));
    assert_eq!(add(&mut rib, most), last);
    assert!(!explained(&mut rib, &last)[0].contains("refused"));
}

#[test]
fn all_neighbors_together_have_a_maximum_too() {
    let mut rib = rib().with_maximum(3);
    let add = |rib: &mut lockgate::bgp::Rib, neighbor: &str, at: u8| {
        let prefix = format!("192.168.{at}.0/26");
        rib.update(&name(neighbor), &announce(attributes("10.1.0.6", &[]), vec![nlri(&prefix)]))
    };
    assert_eq!([1, 2, 2].map(|at| add(&mut rib, "peer", at)), [None; 3]);
    assert_eq!(add(&mut rib, "second", 2), None, "a second path to the same counts");
    assert_eq!(add(&mut rib, "second", 3), Some(Limit::Over), "of whom it was one too many");
    let now = Instant::from_secs(1);
    rib.neighbor_down(&name("second"), &Retain::default(), now);
    assert_eq!(add(&mut rib, "peer", 3), None, "what is gone counts no more");
    assert_eq!(add(&mut rib, "peer", 4), Some(Limit::Over));
}

#[test]
fn another_policy_is_applied_to_what_was_said_before() {
    let mut tenant = tenant();
    let mut rib = rib_of(&tenant, Multipath::default(), "");
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    say(&mut rib, "site/hq", "192.168.1.0/25", "10.255.30.1", &[65_010]);
    tenant.fabric.bgp.as_mut().unwrap().import.prefixes.clear();
    assert!(!rib.set_neighbor(name("peer"), settings(&tenant, "peer")));
    assert_eq!(
        explained(&mut rib, "192.168.72.64/26"),
        ["192.168.72.64/26 of peer via 10.1.0.8: refused: no import prefix names it"]
    );
    // Also under another alias.
    let hq = tenant.sites.get_mut(&"hq".parse().unwrap()).unwrap();
    hq.prefixes[0].alias = Some("10.201.1.0/24".parse().unwrap());
    assert_eq!(explained(&mut rib, "10.200.1.0/25").len(), 1);
    rib.set_neighbor(name("site/hq"), settings(&tenant, "site/hq"));
    assert_eq!(explained(&mut rib, "10.200.1.0/25").len(), 0);
    assert_eq!(
        explained(&mut rib, "10.201.1.0/25"),
        ["192.168.1.0/25 of site/hq via 10.255.30.1 path 65010: best"]
    );
    assert_eq!(rib.counts(&name("site/hq")).unwrap().held, 1);
}

fn vpn(target: &str, distinguisher: u8, prefix: &str) -> lockgate::bgp::Update {
    let target: RouteTarget = target.parse().unwrap();
    let extended_communities = vec![ExtendedCommunity([0x43; 8]), target.community()];
    let attributes = Attributes { extended_communities, ..attributes("10.1.0.8", &[]) };
    let distinguisher = Some(RouteDistinguisher([0, 0, 0, 0, 0, 0, 0, distinguisher]));
    announce(attributes, vec![Nlri { distinguisher, ..nlri(prefix) }])
}

#[test]
fn a_vpn_route_is_its_tenants_and_nobody_elses() {
    let ours = tenant();
    let mut theirs = tenant();
    theirs.fabric.bgp.as_mut().unwrap().import.route_targets = vec!["64512:41".parse().unwrap()];
    // The same session, the same networks, told to both.
    let mut one = rib_of(&ours, Multipath::default(), "");
    let mut other = rib_of(&theirs, Multipath::default(), "");
    let said = [
        vpn("64512:40", 1, "192.168.72.64/26"),
        vpn("64512:41", 2, "192.168.72.64/26"),
        vpn("64512:41", 2, "192.168.9.0/26"),
        // The same numbers in other forms are another's.
        vpn("0.64512:40", 3, "192.168.10.0/26"),
        vpn("0.0.252.0:40", 3, "192.168.11.0/26"),
    ];
    for update in &said {
        one.update(&name("peer"), update);
        other.update(&name("peer"), update);
    }
    assert_eq!(shown(&mut one), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.8\n");
    assert_eq!(one.size().0, 1);
    assert_eq!(one.counts(&name("peer")).unwrap().not_kept, 4);
    assert_eq!(other.size().0, 2);
    // A target the tenant gets needs the routes that were not kept.
    let mut more = ours;
    more.fabric.bgp.as_mut().unwrap().import.route_targets.push("64512:41".parse().unwrap());
    assert!(one.set_neighbor(name("peer"), settings(&more, "peer")));
    // One that it gets no more takes what came by it, and holds none of that.
    let mut less = more;
    less.fabric.bgp.as_mut().unwrap().import.route_targets = vec!["64512:42".parse().unwrap()];
    one.set_neighbor(name("peer"), settings(&less, "peer"));
    assert_eq!(shown(&mut one), "");
    assert_eq!(one.size().0, 0);
    // Another target on the same route takes it away.
    other.update(&name("peer"), &vpn("64512:40", 2, "192.168.9.0/26"));
    assert_eq!(shown(&mut other), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.8\n");
}

#[test]
fn a_link_that_goes_takes_its_routes_along_and_brings_them_back() {
    let tenant = tenant();
    let mut rib = rib_of(&tenant, Multipath::default(), "");
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    let mut down = namespace("");
    down.links.get_mut(&"ens1".parse().unwrap()).unwrap().up = false;
    surround(&mut rib, &tenant, &down);
    assert_eq!(shown(&mut rib), "");
    surround(&mut rib, &tenant, &namespace(""));
    assert_eq!(shown(&mut rib), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.8\n");
}

#[test]
fn a_neighbor_that_is_removed_leaves_nothing() {
    let mut rib = rib();
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    say(&mut rib, "second", "192.168.72.64/26", "10.1.0.8", &[]);
    rib.remove_neighbor(&name("peer"));
    rib.remove_neighbor(&name("second"));
    assert_eq!(rib.size(), (0, 0));
    assert_eq!(CLUSTER, tenant().fabric.bgp.unwrap().local_asn.value());
}
