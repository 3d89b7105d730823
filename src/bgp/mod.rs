//! A BGP speaker without its sockets.
//!
//! A tenant has one speaker of its own, inside its own namespace. It learns the
//! applications' routes from the fabric and a site's networks from the
//! customer's router, and says what it is told to say. What one neighbor says
//! is never passed on to another: whatever is advertised is begun here, with
//! attributes of our own, so that nothing odd can travel through us (the
//! corrupted transitive attributes of RFC 7606 §1).
//!
//! In reading order: [`Family`] and [`Nlri`] (what is spoken of),
//! [`Attributes`] (what is said of it), [`Update`] (what one message says).

mod attributes;
mod policy;
mod reject;
mod update;

pub use crate::net::{Community, ExtendedCommunity, LargeCommunity};
pub use attributes::{AsPath, AsSegment, Attributes, Origin};
pub use policy::ImportPolicy;
pub use reject::{Reject, Verdict};
pub use update::{Announcement, Family, Nlri, RouteDistinguisher, Update};
