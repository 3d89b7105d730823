//! ICMP errors across the tunnel, in both directions: who asks something that is
//! not there is told, also where rules track what passes, and where a site's
//! network has another name here.

use crate::lab::{self, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    PORT, SITE, Stage, TENANT, TUNNEL, V4, V6, documents, is_without_aliases, key, site_document,
    socket, tenant_document,
};
use crate::wireguard_wire::Seen;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};

/// The customer's key.
const CUSTOMER: u8 = 7;

/// A port nobody listens on.
const CLOSED: u16 = 9;

/// What is asked for, from the application and from the device: each other, and
/// neighbours of theirs that are not there.
struct Asked {
    device: &'static str,
    nobody: &'static str,
    app: &'static str,
    no_app: &'static str,
    /// Our end of the tunnel and the customer's, who say so.
    tunnel: [&'static str; 2],
}

const ASKED_V4: Asked = Asked {
    device: V4.device,
    nobody: "192.168.1.99",
    app: V4.app,
    no_app: "10.136.40.99",
    tunnel: V4.tunnel,
};

const ASKED_V6: Asked = Asked {
    device: V6.device,
    nobody: "2001:db8:aa::99",
    app: V6.app,
    no_app: "2001:db8:40::99",
    tunnel: V6.tunnel,
};

/// As the application knows the customer's network by its other name.
const ASKED_BY_ALIAS: Asked = Asked { device: "10.200.1.10", nobody: "10.200.1.99", ..ASKED_V4 };

/// Asks over UDP until it is refused.
fn refused(lab: &Lab, from: &str, to: &str) {
    let asks = ask(lab, from, to);
    wait_until(&format!("{from} to be refused by {to}"), PATIENCE, || {
        let sent = asks.send(b"anybody there?").map(|_| ());
        match sent.and_then(|()| asks.recv(&mut [0; 64])) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            other => Err(other),
        }
    });
}

/// Asks over UDP until somebody says that the host asked cannot be reached, and
/// gives who that is. A socket is not told of that, so the wire is looked at.
fn unreachable(lab: &Lab, (from, link): (&str, &str), to: &str) -> IpAddr {
    let capture = lab.capture(from, link);
    let asks = ask(lab, from, to);
    let to: IpAddr = to.parse().unwrap();
    wait_until(&format!("{from} to be told of {to}"), PATIENCE, || {
        let _ = asks.send(b"anybody there?");
        let seen = capture.frames().into_iter().filter_map(|frame| Seen::of(&frame));
        let told: Vec<Seen> = seen
            .filter(|seen| {
                let what = (seen.protocol, seen.payload.as_slice());
                matches!(what, (1, [3, 1, ..]) | (58, [1, 3, ..]))
            })
            .collect();
        let about = told.iter().find(|seen| quoted_destination(seen) == to);
        about.map(|seen| seen.from).ok_or(told)
    })
}

fn ask(lab: &Lab, from: &str, to: &str) -> UdpSocket {
    let asks = lab.udp(from, socket(if to.contains(':') { "::" } else { "0.0.0.0" }, 0));
    asks.connect(socket(to, CLOSED)).unwrap();
    asks
}

/// For whom the packet was that an ICMP error is about.
fn quoted_destination(error: &Seen) -> IpAddr {
    let quote = &error.payload[8..];
    match error.protocol {
        1 => <[u8; 4]>::try_from(&quote[16..20]).unwrap().into(),
        _ => <[u8; 16]>::try_from(&quote[24..40]).unwrap().into(),
    }
}

fn check(documents: &'static str, asked: &'static [Asked]) {
    lab::run(move |lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(documents);
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, lockgate::status::SiteState::Up);
        // Who asks for a neighbour does so three times; soon is soon enough.
        lab.within("router", || {
            for family in ["ipv4", "ipv6"] {
                let file = format!("/proc/sys/net/{family}/neigh/eth0/retrans_time_ms");
                std::fs::write(file, "100").unwrap();
            }
        });
        for asked in asked {
            refused(lab, "app", asked.device);
            refused(lab, "device", asked.app);
            let [ours, theirs] = asked.tunnel.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(unreachable(lab, ("app", "apps"), asked.nobody), theirs);
            assert_eq!(unreachable(lab, ("device", "lan"), asked.no_app), ours);
        }
    });
}

fn leak(documents: String) -> &'static str {
    documents.leak()
}

#[test]
fn errors_cross_the_tunnel() {
    check(leak(documents(key(CUSTOMER).public(), "", "")), &[ASKED_V4, ASKED_V6]);
}

#[test]
fn errors_cross_the_tunnel_of_a_site_with_rules() {
    let allow = "allow: [{direction: ToSite, protocol: UDP}, {direction: FromSite, protocol: UDP}]";
    check(leak(documents(key(CUSTOMER).public(), "", allow)), &[ASKED_V4, ASKED_V6]);
}

#[test]
fn errors_about_a_network_with_another_name_are_translated() {
    if is_without_aliases() {
        return;
    }
    let site = site_document(SITE, key(CUSTOMER).public(), &["192.168.1.0/24"], TUNNEL, "");
    let site = site.replace("'192.168.1.0/24'", "'192.168.1.0/24', alias: '10.200.1.0/24'");
    check(leak(tenant_document("") + &site), &[ASKED_BY_ALIAS]);
}
