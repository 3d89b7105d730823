//! Sites on VLANs with the built gateway: tenants with the very same networks
//! on one trunk, and all that can happen to a trunk.

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::{self, Tag, tags};
use crate::vlan_stage::{
    ACME, BOLT, Customer, DEVICE, OWN, app, connect, documents, readdress, set, socket, trunk,
    works,
};
use lockgate::status::{ConditionStatus, ConditionType, SiteReason, SiteSnapshot, SiteState};

/// A gateway that serves these, every site up, with their applications.
fn serving<'lab>(lab: &'lab Lab, customers: &[Customer]) -> Gateway<'lab> {
    set(lab, customers);
    let gateway = Gateway::start(lab, At::Underlay, &documents(customers));
    for customer in customers {
        app(lab, customer);
        gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
    }
    gateway
}

fn wait_reason(gateway: &Gateway<'_>, customer: &Customer, reason: SiteReason) -> SiteSnapshot {
    wait_until(&format!("{} to be {reason}", customer.name), PATIENCE * 2, || {
        let site = gateway.site(&customer.tenant(), "lab");
        if site.reason == reason { Ok(site) } else { Err(format!("{site:?}\n{}", gateway.log())) }
    })
}

/// The name and index of the tenant's VLAN link.
fn link(lab: &Lab, gateway: &Gateway<'_>, customer: &Customer) -> (String, String) {
    let name = gateway.site(&customer.tenant(), "lab").link.unwrap();
    let shown = lab.ip(customer.netns().as_str(), &format!("-o link show {name}"));
    (name, shown.split(':').next().unwrap().to_owned())
}

#[test]
fn tenants_with_the_same_networks_each_reach_their_own_vlan() {
    links::run(|lab| {
        let mut gateway = serving(lab, &[ACME, BOLT]);
        for customer in [ACME, BOLT] {
            assert!(works(lab, &customer), "{}", customer.name);
        }
        // What one sends is on its own VLAN and no other.
        let wire = lab.capture("wan", "trunk");
        for customer in [ACME, BOLT] {
            let payload = format!("canary of {}", customer.name);
            let echo = lab.udp_echo(customer.site().as_str(), socket(DEVICE[0], 0));
            let client = lab.udp(customer.app().as_str(), socket("10.136.40.10", 0));
            assert!(lab.udp_ask(&client, echo.address, payload.as_bytes()).is_some());
        }
        let frames = wire.frames();
        assert_eq!(wire.lost(), 0);
        for customer in [ACME, BOLT] {
            let payload = format!("canary of {}", customer.name);
            let ours = frames.iter().filter(|it| contains(it, payload.as_bytes()));
            let seen: Vec<_> = ours.map(|frame| tags(frame)).collect();
            let wanted: Vec<_> = customer.tags.iter().map(|tag| tag.bytes()).collect();
            assert!(seen.len() >= 2, "{seen:?}");
            assert!(seen.iter().all(|tags| *tags == wanted), "{} {seen:x?}", customer.name);
        }
        let site = gateway.site(&ACME.tenant(), "lab");
        assert!(
            site.received_packets.unwrap().0 > 0 && site.sent_packets.unwrap().0 > 0,
            "{site:?}"
        );
        assert!(site.prefixes.iter().all(|prefix| prefix.installed), "{site:?}");

        // One goes, and nothing of it is left; the other does not notice.
        let before = link(lab, &gateway, &BOLT);
        gateway.apply(&documents(&[BOLT]));
        wait_until("the namespace to go", PATIENCE, || {
            let left = lab.ip(At::Underlay, "netns list");
            if left.contains(&ACME.netns()) { Err(left) } else { Ok(()) }
        });
        assert_eq!(link(lab, &gateway, &BOLT), before);
        assert!(works(lab, &BOLT));
        assert!(gateway.terminate().success());
        assert_eq!(managed(lab), "", "links of ours are left in the underlay");
    });
}

/// Links of ours in the underlay.
fn managed(lab: &Lab) -> String {
    let links = lab.ip(At::Underlay, "-o link show");
    links.lines().filter(|line| line.contains(": lg-")).collect()
}

fn contains(frame: &[u8], payload: &[u8]) -> bool {
    frame.windows(payload.len()).any(|window| window == payload)
}

