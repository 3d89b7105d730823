//! A site → the configuration of the customer's side, to be sent to the customer.
//!
//! What the other end has to know is gathered once, in [`Connection`], from the same
//! config that the gateway runs, so the two ends cannot say different things. Each
//! [`Dialect`] has a file of its own, which writes these facts down and decides none.
//! A private key is in none of it unless whoever renders it gives one: the customer
//! makes it and keeps it.
//!
//! Every text ends with how to verify, in that system's own commands, and with what
//! to send back.
//!
//! In reading order: [`Connection`], [`Dialect`], [`RenderError`], [`ConfigFile`],
//! `advice` (what all say), `bgp` (what those say that speak it), then the dialects;
//! [`qr`] makes pictures.

mod advice;
mod bgp;
mod bird;
mod connection;
mod dialect;
mod eos;
mod frr;
mod interface;
mod iosxe;
mod junos;
mod network_manager;
mod networkd;
mod openwrt;
mod opnsense;
mod page;
mod pfsense;
pub mod qr;
mod routeros;
mod vyos;
mod wg_quick;

pub use bgp::{BgpSession, CarriedFamily};
pub use connection::{Connection, Dial, Handover, Link, Preshared, Presharing, Tunnel};
pub use dialect::{Dialect, RenderError};
pub use interface::InterfaceProblem;
pub use page::ConfigFile;
