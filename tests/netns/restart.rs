//! The gateway is killed and started again: it takes up what is there, touches
//! nothing of anyone else's, and calls every customer at once.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "how long a customer is without the gateway is measured, and said"
)]

use crate::flow::Flow;
use crate::gateway::Gateway;
use crate::inventory::{inventory, wait_changes, wait_settled};
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_raw::RawCustomer;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    CUSTOMER_PORT, PORT, SITE, Stage, TENANT, V4, V6, documents, key, site_document, socket,
    tenant_document,
};
use crate::wireguard_stamp::stamp;
use lockgate::daemon::memory;
use lockgate::net::PublicKey;
use lockgate::status::{ConditionType, SiteState};
use std::time::{Duration, Instant};

/// The customer's key.
const CUSTOMER: u8 = 7;

/// The tenant's namespace.
const NETNS: &str = "lockgate.acme.gw";

/// How long a customer may be without a gateway that has been started again.
/// What is aimed at is 0.3 s; this is for a machine that is busy with others, and still
/// less than the fifteen seconds in which a customer would notice by itself.
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

/// Waits until the gateway has written down where this customer is.
fn wait_remembered(gateway: &Gateway<'_>, customer: PublicKey) {
    let file = gateway.path("state").join(memory::FILE);
    let peer = (TENANT.parse().unwrap(), customer);
    wait_until("the customer's endpoint to be remembered", PATIENCE, || {
        let memory = memory::read(&file).unwrap();
        if memory.endpoints.contains_key(&peer) { Ok(()) } else { Err(memory.endpoints) }
    });
}

/// A customer that dialled in, has no keepalive, and so does not notice for
/// fifteen seconds that the gateway has forgotten its session.
fn resumes(engine: Engine) {
    lab::run(move |lab| {
        let stage = Stage::new(lab);
        let mut gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", engine, &customer);
        stage.wait_traffic("device", "app", V4.app);
        wait_remembered(&gateway, key(CUSTOMER).public());
        let interval = Duration::from_millis(2);
        let flows = [
            ("to the site", Flow::start(lab, ("app", V4.app), ("device", V4.device), interval)),
            ("from the site", Flow::start(lab, ("device", V6.device), ("app", V6.app), interval)),
        ];
        for (_, flow) in &flows {
            flow.wait_arrival_after(Instant::now());
        }

        let killed = Instant::now();
        gateway.kill();
        let started = Instant::now();
        gateway.spawn();
        for (way, flow) in flows {
            let resumed = flow.wait_arrival_after(started);
            let (since_kill, since_start) = (resumed - killed, resumed - started);
            println!(
                "{engine:?} {way}: {since_kill:.0?} after the kill, {since_start:.0?} after the start"
            );
            assert!(since_start <= RESUMES_WITHIN, "{engine:?} {way}: {since_start:?}");
            let arrivals = flow.stop();
            // Nothing but this one gap.
            assert!(
                arrivals.longest_gap() <= since_kill + Duration::from_secs(1),
                "{engine:?} {way}"
            );
        }
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        stage.assert_traffic(V4);
    });
}

#[test]
fn a_customer_that_dialled_in_is_called_at_once() {
    for engine in Engine::installed() {
        resumes(engine);
    }
}

/// Twenty of them, and each is called without having said a word.
#[test]
fn every_customer_that_dialled_in_is_called() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        let mut documents = tenant_document("");
        let seeds = 10..30;
        for seed in seeds.clone() {
            let tunnel = format!("tunnelAddresses: [10.255.{seed}.0/31]");
            let prefix = format!("192.168.{seed}.0/24");
            let public = key(seed).public();
            documents += &site_document(&format!("s{seed}"), public, &[&prefix], &tunnel, "");
        }
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let public = gateway.public_key(TENANT);
        let customers: Vec<RawCustomer> = seeds
            .clone()
            .map(|seed| {
                let to = (public, socket(V4.gateway, PORT));
                RawCustomer::new(lab, "router", V4.router[0], &key(seed), to)
            })
            .collect();
        for customer in &customers {
            customer.connect();
        }
        for seed in seeds {
            wait_remembered(&gateway, key(seed).public());
        }
        gateway.kill();
        customers.iter().for_each(RawCustomer::assert_silence);
        gateway.spawn();
        for customer in &customers {
            customer.socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut message = [0; 2_048];
            let (len, from) = customer.socket.recv_from(&mut message).expect("it is called");
            assert_eq!((len, message[0], from), (148, 1, socket(V4.gateway, PORT)));
        }
    });
}

