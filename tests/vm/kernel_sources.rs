//! Behind the kernel's WireGuard the rules look at sources, too: what the device
//! lets in, by whose hand ever, is still only what the site's document says.

use crate::kernel_wireguard::{CUSTOMER, NETNS, in_kernel, peer};
use crate::lab::{Lab, PATIENCE, wait_until};
use crate::links::{self, Peer};
use crate::wireguard_stage::{PORT, Stage, TENANT, V4, documents, key, socket};
use rustix::process::Signal;
use serde_json::Value;

/// A source that no document names, and what is sent from it.
const STRANGER: &str = "10.66.0.1";
const MARK: &[u8] = b"from nobody's network";

/// How many packets the tenant's rules dropped for a source, by the kernel.
fn counted(lab: &Lab) -> u64 {
    let text = lab.command_output(NETNS, &["nft", "-j", "list", "counters"]);
    let listed: Value = serde_json::from_str(&text).unwrap();
    let mut counters = listed["nftables"].as_array().unwrap().iter().map(|it| &it["counter"]);
    counters.find(|it| it["name"] == "not_site_source").unwrap()["packets"].as_u64().unwrap()
}

/// How many the device refused.
fn refused(lab: &Lab) -> u64 {
    let text = lab.ip(NETNS, "-j -s link show lg-wg");
    let listed: Value = serde_json::from_str(&text).unwrap();
    listed[0]["stats64"]["rx"]["errors"].as_u64().unwrap()
}

#[test]
fn a_source_that_the_device_lets_in_is_dropped_by_the_rules_alone() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&in_kernel(&documents(key(CUSTOMER).public(), "", "")));
        let ours = Peer {
            key: gateway.public_key(TENANT),
            endpoint: Some(socket(V4.gateway, PORT)),
            allowed_ips: "10.136.40.0/24",
        };
        lab.wireguard("router", "wg0", &key(CUSTOMER), 0, &[ours]);
        lab.address("device", "lo", &format!("{STRANGER}/32"));
        lab.route("router", STRANGER, V4.device);
        stage.wait_traffic("device", "app", V4.app);
        let seen = lab.capture("app", "apps");
        let (sink, stranger) = (socket(V4.app, 9_000), lab.udp("device", socket(STRANGER, 0)));
        let send = || {
            for _ in 0..10 {
                stranger.send_to(MARK, sink).unwrap();
            }
            // It is behind them, and a peer's packets stay in order.
            stage.wait_traffic("device", "app", V4.app);
        };
        assert_eq!(counted(lab), 0);
        send();
        assert_eq!((refused(lab), counted(lab)), (10, 0), "the device itself lets none in");

        // Another hand opens the device, and nobody puts it right.
        gateway.signal(Signal::STOP);
        let public = key(CUSTOMER).public().to_string();
        let open = ["wg", "set", "lg-wg", "peer", &public, "allowed-ips", "0.0.0.0/0"];
        lab.command_output(NETNS, &open);
        send();
        wait_until("the rules to have dropped them", PATIENCE, || {
            let counted = counted(lab);
            if counted == 10 { Ok(()) } else { Err(counted) }
        });

        // Now it is put right.
        gateway.signal(Signal::CONT);
        wait_until("the device to be closed", PATIENCE, || {
            let allowed = peer(lab, key(CUSTOMER).public()).allowed_ips;
            if allowed.contains(&"0.0.0.0/0".to_owned()) { Err(allowed) } else { Ok(()) }
        });
        send();
        assert_eq!((refused(lab), counted(lab)), (20, 10));
        gateway.wait_firewall_drops(TENANT, "not_site_source", 10);
        let strange = |frame: &Vec<u8>| frame.windows(MARK.len()).any(|it| it == MARK);
        assert!(!seen.frames().iter().any(strange));
    });
}
