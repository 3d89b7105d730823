//! BIRD hears of a customer's networks while the customer is there, and reaches it by
//! what it heard.

use crate::bgp_stage::{
    APP, Ask, DEVICE, LAB, LAB_BGP, NETNS, attach, bird_config, build_lab, customer_config,
    learned, start_bird, tenant_document, wait_learned,
};
use crate::bird::Bird;
use crate::gateway::{Gateway, site_of};
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    PORT, SITE, Stage, TENANT, V4, class_document, key, site_document, socket,
};
use lockgate::status::{ConditionType, SiteState, Snapshot};
use std::time::Duration;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// What a tunnel needs to be found out to carry nothing, and some.
const NOTICED: Duration = Duration::from_secs(60);

fn documents() -> String {
    let tunnel = "tunnelAddresses: [10.255.30.0/31]";
    class_document()
        + &tenant_document(&Ask::default())
        + &site_document(SITE, key(CUSTOMER).public(), &["192.168.1.0/24"], tunnel, "")
}

fn dial<'lab>(lab: &'lab Lab, gateway: &Gateway<'_>) -> Router<'lab> {
    let customer = Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    };
    Router::start(lab, "router", Engine::any(), &customer)
}

#[test]
fn a_tunnels_network_is_told_while_it_is_up_and_no_longer() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = Gateway::start(lab, At::Underlay, &documents());
        let at = attach(lab, "acme");
        let bird = start_bird(lab, &at, &bird_config(&[], &[], ""));
        assert_eq!(bird.told("lockgate"), [""; 0], "nobody has dialled in");
        let router = dial(lab, &gateway);
        // Somebody has to begin, and go on: no keepalive is set.
        let _device = lab.spawn("device", &["ping", "-i", "0.5", "10.136.40.2"]);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        bird.wait_told("lockgate", &["192.168.1.0/24"]);
        stage.wait_traffic(&at, "device", V4.device);

        drop(router);
        let words = ["ping", "-i", "0.2", V4.device];
        let ping = lab.spawn(at.as_str(), &words);
        gateway.wait_for("the silence to be noticed", NOTICED, |snapshot| {
            site_of(snapshot, TENANT, SITE).is_some_and(|site| site.state == SiteState::Blackholed)
        });
        bird.wait_told("lockgate", &[]);
        assert!(bird.is_established("lockgate"), "the session stays");
        drop(ping);
        let _router = dial(lab, &gateway);
        bird.wait_told("lockgate", &["192.168.1.0/24"]);
    });
}

#[test]
fn a_device_and_an_application_find_each_other_by_bgp_alone() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "lo", &format!("{APP}/32"));
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], ""));
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        for (from, own, to) in [("customer", DEVICE, APP), (&at, APP, DEVICE)] {
            wait_until("an answer", PATIENCE, || {
                let ping = lab.output(from, &["ping", "-c1", "-W1", "-I", own, to]);
                if ping.status.success() { Ok(()) } else { Err(ping) }
            });
        }
        // The customer's router goes: it answers no more.
        lab.ip("customer", "link set lan down");
        bird.wait_told("lockgate", &[]);
        lab.ip("customer", "link set lan up");
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        // A gateway that ends says so: nothing is kept of it.
        let mut gateway = gateway;
        assert!(gateway.terminate().success());
        bird.wait_told("lockgate", &[]);
        bird.wait_established("lockgate", false);
    });
}

/// The customer's router speaks BGP itself: of its declared networks those are served that
/// it says, and it is told the applications'.
#[test]
fn a_customers_router_says_what_it_has_of_what_is_declared() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB + LAB_BGP;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "lo", &format!("{APP}/32"));
        lab.address("customer", "lo", "10.64.7.7/32");
        let fabric = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], ""));
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        gateway.wait_programmed();
        assert_eq!(fabric.told("lockgate"), [""; 0], "nobody has said that it is there");
        let own = ["10.64.0.0/24", "10.99.0.0/24"];
        let config = customer_config(&own, &["10.64.7.0/24"]);
        let bird = Bird::start(lab, "customer", &config);
        bird.wait_established("lockgate", true);
        bird.wait_told("lockgate", &["10.136.40.0/24", "10.140.0.0/16"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.64.0.0/24", "10.64.7.0/24"]);
        assert!(learned(lab, NETNS)[1].contains("via 172.30.0.2 dev lan0"));
        fabric.wait_told("lockgate", &["10.64.0.0/24", "10.64.7.0/24"]);
        let refused = gateway.show(&["rib", "10.99.0.0/24"]);
        assert!(refused.contains("refused: "), "{refused}");
        let up = |snapshot: &Snapshot| {
            let site = site_of(snapshot, TENANT, "lab");
            site.is_some_and(|site| site.conditions.holds(ConditionType::BgpEstablished))
        };
        gateway.wait("the condition to hold", up);
        let answers = |to: &str| {
            let ping = lab.output(&at, &["ping", "-c1", "-W1", "-I", APP, to]);
            if ping.status.success() { Ok(()) } else { Err(ping) }
        };
        wait_until("an answer of a device", PATIENCE, || answers(DEVICE));
        wait_until("an answer of the other", PATIENCE, || answers("10.64.7.7"));
        // What the router takes back goes nowhere, though it is there and declared.
        bird.say("disable more");
        fabric.wait_told("lockgate", &["10.64.0.0/24"]);
        wait_until("the rules to follow", PATIENCE, || {
            let words = ["nft", "list", "table", "inet", "lockgate"];
            let rules = lab.command_output(At::Netns(NETNS), &words);
            if rules.contains("10.64.7.0") { Err(rules) } else { Ok(()) }
        });
        answers("10.64.7.7").unwrap_err();
        answers(DEVICE).unwrap();
        bird.kill();
        gateway.wait("the condition to hold no more", |snapshot| !up(snapshot));
    });
}
