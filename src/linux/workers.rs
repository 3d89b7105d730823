//! A few threads that do blocking work inside a namespace and come back.
//!
//! A thread is in one network namespace at a time, and what it opens or spawns
//! belongs there. So work is brought into a namespace by a thread that enters
//! it first. It leaves again afterwards: a thread that stayed would keep a
//! deleted namespace alive.
//!
//! Work never runs in another namespace than the one asked for. A thread that
//! cannot come back does nothing but try again before its next piece of work.
//!
//! Packets never pass here.

use super::netns;
use super::syscall;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// Where a piece of work is to run.
#[derive(Debug)]
pub(super) enum Place {
    /// In the namespace the pool was started in: the underlay.
    Home,
    /// In this one.
    Inside(OwnedFd),
    /// In one made for it, which goes again unless the work gives it a name.
    Fresh,
}

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The thread could not enter the namespace.
    #[error("cannot enter the network namespace (CAP_SYS_ADMIN is needed)")]
    Enter(#[source] io::Error),
    /// The work panicked, which is a defect in it.
    #[error("the work on the namespace broke off by a defect in lockgate")]
    Panicked,
    /// All threads are gone.
    #[error("no thread is left to work on namespaces")]
    Gone,
}

/// What to do where. The work is told whether its place was reached.
struct Order {
    place: Place,
    work: Box<dyn FnOnce(io::Result<()>) + Send>,
}

/// The threads. Cheap to clone; they end with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Workers {
    orders: mpsc::Sender<Order>,
}

impl Workers {
    /// Starts `threads` of them in the calling thread's namespace, which is home.
    /// At most `queue` pieces of work wait; more make the caller wait.
    pub(super) fn start(threads: usize, queue: usize) -> io::Result<Self> {
        let (orders, receiver) = mpsc::channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let home = netns::current()?;
            let receiver = Arc::clone(&receiver);
            thread::Builder::new()
                .name(format!("netns-{number}"))
                .spawn(move || serve(&home, &receiver))?;
        }
        Ok(Self { orders })
    }

    /// Does `work` at `place` and returns what it did.
    ///
    /// # Errors
    /// [`WorkError`]. Once begun, the work is done even when nobody waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkError> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |reached: io::Result<()>| {
            let outcome = match reached {
                Ok(()) => catch_unwind(AssertUnwindSafe(work)).map_err(|_| WorkError::Panicked),
                Err(error) => Err(WorkError::Enter(error)),
            };
            // Nobody waits any more when the daemon is stopping.
            let _ = answer.send(outcome);
        });
        self.orders.send(Order { place, work }).await.map_err(|_| WorkError::Gone)?;
        answered.await.map_err(|_| WorkError::Gone)?
    }
}

fn enter(netns: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?)
}

fn serve(home: &OwnedFd, orders: &Mutex<mpsc::Receiver<Order>>) {
    let mut at_home = true;
    loop {
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Order { place, work }) = order else { return };
        let reached = match &place {
            Place::Home if at_home => Ok(()),
            Place::Home => enter(home.as_fd()),
            Place::Inside(netns) => enter(netns.as_fd()),
            Place::Fresh => syscall::unshare_network().map_err(io::Error::from),
        };
        let moved = reached.is_ok() && !matches!(place, Place::Home);
        work(reached);
        drop(place);
        if moved || !at_home {
            at_home = enter(home.as_fd()).is_ok();
        }
    }
}
