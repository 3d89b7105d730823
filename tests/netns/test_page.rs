//! The test page: who gets it, and who does not.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    FAMILIES, PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, V6, key, site_document, socket,
    tenant_document,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CUSTOMER: u8 = 7;
const OTHER: u8 = 8;

/// The tenant with its usual site and another one, whose tunnel has addresses of its own.
fn two_sites(page: bool) -> String {
    let other = "tunnelAddresses: [10.255.31.0/31]";
    tenant_document(&format!("testPage: {page}"))
        + &site_document(SITE, key(CUSTOMER).public(), &PREFIXES, TUNNEL, "")
        + &site_document("lab", key(OTHER).public(), &["192.168.9.0/24"], other, "")
}

fn dials_in(gateway: &Gateway<'_>) -> Customer {
    Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        keepalive: 1,
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    }
}

/// Says something to TCP port 80 of an address; `Err` when nobody takes it, or nothing comes.
fn says(lab: &Lab, at: &str, address: &str, request: &[u8]) -> Result<String, String> {
    let (to, request) = (socket(address, 80), request.to_vec());
    lab.within(at, move || talk(to, &request)).map_err(|error| error.to_string())
}

fn talk(to: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(8)))?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_customer_and_nobody_else_gets_the_page_it_asks_for() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&two_sites(false));
        let _router = Router::start(lab, "router", Engine::any(), &dials_in(&gateway));
        stage.wait_traffic("app", "device", V4.device);
        for family in FAMILIES {
            assert!(lab.ping("router", family.tunnel[0]), "it answers ping whether asked or not");
            assert!(lab.ping("device", family.tunnel[0]));
            says(lab, "router", family.tunnel[0], GET).unwrap_err();
        }

        gateway.apply(&two_sites(true));
        for (family, is_v4) in [(V4, true), (V6, false)] {
            for (at, client) in [("router", family.tunnel[1]), ("device", family.device)] {
                let answer =
                    wait_until("the page", PATIENCE, || says(lab, at, family.tunnel[0], GET));
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
                let expected = format!("Lockgate: the tunnel works. Site hq, you are {client}, 2");
                assert!(body.starts_with(&expected) && body.ends_with("Z\n"), "{body}");
                assert_eq!(body.lines().count(), 1);
                assert!(is_v4 == client.contains('.'));
            }
            // From the applications, the underlay, and by another site's address.
            says(lab, "app", family.tunnel[0], GET).unwrap_err();
            says(lab, "app", family.fabric, GET).unwrap_err();
        }
        says(lab, "router", V4.gateway, GET).unwrap_err();
        lab.ip("router", "route replace 10.255.31.0/32 dev wg-router");
        lab.command_output("router", &allowed(&gateway));
        // The kernel connects it, for both sites are of one tenant, and that is all it gets.
        says(lab, "router", "10.255.31.0", GET).unwrap_err();

        let ask = |request: &[u8]| says(lab, "router", V4.tunnel[0], request);
        assert!(ask(b"HEAD / HTTP/1.0\r\n\r\n").unwrap().ends_with("close\r\n\r\n"));
        assert!(ask(b"POST / HTTP/1.1\r\n\r\n").unwrap().starts_with("HTTP/1.1 405 "));
        let long = [b"GET /", vec![b'x'; 10_000].as_slice(), b" HTTP/1.1\r\n"].concat();
        let refused = ask(&long);
        assert!(refused.as_ref().is_err() || refused.unwrap().starts_with("HTTP/1.1 431 "));
        ask(b"GET / HTTP/1.1\r\n").unwrap_err();

        // Whoever says nothing takes a place for some seconds, and the others are let go.
        let idle: Vec<TcpStream> = lab.within("router", || {
            let to = socket(V4.tunnel[0], 80);
            (0..4).map(|_| TcpStream::connect(to).unwrap()).collect()
        });
        wait_until("no place to be left", PATIENCE, || match ask(GET) {
            Err(_) => Ok(()),
            Ok(answer) => Err(answer),
        });
        wait_until("the idle ones to be given up", PATIENCE, || ask(GET));
        drop(idle);

        gateway.apply(&two_sites(false));
        wait_until("the page to be gone", PATIENCE, || match ask(GET) {
            Err(_) => Ok(()),
            Ok(answer) => Err(answer),
        });
        assert!(lab.ping(At::Netns("router"), V4.tunnel[0]));
    });
}

/// `wg set` that lets the other site's address into the customer's tunnel.
fn allowed(gateway: &Gateway<'_>) -> Vec<String> {
    let key = gateway.public_key(TENANT).to_string();
    let all = "10.255.30.0/32,10.255.31.0/32,10.136.40.0/24,fd00:255:30::/128,2001:db8:40::/64";
    let words = ["wg", "set", "wg-router", "peer", &key, "allowed-ips", all];
    words.map(str::to_owned).to_vec()
}
