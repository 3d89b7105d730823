//! Ways between the customer and the gateway: through a NAT, through routers,
//! through links that are narrower than what the tunnel sends.
#![allow(clippy::disallowed_methods, reason = "how long a silence is, is what is tested")]

use crate::lab::{self, Lab};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    BEHIND, CUSTOMER_PORT, FAMILIES, PORT, SITE, Stage, TENANT, V4, documents, key, socket,
};
use crate::wireguard_wire::Seen;
use lockgate::status::SiteState;
use std::time::Duration;

/// The customer's key.
const CUSTOMER: u8 = 7;

const UDP: u8 = 17;

/// How long the NAT remembers a silent flow, and a silence that is longer. Most
/// have 30 s; the tunnel does not care.
const NAT_SECONDS: u8 = 2;
const SILENCE: Duration = Duration::from_secs(5);

/// Who keeps the NAT's memory of the tunnel alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Customer,
    Gateway,
    Nobody,
}

fn behind_a_nat(keeper: Keeper) {
    lab::run(move |lab| {
        let stage = Stage::new(lab);
        stage.put_isp_between();
        let nat = "table ip nat {
            chain postrouting {
                type nat hook postrouting priority 100
                oifname core masquerade
            }
        }";
        lab.nft("isp", nat);
        lab.within("isp", || {
            for name in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
                let file = format!("/proc/sys/net/netfilter/{name}");
                std::fs::write(file, NAT_SECONDS.to_string()).unwrap();
            }
        });
        let ours = if keeper == Keeper::Gateway { "persistentKeepaliveSeconds: 1" } else { "" };
        let gateway = stage.start(&documents(key(CUSTOMER).public(), ours, ""));
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: u16::from(keeper == Keeper::Customer),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.endpoint.unwrap().ip().to_string(), "198.51.100.254");
        assert!(is_answered(lab), "{keeper:?}");
        let spoke = be_silent(lab);
        if keeper != Keeper::Nobody {
            assert!(0 < spoke, "nothing was sent to keep the NAT open");
            assert!(is_answered(lab), "{keeper:?}, after a silence");
        } else if spoke == 0 {
            assert!(!is_answered(lab), "the NAT has forgotten nothing");
        }
        // The customer's next packet makes the way again.
        stage.wait_traffic("device", "app", V4.app);
        assert!(is_answered(lab), "{keeper:?}, after the customer spoke");
    });
}

/// Lets the time of a silence pass; gives how many datagrams went through the
/// NAT meanwhile. A busy machine brings late ones.
fn be_silent(lab: &Lab) -> usize {
    let capture = lab.capture("isp", "core");
    std::thread::sleep(SILENCE);
    let seen = capture.frames().into_iter().filter_map(|frame| Seen::of(&frame));
    seen.filter(|seen| seen.protocol == UDP).count()
}

/// One question of the application's, with a second to be answered.
fn is_answered(lab: &Lab) -> bool {
    let echo = lab.udp_echo("device", socket(V4.device, 0));
    let asks = lab.udp("app", socket("0.0.0.0", 0));
    asks.send_to(b"question", echo.address).unwrap();
    asks.recv(&mut [0; 16]).is_ok()
}

/// The application's packets find their way through the customer's NAT after a
/// silence, when either side keeps it open.
#[test]
fn a_keepalive_of_either_side_keeps_a_nat_open() {
    std::thread::scope(|scope| {
        for keeper in [Keeper::Customer, Keeper::Gateway, Keeper::Nobody] {
            scope.spawn(move || behind_a_nat(keeper));
        }
    });
}

/// Another network between, whose way to the customer is narrower than what the
/// gateway sends. The other way is not, for the newest wireguard-go does not get
/// through such a one.
fn through_a_narrow_network(outer: usize) {
    Engine::each(move |lab, engine| {
        let stage = Stage::new(lab);
        stage.put_isp_between();
        stage.route_to_isp();
        for (family, host) in ["-4", "-6"].into_iter().zip(BEHIND) {
            lab.ip("isp", &format!("{family} route add {host} dev edge mtu lock 1400"));
        }
        let host = BEHIND[outer];
        let endpoint = format!("endpoint: {{host: '{host}', port: {CUSTOMER_PORT}}}");
        let gateway = stage.start(&documents(key(CUSTOMER).public(), &endpoint, ""));
        let customer = Customer {
            listen_port: Some(CUSTOMER_PORT),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", engine, &customer);
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.endpoint, Some(socket(host, CUSTOMER_PORT)));
        let capture = lab.capture("router", "uplink");
        for inner in FAMILIES {
            stage.assert_traffic(inner);
        }
        let frames = capture.frames();
        assert!(frames.iter().any(|frame| is_fragment(frame)), "the way is not narrow at all");
    });
}

/// Whether a frame holds a piece of a packet of either family.
fn is_fragment(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x00] => frame[20] & 0x20 != 0,
        [0x86, 0xdd] => frame[20] == 44,
        _ => false,
    }
}

#[test]
fn a_customer_behind_a_narrow_ipv4_network_is_reached() {
    through_a_narrow_network(0);
}

#[test]
fn a_customer_behind_a_narrow_ipv6_network_is_reached() {
    through_a_narrow_network(1);
}
