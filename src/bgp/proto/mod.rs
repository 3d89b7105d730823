//! What goes over the wire, in our words.
//!
//! The codec and the state machine are bought: `rustbgpd_wire` and
//! `rustbgpd_fsm`. This is the only place that names them, and what they leave
//! to their user is done here. Nothing here keeps time or bytes; that is
//! [`super::session`]'s.
//!
//! In reading order: [`Offer`] (what our OPEN says and asks for) and
//! [`Negotiated`] (what came of it), [`Notification`], `header` (where a message
//! ends), `open`, `fsm` (one connection's states), [`decode_update`] and the
//! rules of `verify` with their [`Flaw`]s and [`Fault`]s, [`encode_next`], [`encode_targets`].

mod decode;
mod encode;
mod family;
mod flaw;
mod fsm;
mod header;
mod notification;
mod offer;
mod open;
mod refresh;
mod targets;
mod verify;

pub use crate::net::Role;
pub use decode::{Received, decode_update};
pub use encode::{EncodeError, encode_end_of_rib, encode_next};
pub use flaw::{Fault, Flaw};
pub(in crate::bgp) use fsm::{Action, Fsm, FsmState, Input};
pub use header::{MessageKind, next_message};
pub use notification::Notification;
pub use offer::{Negotiated, Offer, PeerRestart, RestartOffer};
pub(in crate::bgp) use refresh::{Refresh, decode_refresh, encode_refresh};
pub use targets::encode_targets;
