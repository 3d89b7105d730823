//! What strangers and broken routers send to the live gateway's UDP port, and
//! that nothing comes of it: no answer, no other process, no packet lost of a
//! customer next door, and every drop counted under its reason.
#![allow(clippy::disallowed_methods, reason = "floods and flows have a pace, and a bound in time")]

use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_raw::{RawCustomer, noise, strangers_initiation, udp};
use crate::wireguard_scene::{RAW_DEVICE, RAW_SITE, Scene};
use crate::wireguard_stage::{PORT, TENANT, V4, V6, key, socket};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pace of a flow; never a wait for a state.
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// W1: a datagram of no bytes is a datagram.
#[test]
fn an_empty_datagram_was_not_counted() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        scene.dropped(&scene.customer(), "datagram_length", &[vec![]]);
        scene.assert_unharmed();
    });
}

/// W1–W3: datagrams that are no messages.
#[test]
fn malformed_datagrams_are_not_answered() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        for own in [V4.router[1], V6.router[1]] {
            let stranger = scene.customer_at(own);
            let short = (0..4).map(|len| noise(len, len as usize)).collect::<Vec<_>>();
            scene.dropped(&stranger, "datagram_length", &short);
            let of_type = |kind: u8, len: usize| {
                let mut message = noise(len as u64, len);
                message[..4].copy_from_slice(&[kind, 0, 0, 0]);
                message
            };
            let wrong: Vec<_> = [(1, 148), (2, 92), (3, 64)]
                .into_iter()
                .flat_map(|(kind, len)| [of_type(kind, len - 1), of_type(kind, len + 1)])
                .chain([of_type(4, 16), of_type(4, 31)])
                .collect();
            scene.dropped(&stranger, "datagram_length", &wrong);
            let types = [0, 5, 255].map(|kind| of_type(kind, 148));
            scene.dropped(&stranger, "message_type", &types);
            let mut reserved = Vec::new();
            for (kind, len) in [(1, 148), (2, 92), (3, 64), (4, 64)] {
                for at in 1..4 {
                    let mut message = of_type(kind, len);
                    message[at] = 1;
                    reserved.push(message);
                }
            }
            scene.dropped(&stranger, "reserved_bytes", &reserved);
            stranger.assert_silence();
        }
        scene.assert_unharmed();
    });
}

/// W4: the longest datagrams there are, and trains that the kernel hands over
/// as one.
#[test]
fn the_longest_datagrams_and_trains_of_them_are_not_answered() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let stranger = scene.customer();
        // A datagram that looks like data and one that looks like nothing.
        for kind in [4, 9] {
            for len in [65_507, 65_000, 9_000, 2_000] {
                let mut message = noise(len as u64, len);
                message[..4].copy_from_slice(&[kind, 0, 0, 0]);
                stranger.send(&message);
            }
        }
        let quinn = quinn_udp::UdpSocketState::new((&stranger.socket).into()).unwrap();
        for (len, segment) in [(60_000, 1_400), (60_001, 1_473), (148 * 40, 148), (64, 1), (63, 31)]
        {
            for kind in [1, 4, 9] {
                let mut contents = noise(len as u64, len);
                for message in contents.chunks_mut(segment) {
                    if let Some(head) = message.get_mut(..4) {
                        head.copy_from_slice(&[kind, 0, 0, 0]);
                    }
                }
                let segment = segment.min(1_472);
                let sent = quinn.try_send(
                    (&stranger.socket).into(),
                    &quinn_udp::Transmit {
                        destination: stranger.gateway,
                        ecn: None,
                        contents: &contents,
                        segment_size: Some(segment),
                        src_ip: None,
                    },
                );
                sent.unwrap();
            }
        }
        stranger.socket.set_nonblocking(false).unwrap();
        // What comes after them is looked at after them.
        scene.dropped(&stranger, "handshake", &[strangers_initiation(scene.public, 1)]);
        stranger.assert_silence();
        assert!(scene.gateway.device_drops(TENANT, "mac1") >= 40, "each of a train is looked at");
        stranger.connect();
        scene.assert_unharmed();
    });
}

/// W5, W6, W14: messages by people who know little or nothing.
#[test]
fn strangers_are_not_answered() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let stranger = scene.customer();
        let knows_nothing: Vec<_> = (0..50)
            .map(|seed| {
                let mut message = noise(seed, 148);
                message[..4].copy_from_slice(&[1, 0, 0, 0]);
                message
            })
            .collect();
        scene.dropped(&stranger, "mac1", &knows_nothing);
        let knows_our_key: Vec<_> =
            (0..50).map(|seed| strangers_initiation(scene.public, seed)).collect();
        scene.dropped(&stranger, "handshake", &knows_our_key);
        let nobody = RawCustomer::new(
            lab,
            "router",
            V4.router[1],
            &key(99),
            (scene.public, socket(V4.gateway, PORT)),
        );
        let initiations: Vec<_> = (0..5).map(|_| nobody.initiation()).collect();
        scene.dropped(&nobody, "unknown_peer", &initiations);
        let of_nobody: Vec<_> = (0..50)
            .map(|seed| {
                let mut message = noise(seed, 96);
                message[..4].copy_from_slice(&[4, 0, 0, 0]);
                message
            })
            .collect();
        scene.dropped(&stranger, "unknown_index", &of_nobody);
        stranger.assert_silence();
        nobody.assert_silence();
        scene.assert_unharmed();
    });
}