#[test]
fn two_tags_are_told_apart_by_both() {
    links::run(|lab| {
        let one = Customer { name: "acme", tags: &[Tag::S(100), Tag::C(30)] };
        let other = Customer { name: "bolt", tags: &[Tag::S(100), Tag::C(31)] };
        let third = Customer { name: "corp", tags: &[Tag::S(101), Tag::C(30)] };
        let all = [one, other, third];
        let mut gateway = serving(lab, &all);
        for customer in &all {
            assert!(works(lab, customer), "{}", customer.name);
        }
        let outer = |tag: &str| managed(lab).contains(tag);
        assert!(outer("lg-s100.") && outer("lg-s101."), "{}", managed(lab));
        // An outer tag goes with the last that stands on it.
        gateway.apply(&documents(&[other]));
        wait_until("the outer tag to go", PATIENCE, || {
            if outer("lg-s101.") { Err(managed(lab)) } else { Ok(()) }
        });
        assert!(outer("lg-s100."), "{}", managed(lab));
        assert!(works(lab, &other));
        assert!(gateway.terminate().success());
        assert_eq!(managed(lab), "");
    });
}

/// N3, N9.
#[test]
fn a_trunk_may_come_go_and_come_back() {
    links::run(|lab| {
        lab.add("wan");
        for customer in [ACME, BOLT] {
            lab.add(&customer.site());
        }
        // Without the trunk tenants are programmed, and their sites say why not.
        let gateway = Gateway::start(lab, At::Underlay, &documents(&[ACME, BOLT]));
        let missing = wait_reason(&gateway, &ACME, SiteReason::NotProgrammed);
        assert!(missing.message.contains("no link eth2"), "{}", missing.message);
        assert!(!missing.conditions.holds(ConditionType::Programmed));
        assert_eq!(missing.state, SiteState::NeverConnected);
        assert!(gateway.log().contains("no link eth2"), "{}", gateway.log());

        trunk(lab);
        for customer in [ACME, BOLT] {
            app(lab, &customer);
            connect(lab, &customer);
            gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
            assert!(works(lab, &customer));
        }
        // The customer's router goes quiet, and comes back.
        lab.ip("cust-acme", "link set uplink down");
        let silent = wait_reason(&gateway, &ACME, SiteReason::NextHopUnreachable);
        assert_eq!(silent.state, SiteState::Down);
        assert_eq!(gateway.site(&BOLT.tenant(), "lab").state, SiteState::Up);
        lab.ip("cust-acme", "link set uplink up");
        readdress(lab, &ACME);
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);

        // Carrier is lost, and comes back.
        lab.ip("wan", "link set trunk down");
        assert_eq!(wait_reason(&gateway, &ACME, SiteReason::LinkDown).state, SiteState::Down);
        lab.ip("wan", "link set trunk up");
        readdress(lab, &ACME);
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);

        // It is set down, which takes its VLANs along: who looks is told what to do.
        let programmed = || {
            let site = gateway.site(&ACME.tenant(), "lab");
            let condition = site.conditions.find(ConditionType::Programmed).unwrap();
            (condition.status == ConditionStatus::True, condition.message.clone())
        };
        lab.ip(At::Underlay, "link set eth2 down");
        wait_until("the trunk to be called down", PATIENCE, || match programmed() {
            (false, message) if message.contains("is down: bring it up") => Ok(()),
            other => Err(other),
        });
        lab.ip(At::Underlay, "link set eth2 up");
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);

        // Renamed, it is not the trunk of the documents.
        let rename = |from: &str, to: &str| {
            lab.ip(At::Underlay, &format!("link set {from} down"));
            lab.ip(At::Underlay, &format!("link set {from} name {to}"));
            lab.ip(At::Underlay, &format!("link set {to} up"));
        };
        rename("eth2", "eth9");
        let renamed = wait_reason(&gateway, &ACME, SiteReason::NotProgrammed);
        assert!(renamed.message.contains("no link eth2"), "{}", renamed.message);
        rename("eth9", "eth2");
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);

        // Its MTU is lowered: said, and no reason to stop.
        lab.ip(At::Underlay, "link set eth2 mtu 1400");
        wait_until("the MTU to be missed", PATIENCE, || match programmed() {
            (false, message) if message.contains("mtu") => Ok(()),
            other => Err(other),
        });
        assert!(works(lab, &ACME), "small packets pass");
        lab.ip(At::Underlay, "link set eth2 mtu 1500");
        wait_until("the MTU to be as asked", PATIENCE, || match programmed() {
            (true, _) => Ok(()),
            other => Err(other),
        });

        // It is taken away, and another is put there.
        lab.ip(At::Underlay, "link delete eth2");
        wait_reason(&gateway, &ACME, SiteReason::NotProgrammed);
        trunk(lab);
        for customer in [ACME, BOLT] {
            connect(lab, &customer);
            gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
            assert!(works(lab, &customer));
        }
    });
}

