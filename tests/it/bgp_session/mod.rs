//! A BGP session without its sockets: messages as they are on the wire, and two
//! sessions that speak with one another through memory.

mod bytes;
mod collision;
mod framing;
mod malformed;
mod negotiation;
mod packing;
mod pair;
mod properties;
mod restart;
mod timers;
mod update;
