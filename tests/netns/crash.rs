//! The gateway is killed at any moment of its work; the next one brings it to
//! its end.
//!
//! The moments are spread over the time a start or a removal takes, so each
//! falls on another step, and on another one from run to run. Every single step
//! is broken off in order in `reconcile_converge`.
#![allow(clippy::disallowed_methods, reason = "when to kill is a matter of time")]

use crate::gateway::Gateway;
use crate::inventory::{inventory, wait_changes};
use crate::lab::{self, At, Lab};
use crate::wireguard_stage::{documents, key};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often it is killed, at each kind of work.
const KILLS: u32 = 10;

/// Three tenants with the same addresses, one of them on an interface that is
/// there already.
fn three_tenants() -> String {
    let mut text = documents(key(7).public(), "", "");
    let fabrics = [
        "veth: {peer: bolt-apps, addresses: [10.136.40.1/24, '2001:db8:40::1/64']}",
        "interface: {name: ens5f3, addresses: [10.136.40.1/24], mtu: 1400}",
    ];
    for ((name, fabric), seed) in ["bolt", "corp"].into_iter().zip(fabrics).zip(8..) {
        text += &format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64']
  fabric: {{{fabric}}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: {name}}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {}, tunnelAddresses: [10.255.30.0/31, 'fd00:255:30::/127']}}
  prefixes: [{{cidr: 192.168.1.0/24}}, {{cidr: '2001:db8:aa::/64'}}]
  allow: [{{direction: ToSite, protocol: TCP, ports: [22]}}]
",
            key(seed).public()
        );
    }
    text
}

/// A gateway that does not run yet, and what others have around it.
struct Scene<'lab> {
    lab: &'lab Lab,
    gateway: Gateway<'lab>,
    before: BTreeSet<String>,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        lab.add("world");
        lab.ip(At::Underlay, "link add ens5f3 type veth peer name ens5f3 netns world");
        lab.nft(At::Underlay, "add table inet theirs");
        lab.ip(At::Underlay, "route add unreachable 203.0.113.0/24 proto 76");
        let gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &three_tenants());
        let before = inventory(lab, At::Underlay);
        Self { lab, gateway, before }
    }

    /// Starts the gateway to the end: all is programmed and kept apart, and
    /// nothing is left to do. Gives how long it took.
    fn start(&mut self) -> Duration {
        let begun = Instant::now();
        self.gateway.spawn();
        self.gateway.wait_programmed();
        let took = begun.elapsed();
        let diff = self.gateway.lockgate(At::Underlay, &["diff"]);
        let said = String::from_utf8_lossy(&diff.stdout);
        assert_eq!((diff.status.code(), &*said), (Some(0), ""), "{diff:?}");
        took
    }

    /// Ends it: nothing of it is left. Gives how long it took.
    fn end(&mut self) -> Duration {
        let begun = Instant::now();
        assert!(self.gateway.terminate().success(), "{}", self.gateway.log());
        let took = begun.elapsed();
        assert_eq!(std::fs::read_dir("/run/netns").unwrap().count(), 1, "only the world");
        // Its number may be another, when its own was taken where it was.
        wait_changes(self.lab, At::Underlay, &self.before, &[": ens5f3@"]);
        let given_back = self.lab.ip(At::Underlay, "-d link show ens5f3");
        assert!(given_back.contains("mtu 1500") && !given_back.contains("alias"), "{given_back}");
        took
    }
}

/// The moment of the `number`th kill in something that takes so long.
fn wait_for_moment(number: u32, work: Duration) {
    std::thread::sleep(work * (2 * number + 1) / (2 * KILLS));
}

#[test]
fn killed_while_it_starts_the_next_one_starts_in_full() {
    lab::run(|lab| {
        let mut scene = Scene::new(lab);
        let takes = scene.start();
        scene.end();
        for number in 0..KILLS {
            scene.gateway.spawn();
            wait_for_moment(number, takes);
            scene.gateway.kill();
            scene.start();
            scene.end();
        }
    });
}

#[test]
fn killed_while_it_removes_the_next_one_starts_in_full() {
    lab::run(|lab| {
        let mut scene = Scene::new(lab);
        scene.start();
        let takes = scene.end();
        for number in 0..KILLS {
            scene.start();
            scene.gateway.signal(rustix::process::Signal::TERM);
            wait_for_moment(number, takes);
            scene.gateway.kill();
        }
        scene.start();
        scene.end();
    });
}
