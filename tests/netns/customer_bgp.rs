//! What `lockgate customer-config` prints for FRR and for BIRD is all that a customer's
//! router needs to speak BGP with the gateway, over the tunnel that it prints, too.

use crate::bgp_stage::NETNS;
use crate::bird::Bird;
use crate::customer_stage::{Printed, quick};
use crate::frr::{self, Frr};
use crate::gateway::{Gateway, site_of};
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Engine, Router};
use crate::wireguard_stage::{
    FAMILIES, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, key, site_document, tenant_document,
};
use lockgate::status::{ConditionType, Snapshot};

/// The customer's key.
const CUSTOMER: u8 = 7;

/// A tenant that speaks BGP, and its site, whose BGP is `bgp` in flow style.
fn documents(bgp: &str) -> String {
    let speaker = "  bgp: {localASN: 64600, routerID: 10.136.40.1, \
                   neighbors: [{name: tor, address: 10.136.40.2, remoteASN: 65001}]}";
    let more = format!("bgp: {bgp}");
    let documents = tenant_document(speaker)
        + &site_document(SITE, key(CUSTOMER).public(), &PREFIXES, TUNNEL, &more);
    documents.replace("vpn.example.net", V4.gateway)
}

/// Starts a gateway, and the tunnel as the customer is told to.
fn start<'lab>(lab: &'lab Lab, stage: &Stage<'_>, bgp: &str) -> (Gateway<'lab>, Router<'lab>) {
    let gateway = Gateway::start(lab, At::Underlay, &documents(bgp));
    stage.attach_app();
    let router = quick(lab, &gateway, Engine::any(), CUSTOMER);
    (gateway, router)
}

fn established(snapshot: &Snapshot) -> bool {
    let site = site_of(snapshot, TENANT, SITE);
    site.is_some_and(|site| site.conditions.holds(ConditionType::BgpEstablished))
}

/// The networks that the gateway has learned, of both families.
fn learned(lab: &Lab) -> Vec<String> {
    let of = |family: &str| lab.ip(NETNS, &format!("{family} route show proto 76"));
    let text = of("-4") + &of("-6");
    let lines = text.lines().filter(|line| line.contains("metric 32"));
    let mut networks: Vec<String> =
        lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    networks.sort();
    networks
}

/// The customer's networks are learned, the applications' told, and packets pass.
fn assert_served(lab: &Lab, stage: &Stage<'_>, gateway: &Gateway<'_>) {
    gateway.wait("the session", established);
    let mut wanted = PREFIXES.map(str::to_owned);
    wanted.sort();
    wait_until("the customer's networks to be learned", PATIENCE, || {
        let found = learned(lab);
        if found == wanted { Ok(()) } else { Err((found, gateway.show(&["neighbors"]))) }
    });
    for family in FAMILIES {
        stage.wait_traffic("app", "device", family.device);
        stage.assert_traffic(family);
    }
}

const OVER_V4: &str = "{remoteASN: 65010, neighbor: 10.255.30.1, holdTimeSeconds: 9}";
const OVER_V6: &str = "{remoteASN: 65010, neighbor: 'fd00:255:30::1', holdTimeSeconds: 9}";
const WITH_ROLES: &str = "{remoteASN: 65010, neighbor: 10.255.30.1, holdTimeSeconds: 9, role: Provider, strictRole: true}";

fn check_bird(bgp: &'static str) {
    lab::run(move |lab| {
        let stage = Stage::new(lab);
        let (gateway, _router) = start(lab, &stage, bgp);
        let printed = Printed::of(lab, &gateway, &["--format", "bird"]);
        let included = printed.file("lockgate.bird.conf");
        let config = format!(
            "log \"/dev/null\" all;
router id 192.168.1.1;
protocol device {{}}
protocol kernel {{ ipv4 {{ export all; }}; }}
protocol kernel {{ ipv6 {{ export all; }}; }}
include \"{}\";
",
            included.display()
        );
        let bird = Bird::start(lab, "router", &config);
        bird.wait_established("lockgate", true);
        bird.wait_told("lockgate", &["10.136.40.0/24", "2001:db8:40::/64"]);
        assert_served(lab, &stage, &gateway);
    });
}

#[test]
fn bird_speaks_both_families_over_ipv4_as_it_is_printed() {
    check_bird(OVER_V4);
}

#[test]
fn bird_speaks_both_families_over_ipv6_as_it_is_printed() {
    check_bird(OVER_V6);
}

#[test]
fn bird_says_the_role_that_is_insisted_on_as_it_is_printed() {
    check_bird(WITH_ROLES);
}

fn check_frr(bgp: &'static str) {
    lab::run(move |lab| {
        if !frr::is_installed() {
            return;
        }
        let stage = Stage::new(lab);
        let (gateway, _router) = start(lab, &stage, bgp);
        let printed = Printed::of(lab, &gateway, &["--format", "frr"]);
        let file = printed.file("lockgate.frr.conf");
        // Its own reader takes every line of it.
        lab.command_output("router", &["vtysh", "-C", "-f", file.to_str().unwrap()]);
        let frr = Frr::start_with_zebra(lab, "router", &printed.text("lockgate.frr.conf"));
        assert_served(lab, &stage, &gateway);
        let told = frr.say("show bgp ipv4 unicast") + &frr.say("show bgp ipv6 unicast");
        for network in ["10.136.40.0/24", "2001:db8:40::/64"] {
            assert!(told.contains(network), "{told}");
        }
    });
}

#[test]
fn frr_speaks_both_families_over_ipv4_as_it_is_printed() {
    check_frr(OVER_V4);
}

#[test]
fn frr_speaks_both_families_over_ipv6_as_it_is_printed() {
    check_frr(OVER_V6);
}

#[test]
fn frr_says_the_role_that_is_insisted_on_as_it_is_printed() {
    check_frr(WITH_ROLES);
}
