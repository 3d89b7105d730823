//! Pods' packets in IPIP tunnels to their nodes, as Calico's pools with `ipipMode: Always`
//! have it: a node here takes nothing for its pods that is not in one.
#![allow(clippy::print_stdout, reason = "a skip is said")]

use crate::bgp_stage::{
    APP, Ask, BIRD, DEVICE, GATEWAY, LAB, NETNS, attach, bird_config, build_lab, learned,
    start_bird, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::{TENANT, class_document};
use lockgate::linux;
use lockgate::model::Ability;
use lockgate::status::{ConditionReason, ConditionStatus, ConditionType};

/// What is to be done about a kernel without.
const REMEDY: &str =
    "the kernel has no IPIP support: load the module `ipip`, or use another kernel";

/// Somebody on the fabric link who is no node.
const STRANGER: &str = "10.136.40.77";

fn documents() -> String {
    let ipip = format!("    ipip: {{nodes: [{BIRD}/32]}}\n    bgp:\n");
    let tenant = tenant_document(&Ask::default());
    assert!(tenant.contains("    bgp:\n"), "{tenant}");
    class_document() + &tenant.replace("    bgp:\n", &ipip) + LAB
}

/// A node with BIRD, a pod's address, and Calico's tunnel link.
fn node(lab: &Lab) -> String {
    let at = attach(lab, "acme");
    lab.ip(&at, "link set tunl0 up");
    lab.address(&at, "lo", &format!("{APP}/32"));
    // What comes to a pod without a tunnel is not for it.
    lab.nft(
        &at,
        "table ip felix {
           chain raw {
             type filter hook prerouting priority -300;
             iifname \"apps-acme\" ip daddr 10.140.0.0/16 drop
           }
         }",
    );
    at
}

/// Whether this machine's kernel has such tunnels.
fn is_known(lab: &Lab) -> bool {
    lab.add("probe");
    let words = ["ip", "link", "add", "probe", "type", "ipip", "local", "192.0.2.1"];
    lab.output("probe", &words).status.success()
}

/// Packets that came out of tunnels.
fn taken_out(lab: &Lab) -> u64 {
    let text = lab.ip(NETNS, "-s -j link show lg-ipip");
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}

fn answers(lab: &Lab, from: &str, words: &[&str]) {
    wait_until("an answer", PATIENCE, || {
        let ping = lab.output(from, &[&["ping", "-c1", "-W1"], words].concat());
        if ping.status.success() { Ok(()) } else { Err(ping) }
    });
}

#[test]
fn what_is_for_a_nodes_pods_goes_through_a_tunnel_to_it() {
    lab::run(|lab| {
        if !is_known(lab) {
            println!("skipped: this kernel has no IPIP; tests/vm sees it");
            return;
        }
        build_lab(lab);
        let mut gateway = Gateway::start(lab, At::Underlay, &documents());
        let at = node(lab);
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], ""));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let routes = learned(lab, NETNS);
        assert!(routes[0].contains(&format!("via {BIRD} dev lg-ipip")), "{routes:?}");
        assert!(routes[0].contains("onlink"), "{routes:?}");
        bird.wait_told("lockgate", &["10.64.0.0/16"]);

        // The answers come plain, for the node has the customer's network by BGP.
        answers(lab, "customer", &["-I", DEVICE, APP]);
        answers(lab, &at, &["-I", APP, DEVICE]);
        assert_eq!(taken_out(lab), 0);
        let large = ["ping", "-c1", "-W1", "-M", "do", "-s", "1472", "-I", DEVICE, APP];
        let large = String::from_utf8(lab.output("customer", &large).stdout).unwrap();
        assert!(large.contains("mtu = 1480"), "{large}");

        // Now they come in tunnels, as they do from a node with another idea of it.
        lab.ip(&at, &format!("route add 10.64.0.0/24 via {GATEWAY} dev tunl0 onlink"));
        answers(lab, "customer", &["-I", DEVICE, APP]);
        answers(lab, &at, &["-I", APP, "-s", "1400", DEVICE]);
        assert!(0 < taken_out(lab));

        // What is inside has to be an application's.
        let refused = gateway.firewall_drops(TENANT, "not_app_source");
        lab.address(&at, "lo", "10.99.0.1/32");
        let forged = ["ping", "-c3", "-i0.2", "-W1", "-I", "10.99.0.1", DEVICE];
        assert!(!lab.output(&at, &forged).status.success());
        gateway.wait_firewall_drops(TENANT, "not_app_source", refused + 3);

        // And who has put it in a node.
        lab.address(&at, "apps-acme", &format!("{STRANGER}/24"));
        let tunnel = format!("link add stranger type ipip local {STRANGER} remote {GATEWAY}");
        lab.ip(&at, &tunnel);
        lab.ip(&at, "link set stranger up");
        lab.ip(&at, "route replace 10.64.0.0/24 dev stranger");
        let (before, refused) = (taken_out(lab), gateway.firewall_drops(TENANT, "to_gateway"));
        let words = ["ping", "-c3", "-i0.2", "-W1", "-I", APP, DEVICE];
        assert!(!lab.output(&at, &words).status.success());
        gateway.wait_firewall_drops(TENANT, "to_gateway", refused + 3);
        assert_eq!(taken_out(lab), before);

        // With the last word of it the tunnels go, and the kernel's own link with the
        // namespace.
        gateway.apply(&(class_document() + &tenant_document(&Ask::default()) + LAB));
        wait_until("a route without a tunnel", PATIENCE, || {
            let routes = learned(lab, NETNS);
            let is_plain = routes.len() == 1 && routes[0].contains("dev lg-fabric");
            if is_plain { Ok(()) } else { Err(routes) }
        });
        assert!(!lab.ip(NETNS, "link").contains("lg-ipip"));
        assert!(gateway.terminate().success());
        assert!(!lab.ip(At::Underlay, "netns").contains(NETNS));
    });
}

