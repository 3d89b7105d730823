//! Graceful restart with a stock FRR (RFC 4724), both ways: one end is killed, the other
//! goes on by what it was told, and a thousand packets a second find their way.

use crate::bgp_restart::Traffic;
use crate::bgp_stage::{
    APP, Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, tenant_document, wait_learned,
};
use crate::frr::{self, Frr};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::{TENANT, class_document};
use lockgate::status::{NeighborState, SiteState};

const SITE: &str = "10.64.0.0/16";
const APPS: &str = "10.140.1.0/24";

/// A router that says for itself that its kernel forwards on without its bgpd.
fn config() -> String {
    format!(
        "router bgp 65001
 bgp router-id {BIRD}
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time 60
 neighbor {GATEWAY} remote-as 64600
 neighbor {GATEWAY} timers connect 2
 address-family ipv4 unicast
  network {APPS}
 exit-address-family
"
    )
}

fn start(lab: &Lab) -> (Gateway<'_>, Frr<'_>, String) {
    build_lab(lab);
    let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
    let gateway = Gateway::start(lab, At::Underlay, &documents);
    let at = attach(lab, "acme");
    lab.address(&at, "lo", &format!("{APP}/32"));
    let frr = Frr::start_routing(lab, &at, &config());
    wait_learned(lab, NETNS, &[APPS]);
    wait_routed(lab, &at);
    (gateway, frr, at)
}

/// Waits until FRR's kernel has the site's network.
fn wait_routed(lab: &Lab, at: &str) {
    wait_until("FRR's kernel to have the site", PATIENCE, || {
        let routes = lab.ip(at, &format!("route show {SITE}"));
        if routes.contains(&format!("via {GATEWAY}")) { Ok(()) } else { Err(routes) }
    });
}

#[test]
fn no_packet_is_lost_when_the_gateway_is_killed_and_frr_waits_for_it() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        let (mut gateway, frr, at) = start(lab);
        let traffic = Traffic::start(lab, &at);
        gateway.kill();
        frr.wait_said("show bgp ipv4 unicast", &format!("S> {SITE}"));
        gateway.spawn();
        frr.wait_said("show bgp ipv4 unicast", &format!("*> {SITE}"));
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        gateway.wait_programmed();
        wait_learned(lab, NETNS, &[APPS]);
        traffic.check_nothing_lost();
    });
}

#[test]
fn no_packet_is_lost_when_frr_is_killed_and_the_gateway_waits_for_it() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        let (gateway, mut frr, at) = start(lab);
        let traffic = Traffic::start(lab, &at);
        frr.kill();
        let tor = |is_up: bool, stale: u64| {
            gateway.wait(&format!("{stale} stale, up {is_up}"), |snapshot| {
                let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
                bgp.is_some_and(|bgp| {
                    let tor = &bgp.neighbors[0];
                    (tor.state == NeighborState::Established) == is_up
                        && tor.prefixes.stale == stale
                })
            })
        };
        tor(false, 1);
        wait_learned(lab, NETNS, &[APPS]);
        frr.spawn();
        tor(true, 0);
        frr.wait_said("show bgp ipv4 unicast", &format!("*> {SITE}"));
        wait_routed(lab, &at);
        wait_learned(lab, NETNS, &[APPS]);
        traffic.check_nothing_lost();
    });
}
