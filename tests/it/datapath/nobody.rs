//! Packets that nobody can be sent, and what is no packet.

use super::packets::{sum, tcp_segments, tcp_superpacket, udp};
use super::stage::{HERE, PATIENCE, THERE, config, connect, end, one_thread, pair};
use std::net::Ipv4Addr;
use std::time::Instant;

#[test]
fn packets_to_nobody_are_counted() {
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    here.inside.write([0; 10], &udp(HERE, Ipv4Addr::new(10, 9, 9, 9), b"no route"));
    here.inside.write([0; 10], &udp(HERE, THERE, b"no endpoint"));
    let begun = Instant::now();
    loop {
        let drops = here.datapath.sample(&here.tenant).unwrap().device.drops;
        if drops.get("no_route") == Some(&1) && drops.get("no_endpoint") == Some(&1) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{drops:?}");
        std::thread::yield_now();
    }
}

#[test]
fn who_sends_to_nobody_is_told_but_not_without_end() {
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    let packet = udp(HERE, THERE, b"no endpoint");
    for _ in 0..200 {
        here.inside.write([0; 10], &packet);
    }
    let (header, answer) = here.inside.read();
    assert_eq!(header, [0; 10]);
    assert_eq!(sum(&answer[..20]), 0xffff, "the IPv4 checksum");
    assert_eq!(sum(&answer[20..]), 0xffff, "the ICMP checksum");
    assert_eq!((answer[9], &answer[20..22]), (1, &[3, 1][..]), "host unreachable");
    assert_eq!(answer[12..20], [THERE.octets(), HERE.octets()].concat());
    assert_eq!(answer[28..], packet);
    let mut answers = 1;
    while here.inside.read_soon().is_some() {
        answers += 1;
    }
    assert!(answers <= 100, "{answers} answers");
    // An error is never answered with another one (RFC 1122 §3.2.2).
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    let mut error = answer;
    error[12..16].copy_from_slice(&HERE.octets());
    error[16..20].copy_from_slice(&THERE.octets());
    here.inside.write([0; 10], &error);
    assert_eq!(here.inside.read_soon(), None);
    // Nor is a packet that claims to come from a loopback.
    let martian = udp(Ipv4Addr::LOCALHOST, THERE, b"from nowhere");
    here.inside.write([0; 10], &martian);
    assert_eq!(here.inside.read_soon(), None);
}

#[test]
fn who_sends_a_superpacket_to_nobody_is_told_of_its_first_packet() {
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    let payload: Vec<u8> = (0..5_000_u32).map(|i| (i % 251) as u8).collect();
    let (header, packet) = tcp_superpacket(&payload, 400);
    here.inside.write(header, &packet);
    let (_, answer) = here.inside.read();
    assert_eq!((answer[9], &answer[20..22]), (1, &[3, 1][..]), "host unreachable");
    assert_eq!(answer[28..], tcp_segments(&payload, 400)[0]);
    let drops = here.datapath.sample(&here.tenant).unwrap().device.drops;
    assert_eq!(drops.get("no_endpoint"), Some(&13));
}

#[test]
fn what_is_no_packet_is_dropped_and_the_tenant_lives() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    for rubbish in [&[][..], &[0], &[0x45], &[0x45; 19], &[0x60; 39], &[0xff; 100], &[0x45; 1_500]]
    {
        for header in [[0; 10], [0xff; 10], [1, 1, 40, 0, 0, 0, 20, 0, 16, 0]] {
            here.inside.write(header, rubbish);
        }
    }
    connect(&here, &there);
    let drops = here.datapath.sample(&here.tenant).unwrap().device.drops;
    assert!(drops.get("tun_header").is_some_and(|count| 0 < *count), "{drops:?}");
    let outside = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for rubbish in [&[][..], &[0], &[4, 0, 0, 0], &[1; 148], &[4; 32], &[0xff; 9_000]] {
        outside.send_to(rubbish, (Ipv4Addr::LOCALHOST, here.port)).unwrap();
    }
    connect(&here, &there);
    assert_eq!(here.inside.read_soon(), None);
}
