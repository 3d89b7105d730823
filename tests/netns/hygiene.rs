//! A tenant's namespace as threats call for it: its settings, what its counters
//! say of packets that must not pass, and what a link does with strangers.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, V6, documents, key, socket};
use lockgate::status::{DropPlace, SiteState};
use std::collections::BTreeMap;
use std::net::IpAddr;

const NETNS: &str = "lockgate.acme.gw";

fn setting(lab: &Lab, name: &str) -> i32 {
    let text = lab.within(NETNS, || std::fs::read_to_string(format!("/proc/sys/net/{name}")));
    text.unwrap_or_else(|error| panic!("{name}: {error}")).trim().parse().unwrap()
}

/// Of each leg, and of links that may come.
#[test]
fn every_leg_is_set_as_a_wire_to_strangers_should_be() {
    lab::run(|lab| {
        let _gateway = Gateway::start(lab, At::Underlay, &documents(key(7).public(), "", ""));
        let everywhere = [
            ("ipv4", "accept_redirects", 0),
            ("ipv4", "accept_source_route", 0),
            ("ipv4", "proxy_arp", 0),
            ("ipv4", "route_localnet", 0),
            ("ipv4", "secure_redirects", 0),
            ("ipv4", "send_redirects", 0),
            ("ipv6", "accept_ra", 0),
            ("ipv6", "accept_redirects", 0),
            ("ipv6", "accept_source_route", 0),
            ("ipv6", "disable_ipv6", 0),
            ("ipv6", "proxy_ndp", 0),
        ];
        for link in ["all", "default", "lg-wg", "lg-fabric"] {
            for (family, name, value) in everywhere {
                let path = format!("{family}/conf/{link}/{name}");
                assert_eq!(setting(lab, &path), value, "{path}");
            }
        }
        for (name, value) in [
            ("ipv4/conf/lg-fabric/arp_announce", 2),
            ("ipv4/conf/lg-fabric/arp_ignore", 1),
            ("ipv4/conf/lg-fabric/arp_notify", 1),
            ("ipv4/conf/lg-fabric/drop_gratuitous_arp", 1),
            ("ipv4/conf/lg-fabric/rp_filter", 2),
            ("ipv4/conf/lg-wg/rp_filter", 1),
            ("ipv6/conf/lg-fabric/drop_unsolicited_na", 1),
            ("ipv6/conf/lg-fabric/ndisc_notify", 1),
            ("ipv6/conf/lg-wg/addr_gen_mode", 1),
        ] {
            assert_eq!(setting(lab, name), value, "{name}");
        }
    });
}

#[test]
fn a_tenant_without_ipv6_has_none() {
    lab::run(|lab| {
        let key = key(7).public();
        let text = format!(
            "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: apps, addresses: [10.136.40.1/24]}}}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: acme}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {key}, tunnelAddresses: [10.255.30.0/31]}}
  prefixes: [{{cidr: 192.168.1.0/24}}]
"
        );
        let _gateway = Gateway::start(lab, At::Underlay, &text);
        for link in ["all", "default", "lg-wg", "lg-fabric"] {
            assert_eq!(setting(lab, &format!("ipv6/conf/{link}/disable_ipv6")), 1, "{link}");
        }
        assert_eq!(lab.ip(NETNS, "-6 address show"), "");
    });
}

/// What was dropped so far, by reason.
fn drops(gateway: &Gateway<'_>) -> BTreeMap<(DropPlace, String), u64> {
    let drops = gateway.tenant(TENANT).drops.into_iter();
    drops.map(|drop| ((drop.place, drop.reason), drop.packets.0)).collect()
}

/// Sends one datagram from an address that is given to the sender for it.
fn send(lab: &Lab, from: &str, source: &str, to: &str, port: u16) {
    let (source, to): (IpAddr, IpAddr) = (source.parse().unwrap(), to.parse().unwrap());
    let socket = lab.udp(from, (source, 0).into());
    socket.set_broadcast(true).unwrap();
    socket.send_to(b"out of place", (to, port)).unwrap();
}

#[test]
fn each_counter_counts_what_it_is_called_after() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let allow = "allow: [{direction: FromSite, protocol: UDP, ports: [514]}]";
        let gateway = stage.start(&documents(key(7).public(), "", allow));
        let mut customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(7), gateway.public_key(TENANT))
        };
        customer.allowed_ips.extend(["172.31.0.0/16", "224.0.0.0/24"].map(str::to_owned));
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        // Sources that are not theirs, for who sends from them.
        lab.ip("router", "address add 203.0.113.9/32 dev lo");
        lab.ip("app", "address add 192.168.1.99/32 dev lo");
        lab.route("app", "172.31.0.0/16", V4.fabric);
        let before = drops(&gateway);

        let own = V4.tunnel[0];
        let sent = [
            ("device", V4.device, V4.app, 515, "not_allowed"),
            ("app", V4.app, V4.device, 514, "not_allowed"),
            ("device", V6.device, V6.app, 515, "not_allowed"),
            ("router", "192.168.1.1", V4.fabric, 514, "wrong_link"),
            ("app", V4.app, own, 514, "wrong_link"),
            ("router", "192.168.1.1", own, 514, "to_gateway"),
            ("app", V4.app, V4.fabric, 514, "to_gateway"),
            ("app", "192.168.1.99", V4.device, 514, "not_app_source"),
            ("router", "203.0.113.9", V4.app, 514, "source_not_allowed"),
            // Where no route leads: it was answered and in no counter.
            ("router", "192.168.1.1", "172.31.0.9", 514, "not_app_destination"),
            ("app", V4.app, "172.31.0.9", 514, "not_site_destination"),
        ];
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for (from, source, to, port, reason) in sent {
            send(lab, from, source, to, port);
            *expected.entry(reason).or_default() += 1;
        }
        // What may pass does, and is in no counter.
        send(lab, "device", V4.device, V4.app, 514);
        let place = |reason: &str| match reason {
            "source_not_allowed" => DropPlace::Datapath,
            _ => DropPlace::Firewall,
        };
        let since = |now: &BTreeMap<(DropPlace, String), u64>, reason: &str| {
            let key = (place(reason), reason.to_owned());
            let count = |all: &BTreeMap<_, u64>| all.get(&key).copied().unwrap_or_default();
            count(now) - count(&before)
        };
        lab::wait_until("every packet to be counted", lab::PATIENCE, || {
            let now = drops(&gateway);
            let counted: BTreeMap<&str, u64> =
                expected.keys().map(|reason| (*reason, since(&now, reason))).collect();
            if counted == expected { Ok(()) } else { Err(counted) }
        });
        let now = drops(&gateway);
        for reason in ["not_forwarded", "ct_invalid"] {
            assert_eq!(since(&now, reason), 0, "{reason}");
        }
    });
}