/// Once a tunnels' module is loaded, every namespace has a link of its own that cannot be
/// given back, as nobody handed it in.
#[test]
fn a_tenant_with_the_kernels_own_tunnel_link_in_its_namespace_did_not_go() {
    lab::run(|lab| {
        if !is_known(lab) {
            println!("skipped: this kernel has no IPIP; tests/vm sees it");
            return;
        }
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let own = || lab.ip(NETNS, "link show tunl0");
        assert!(own().contains("NOARP"), "{}", own());
        gateway.apply(&class_document());
        wait_until("the namespace to go", PATIENCE, || {
            let all = lab.ip(At::Underlay, "netns");
            if all.contains(NETNS) { Err(gateway.log()) } else { Ok(()) }
        });
        assert!(!gateway.log().contains("step_failed"), "{}", gateway.log());
        // Even where somebody has set it up.
        gateway.apply(&documents);
        lab.ip(NETNS, "link set tunl0 up");
        gateway.wait("the strange link to be seen", |snapshot| {
            let isolated = snapshot.tenants[0].conditions.find(ConditionType::Isolated);
            isolated.is_some_and(|it| it.status == ConditionStatus::False)
        });
        gateway.apply(&class_document());
        wait_until("the namespace to go", PATIENCE, || {
            let all = lab.ip(At::Underlay, "netns");
            if all.contains(NETNS) { Err(gateway.log()) } else { Ok(()) }
        });
        assert!(!gateway.log().contains("step_failed"), "{}", gateway.log());
        assert!(gateway.terminate().success());
    });
}

#[test]
fn a_kernel_without_ipip_is_told_once_and_nothing_is_sent_plain() {
    lab::run(|lab| {
        if is_known(lab) {
            println!("skipped: this kernel has IPIP");
            return;
        }
        build_lab(lab);
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &documents());
        let check = gateway.lockgate(At::Underlay, &["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(check.status.success(), "{said}");
        // Of a container without its host's modules that cannot be said beforehand.
        let is_said = said.contains("note: ") && said.contains("load the module `ipip`");
        assert_eq!(is_said, linux::features().ipip == Ability::Missing, "{said}");
        gateway.spawn();
        let of_tenant = |snapshot: &lockgate::status::Snapshot| {
            let tenant = snapshot.tenants.first()?;
            tenant.conditions.find(ConditionType::Programmed).cloned()
        };
        let snapshot = gateway.wait("the tenant to be told", |snapshot| {
            of_tenant(snapshot).is_some_and(|it| it.reason == ConditionReason::ApplyFailed)
        });
        let programmed = of_tenant(&snapshot).unwrap();
        assert_eq!(programmed.status, ConditionStatus::False);
        assert!(programmed.message.contains(REMEDY), "{}", programmed.message);
        let at = attach(lab, "acme");
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], ""));
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        wait_until("the route to be explained", PATIENCE, || {
            let why = gateway.show(&["rib", "10.140.1.0/24"]);
            if why.contains("the IPIP link is not there") { Ok(()) } else { Err(why) }
        });
        assert!(learned(lab, NETNS).is_empty());
        assert_eq!(gateway.log().matches(REMEDY).count(), 1, "{}", gateway.log());
        assert!(gateway.terminate().success());
    });
}
