//! Keys that change while the kernel carries the tunnels: of one site, and of the
//! gateway itself.

use crate::flow::Flow;
use crate::gateway::Gateway;
use crate::kernel_wireguard::{CUSTOMER, NETNS, in_kernel, peer, shown};
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::{self, Peer};
use crate::wireguard_stage::{
    PORT, SITE, Stage, TENANT, TUNNEL, V4, key, site_document, socket, tenant_document,
};
use lockgate::net::{PrivateKey, PublicKey};
use lockgate::status::SiteState;
use std::time::Duration;

/// The other customer's keys, before and after, and what is behind it.
const BRANCH: [u8; 2] = [8, 9];
const BRANCH_DEVICE: &str = "192.168.2.10";

/// Both sites' documents, the second one with this key.
fn documents(branch: PublicKey) -> String {
    let own = "privateKeySecretRef: {name: own, key: key}";
    let branch_tunnel = "tunnelAddresses: [10.255.31.0/31]";
    in_kernel(
        &(tenant_document(own)
            + &site_document(SITE, key(CUSTOMER).public(), &["192.168.1.0/24"], TUNNEL, "")
            + &site_document("branch", branch, &["192.168.2.0/24"], branch_tunnel, "")),
    )
}

/// A customer's router with the kernel's WireGuard, which dials in.
fn dial(lab: &Lab, at: &str, own: &PrivateKey, gateway: PublicKey) {
    lab.output(at, &["ip", "link", "delete", "wg0"]);
    let peer = Peer {
        key: gateway,
        endpoint: Some(socket(V4.gateway, PORT)),
        allowed_ips: "10.136.40.0/24",
    };
    lab.wireguard(at, "wg0", own, 0, &[peer]);
    let words = ["wg", "set", "wg0", "peer", &gateway.to_string(), "persistent-keepalive", "1"];
    lab.command_output(at, &words);
}

/// A gateway with the key of this seed, two routers that have dialled in, and
/// an application.
fn connect<'lab>(lab: &'lab Lab, own: u8) -> (Stage<'lab>, Gateway<'lab>) {
    let stage = Stage::new(lab);
    lab.add("branch");
    lab.veth((At::Underlay, "up1"), (At::Netns("branch"), "uplink"));
    lab.address(At::Underlay, "up1", "203.0.113.1/24");
    lab.address("branch", "uplink", "203.0.113.2/24");
    lab.route("branch", "198.51.100.0/24", "203.0.113.1");
    lab.address("branch", "lo", &format!("{BRANCH_DEVICE}/32"));
    let mut gateway = Gateway::new(lab, At::Underlay);
    gateway.secret("acme", "own", "key", key(own).to_base64().as_str());
    gateway.write("documents.yaml", &documents(key(BRANCH[0]).public()));
    gateway.spawn();
    gateway.wait_programmed();
    stage.attach_app();
    dial(lab, "router", &key(CUSTOMER), key(own).public());
    dial(lab, "branch", &key(BRANCH[0]), key(own).public());
    stage.wait_traffic("device", "app", V4.app);
    wait_branch(lab);
    (stage, gateway)
}

fn is_branch_there(lab: &Lab) -> bool {
    let echo = lab.udp_echo("branch", socket(BRANCH_DEVICE, 0));
    let client = lab.udp("app", socket(V4.app, 0));
    lab.udp_ask(&client, echo.address, b"branch").is_some()
}

fn wait_branch(lab: &Lab) {
    wait_until("the branch to answer", PATIENCE, || {
        if is_branch_there(lab) { Ok(()) } else { Err(shown(lab)) }
    });
}

/// One site's key is another in its document: its old one is worth nothing from
/// then on, its new one is, and the other site's packets go on without a gap.
#[test]
fn a_sites_new_key_is_in_force_and_the_other_site_loses_nothing() {
    links::run(|lab| {
        let (_stage, gateway) = connect(lab, 20);
        let before = peer(lab, key(CUSTOMER).public());
        let interval = Duration::from_millis(5);
        let flows = [
            Flow::start(lab, ("app", V4.app), ("device", V4.device), interval),
            Flow::start(lab, ("device", V4.device), ("app", V4.app), interval),
        ];
        gateway.apply(&documents(key(BRANCH[1]).public()));
        let known: Vec<String> = shown(lab).into_keys().collect();
        assert!(known.contains(&key(BRANCH[1]).public().to_string()), "{known:?}");
        assert!(!known.contains(&key(BRANCH[0]).public().to_string()), "{known:?}");
        assert!(!is_branch_there(lab), "the old key still opens a session");
        dial(lab, "branch", &key(BRANCH[1]), key(20).public());
        wait_branch(lab);
        gateway.wait_state(TENANT, "branch", SiteState::Up);
        for flow in flows {
            let arrivals = flow.stop();
            assert!(200 < arrivals.sent);
            assert_eq!(arrivals.lost(), [0; 0], "of {} datagrams", arrivals.sent);
        }
        let after = peer(lab, key(CUSTOMER).public());
        assert_eq!((after.handshake, after.endpoint), (before.handshake, before.endpoint));
    });
}

/// The gateway's own key is another: no session outlives that, for what each was
/// agreed with is gone. Device, peers and port stay, and who has been told the
/// new one comes up at once.
#[test]
fn the_gateways_new_key_is_in_force_for_who_knows_it() {
    links::run(|lab| {
        let (stage, gateway) = connect(lab, 20);
        let index = || lab.ip(NETNS, "-o link show lg-wg").split(':').next().unwrap().to_owned();
        let before = index();
        gateway.secret("acme", "own", "key", key(21).to_base64().as_str());
        gateway.apply(&documents(key(BRANCH[0]).public()));
        assert_eq!(gateway.public_key(TENANT), key(21).public());
        let public = lab.command_output(NETNS, &["wg", "show", "lg-wg", "public-key"]);
        assert_eq!(public.trim(), key(21).public().to_string());
        assert!(!stage.asks("device", "app", V4.app), "a session outlived the key");
        assert!(!is_branch_there(lab));
        // One is told, and is served; the other is not there before it is.
        dial(lab, "router", &key(CUSTOMER), key(21).public());
        stage.wait_traffic("device", "app", V4.app);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert!(!is_branch_there(lab));
        dial(lab, "branch", &key(BRANCH[0]), key(21).public());
        wait_branch(lab);
        assert_eq!(index(), before, "it is the same device");
    });
}
