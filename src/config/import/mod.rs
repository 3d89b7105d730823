//! A file of wg-quick(8) → documents.
//!
//! A customer, or the gateway of before, has its tunnels in such files. What they say is
//! taken over as far as documents have a place for it, and what has none is named. Keys
//! that are secret are in no document: they are handed out beside them.
//!
//! In reading order: [`WgQuickFile`] (the text, read), [`Flaw`] (what is wrong with it),
//! [`Choices`] and [`import()`] (documents of it), `sites` (one peer), `text` (how they are
//! written), [`Imported`], [`ImportError`]. [`nmaas`] has another beginning: a domain request.

mod documents;
mod flaw;
pub mod nmaas;
mod sites;
mod text;
mod wg_quick;

pub use documents::{Choices, ImportError, Imported, Note, SecretValue, Side, import};
pub use flaw::{Flaw, FlawKind};
pub use wg_quick::{Interface, LeftOut, Peer, WgQuickFile};