/// W8, W9, W15, W22: what was captured on its way and is sent again, from where
/// it came from or from elsewhere.
#[test]
fn replays_are_dropped_and_move_nobody() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let customer = scene.customer();
        let early = customer.initiation();
        let initiation = customer.connect();
        let echo = lab.udp_echo("app", socket(V4.app, 0));
        assert!(customer.asks(RAW_DEVICE, echo.address, b"one"));
        let packet = udp(RAW_DEVICE, 9_000, V4.app, echo.address.port(), b"two");
        let data = customer.seal(&packet);
        customer.send(&data);
        assert!(customer.receive().is_some_and(|packet| packet.ends_with(b"two")));
        let own = customer.socket.local_addr().unwrap();
        let at_home = |what: &str| {
            scene.gateway.wait(what, |snapshot| {
                crate::gateway::site_of(snapshot, TENANT, RAW_SITE).unwrap().endpoint == Some(own)
            });
        };
        at_home("the customer's endpoint");

        let thief = scene.customer();
        let thief6 = scene.customer_at(V6.router[1]);
        for other in [&customer, &thief, &thief6] {
            scene.dropped(other, "replayed", &[data.clone(), data.clone()]);
            scene.dropped(
                other,
                "initiation_replayed",
                &[initiation.clone(), initiation.clone(), early.clone()],
            );
        }
        // A bit flipped on the way: silence, and the session lives.
        let mut flipped = customer.seal(&packet);
        flipped[20] ^= 1;
        scene.dropped(&thief, "authentication", &[flipped]);
        thief.assert_silence();
        thief6.assert_silence();
        assert_eq!(scene.gateway.site(TENANT, RAW_SITE).endpoint, Some(own));
        assert!(customer.asks(RAW_DEVICE, echo.address, b"three"));
        at_home("the customer's endpoint as before");
        scene.assert_unharmed();
    });
}

/// W13: cookies that nobody asked for.
#[test]
fn forged_cookies_move_nobody() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let customer = scene.customer();
        customer.connect();
        let own = customer.socket.local_addr().unwrap();
        // The index by which the gateway knows its session is in what it is sent.
        let index = customer.seal(&[])[4..8].to_vec();
        let cookie = |seed: u64, index: &[u8]| {
            let mut message = noise(seed, 64);
            message[..4].copy_from_slice(&[3, 0, 0, 0]);
            message[4..8].copy_from_slice(index);
            message
        };
        let thief = scene.customer();
        let forged: Vec<_> = (0..20).map(|seed| cookie(seed, &index)).collect();
        scene.dropped(&thief, "cookie_reply", &forged);
        let blind: Vec<_> = (0..20).map(|seed| cookie(seed, &noise(seed, 4))).collect();
        scene.dropped(&thief, "unknown_index", &blind);
        thief.assert_silence();
        assert_eq!(scene.gateway.site(TENANT, RAW_SITE).endpoint, Some(own));
        let echo = lab.udp_echo("app", socket(V4.app, 0));
        assert!(customer.asks(RAW_DEVICE, echo.address, b"still here"));
        scene.assert_unharmed();
    });
}

/// W10: one peer that begins handshakes without end.
#[test]
fn a_peer_that_only_begins_handshakes_is_held_back() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let customer = scene.customer();
        let initiations: Vec<_> = (0..200).map(|_| customer.initiation()).collect();
        for initiation in &initiations {
            customer.send(initiation);
        }
        wait_until("the limit of one peer, or of stamps that are the same", PATIENCE, || {
            let of = |reason| scene.gateway.device_drops(TENANT, reason);
            let held = of("peer_rate") + of("initiation_replayed");
            if held > 100 { Ok(()) } else { Err(held) }
        });
        scene.assert_unharmed();
    });
}

/// Initiations from two hundred addresses, at most twenty thousand.
struct Flood {
    end: Arc<AtomicBool>,
    thread: JoinHandle<(usize, usize)>,
}

