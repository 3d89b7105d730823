//! Where routes lead.

use crate::bgp_scene::{
    announce, attributes, explained, name, namespace, nlri, rib, rib_of, say, shown, surround,
    tenant, withdraw,
};
use lockgate::bgp::{Attributes, Community, Multipath, Surroundings, Unresolved};
use lockgate::model::Ipip;
use lockgate::reconcile::KernelState;
use std::collections::BTreeMap;

#[test]
fn a_route_of_ours_leads_to_a_next_hop_that_is_not_on_the_link() {
    let ours = "route 10.77.0.0/16 metric 64 dev ens1 via 10.1.0.1";
    let mut rib = rib_of(&tenant(), Multipath::default(), ours);
    say(&mut rib, "peer", "192.168.72.64/26", "10.77.0.8", &[]);
    assert_eq!(shown(&mut rib), "192.168.72.64/26 metric 32 dev ens1 via 10.1.0.1\n");
}

#[test]
fn learned_routes_lead_on_whatever_came_first() {
    let lines = "10.8.1.0/24 metric 32 dev ens1 via 10.1.0.8
10.8.2.1/32 metric 32 dev ens1 via 10.1.0.8
192.168.9.9/32 metric 32 dev ens1 via 10.1.0.8
";
    let said =
        [("10.8.1.0/24", "10.1.0.8"), ("10.8.2.1/32", "10.8.1.1"), ("192.168.9.9/32", "10.8.2.1")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut rib = rib();
        for index in order {
            let (prefix, hop) = said[index];
            say(&mut rib, "peer", prefix, hop, &[]);
        }
        assert_eq!(shown(&mut rib), lines, "{order:?}");
        while rib.poll_route().is_some() {}
        rib.update(&name("peer"), &withdraw("10.8.1.0/24"));
        assert_eq!(shown(&mut rib), "");
        // Every route that went is given out.
        let mut gone = 0;
        while let Some((_, route)) = rib.poll_route() {
            assert_eq!(route, None);
            gone += 1;
        }
        assert_eq!(gone, 3);
    }
}

#[test]
fn no_path_stands_on_itself_or_on_a_ring() {
    let mut rib = rib();
    say(&mut rib, "peer", "10.8.1.0/24", "10.8.1.1", &[]);
    say(&mut rib, "peer", "10.8.2.0/24", "10.8.3.1", &[]);
    say(&mut rib, "peer", "10.8.3.0/24", "10.8.2.1", &[]);
    assert_eq!(shown(&mut rib), "");
    assert_eq!(
        explained(&mut rib, "10.8.1.0/24"),
        ["10.8.1.0/24 of peer via 10.8.1.1: not installed: nothing leads to its next hop"]
    );
}

#[test]
fn too_long_a_chain_is_not_followed() {
    let mut rib = rib();
    say(&mut rib, "peer", "10.8.1.0/24", "10.1.0.8", &[]);
    for at in 2..=5 {
        let hop = format!("10.8.{}.1", at - 1);
        say(&mut rib, "peer", &format!("10.8.{at}.0/24"), &hop, &[]);
    }
    let all = shown(&mut rib);
    assert!(all.contains("10.8.4.0/24") && !all.contains("10.8.5.0/24"), "{all}");
}

#[test]
fn what_is_dropped_on_the_way_is_not_installed() {
    for drop in ["blackhole", "unreachable"] {
        let ours = format!("route 10.77.0.0/16 metric 64 {drop}");
        let mut rib = rib_of(&tenant(), Multipath::default(), &ours);
        say(&mut rib, "peer", "192.168.72.64/26", "10.77.0.8", &[]);
        assert_eq!(
            explained(&mut rib, "192.168.72.64/26"),
            [
                "192.168.72.64/26 of peer via 10.77.0.8: not installed: a route drops what is for its next hop"
            ]
        );
    }
}

#[test]
fn into_an_ipip_tunnel_goes_what_is_for_a_node_that_is_reached() {
    let mut tenant = tenant();
    let nodes = vec!["10.1.0.8/30".parse().unwrap(), "10.2.0.0/24".parse().unwrap()];
    tenant.fabric.ipip = Some(Ipip { local: "10.1.0.20".parse().unwrap(), nodes });
    let mut rib = rib_of(&tenant, Multipath::default(), "");
    let tunnels = namespace("link lg-ipip ipip 10.1.0.20 mtu 1480 up");
    rib.set_surroundings(Surroundings::fabric(&tenant, &tunnels), BTreeMap::new());
    say(&mut rib, "peer", "192.168.72.64/26", "10.1.0.8", &[]);
    say(&mut rib, "peer", "192.168.127.192/26", "10.1.0.6", &[]);
    say(&mut rib, "peer", "192.168.18.128/26", "10.2.0.6", &[]);
    assert_eq!(
        shown(&mut rib),
        "192.168.72.64/26 metric 32 dev lg-ipip via 10.1.0.8\n\
         192.168.127.192/26 metric 32 dev ens1 via 10.1.0.6\n",
        "who is no node gets it plain, and a node has to be reached"
    );
    // Never plain to a node, which may not be known by that on the way.
    rib.set_surroundings(Surroundings::fabric(&tenant, &namespace("")), BTreeMap::new());
    assert_eq!(shown(&mut rib), "192.168.127.192/26 metric 32 dev ens1 via 10.1.0.6\n");
    assert_eq!(
        explained(&mut rib, "192.168.72.64/26"),
        [
            "192.168.72.64/26 of peer via 10.1.0.8: not installed: its next hop is a node, and the IPIP link is not there"
        ]
    );
}

