//! A route reflector with the VPN routes of several tenants, which have the same networks
//! under other route targets: each tenant has a session of its own with it, and takes
//! what is its own.
//!
//! ```text
//!   acme ─ 10.136.40.0/24 ─┐
//!                          ├─ GoBGP, AS 65001
//!   beta ─ 10.136.41.0/24 ─┘
//! ```

use crate::bgp_stage::{Ask, NETNS, attach, learned, tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::gobgp::{GoBgp, is_installed};
use crate::lab::{self, At, Lab};
use crate::wireguard_stage::class_document;
use lockgate::status::Snapshot;

const BETA: &str = "lockgate.beta.gw";

/// The document of a tenant that takes routes of this target.
fn document(ask: &Ask<'_>, target: &str) -> String {
    let targets = format!("import: {{routeTargets: [\"{target}\"], prefixes:");
    let document = tenant_document(ask).replace("import: {prefixes:", &targets);
    assert!(document.contains(target));
    document
}

/// Routes that the neighbor of a tenant said for others, and paths that are held of it.
fn counts(snapshot: &Snapshot, namespace: &str) -> Option<(u64, u64)> {
    let mut tenants = snapshot.tenants.iter();
    let tenant = tenants.find(|tenant| tenant.name.namespace() == namespace)?;
    let prefixes = tenant.bgp.as_ref()?.neighbors.first()?.prefixes;
    Some((prefixes.not_kept, prefixes.received))
}

/// Two tenants, each with a session of its own with GoBGP, which knows `more` families
/// beside.
fn start<'lab>(lab: &'lab Lab, more: &[&str]) -> (Gateway<'lab>, GoBgp<'lab>) {
    let gateway = Gateway::start(lab, At::Underlay, &documents("65001:40"));
    let at = attach(lab, "acme");
    lab.ip(At::Underlay, &format!("link set apps-beta netns {at}"));
    lab.ip(&at, "link set apps-beta up");
    lab.address(&at, "apps-beta", "10.136.41.2/24");
    let mut config = "[global.config]\n  as = 65001\n  router-id = \"10.136.40.2\"\n".to_owned();
    for address in ["10.136.40.1", "10.136.41.1"] {
        config += &format!(
            "[[neighbors]]
  [neighbors.config]
    neighbor-address = \"{address}\"
    peer-as = 64600
  [neighbors.timers.config]
    connect-retry = 2
"
        );
        for family in ["ipv4-unicast", "l3vpn-ipv4-unicast"].iter().chain(more) {
            config += &format!(
                "  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = \"{family}\"
"
            );
        }
    }
    (gateway, GoBgp::start(lab, &at, &config))
}

/// The documents of both, of which acme takes routes of this target.
fn documents(target: &str) -> String {
    let acme = document(&Ask::default(), target);
    let beta = Ask { tenant: "beta", port: 51_822, ..Ask::default() };
    let beta = document(&beta, "65001:41").replace("10.136.40.", "10.136.41.");
    class_document() + &acme + &beta
}

/// Adds a VPN route to GoBGP's table, or takes it off.
#[track_caller]
fn vpn(gobgp: &GoBgp<'_>, command: &str, words: &str) {
    assert_eq!(gobgp.say(&format!("global rib -a vpnv4 {command} {words}")), "");
}

