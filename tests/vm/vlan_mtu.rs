//! VLANs that are wider or narrower than what is around them.

use crate::gateway::{Gateway, site_of};
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links;
use crate::path_mtu::{check, segment_sizes, told};
use crate::vlan_stage::{ACME, APP, DEVICE, OWN, ROUTER, app, set, works};
use crate::wireguard_stage::{Stage, forward};
use lockgate::status::{ConditionStatus, ConditionType, SiteState};
use std::collections::BTreeSet;

/// Our addresses on the fabric.
const FABRIC: [&str; 2] = ["10.136.40.1", "2001:db8:40::1"];

/// What a VLAN of 9,000 takes as an echo request's data.
const JUMBO: [u16; 2] = [9_000 - 28, 9_000 - 48];

/// Acme's documents with a VLAN of this MTU, and a fabric.
fn documents(vlan: u16, fabric: u16) -> String {
    let text = ACME.documents_with(&format!("parent: eth2, id: 30, mtu: {vlan}"));
    let wider = text.replace("veth: {", &format!("veth: {{mtu: {fabric}, "));
    assert_ne!(wider, text);
    wider
}

/// The links that are not the gateway's own.
fn widen(lab: &Lab, links: &[(At<'_>, &str)], mtu: u16) {
    for (at, link) in links {
        lab.ip(*at, &format!("link set {link} mtu {mtu}"));
    }
}

/// Whether an echo request of so many bytes is answered, neither of them in pieces.
fn whole(lab: &Lab, from: &str, source: &str, to: &str, bytes: u16) -> bool {
    let bytes = bytes.to_string();
    let words = ["ping", "-c1", "-W2", "-M", "do", "-s", &bytes, "-I", source, to];
    lab.output(from, &words).status.success()
}

/// Whether jumbo frames pass both ways, as they are.
fn is_wide(lab: &Lab) -> bool {
    // Nobody goes by what was said before.
    for at in [ACME.site(), ACME.app()] {
        lab.ip(&at, "-4 route flush cache");
        lab.ip(&at, "-6 route flush cache");
    }
    let wire = lab.capture("wan", "trunk");
    let (site, host) = (ACME.site(), ACME.app());
    let passes = (0..2).all(|family| {
        whole(lab, &host, APP[family], DEVICE[family], JUMBO[family])
            && whole(lab, &site, DEVICE[family], APP[family], JUMBO[family])
    });
    // Two requests and two answers of each family, with a tag.
    let long = wire.frames().iter().filter(|frame| frame.len() == 14 + 4 + 9_000).count();
    assert!(!passes || long == 8, "{long} frames of 9,000 bytes");
    passes
}

fn programmed(gateway: &Gateway<'_>) -> (bool, String) {
    let site = gateway.site(&ACME.tenant(), "lab");
    let condition = site.conditions.find(ConditionType::Programmed).unwrap();
    (condition.status == ConditionStatus::True, condition.message.clone())
}

/// N9: on a trunk that is too narrow a VLAN does what it can and says what it cannot;
/// once the trunk is wide, it is too.
#[test]
fn jumbo_frames_pass_where_the_trunk_is_wide_and_where_not_it_is_said() {
    links::run(|lab| {
        set(lab, &[ACME]);
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &documents(9_000, 9_000));
        gateway.spawn();
        gateway.wait("the MTU to be missed", |snapshot| {
            let site = site_of(snapshot, &ACME.tenant(), "lab");
            let said = site.and_then(|it| it.conditions.find(ConditionType::Programmed).cloned());
            said.is_some_and(|it| {
                it.status == ConditionStatus::False
                    && it.message.contains("cannot have an MTU of 9000")
                    && it.message.contains("trunk")
            })
        });
        app(lab, &ACME);
        let (site, host) = (ACME.site(), ACME.app());
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);
        assert!(works(lab, &ACME), "what fits the trunk passes");

        let others = [
            (At::Underlay, "eth2"),
            (At::Netns("wan"), "trunk"),
            (At::Netns(&site), "uplink"),
            (At::Netns(&host), "eth0"),
        ];
        widen(lab, &others[1..], 9_000);
        assert!(!is_wide(lab), "it is the trunk that is narrow");
        widen(lab, &others[..1], 9_000);
        wait_until("the MTU to be as asked", PATIENCE, || match programmed(&gateway) {
            (true, _) => Ok(()),
            other => Err(other),
        });
        wait_until("jumbo frames", PATIENCE, || if is_wide(lab) { Ok(()) } else { Err(()) });
        // Everything around the gateway is wider than its VLAN and its fabric: a byte
        // more comes to it, goes no further, and is told what would have.
        widen(lab, &others, 9_100);
        for family in [0, 1] {
            let network = ["10.136.40.0/24", "2001:db8:40::/64"][family];
            let (via, own) = (OWN[family].split('/').next().unwrap(), DEVICE[family]);
            lab.ip(&site, &format!("route replace {network} via {via} src {own}"));
            let way = (host.as_str(), site.as_str(), DEVICE[family]);
            check(lab, way, "eth0", 9_001, FABRIC[family], 9_000);
            let way = (site.as_str(), host.as_str(), APP[family]);
            check(lab, way, "uplink", 9_001, via, 9_000);
        }
    });
}