impl Flood {
    /// Begins one of so many a second.
    fn start(scene: &Scene<'_>, rate: u32) -> Self {
        let lab = scene.lab;
        // Every address of this network is the router's to send from.
        lab.ip("router", "route add local 203.0.113.0/24 dev lo");
        lab.route(At::Underlay, "203.0.113.0/24", V4.router[0]);
        let sockets: Vec<UdpSocket> = (1..201)
            .map(|host| lab.udp("router", SocketAddr::new(IpAddr::from([203, 0, 113, host]), 0)))
            .collect();
        let gateway = socket(V4.gateway, PORT);
        let messages: Vec<_> =
            (0..64).map(|seed| strangers_initiation(scene.public, seed)).collect();
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let (began, mut sent) = (Instant::now(), 0_u32);
            let mut answers = 0_usize;
            let mut answer = [0; 2_048];
            for socket in &sockets {
                socket.set_nonblocking(true).unwrap();
            }
            while !ended.load(Ordering::Relaxed) && sent < 20_000 {
                let due = (began.elapsed() * rate).as_secs() as u32;
                while sent < due.min(20_000) {
                    let at = sent as usize;
                    let _ = sockets[at % sockets.len()].send_to(&messages[at % 64], gateway);
                    sent += 1;
                }
                for socket in &sockets {
                    while let Ok((len, _)) = socket.recv_from(&mut answer) {
                        assert_eq!((len, answer[0]), (64, 3), "nothing but cookies");
                        answers += 1;
                    }
                }
                pause(Duration::from_millis(1));
            }
            (sent as usize, answers)
        });
        scene.gateway.wait_device_drops(TENANT, "under_load", 1);
        Self { end, thread }
    }

    /// Ends it, and gives how many were sent and how many answered.
    fn end(self) -> (usize, usize) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The first byte of what comes to `socket` next: the kind of message.
fn kind_of_answer(socket: &UdpSocket, datagram: &mut Vec<u8>) -> Option<u8> {
    datagram.resize(256, 0);
    let (len, _) = socket.recv_from(datagram).ok()?;
    datagram.truncate(len);
    datagram.first().copied()
}

/// W11, W26: a flood from addresses that do not listen.
#[test]
fn a_flood_of_initiations_does_not_keep_customers_out() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let flood = Flood::start(&scene, 10_000);
        // A customer that shows the cookie it is sent gets in meanwhile.
        let customer = scene.customer();
        // As long as a router waits for an answer.
        customer.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut datagram = Vec::new();
        wait_until("a handshake under load", PATIENCE, || {
            customer.send(&customer.initiation());
            kind_of_answer(&customer.socket, &mut datagram).ok_or("no answer")?;
            customer.take(&datagram);
            if customer.is_connected() { Ok(()) } else { Err("a cookie") }
        });
        let (sent, answers) = flood.end();
        assert!(64 * answers <= 148 * sent, "{answers} cookies for {sent} initiations");
        scene.assert_lost_at_most(4);
    });
}

/// W12: what a customer sends with its cookie is sent from another port, and then
/// from its own.
#[test]
fn a_cookie_is_of_no_use_from_another_port() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let flood = Flood::start(&scene, 3_000);
        let (customer, thief) = (scene.customer(), scene.customer());
        let (cookie, answer) = (3, 2);
        let mut datagram = Vec::new();
        let sealed = wait_until("the customer's cookie", Duration::from_secs(5), || {
            customer.send(&customer.initiation());
            let kind = kind_of_answer(&customer.socket, &mut datagram);
            if kind == Some(cookie) {
                customer.take(&datagram);
                let sealed = customer.initiation();
                // MAC2 shows the cookie; none does after a late answer to an earlier one.
                if sealed[132..] != [0; 16] {
                    return Ok(sealed);
                }
            }
            Err(kind)
        });
        thief.send(&sealed);
        let to_thief = kind_of_answer(&thief.socket, &mut datagram);
        assert!(to_thief.is_none_or(|kind| kind == cookie), "{to_thief:?}");
        customer.send(&sealed);
        assert_eq!(kind_of_answer(&customer.socket, &mut datagram), Some(answer));
        flood.end();
        scene.assert_lost_at_most(4);
    });
}

/// W5, in a flood: ten thousand a second for a second and a half.
#[test]
fn a_flood_of_noise_is_not_answered() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let stranger = scene.customer();
        // Every other one says that it is an initiation, so that its MAC1 is looked at: a
        // gateway under load answers initiations with cookies.
        let messages = (0..256).map(|seed| {
            let mut message = noise(seed, 148);
            if seed % 2 == 0 {
                message[..4].copy_from_slice(&[1, 0, 0, 0]);
            }
            message
        });
        let messages: Vec<_> = messages.collect();
        let (began, mut sent) = (Instant::now(), 0_usize);
        while sent < 15_000 {
            let due = began.elapsed().as_micros() as usize / 100;
            while sent < due.min(15_000) {
                stranger.send(&messages[sent % messages.len()]);
                sent += 1;
            }
            pause(Duration::from_millis(1));
        }
        scene.dropped(&stranger, "handshake", &[strangers_initiation(scene.public, 1)]);
        stranger.assert_silence();
        scene.assert_lost_at_most(4);
    });
}
