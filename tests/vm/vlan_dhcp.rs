//! V11: a customer's network has a DHCP server that gives away routes (option 121,
//! RFC 3442), addresses and resolvers, unasked and as an answer. Nobody asks it, and
//! what it says is counted and nothing else.

use crate::frames::{EVERYONE, FOE, Mac, frame, udp};
use crate::lab::{PATIENCE, wait_until};
use crate::links;
use crate::vlan_hostile::{Fate, HOST, Scene, Table, both, tag};
use crate::vlan_stage::{ACME, BOLT, ROUTER, readdress};
use lockgate::reconcile::DropReason as D;
use lockgate::status::{SiteReason, SiteState};
use std::net::Ipv4Addr;

const OWN: [&str; 2] = ["10.1.0.7", "2001:db8:1::7"];
const FOE_ADDRESS: &str = "10.1.0.66";

/// Ports that only DHCP has: of servers, which clients send to, and of clients.
const SERVERS: [u16; 2] = [67, 547];
const CLIENTS: [u16; 2] = [68, 546];

/// An offer (2), acknowledgement (5) or request to ask anew (9, RFC 3203) for whoever has
/// this hardware address: another address, and half of the Internet twice by way of
/// the sender.
fn dhcp(kind: u8, client: Mac, mark: &[u8]) -> Vec<u8> {
    let octets = |address: &str| address.parse::<Ipv4Addr>().unwrap().octets();
    let (server, given) = (octets(FOE_ADDRESS), octets("10.1.0.99"));
    let mut message = vec![2, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0x80, 0];
    message.extend([[0; 4], given, server, [0; 4]].concat());
    message.extend(client);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind]);
    for (option, value) in [(54, server), (1, [255, 255, 0, 0]), (51, [0, 1, 0, 0]), (3, server)] {
        message.extend([option, 4]);
        message.extend(value);
    }
    for option in [121, 249] {
        message.extend([option, 12, 1, 0]);
        message.extend(server);
        message.extend([1, 128]);
        message.extend(server);
    }
    message.extend([43, mark.len() as u8]);
    message.extend(mark);
    message.push(255);
    message
}

/// An advertisement (2), reply (7) or request to ask anew (10): an address, a prefix and
/// a resolver (RFC 8415 §21).
fn dhcp6(kind: u8, client: Mac, mark: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0x12, 0x34, 0x56];
    let mut option = |code: u16, value: &[u8]| {
        message.extend(code.to_be_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(value);
    };
    let bad = [0x20, 1, 0x0d, 0xb8, 0x0b, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let lifetimes = [0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff];
    option(1, &[&[0, 3, 0, 1], &client[..]].concat());
    option(2, &[0, 3, 0, 1, 2, 0, 0, 0, 0x66, 0x66]);
    option(3, &[&[0; 12], &[0, 5, 0, 24][..], &bad, &lifetimes].concat());
    option(25, &[&[0; 12], &[0, 26, 0, 25][..], &lifetimes, &[32], &bad].concat());
    option(23, &bad);
    option(19, &[5]);
    option(59, mark);
    message
}

#[test]
fn what_a_dhcp_server_gives_away_is_not_taken() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        let gateway = scene.wire.gateway;
        let wire = lab.capture("wan", "trunk");
        // Whoever has a client asks when the carrier comes back.
        lab.ip("wan", "link set trunk down");
        let is_down = |wanted| {
            wait_until("the carrier to be seen to change", PATIENCE, || {
                let reason = scene.gateway.site(&ACME.tenant(), "lab").reason;
                if (reason == SiteReason::LinkDown) == wanted { Ok(()) } else { Err(reason) }
            });
        };
        is_down(true);
        lab.ip("wan", "link set trunk up");
        is_down(false);
        for customer in [ACME, BOLT] {
            readdress(lab, &customer);
            scene.gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
        }

        let mut table = Table::default();
        let acme = [tag(&ACME).bytes()];
        for kind in [2, 5, 9] {
            for (from, to, hardware, fate) in [
                (ROUTER[0], "255.255.255.255", EVERYONE, D::Martian),
                (FOE_ADDRESS, "255.255.255.255", gateway, D::Martian),
                ("0.0.0.0", "255.255.255.255", EVERYONE, D::Martian),
                (ROUTER[0], OWN[0], gateway, D::ToGateway),
                (HOST[0], OWN[0], gateway, D::ToGateway),
                // Where nobody is yet whom it would be given to.
                (ROUTER[0], "10.1.0.99", gateway, D::NotAppDestination),
            ] {
                let what = format!("DHCP {kind} from {from} to {to}");
                table.add(what, Fate::Counted(fate), |mark| {
                    let ports = [SERVERS[0], CLIENTS[0]];
                    let packet = udp(from, to, ports, &dhcp(kind, gateway, mark));
                    frame(hardware, FOE, &acme, 0x0800, &packet)
                });
            }
        }
        for kind in [2, 7, 10] {
            for (from, to, fate) in [
                ("fe80::66", "ff02::1:2", D::Martian),
                ("fe80::66", OWN[1], D::Martian),
                (ROUTER[1], "ff02::1:2", D::Martian),
                (ROUTER[1], OWN[1], D::ToGateway),
                (HOST[1], OWN[1], D::ToGateway),
            ] {
                let what = format!("DHCPv6 {kind} from {from} to {to}");
                table.add(what, Fate::Counted(fate), |mark| {
                    let ports = [SERVERS[1], CLIENTS[1]];
                    let packet = udp(from, to, ports, &dhcp6(kind, gateway, mark));
                    scene.wire.frame(&[tag(&ACME)], &packet)
                });
            }
        }
        // Addresses and routes are looked at there, too.
        scene.suffer(&table);

        let frames = wire.frames();
        assert_eq!(wire.lost(), 0);
        let asked: Vec<_> = frames.iter().filter(|it| is_question(it, gateway)).collect();
        assert!(asked.is_empty(), "{asked:02x?}");
        scene.assert_unharmed();
    });
}

/// Whether the gateway asks a DHCP server for something, with whatever tags.
fn is_question(frame: &[u8], gateway: Mac) -> bool {
    let packet = &frame[12 + 4 * links::tags(frame).len()..];
    let ports = match packet {
        [8, 0, 0x45, ..] if packet[11] == 17 => packet.get(24..26),
        [0x86, 0xdd, ..] if packet[8] == 17 => packet.get(44..46),
        _ => None,
    };
    let is_server = |port: &[u8]| SERVERS.iter().any(|server| server.to_be_bytes() == port);
    frame[6..12] == gateway && ports.is_some_and(is_server)
}
