//! The kernel's own WireGuard: two of its devices talk.

use crate::links::{self, Peer};
use lockgate::net::PrivateKey;

#[test]
fn two_devices_of_the_kernel_talk() {
    links::run(|lab| {
        const PAYLOAD: &[u8] = b"nobody on the wire reads this";
        let [left, right] = [1, 2].map(|seed| PrivateKey::from_random([seed; 32]));
        lab.add("left");
        lab.add("right");
        lab.veth(("left".into(), "eth0"), ("right".into(), "eth0"));
        lab.address("left", "eth0", "198.51.100.1/24");
        lab.address("right", "eth0", "198.51.100.2/24");
        lab.wireguard(
            "right",
            "wg0",
            &right,
            51_820,
            &[Peer { key: left.public(), endpoint: None, allowed_ips: "10.0.0.1/32" }],
        );
        lab.wireguard(
            "left",
            "wg0",
            &left,
            0,
            &[Peer {
                key: right.public(),
                endpoint: Some("198.51.100.2:51820".parse().unwrap()),
                allowed_ips: "10.0.0.2/32",
            }],
        );
        lab.address("left", "wg0", "10.0.0.1/32");
        lab.address("right", "wg0", "10.0.0.2/32");

        let echo = lab.udp_echo("right", "10.0.0.2:0".parse().unwrap());
        let client = lab.udp("left", "10.0.0.1:0".parse().unwrap());
        let wire = lab.capture("right", "eth0");
        assert_eq!(lab.udp_ask(&client, echo.address, PAYLOAD).as_deref(), Some(PAYLOAD));
        let frames = wire.frames();
        assert!(!frames.is_empty());
        let is_plain = |frame: &Vec<u8>| frame.windows(PAYLOAD.len()).any(|it| it == PAYLOAD);
        assert!(!frames.iter().any(is_plain));
    });
}
