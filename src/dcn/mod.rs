//! When NMaaS is to be told that a tenant is connected.
//!
//! NMaaS calls the network between a domain's applications and its customer a DCN (Data
//! Communication Network), and waits with the applications until somebody says that it is
//! configured. It is said once, when every site is connected and its probes are answered.
//! That it is not configured any more is never said from here: that removes the
//! applications, and an outage is no reason to.
//!
//! In reading order: [`judge()`] ([`Readiness`], of one tenant at one moment),
//! [`Confirmations`] (of all tenants, in the course of time), [`Order`].

mod confirmations;
mod readiness;

pub use confirmations::{Confirmations, Order, Standing};
pub use readiness::{Obstacle, Readiness, judge};