/// What others have, beside the gateway's and among it.
fn furnish(lab: &Lab) {
    lab.add("world");
    lab.veth((At::Underlay, "theirs0"), (At::Netns("world"), "theirs0"));
    lab.veth((At::Netns(NETNS), "theirs1"), (At::Netns("world"), "theirs1"));
    let table = "add table inet theirs
        add chain inet theirs c { type filter hook forward priority 5; }
        add rule inet theirs c ip saddr 203.0.113.7 drop comment \"lockgate\"";
    for (at, link) in [(At::Underlay, "theirs0"), (At::Netns(NETNS), "theirs1")] {
        lab.address(at, link, "10.77.0.1/24");
        lab.ip(at, &format!("route add 203.0.113.0/24 dev {link}"));
        // In another table than ours, with our protocol number.
        lab.ip(at, &format!("route add 198.51.102.0/24 dev {link} table 100 proto 76"));
        lab.nft(at, table);
    }
    // On our links, too.
    lab.ip(NETNS, "route add 203.0.114.0/24 dev lg-wg");
    lab.ip(NETNS, "rule add from 203.0.113.9 table 100 priority 500");
}

/// Waits until all is programmed. That there is somebody's link where only the
/// gateway's should be is told, and does not keep it from its work.
fn wait_taken_up(gateway: &Gateway<'_>) {
    gateway.wait("the tenant to be programmed and the foreign link told", |snapshot| {
        snapshot.tenants.first().is_some_and(|tenant| {
            let isolated = tenant.conditions.find(ConditionType::Isolated);
            tenant.conditions.holds(ConditionType::Programmed)
                && isolated.is_some_and(|it| it.message.contains("theirs1"))
        })
    });
}

#[test]
fn what_is_there_is_taken_up_and_what_is_others_stays() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let mut gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let public = gateway.public_key(TENANT);
        furnish(lab);
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), public)
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        let everywhere = [At::Underlay, At::Netns(NETNS), At::Netns("app")];
        wait_settled(lab, &everywhere);
        let before = everywhere.map(|at| inventory(lab, at));
        let named = || std::fs::read_dir("/run/netns").unwrap().count();
        let names = named();

        gateway.kill();
        gateway.spawn();
        wait_taken_up(&gateway);
        assert_eq!(gateway.public_key(TENANT), public, "it is still the same to its customers");
        stage.wait_traffic("device", "app", V4.app);
        for (at, before) in everywhere.iter().zip(&before) {
            // To the number of each link and the handle of each rule: nothing is new.
            wait_changes(lab, *at, before, &[]);
        }
        assert_eq!(named(), names);

        // Told to end but leave everything, it does; and the next one plans nothing.
        gateway.argument(&["--keep"]);
        gateway.kill();
        gateway.spawn();
        wait_taken_up(&gateway);
        assert!(gateway.terminate().success());
        let diff = gateway.lockgate(At::Underlay, &["diff"]);
        assert_eq!((diff.status.code(), &*diff.stdout), (Some(0), &b""[..]), "{diff:?}");
        gateway.spawn();
        wait_taken_up(&gateway);
        stage.wait_traffic("device", "app", V4.app);
        for (at, before) in everywhere.iter().zip(&before) {
            wait_changes(lab, *at, before, &[]);
        }
    });
}

/// A customer believes no initiation whose stamp is not after all it has seen, so
/// a bound of what was sent has to be on the disk before it is sent.
#[test]
fn no_stamp_is_sent_that_is_not_yet_covered_on_the_disk() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let host = V4.router[0];
        let endpoint = format!("endpoint: {{host: {host}, port: {CUSTOMER_PORT}}}");
        let documents = documents(key(CUSTOMER).public(), &endpoint, "");
        let socket = lab.udp("router", socket(host, CUSTOMER_PORT));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut gateway = stage.start(&documents);
        let mut latest = None;
        for _ in 0..3 {
            let mut message = [0; 2_048];
            let (len, _) = socket.recv_from(&mut message).unwrap();
            let file = gateway.path("state").join(memory::FILE);
            let ceiling = memory::read(&file).unwrap().stamp_ceiling;
            let sent = stamp(&key(CUSTOMER), &message[..len]);
            assert!(sent < ceiling, "{sent} was sent and {ceiling} is on the disk");
            assert!(latest < Some(sent), "after {latest:?} it sends {sent}");
            latest = Some(ceiling);
            gateway.kill();
            gateway.spawn();
        }
    });
}

/// A port that was given out was written down only when something else was, too.
#[test]
fn a_port_that_was_given_out_was_forgotten_in_a_crash() {
    lab::run(|lab| {
        let tenant = |name: &str| {
            format!(
                "---\napiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: apps-{name}, addresses: [10.136.40.1/24]}}}}\n"
            )
        };
        let mut gateway = Gateway::start(lab, At::Underlay, &tenant("bolt"));
        let port = gateway.tenant("bolt/gw").listen_port;
        gateway.kill();
        // One that comes first, and would be given the same.
        gateway.write("documents.yaml", &(tenant("acme") + &tenant("bolt")));
        gateway.spawn();
        gateway.wait_programmed();
        assert_eq!(gateway.tenant("bolt/gw").listen_port, port);
        assert_ne!(gateway.tenant("acme/gw").listen_port, port);
    });
}
