//! Probes without their sockets: when a customer's device is asked whether it is
//! there, and what its answers and its silence say.
//!
//! ```text
//!   configure ───────┐                      ┌─▶ Shot: ask this device now
//!   handle_outcome ──┼─▶ ┌─ Prober ───────┐ │
//!   handle_timeout ──┘   │ a Session for  │─┤
//!   poll_timeout ◀────── │ each probe     │ └─▶ Change: it answers, it does not
//!                        └────────────────┘
//!                             verdict: what all probes of a site say together
//! ```
//! A [`Prober`] is one tenant's. Each shot comes back as an [`Outcome`], or is
//! forgotten after a while: a shot that could not be made says nothing about the
//! device. Nothing here knows what follows for the site.
//!
//! In reading order: [`Target`] (what is asked), [`Outcome`] and [`Failure`] (what
//! became of it), [`Window`] (how it went lately), [`Session`] (one probe),
//! [`Prober`] (all of a tenant), [`Verdict`] (of a site).

mod outcome;
mod prober;
mod session;
mod target;
mod verdict;
mod window;

pub use outcome::{Failure, IcmpError, Outcome};
pub use prober::{ProbeId, Prober, Settings, Shot};
pub use session::{Change, Health, LONGEST_TRIAL, LOST_IN_A_ROW, Sample, Session, TIMEOUT, TRIAL};
pub use target::Target;
pub use verdict::Verdict;
pub use window::{BOUNDS, Histogram, Reading, Summary, Window};
