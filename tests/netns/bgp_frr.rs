//! A stock FRR as the fabric's router: its defaults, and its own words for what it
//! was told.

use crate::bgp_odd_stage::neighbor;
use crate::bgp_routes::BOTH_FAMILIES;
use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, learned, tenant_document, wait_learned,
};
use crate::frr::{self, Frr};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::NeighborState;

#[test]
fn frr_and_the_gateway_tell_each_other_what_they_have() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let neighbor = ", ttlSecurity: 1, passwordSecretRef: {name: bgp, key: tor}";
        let ask = Ask { neighbor, ..Ask::default() };
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &(class_document() + &tenant_document(&ask) + LAB));
        gateway.secret("acme", "bgp", "tor", "s3cret");
        gateway.spawn();
        gateway.wait_programmed();
        let at = attach(lab, "acme");
        let config = format!(
            "router bgp 65001
 bgp router-id {BIRD}
 no bgp network import-check
 neighbor {GATEWAY} remote-as 64600
 neighbor {GATEWAY} password s3cret
 neighbor {GATEWAY} ttl-security hops 1
 neighbor {GATEWAY} timers connect 2
 address-family ipv4 unicast
  network 10.140.1.0/24
  network 10.99.0.0/24
  neighbor {GATEWAY} route-map all in
  neighbor {GATEWAY} route-map all out
 exit-address-family
route-map all permit 10
"
        );
        let frr = Frr::start(lab, &at, &config);
        frr.wait_said("show bgp ipv4 unicast 10.64.0.0/16", "64600");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        assert!(learned(lab, NETNS)[0].contains(&format!("via {BIRD} dev lg-fabric")));
        // FRR says what it has not any more, and what it has anew.
        frr.say(
            "configure terminal\nrouter bgp 65001\naddress-family ipv4 unicast\nno network 10.140.1.0/24\nnetwork 10.140.2.0/24",
        );
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
    });
}

/// IPv4 networks go with IPv6 next hops both ways, into both kernels (RFC 8950); FRR's own
/// has a link-local address beside the global one (RFC 2545 §3).
#[test]
fn frr_and_the_gateway_carry_both_families_over_ipv6() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let gateway = Gateway::start(lab, At::Underlay, &(class_document() + BOTH_FAMILIES + LAB));
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "2001:db8:40::2/64");
        let config = format!(
            "router bgp 65001
 bgp router-id {BIRD}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 2001:db8:40::1 remote-as 64600
 neighbor 2001:db8:40::1 capability extended-nexthop
 neighbor 2001:db8:40::1 timers connect 2
 address-family ipv4 unicast
  network 10.140.1.0/24
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:140:1::/64
  neighbor 2001:db8:40::1 activate
 exit-address-family
"
        );
        let frr = Frr::start_routing(lab, &at, &config);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let line = &learned(lab, NETNS)[0];
        assert!(line.contains("via inet6 2001:db8:40::2 dev lg-fabric metric 32"), "{line}");
        let six = || lab.ip(NETNS, "-6 route show proto 76 metric 32");
        wait_until("the IPv6 network", PATIENCE, || {
            let found = six();
            let is = found.starts_with("2001:db8:140:1::/64 via 2001:db8:40::2 dev lg-fabric");
            if is { Ok(()) } else { Err(found) }
        });
        wait_until("FRR's kernel to have the site", PATIENCE, || {
            let routes = lab.ip(&at, "route show 10.64.0.0/16");
            let is = routes.contains("via inet6 2001:db8:40::1");
            if is { Ok(()) } else { Err(routes + &frr.say("show bgp ipv4 unicast")) }
        });
        frr.say("configure terminal\nrouter bgp 65001\naddress-family ipv4 unicast\nno network 10.140.1.0/24");
        wait_learned(lab, NETNS, &[]);
        gateway.wait_programmed();
    });
}

/// What the document attaches is on what is told; a planned stop is told before it comes
/// (RFC 8326), and both ends' words at the end of a session are read at the other
/// (RFC 9003).
#[test]
fn what_is_attached_and_what_is_said_at_the_end_arrive() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let export = "      export: {communities: ['64512:140', '64512:1:140'], med: 77}\n";
        let documents = class_document() + &tenant_document(&Ask::default()) + export + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let config = format!(
            "debug bgp updates in
router bgp 65001
 bgp router-id {BIRD}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor {GATEWAY} remote-as 64600
 neighbor {GATEWAY} timers connect 2
 address-family ipv4 unicast
  network 10.140.1.0/24
 exit-address-family
"
        );
        let frr = Frr::start(lab, &at, &config);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let told = frr.wait_said("show bgp ipv4 unicast 10.64.0.0/16", "64600");
        for attached in ["metric 77", "Community: 64512:140", "Large Community: 64512:1:140"] {
            assert!(told.contains(attached), "{attached}: {told}");
        }

        let shut = format!("configure terminal\nrouter bgp 65001\nneighbor {GATEWAY} shutdown");
        frr.say(&format!("{shut} message moving house"));
        wait_until("why the session ended", PATIENCE, || {
            let seen = neighbor(&gateway);
            let why = seen.last_error.clone().unwrap_or_default();
            let is_over = seen.state != NeighborState::Established;
            if is_over && why.contains("(6/2)") && why.contains("moving house") {
                Ok(())
            } else {
                Err(seen)
            }
        });
        let shown = gateway.show(&["neighbors"]);
        assert!(shown.contains("moving house"), "{shown}");
        frr.say(&shut.replace("neighbor", "no neighbor"));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        frr.wait_said("show bgp ipv4 unicast 10.64.0.0/16", "metric 77");

        assert!(!frr.log().contains("graceful-shutdown"), "{}", frr.log());
        let mut gateway = gateway;
        assert!(gateway.terminate().success());
        let log = frr.log();
        assert!(log.contains("graceful-shutdown"), "{log}");
        // FRR keeps routes over a NOTIFICATION, but not over this one (RFC 8538 §3.1).
        let told = frr.say(&format!("show bgp neighbors {GATEWAY}"));
        assert!(told.contains("Cease/Administrative Shutdown/Hard Reset"), "{told}");
    });
}
