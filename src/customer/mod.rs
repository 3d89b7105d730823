//! A site → the configuration of the customer's side, to be sent to the customer.
//!
//! One file per dialect. Each is text made from the same config that the
//! gateway runs, so the two ends cannot say different things.
//! A private key is never in it: the customer makes it and keeps it.
//!
//! In reading order: [`Presharing`], [`RenderError`], [`wg_quick`].

pub mod wg_quick;

/// Whether a preshared key is written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presharing {
    /// A placeholder stands for it, and it goes another way.
    #[default]
    Hidden,
    /// It is written out: the text is a secret then.
    Shown,
}

/// Why a site has no such configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// It is no WireGuard site.
    #[error("the site is attached by VLAN; WireGuard's configuration has no meaning there")]
    NotWireGuard,
}
