//! Congestion marks, between the packet and the datagram it is in.

use super::packets::{sum, tcp_like};
use super::stage::{HERE, PATIENCE, THERE, config, end, one_thread};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::Receiver;

/// A relay on loopback between two ends that notes the ECN bits of each datagram
/// and sends them on with `set`, if given.
fn relay(to: u16, set: Option<u32>) -> (u16, Receiver<u8>) {
    let front = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    front.set_recv_tos_v4(true).unwrap();
    front.set_read_timeout(Some(PATIENCE)).unwrap();
    front.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = front.local_addr().unwrap().as_socket().unwrap().port();
    let far = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
    let (sender, seen) = std::sync::mpsc::sync_channel(1_000);
    std::thread::spawn(move || {
        let state = quinn_udp::UdpSocketState::new((&front).into()).unwrap();
        front.set_nonblocking(false).unwrap();
        let mut near = None;
        let mut bytes = vec![0; 70_000];
        loop {
            let mut meta = [quinn_udp::RecvMeta::default()];
            let mut buffers = [std::io::IoSliceMut::new(&mut bytes)];
            if state.recv((&front).into(), &mut buffers, &mut meta).is_err() {
                return;
            }
            let [meta] = meta;
            let to = if meta.addr == far { near } else { Some(far) };
            if meta.addr != far {
                near = Some(meta.addr);
                let _ = sender.try_send(meta.ecn.map_or(0, |ecn| ecn as u8));
            }
            front.set_tos_v4(set.unwrap_or(0)).unwrap();
            for datagram in bytes[..meta.len].chunks(meta.stride) {
                front.send_to(datagram, &to.unwrap().into()).unwrap();
            }
        }
    });
    (port, seen)
}

/// A packet with ECN bits `inner`, through a network that sets `outer`: what the
/// network sees, and the bits that arrive; `None` when it does not arrive.
fn check_ecn(inner: u8, outer: u32) -> (u8, Option<u8>) {
    let there = end(one_thread(), config(2, &[(1, HERE, None)]));
    let (port, seen) = relay(there.port, Some(outer));
    let here = end(one_thread(), config(1, &[(2, THERE, Some(port))]));
    // One that gets the session going, and may carry every mark.
    let mut first = tcp_like(10, 1);
    mark(&mut first, 1);
    here.inside.write([0; 10], &first);
    there.inside.read();
    while seen.try_recv().is_ok() {}
    let mut packet = tcp_like(100, 2);
    mark(&mut packet, inner);
    here.inside.write([0; 10], &packet);
    let sent = seen.recv_timeout(PATIENCE).unwrap();
    let Some((_, got)) = there.inside.read_soon() else { return (sent, None) };
    assert_eq!(sum(&got[..20]), 0xffff, "the IPv4 checksum");
    (sent, Some(got[1] & 3))
}

fn mark(packet: &mut [u8], ecn: u8) {
    packet[1] = ecn;
    packet[10..12].fill(0);
    let checksum = !sum(&packet[..20]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn congestion_marks_cross_the_tunnel() {
    assert_eq!(check_ecn(0, 0), (0, Some(0)));
    assert_eq!(check_ecn(1, 0), (1, Some(1)));
    assert_eq!(check_ecn(2, 0), (2, Some(2)));
    assert_eq!(check_ecn(2, 1), (2, Some(1)), "RFC 6040, figure 4");
    assert_eq!(check_ecn(2, 3), (2, Some(3)), "a mark on the way reaches the inner packet");
    assert_eq!(check_ecn(0, 3), (0, None), "whose sender cannot understand it loses it");
}
