//! Bidirectional forwarding detection without its sockets (RFC 5880): whether a
//! neighbor is there, known within a second instead of within a hold time.
//!
//! Only what its uses for BGP ask for: asynchronous mode, over one hop (RFC 5881) or
//! several (RFC 5883). No echo, no authentication, and we ask nobody for demand mode;
//! whoever asks us for it has it.
//!
//! ```text
//!   configure ────────┐                     ┌─▶ Output::Send: 24 bytes for a neighbor
//!   handle_packet ────┼─▶ ┌─ Sessions ────┐ │
//!   handle_timeout ───┘   │ a Session for │─┼─▶ Output::Event: up, down and why
//!   poll_timeout ◀─────── │ each neighbor │ │
//!                         └───────────────┘ └── sample: how each is
//! ```
//! It decides nothing about BGP: who acts on an event is told why the session is down,
//! and does what RFC 5882 has it do.
//!
//! In reading order: [`Packet`] (what is on the wire), [`Session`] (the state machine
//! of one neighbor), [`Timing`] (how fast), [`Sessions`] (whose a packet is),
//! [`Discard`] (or why nobody's).

mod discard;
mod packet;
mod session;
mod sessions;
mod timing;

pub use discard::Discard;
pub use packet::{Diagnostic, Malformed, PACKET_LENGTH, Packet, State};
pub use session::{DownReason, Event, Session, SessionOutput, SessionSample};
pub use sessions::{Arrival, Hops, NeighborSample, Output, Sessions, Settings};
pub use timing::Timing;