#[test]
fn a_restart_keeps_the_links_and_loses_nothing() {
    links::run(|lab| {
        let mut gateway = serving(lab, &[ACME]);
        let before = link(lab, &gateway, &ACME);
        gateway.kill();
        assert!(works(lab, &ACME), "the kernel goes on by itself");
        gateway.spawn();
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);
        assert_eq!(link(lab, &gateway, &ACME), before);
        assert!(works(lab, &ACME));
    });
}

#[test]
fn a_tag_given_to_another_tenant_brings_nothing_along() {
    links::run(|lab| {
        let gateway = serving(lab, &[ACME]);
        assert!(works(lab, &ACME));
        // The same tag, the same customer's end; another tenant's.
        let heir = Customer { name: "bolt", tags: ACME.tags };
        gateway.apply(&heir.documents());
        app(lab, &heir);
        gateway.wait_state(&heir.tenant(), "lab", SiteState::Up);
        let site = gateway.site(&heir.tenant(), "lab");
        assert!(site.received_packets.unwrap().0 < 100, "counters begin anew: {site:?}");
        let neighbours = lab.ip(heir.netns().as_str(), "neigh show");
        assert!(!neighbours.contains("10.136.40.10"), "{neighbours}");
        assert!(crate::vlan_stage::reaches(
            lab,
            (&heir.app(), "10.136.40.10"),
            (&ACME.site(), DEVICE[0])
        ));
        // The first one's application has lost its link with its tenant.
        let links = lab.ip(ACME.app().as_str(), "-o link show");
        assert!(!links.contains("eth0"), "{links}");
    });
}

#[test]
fn an_interface_handed_in_is_used_and_given_back() {
    links::run(|lab| {
        set(lab, &[ACME]);
        lab.vlan(At::Underlay, "eth2", "net1", Tag::C(30));
        let index = |at: At<'_>| {
            let shown = lab.ip(at, "-o link show net1");
            shown.split(':').next().unwrap().to_owned()
        };
        let before = index(At::Underlay);
        let documents = ACME.documents_with("interface: net1");
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        app(lab, &ACME);
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);
        assert_eq!(link(lab, &gateway, &ACME).0, "net1");
        assert!(works(lab, &ACME));
        assert!(gateway.terminate().success());
        assert_eq!(index(At::Underlay), before, "it is the same, and back");
    });
}

/// As in a pod: one namespace, into which the VLAN is put with an address already, or
/// the trunk.
#[test]
fn in_a_single_namespace_the_vlan_or_its_trunk_may_be_handed_in() {
    links::run(|lab| {
        set(lab, &[ACME]);
        for link in ["interface: net1", "parent: eth2, id: 30"] {
            let is_handed_in = link.contains("net1");
            if is_handed_in {
                lab.vlan(At::Underlay, "eth2", "net1", Tag::C(30));
                lab.address(At::Underlay, "net1", OWN[0]);
            }
            let mut gateway = Gateway::new(lab, At::Underlay);
            gateway.argument(&["--netns", "current"]);
            gateway.write("documents.yaml", &ACME.documents_with(link));
            gateway.spawn();
            gateway.wait_programmed();
            app(lab, &ACME);
            gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);
            assert!(works(lab, &ACME), "{link}");
            assert!(gateway.terminate().success());
            assert_eq!(managed(lab), "", "{link}");
            if is_handed_in {
                lab.ip(At::Underlay, "link delete net1");
            }
        }
    });
}
