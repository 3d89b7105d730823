//! A BGP session without its sockets: messages as they are on the wire, and two
//! sessions that speak with one another through memory.

pub(crate) mod bytes;
mod collision;
mod framing;
mod malformed;
mod negotiation;
mod packing;
pub(crate) mod pair;
pub(crate) mod properties;
mod restart;
mod timers;
mod update;
