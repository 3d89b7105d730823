//! V28: what goes one way and comes back another. A customer has two links to the
//! gateway, of which one serves; the other is no way in, whatever was said before.
//!
//! ```text
//!              ┌ lan0 ─ main   172.30.0.1, fd30::1 ┐
//!   customer ──┤                                    ├─ gateway ─ apps ─ app
//!              └ lan1 ─ backup 172.31.0.1, fd31::1 ┘
//!   10.64.0.10, fd64::10                                      10.136.40.10, fd40::10
//! ```

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, UdpEcho, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::SiteState;
use std::net::{IpAddr, SocketAddr, UdpSocket};

const TENANT: &str = "acme/gw";
const DEVICE: [&str; 2] = ["10.64.0.10", "fd64::10"];
const APP: [&str; 2] = ["10.136.40.10", "fd40::10"];
const NETWORK: [&str; 2] = ["10.136.40.0/24", "fd40::/64"];

/// The gateway's addresses on the two links.
const MAIN: [&str; 2] = ["172.30.0.1", "fd30::1"];
const BACKUP: [&str; 2] = ["172.31.0.1", "fd31::1"];

fn site(name: &str, priority: u32, link: u8, allow: &str) -> String {
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: {name}, namespace: acme}}
spec:
  gatewayRef: {{name: gw}}
  type: VLAN
  priority: {priority}
  vlan:
    interface: lan{link}
    addresses: [172.3{link}.0.1/24, 'fd3{link}::1/64']
    nextHops: [172.3{link}.0.2, 'fd3{link}::2']
  prefixes: [{{cidr: 10.64.0.0/16}}, {{cidr: 'fd64::/64'}}]
{allow}"
    )
}

fn documents(allow: &str) -> String {
    class_document()
        + "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [10.136.40.0/24, 'fd40::/64']
  fabric: {veth: {peer: apps, addresses: [10.136.40.1/24, 'fd40::1/64']}}
" + &site("main", 200, 0, allow)
        + &site("backup", 100, 1, allow)
}

fn socket(address: &str, port: u16) -> SocketAddr {
    (address.parse::<IpAddr>().unwrap(), port).into()
}

fn build(lab: &Lab) -> Gateway<'_> {
    lab.add("customer");
    lab.add("app");
    for link in [0, 1] {
        let (near, far) = (format!("lan{link}"), format!("up{link}"));
        lab.veth((At::Underlay, &near), (At::Netns("customer"), &far));
        lab.address("customer", &far, &format!("172.3{link}.0.2/24"));
        lab.address("customer", &far, &format!("fd3{link}::2/64"));
    }
    lab.address("customer", "lo", "10.64.0.10/32");
    lab.address("customer", "lo", "fd64::10/128");
    // A router hears what another link of its own sent.
    for setting in ["all.rp_filter=0", "default.rp_filter=0", "up0.rp_filter=0", "up1.rp_filter=0"]
    {
        lab.command_output("customer", &["sysctl", "-qw", &format!("net.ipv4.conf.{setting}")]);
    }
    let gateway = Gateway::start(lab, At::Underlay, &documents(""));
    lab.ip(At::Underlay, "link set apps netns app");
    lab.ip("app", "link set apps up");
    for (own, router, network) in [
        ("10.136.40.10/24", "10.136.40.1", "10.64.0.0/16"),
        ("fd40::10/64", "fd40::1", "fd64::/64"),
    ] {
        lab.address("app", "apps", own);
        lab.route("app", network, router);
    }
    gateway.wait_state(TENANT, "main", SiteState::Up);
    gateway
}

/// Has the customer send to the applications by this link, whatever comes in by.
fn sends_by(lab: &Lab, gateway: [&str; 2]) {
    for (network, via) in NETWORK.into_iter().zip(gateway) {
        lab.ip("customer", &format!("route replace {network} via {via}"));
    }
}

/// The application's questions to the device, in both families.
struct Questions<'lab> {
    lab: &'lab Lab,
    ends: Vec<(UdpSocket, UdpEcho)>,
}

impl<'lab> Questions<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        let end = |(device, app): (&str, &str)| {
            let echo = lab.udp_echo("customer", socket(device, 9_001));
            (lab.udp("app", socket(app, 9_000)), echo)
        };
        Self { lab, ends: DEVICE.into_iter().zip(APP).map(end).collect() }
    }

    /// Which of them the device's answers come back to.
    fn answered(&self) -> Vec<bool> {
        let ask = |(client, echo): &(UdpSocket, UdpEcho)| {
            self.lab.udp_ask(client, echo.address, b"this way or that").is_some()
        };
        self.ends.iter().map(ask).collect()
    }

    fn wait_answered(&self, what: &str) {
        wait_until(what, PATIENCE, || {
            let found = self.answered();
            if found == [true, true] { Ok(()) } else { Err(found) }
        });
    }
}

#[test]
fn what_comes_back_by_a_link_that_does_not_serve_is_dropped_and_counted() {
    lab::run(|lab| {
        let gateway = build(lab);
        let questions = Questions::new(lab);
        // With rules, so that the conversation is one that is known; and without.
        let allow = "  allow: [{direction: ToSite, protocol: UDP, ports: [9001]}]\n";
        for text in [documents(""), documents(allow)] {
            gateway.apply(&text);
            gateway.wait_state(TENANT, "main", SiteState::Up);
            sends_by(lab, MAIN);
            questions.wait_answered("an answer by the link that serves");
            let before = gateway.firewall_drops(TENANT, "not_site_source");
            sends_by(lab, BACKUP);
            let seen = lab.capture("app", "apps");
            assert_eq!(questions.answered(), [false, false]);
            // Three questions in each family were asked, and each was answered.
            gateway.wait_firewall_drops(TENANT, "not_site_source", before + 6);
            let is_answer = |frame: &Vec<u8>| {
                let from_us = |ports: &[u8]| ports == [0x23, 0x29, 0x23, 0x28];
                frame.windows(4).any(from_us)
            };
            assert!(!seen.frames().iter().any(is_answer), "an answer got through");
        }
        // When the other link comes to serve, that is the way back.
        lab.ip("customer", "link set up0 down");
        gateway.wait_state(TENANT, "backup", SiteState::Up);
        questions.wait_answered("an answer by the link that serves now");
        assert!(lab.ip("lockgate.acme.gw", "route get 10.64.0.10").contains("dev lan1"));
    });
}