#[test]
fn each_tenant_takes_its_own_of_a_reflectors_vpn_routes() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        let (gateway, gobgp) = start(lab, &[]);
        let vpn = |command: &str, words: &str| vpn(&gobgp, command, words);
        let of_acme = "10.140.1.0/24 label 16 rd 65001:1 rt 65001:40 nexthop 10.136.40.2";
        vpn("add", of_acme);
        vpn("add", "10.140.1.0/24 label 17 rd 65001:2 rt 65001:41 nexthop 10.136.41.2");
        vpn("add", "10.140.2.0/24 label 17 rd 65001:2 rt 65001:41 nexthop 10.136.41.2");
        vpn("add", "10.140.3.0/24 label 18 rd 65001:3 rt 65001:99 nexthop 10.136.41.2");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24", "10.140.2.0/24"]);
        assert!(learned(lab, NETNS)[0].contains("via 10.136.40.2 "));
        assert!(learned(lab, BETA).iter().all(|line| line.contains("via 10.136.41.2 ")));
        // What is another's or nobody's is counted, and held nowhere.
        gateway.wait("what is not theirs to be counted", |snapshot| {
            counts(snapshot, "acme") == Some((3, 1)) && counts(snapshot, "beta") == Some((2, 2))
        });
        let rib = |tenant: &str| gateway.page(&format!("/api/v1/tenants/{tenant}/gw/rib"));
        assert!(!rib("acme").contains("65001:41") && !rib("acme").contains("10.140.2.0/24"));
        assert!(!rib("beta").contains("65001:40"));
        assert!(!(rib("acme") + &rib("beta")).contains("10.140.3.0/24"));
        // One tenant's goes, and the other's of the same network stays.
        vpn("del", "10.140.1.0/24 label 16 rd 65001:1 rt 65001:40 nexthop 10.136.40.2");
        wait_learned(lab, NETNS, &[]);
        wait_learned(lab, BETA, &["10.140.1.0/24", "10.140.2.0/24"]);
        // What is given another target is another tenant's from then on.
        vpn("add", "10.140.2.0/24 label 17 rd 65001:2 rt 65001:40 nexthop 10.136.40.2");
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24"]);
    });
}

/// The VPN routes that GoBGP says to a neighbor.
fn said(gobgp: &GoBgp<'_>, neighbor: &str) -> Vec<String> {
    let text = gobgp.say(&format!("neighbor {neighbor} adj-out -a vpnv4"));
    let networks = text.split_whitespace().filter(|word| word.contains("10.140."));
    let networks = networks.map(|word| word.rsplit(':').next().unwrap_or_default().to_owned());
    let mut networks: Vec<String> = networks.collect();
    networks.sort();
    networks
}

#[test]
fn a_reflector_that_is_told_what_each_tenant_wants_says_nothing_else() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        let (gateway, gobgp) = start(lab, &["rtc"]);
        vpn(&gobgp, "add", "10.140.1.0/24 label 16 rd 65001:1 rt 65001:40 nexthop 10.136.40.2");
        vpn(&gobgp, "add", "10.140.1.0/24 label 17 rd 65001:2 rt 65001:41 nexthop 10.136.41.2");
        vpn(&gobgp, "add", "10.140.2.0/24 label 17 rd 65001:2 rt 65001:41 nexthop 10.136.41.2");
        vpn(&gobgp, "add", "10.140.3.0/24 label 18 rd 65001:3 rt 65001:99 nexthop 10.136.40.2");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24", "10.140.2.0/24"]);
        assert_eq!(said(&gobgp, "10.136.40.1"), ["10.140.1.0/24"]);
        assert_eq!(said(&gobgp, "10.136.41.1"), ["10.140.1.0/24", "10.140.2.0/24"]);
        gateway.wait("nothing to be heard that is another's", |snapshot| {
            counts(snapshot, "acme") == Some((0, 1)) && counts(snapshot, "beta") == Some((0, 2))
        });
        // What is wanted now comes, and what was wanted goes, in the same session.
        gateway.write("documents.yaml", &documents("65001:99"));
        wait_learned(lab, NETNS, &["10.140.3.0/24"]);
        assert_eq!(said(&gobgp, "10.136.40.1"), ["10.140.3.0/24"]);
        gateway.wait("the session to be the same", |snapshot| {
            let mut tenants = snapshot.tenants.iter();
            let acme = tenants.find(|tenant| tenant.name.namespace() == "acme");
            let bgp = acme.and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors.iter().all(|neighbor| neighbor.flaps.0 == 0))
        });
    });
}
