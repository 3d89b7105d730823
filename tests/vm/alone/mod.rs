//! What counts packets, and so has the machine to itself: where the processor is
//! emulated, another test beside it is enough for queues of a thousand packets to
//! run over.
#![allow(clippy::print_stdout, reason = "what a restart lost is measured, and said")]

mod busy;
mod keys;

use crate::flow::Flow;
use crate::kernel_wireguard::{CUSTOMER, NETNS, customer, in_kernel, peer, shown};
use crate::lab::{At, Lab};
use crate::links;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{SITE, Stage, TENANT, V4, V6, documents, key, site_document};
use lockgate::status::SiteState;
use std::time::Duration;

/// Peers come and go, a network moves to a backup and is given up: the others'
/// sessions and counters are not touched.
#[test]
fn a_change_of_one_peer_leaves_the_others_their_sessions() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let usual = documents(key(CUSTOMER).public(), "", "");
        let gateway = stage.start(&in_kernel(&usual));
        let _router = Router::start(lab, "router", Engine::any(), &customer(&gateway));
        stage.wait_traffic("device", "app", V4.app);
        let interval = Duration::from_millis(20);
        let flow = Flow::start(lab, ("app", V4.app), ("device", V4.device), interval);
        let before = peer(lab, key(CUSTOMER).public());
        let more = |seed: u8, prefix: &str| {
            let tunnel = format!("tunnelAddresses: [10.255.{seed}.0/31]");
            let public = key(seed).public();
            site_document(&format!("s{seed}"), public, &[prefix], &tunnel, "")
        };
        let first = "{cidr: '192.168.1.0/24'}";
        let wider = usual.replace(first, &format!("{first}, {{cidr: '192.168.2.0/24'}}"));
        for text in [
            usual.clone() + &more(20, "192.168.20.0/24"),
            usual.clone() + &more(20, "192.168.21.0/24") + &more(21, "192.168.20.0/24"),
            wider + &more(21, "192.168.20.0/24"),
            usual,
        ] {
            gateway.apply(&in_kernel(&text));
            let kernel = shown(lab);
            let sites = text.matches("kind: SiteAttachment").count();
            assert_eq!(kernel.len(), sites, "{kernel:#?}");
            let wide = kernel[&key(CUSTOMER).public().to_string()].allowed_ips.clone();
            let has_second = wide.contains(&"192.168.2.0/24".to_owned());
            assert_eq!(has_second, text.contains("192.168.2.0/24"), "{wide:?}");
        }
        let arrivals = flow.stop();
        println!("{} sent, {} lost", arrivals.sent, arrivals.lost().len());
        assert_eq!(arrivals.lost(), [0; 0], "of {} datagrams", arrivals.sent);
        let after = peer(lab, key(CUSTOMER).public());
        assert_eq!((after.handshake, after.endpoint), (before.handshake, before.endpoint));
        assert!(before.received <= after.received && before.sent < after.sent);
        // Another hand's change is put right.
        let public = key(CUSTOMER).public().to_string();
        lab.command_output(NETNS, &["wg", "set", "lg-wg", "peer", &public, "allowed-ips", ""]);
        stage.wait_traffic("app", "device", V4.device);
        assert_eq!(peer(lab, key(CUSTOMER).public()).handshake, before.handshake);
    });
}

/// The daemon is killed and started again under a flow of a thousand packets a
/// second each way: none is lost.
#[test]
fn a_restart_of_the_daemon_loses_no_packet() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let mut gateway = stage.start(&in_kernel(&documents(key(CUSTOMER).public(), "", "")));
        kernel_router(lab, &customer(&gateway));
        // Of both flows the way stands, or the beginning of one is lost to that. The
        // customer begins: the gateway does not know where it is.
        stage.wait_traffic("device", "app", V6.app);
        stage.wait_traffic("app", "device", V4.device);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        let before = peer(lab, key(CUSTOMER).public());
        let interval = Duration::from_millis(1);
        let flows = [
            Flow::start(lab, ("app", V4.app), ("device", V4.device), interval),
            Flow::start(lab, ("device", V6.device), ("app", V6.app), interval),
        ];
        gateway.kill();
        gateway.spawn();
        gateway.wait_programmed();
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.last_handshake_time.map(|at| at.seconds()), Some(before.handshake));
        // A reload, too.
        gateway.apply(&in_kernel(&documents(key(CUSTOMER).public(), "", "priority: 90")));
        for flow in flows {
            let arrivals = flow.stop();
            println!("{} sent at 1,000 a second, {} lost", arrivals.sent, arrivals.lost().len());
            assert!(1_000 < arrivals.sent);
            assert_eq!(arrivals.lost(), [0; 0]);
        }
        let after = peer(lab, key(CUSTOMER).public());
        assert_eq!((after.handshake, after.endpoint), (before.handshake, before.endpoint));
        // Told to end it removes what it made.
        assert!(gateway.terminate().success());
        assert!(!lab.ip(At::Underlay, "netns list").contains(NETNS));
    });
}

/// The customer's end by the kernel, for the flow that nothing may be lost of:
/// an emulated machine is too slow for more processes.
fn kernel_router(lab: &Lab, customer: &Customer) {
    let peer = links::Peer {
        key: customer.gateway,
        endpoint: customer.endpoint,
        allowed_ips: "10.255.30.0/32,10.136.40.0/24,fd00:255:30::/128,2001:db8:40::/64",
    };
    lab.wireguard("router", "wg0", &customer.key, 0, &[peer]);
    for address in &customer.addresses {
        lab.address("router", "wg0", address);
    }
}
