//! Flows that run while a test does something to the gateway, and what they
//! lost over it: [`Flow::ask`], question by question, and [`Stream`], one way
//! at a steady pace.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "a tool is kept whether or not a test takes it up today; a flow has a pace"
)]

use crate::lab::{Lab, UdpEcho};
use crate::wireguard_stage::socket;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Room for what comes while a reader is not scheduled.
const BUFFER: usize = 8 << 20;

fn any(address: &str) -> &'static str {
    if address.contains(':') { "::" } else { "0.0.0.0" }
}

/// Questions over UDP, one after another, each with a second to be answered.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: JoinHandle<u64>,
    _echo: UdpEcho,
}

impl Flow {
    /// Begins to ask from one namespace to an address in another.
    pub(crate) fn ask(lab: &Lab, from: &str, to: &str, address: &str) -> Self {
        let echo = lab.udp_echo(to, socket(address, 0));
        let socket = lab.udp(from, socket(any(address), 0));
        socket.connect(echo.address).unwrap();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let mut answered = 0;
            while !stopped.load(Ordering::Relaxed) {
                let number = count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                socket.send(&number).unwrap();
                let mut answer = [0; 16];
                // The answer to an earlier one that came late is no answer.
                while let Ok(len) = socket.recv(&mut answer) {
                    if answer[..len] == number {
                        answered += 1;
                        break;
                    }
                }
                thread::sleep(Duration::from_millis(2));
            }
            answered
        });
        Self { stop, asked, thread, _echo: echo }
    }

    /// Ends it. Panics when a question was not answered, or none was asked.
    pub(crate) fn assert_unharmed(self) {
        self.assert_lost_at_most(0);
    }

    /// Ends it. Panics when more than so many questions were not answered, or
    /// none was.
    pub(crate) fn assert_lost_at_most(self, most: u64) {
        self.stop.store(true, Ordering::Relaxed);
        let answered = self.thread.join().unwrap();
        let asked = self.asked.load(Ordering::Relaxed);
        let is_enough = 0 < answered && asked <= answered + most;
        assert!(is_enough, "{answered} of {asked} questions were answered");
    }
}

/// Numbered datagrams one way, at a pace.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    sent_all: Arc<AtomicBool>,
    receiver: JoinHandle<Vec<u64>>,
}

impl Stream {
    /// Begins to send `a_second` datagrams of 100 bytes a second, and `most` in
    /// all, from one namespace to an address in another.
    pub(crate) fn start(
        lab: &Lab,
        from: &str,
        to: &str,
        address: &str,
        a_second: u64,
        most: u64,
    ) -> Self {
        let receiver = lab.udp(to, socket(address, 0));
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&receiver, BUFFER).unwrap();
        let sender = lab.udp(from, socket(any(address), 0));
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let (began, mut sent) = (Instant::now(), 0_u64);
            let mut payload = [0; 100];
            while !stopped.load(Ordering::Relaxed) && sent < most {
                let due = began.elapsed().as_micros() as u64 * a_second / 1_000_000;
                while sent < due.min(most) {
                    payload[..8].copy_from_slice(&sent.to_be_bytes());
                    sender.send(&payload).unwrap();
                    sent += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        let sent_all = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&sent_all);
        let receiver = thread::spawn(move || receive(&receiver, &ended));
        Self { stop, sender, sent_all, receiver }
    }

    /// Waits until all are sent, if there is an end, and gives the numbers of
    /// those that did not come within a second after the last that did; and how
    /// many were sent.
    pub(crate) fn finish(self) -> (Vec<u64>, u64) {
        let sent = self.sender.join().unwrap();
        self.sent_all.store(true, Ordering::Relaxed);
        let came: BTreeSet<u64> = self.receiver.join().unwrap().into_iter().collect();
        ((0..sent).filter(|number| !came.contains(number)).collect(), sent)
    }

    /// Ends it, and does what [`Stream::finish`] does.
    pub(crate) fn stop(self) -> (Vec<u64>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Ends it. Panics when anything was lost, or nothing was sent.
    pub(crate) fn assert_unharmed(self, what: &str) {
        let (missing, sent) = self.stop();
        let few = &missing[..missing.len().min(20)];
        assert!(
            0 < sent && missing.is_empty(),
            "{what}: {} of {sent} lost: {few:?}",
            missing.len()
        );
    }
}

/// The numbers that come, until everything is sent and a second was silent.
fn receive(socket: &UdpSocket, sent_all: &AtomicBool) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut payload = [0; 128];
    loop {
        let is_last = sent_all.load(Ordering::Relaxed);
        while let Ok(len) = socket.recv(&mut payload) {
            numbers.push(u64::from_be_bytes(*payload[..len].first_chunk().unwrap()));
        }
        if is_last {
            return numbers;
        }
    }
}