/// V21 with a VLAN that is narrower than the fabric: who sends too much is told,
/// and TCP is told by its own handshake.
#[test]
fn an_application_is_told_what_fits_the_vlan() {
    links::run(|lab| {
        set(lab, &[ACME]);
        let gateway = Gateway::start(lab, At::Underlay, &documents(1_400, 1_500));
        app(lab, &ACME);
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);
        let (site, host) = (ACME.site(), ACME.app());
        for family in [0, 1] {
            // What the customer begins, its device does.
            let network = ["10.136.40.0/24", "2001:db8:40::/64"][family];
            let (via, own) = (OWN[family].split('/').next().unwrap(), DEVICE[family]);
            lab.ip(&site, &format!("route replace {network} via {via} src {own}"));
            let headers = [40, 60][family];
            let at_site = lab.capture(&site, "uplink");
            Stage { lab }.tcp(&host, &site, DEVICE[family], 200_000);
            // The application's 1,460 has become what fits; the customer's, whose
            // link is of 1,500, is so on this side of the gateway only.
            let sizes = segment_sizes(&at_site);
            assert_eq!(sizes, BTreeSet::from([1_400 - headers, 1_500 - headers]));
            let at_app = lab.capture(&host, "eth0");
            Stage { lab }.tcp(&site, &host, APP[family], 200_000);
            let sizes = segment_sizes(&at_app);
            assert_eq!(sizes, BTreeSet::from([1_400 - headers, 1_500 - headers]));
            // After that, for what an application is told it believes of TCP as well.
            let way = (host.as_str(), site.as_str(), DEVICE[family]);
            check(lab, way, "eth0", 1_500, FABRIC[family], 1_400);
        }
    });
}

/// V21 where nobody mends the handshake: the narrow place is behind the
/// customer's router, whose word about it has to come through.
#[test]
fn tcp_gets_past_a_narrow_place_behind_the_customers_router() {
    links::run(|lab| {
        const FAR: [&str; 2] = ["192.168.1.20", "2001:db8:aa::20"];
        set(lab, &[ACME]);
        let gateway = Gateway::start(lab, At::Underlay, &ACME.documents());
        app(lab, &ACME);
        gateway.wait_state(&ACME.tenant(), "lab", SiteState::Up);
        let (site, host) = (ACME.site(), ACME.app());
        lab.add("far");
        lab.veth((At::Netns(&site), "lan"), (At::Netns("far"), "eth0"));
        forward(lab, &site);
        for (family, far) in FAR.into_iter().enumerate() {
            let (own, length) = [("10.77.0.1", 24), ("2001:db8:77::1", 64)][family];
            let next = ["10.77.0.2", "2001:db8:77::2"][family];
            lab.address(&site, "lan", &format!("{own}/{length}"));
            lab.address("far", "eth0", &format!("{next}/{length}"));
            lab.address("far", "lo", &format!("{far}/{}", [32, 128][family]));
            // As a line of 1,300 that nobody knows of but the router.
            let six = ["-4", "-6"][family];
            lab.ip(&site, &format!("{six} route add {far} via {next} mtu lock 1300"));
            lab.ip("far", &format!("{six} route add default via {own}"));
        }
        for (family, far) in FAR.into_iter().enumerate() {
            let at_app = lab.capture(&host, "eth0");
            Stage { lab }.tcp(&host, "far", far, 200_000);
            let heard: BTreeSet<(String, u16)> = told(&at_app).into_iter().collect();
            assert_eq!(heard, BTreeSet::from([(ROUTER[family].to_owned(), 1_300)]));
        }
    });
}