#[test]
fn in_a_pod_the_nodes_virtual_address_is_on_the_pods_own_link() {
    let text = "netns acme/gw
      link eth0 foreign mtu 1450 up 10.42.0.7/32
      link lg-wg tun mtu 1420 up 10.255.30.0/31";
    let mut state: KernelState = text.parse().unwrap();
    let namespace = state.tenants.pop_first().unwrap().1;
    let tenant = tenant();
    let mut rib = rib_of(&tenant, Multipath::default(), "");
    surround(&mut rib, &tenant, &namespace);
    say(&mut rib, "peer", "192.168.72.64/26", "169.254.1.1", &[]);
    assert_eq!(shown(&mut rib), "192.168.72.64/26 metric 32 dev eth0 via 169.254.1.1\n");
}

#[test]
fn an_ipv4_route_may_lead_by_an_ipv6_router_and_not_the_other_way() {
    let tenant = tenant();
    let text = "netns acme/gw
      link ens1 moved mtu 1500 up 10.1.0.20/24 2001:db8::20/64
      link lg-wg tun mtu 1420 up 10.255.30.0/31";
    let mut state: KernelState = text.parse().unwrap();
    let namespace = state.tenants.pop_first().unwrap().1;
    let mut tenant6 = tenant;
    let prefixes = &mut tenant6.fabric.bgp.as_mut().unwrap().import.prefixes;
    prefixes.push(crate::bgp_scene::import("2001:db8:9::/48", 64, 64));
    let mut rib = rib_of(&tenant6, Multipath::default(), "");
    surround(&mut rib, &tenant6, &namespace);
    say(&mut rib, "peer", "192.168.72.64/26", "2001:db8::8", &[]);
    say(&mut rib, "peer", "192.168.73.64/26", "fe80::8", &[]);
    say(&mut rib, "peer", "2001:db8:9::/64", "10.1.0.8", &[]);
    assert_eq!(
        shown(&mut rib),
        "192.168.72.64/26 metric 32 dev ens1 via 2001:db8::8
192.168.73.64/26 metric 32 dev ens1 via fe80::8
"
    );
    let prefix = "2001:db8:9::/64".parse().unwrap();
    let state = rib.explain(prefix).unwrap().paths[0].state;
    assert_eq!(state, lockgate::bgp::PathState::NotInstalled(Unresolved::Family));
}

#[test]
fn a_customers_route_leaves_by_its_own_link_from_our_own_address() {
    let mut rib = rib();
    say(&mut rib, "site/hq", "192.168.1.0/25", "10.255.30.1", &[65_010]);
    say(&mut rib, "site/lab", "10.64.3.0/24", "172.30.0.2", &[65_010]);
    assert_eq!(
        shown(&mut rib),
        "10.64.3.0/24 metric 32 dev ens2 via 172.30.0.2 src 172.30.0.1
10.200.1.0/25 metric 32 dev lg-wg src 10.255.30.0
"
    );
}

#[test]
fn what_the_fabric_asks_to_be_dropped_is_and_nothing_goes_by_it() {
    let mut rib = rib();
    let drop =
        Attributes { communities: vec![Community::BLACKHOLE], ..attributes("10.1.0.8", &[]) };
    let both = vec![nlri("192.168.3.3/32"), nlri("10.8.1.0/24")];
    rib.update(&name("peer"), &announce(drop, both));
    say(&mut rib, "peer", "192.168.9.9/32", "10.8.1.1", &[]);
    assert_eq!(
        shown(&mut rib),
        "10.8.1.0/24 metric 32 blackhole\n192.168.3.3/32 metric 32 blackhole\n"
    );
    // And whoever looks for it reads that.
    let drops = "192.168.3.3/32 of peer via 10.1.0.8: best: what is for it is dropped (BLACKHOLE)";
    assert_eq!(explained(&mut rib, "192.168.3.3/32"), [drops]);
    // A customer's wish does not reach that far.
    let drop = Attributes {
        communities: vec![Community::BLACKHOLE],
        ..attributes("172.30.0.2", &[65_010])
    };
    rib.update(&name("site/lab"), &announce(drop, vec![nlri("10.64.3.3/32")]));
    assert!(shown(&mut rib).contains("10.64.3.3/32 metric 32 dev ens2"));
    assert!(explained(&mut rib, "10.64.3.3/32")[0].ends_with(": best"));
}

#[test]
fn learned_routes_in_the_kernel_are_nothing_to_stand_on() {
    let learned = "route 10.77.0.0/16 metric 32 dev ens1 via 10.1.0.1";
    let mut rib = rib_of(&tenant(), Multipath::default(), learned);
    say(&mut rib, "peer", "192.168.72.64/26", "10.77.0.8", &[]);
    assert_eq!(shown(&mut rib), "");
}
