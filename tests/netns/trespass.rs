//! [`Trespass`]: asks, without a pause and for as long as a test runs, what
//! nobody may answer.
#![allow(clippy::disallowed_methods, reason = "it asks at a steady pace")]

use crate::lab::{Lab, slowness};
use crate::matrix::{Asker, Cell};
use crate::tenants::Tenant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two questions: a thousand a second, with what it takes to ask, and
/// [`slowness`] times fewer.
const PACE: Duration = Duration::from_micros(800);

/// Asks until it is stopped.
pub(crate) struct Trespass {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Vec<String>)>,
}

impl Trespass {
    /// Begins to ask `forbidden`, one after another and over again.
    pub(crate) fn start(lab: &Lab, tenants: &[Tenant], forbidden: &[Cell]) -> Self {
        let mut askers = Asker::all(lab, tenants, forbidden);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut asked, mut answered, pace) = (0, Vec::new(), PACE * slowness());
            for turn in 0.. {
                for asker in &mut askers {
                    if stopped.load(Ordering::Relaxed) {
                        return (asked, answered);
                    }
                    asker.ask(turn % asker.len());
                    asked += 1;
                    let answers = asker.answers();
                    answered.extend(answers.iter().map(|(cell, who)| format!("{cell}: {who}")));
                    std::thread::sleep(pace);
                }
            }
            unreachable!("a test ends before the numbers do")
        });
        Self { stop, thread }
    }

    /// How many questions were asked, and who answered which of them.
    pub(crate) fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
