//! The lab's bad links: delay delays, loss loses, and both can be taken back.
#![allow(clippy::disallowed_methods, reason = "a delay is measured")]

use crate::lab::{Lab, PATIENCE, wait_until};
use crate::links;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn any_port(address: Ipv4Addr) -> SocketAddr {
    (address, 0).into()
}

/// `left` and `right` with a wire between them.
fn wire(lab: &Lab) {
    lab.add("left");
    lab.add("right");
    lab.veth(("left".into(), "eth0"), ("right".into(), "eth0"));
    lab.address("left", "eth0", &format!("{LEFT}/24"));
    lab.address("right", "eth0", &format!("{RIGHT}/24"));
}

#[test]
fn a_delay_is_added_and_taken_away() {
    links::run(|lab| {
        const DELAY: Duration = Duration::from_millis(400);
        wire(lab);
        let echo = lab.udp_echo("right", any_port(RIGHT));
        let client = lab.udp("left", any_port(LEFT));
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        // The shortest of some: what an emulated processor adds comes and goes.
        let shortest = || {
            let trips = (0..5).map(|_| {
                let sent = Instant::now();
                assert!(lab.udp_ask(&client, echo.address, b"ping").is_some());
                sent.elapsed()
            });
            trips.min().unwrap()
        };
        let perfect = shortest();
        lab.netem("left", "eth0", &format!("delay {}ms", DELAY.as_millis()));
        let delayed = shortest();
        lab.netem("left", "eth0", "");
        let again = shortest();
        assert!(
            perfect < DELAY && DELAY <= delayed && again < DELAY,
            "{perfect:?} {delayed:?} {again:?}"
        );
    });
}

#[test]
fn a_part_is_lost() {
    links::run(|lab| {
        const SENT: usize = 400;
        wire(lab);
        let (sender, receiver) =
            (lab.udp("left", any_port(LEFT)), lab.udp("right", any_port(RIGHT)));
        receiver.set_nonblocking(true).unwrap();
        let to = receiver.local_addr().unwrap();
        let arrived = || {
            let mut arrived = 0;
            for _ in 0..SENT {
                sender.send_to(b"one", to).unwrap();
                arrived += usize::from(receiver.recv(&mut [0; 8]).is_ok());
            }
            // What follows on a perfect link is behind all that was not lost.
            lab.netem("left", "eth0", "");
            wait_until("the last one", PATIENCE, || {
                sender.send_to(b"last", to).unwrap();
                let mut buffer = [0; 8];
                while let Ok(len) = receiver.recv(&mut buffer) {
                    if &buffer[..len] == b"last" {
                        return Ok(());
                    }
                    arrived += 1;
                }
                Err(arrived)
            });
            arrived
        };
        assert_eq!(arrived(), SENT);
        lab.netem("left", "eth0", "loss 30%");
        let some = arrived();
        // Five standard deviations around 280.
        assert!((234..=326).contains(&some), "{some} of {SENT}");
    });
}
