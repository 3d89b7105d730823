//! [`Sniffer`]: listens on many links at once and notes whose canaries pass
//! where, for as long as a test runs.
#![allow(clippy::disallowed_methods, reason = "it looks at its links at a steady pace")]

use crate::canary::Canary;
use crate::capture::Capture;
use crate::lab::{PATIENCE, slowness, wait_until};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What passed on one leg.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Frames with anything in them.
    pub(crate) frames: u64,
    /// WireGuard data messages that came over IPv4 or IPv6.
    pub(crate) sealed: u64,
    /// Frames that passed and could not be looked at.
    pub(crate) lost: u64,
    /// Canaries, by owner.
    pub(crate) canaries: BTreeMap<u8, u64>,
}

/// A leg that is listened on.
struct Leg {
    name: String,
    capture: Capture,
}

/// Listens until it is dropped.
pub(crate) struct Sniffer {
    legs: Arc<Mutex<Vec<Leg>>>,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sniffer {
    /// One that listens nowhere yet.
    pub(crate) fn start() -> Self {
        let (legs, seen) = (Arc::<Mutex<Vec<Leg>>>::default(), Arc::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut sniffer = Self { legs, seen, stop, thread: None };
        let (legs, seen) = (Arc::clone(&sniffer.legs), Arc::clone(&sniffer.seen));
        let stop = Arc::clone(&sniffer.stop);
        sniffer.thread = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                listen(&legs.lock().unwrap(), &seen);
                std::thread::sleep(Duration::from_millis(5) * slowness());
            }
        }));
        sniffer
    }

    /// Listens there too, under this name. Two legs of one name are one.
    pub(crate) fn listen(&self, name: &str, capture: Capture) {
        self.seen.lock().unwrap().entry(name.to_owned()).or_default();
        self.legs.lock().unwrap().push(Leg { name: name.to_owned(), capture });
    }

    /// What passed on each leg so far.
    pub(crate) fn seen(&self) -> BTreeMap<String, Seen> {
        listen(&self.legs.lock().unwrap(), &self.seen);
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a canary of `owner` passed on the leg: so it is listened to.
    pub(crate) fn wait_canary(&self, leg: &str, owner: u8) {
        wait_until(&format!("a canary of {owner} on {leg}"), PATIENCE, || {
            let seen = self.seen();
            match seen[leg].canaries.get(&owner) {
                Some(_) => Ok(()),
                None => Err(seen[leg].clone()),
            }
        });
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It can only have failed by a panic that was printed.
            let _ = thread.join();
        }
    }
}

fn listen(legs: &[Leg], seen: &Mutex<BTreeMap<String, Seen>>) {
    for leg in legs {
        let frames = leg.capture.frames();
        let mut seen = seen.lock().unwrap();
        let seen = seen.entry(leg.name.clone()).or_default();
        for frame in &frames {
            seen.frames += 1;
            seen.sealed += u64::from(is_sealed(frame));
            for canary in Canary::find(frame) {
                *seen.canaries.entry(canary.owner).or_default() += 1;
            }
        }
        seen.lost += u64::from(leg.capture.lost());
    }
}

/// Whether an Ethernet frame carries a WireGuard data message in UDP: IPv4
/// without options, or IPv6 without extension headers.
fn is_sealed(frame: &[u8]) -> bool {
    let at = match frame.get(12..15) {
        Some([8, 0, 0x45]) if frame.get(23) == Some(&17) => 14 + 20,
        Some([0x86, 0xdd, _]) if frame.get(20) == Some(&17) => 14 + 40,
        Some(_) | None => return false,
    };
    frame.get(at + 8..at + 12) == Some(&[4, 0, 0, 0])
}
