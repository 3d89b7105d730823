//! What comes through a tunnel and may not be there: packets that lie, that come
//! in pieces, that are from or for somebody else.

use crate::lab::{self, At};
use crate::wireguard_raw::{header_checksum, udp};
use crate::wireguard_scene::{RAW_DEVICE, Scene};
use crate::wireguard_stage::{PORT, TENANT, V4, socket};
use std::net::UdpSocket;

/// W17–W19: inner sources that are not the sender's, inner packets that are
/// none, and those for where nothing is to go.
#[test]
fn inner_packets_that_lie_go_nowhere() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let customer = scene.customer();
        customer.connect();
        let echo = lab.udp_echo("app", socket(V4.app, 0));
        let port = echo.address.port();
        assert!(customer.asks(RAW_DEVICE, echo.address, b"honest"));
        let good = udp(RAW_DEVICE, 9_000, V4.app, port, b"lie");
        let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = good.clone();
            change(&mut packet);
            customer.seal(&packet)
        };
        let from = |source: &str| customer.seal(&udp(source, 9_000, V4.app, port, b"lie"));
        scene.dropped(
            &customer,
            "source_not_allowed",
            &[from("192.168.1.10"), from("10.136.40.10"), from("0.0.0.0"), from("127.0.0.1")],
        );
        let versions: Vec<_> =
            [0, 5, 15].map(|version| sealed(&|it| it[0] = version << 4 | 5)).to_vec();
        scene.dropped(&customer, "inner_version", &versions);
        scene.dropped(
            &customer,
            "inner_length",
            &[sealed(&|it| it[2] = 200), sealed(&|it| it.truncate(10))],
        );
        let headers = [0, 4].map(|words| sealed(&|it| it[0] = 0x40 | words));
        scene.dropped(&customer, "inner_header", &headers);

        assert!(customer.asks(RAW_DEVICE, echo.address, b"honest again"));
        scene.assert_unharmed();
    });
}

/// What the rules drop, and why: loopback, the cloud's metadata, multicast; and
/// the gateway's own, which listens to nobody.
const DROPPED: [(&str, &str); 6] = [
    ("127.0.0.1", "martian"),
    ("169.254.169.254", "martian"),
    ("224.0.0.1", "martian"),
    ("255.255.255.255", "martian"),
    (OUR_END, "to_gateway"),
    (V4.fabric, "wrong_link"),
];

/// Where no route of the tenant leads: the underlay, the Internet, another
/// tenant.
const NO_ROUTE: [&str; 3] = [V4.gateway, "8.8.8.8", "10.137.0.10"];

/// The gateway's end of the tunnel, which answers for it.
const OUR_END: &str = "10.255.31.0";

#[test]
fn packets_for_nobody_of_the_tenants_go_nowhere() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        scene.gateway.apply(&(scene.documents.clone() + OTHER_TENANT));
        lab.add("other");
        lab.ip(At::Underlay, "link set apps2 netns other");
        lab.ip("other", "link set apps2 up");
        lab.address("other", "apps2", "10.137.0.10/24");
        let customer = scene.customer();
        customer.connect();
        let echo = lab.udp_echo("app", socket(V4.app, 0));
        let captures = [lab.capture("app", "apps"), lab.capture("other", "apps2")];
        let dropped = DROPPED.map(|(to, _)| to);
        for to in dropped.into_iter().chain(NO_ROUTE) {
            for port in [22, 53, PORT, echo.address.port()] {
                customer.send(&customer.seal(&udp(RAW_DEVICE, 9_000, to, port, CANARY)));
            }
        }
        customer.send(&customer.seal(&udp(RAW_DEVICE, 9_000, V4.app, echo.address.port(), b"end")));
        // The application's answer is the first to come.
        let packet = customer.receive().expect("the application answers");
        assert!(packet.ends_with(b"end"), "{packet:x?}");
        let nowhere = 4 * NO_ROUTE.len() as u64;
        scene.gateway.wait_firewall_drops(TENANT, "not_app_destination", nowhere);
        for (_, reason) in DROPPED {
            let all = DROPPED.iter().filter(|(_, it)| *it == reason).count() as u64;
            scene.gateway.wait_firewall_drops(TENANT, reason, 4 * all);
        }
        for capture in captures {
            let came = |frame: &Vec<u8>| frame.windows(CANARY.len()).any(|it| it == CANARY);
            assert_eq!(capture.frames().iter().find(|frame| came(frame)), None);
        }
        scene.assert_unharmed();
    });
}

/// In no packet but those that go nowhere.
const CANARY: &[u8] = b"nowhere to go";

/// Somebody else, with the very same site.
const OTHER_TENANT: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: globex}
spec:
  listenPort: 51822
  appPrefixes: [10.137.0.0/24]
  fabric: {veth: {peer: apps2, addresses: [10.137.0.1/24]}}
";

/// The fragments of a packet, of which each has so many bytes of its payload
/// from here on; the last one says that it is.
fn fragments(packet: &[u8], id: u16, pieces: &[(usize, usize)]) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let last = pieces.len() - 1;
    let piece = |(at, (from, len)): (usize, &(usize, usize))| {
        let mut piece = header.to_vec();
        piece.extend(&payload[*from..(from + len).min(payload.len())]);
        let total = u16::try_from(piece.len()).unwrap();
        piece[2..4].copy_from_slice(&total.to_be_bytes());
        piece[4..6].copy_from_slice(&id.to_be_bytes());
        let more = if at == last { 0 } else { 0x2000 };
        let place = u16::try_from(from / 8).unwrap() | more;
        piece[6..8].copy_from_slice(&place.to_be_bytes());
        header_checksum(&mut piece);
        piece
    };
    pieces.iter().enumerate().map(piece).collect()
}

/// Pieces that fit come whole, however small the first; pieces that lie over one
/// another do not come at all.
#[test]
fn packets_in_pieces_come_whole_or_not_at_all() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let customer = scene.customer();
        customer.connect();
        let app: UdpSocket = lab.udp("app", socket(V4.app, 0));
        let port = app.local_addr().unwrap().port();
        let mut id = 0;
        let mut send = |fill: u8, pieces: &[(usize, usize)]| {
            id += 1;
            let packet = udp(RAW_DEVICE, 9_000, V4.app, port, &[fill; 2_400]);
            for piece in fragments(&packet, id, pieces) {
                customer.send(&customer.seal(&piece));
            }
        };
        let whole = [(0, 1_200), (1_200, 1_200), (2_400, 8)];
        // Never to be completed.
        for _ in 0..300 {
            send(1, &whole[..2]);
        }
        send(2, &whole);
        send(3, &[(0, 8), (8, 1_200), (1_208, 1_200)]);
        send(4, &[(0, 1_200), (600, 1_200), (1_200, 1_208)]);
        send(5, &[(0, 1_200), (0, 1_208), (1_200, 1_208)]);
        send(6, &[(1_200, 1_208), (0, 1_200)]);
        send(7, &whole);
        let mut came = Vec::new();
        let mut room = [0; 4_096];
        while came.last() != Some(&7) {
            let (len, _) =
                app.recv_from(&mut room).unwrap_or_else(|_| panic!("only {came:?} came"));
            assert!(len == 2_400 && room[..len].iter().all(|byte| *byte == room[0]), "a mixture");
            came.push(room[0]);
        }
        assert_eq!(came, [2, 3, 7]);
        scene.assert_unharmed();
    });
}
