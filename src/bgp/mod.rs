//! A BGP speaker without its sockets.
//!
//! A tenant has one speaker of its own, inside its own namespace. It learns the
//! applications' routes from the fabric and a site's networks from the
//! customer's router, and says what it is told to say. What one neighbor says
//! is never passed on to another: whatever is advertised is begun here, with
//! attributes of our own, so that nothing odd can travel through us (the
//! corrupted transitive attributes of RFC 7606 §1).
//!
//! A route reflector that has several tenants' VPN routes is spoken to by each tenant over
//! a session of its own or, where it is the class's, over one in the underlay that they
//! share ([`SharedSession`]). Either way no table exists in which two tenants' routes stand
//! together: what is shared is who hears what, and each tenant's own speaker judges, holds
//! and bounds what it hears. What is of nobody's route targets is counted and never held.
//!
//! There is no export by BMP (RFC 7854). A codec is to be had; what is not is what stands
//! around it: every UPDATE kept as it came until the collector has taken it, each one's
//! table written out again whenever the collector is back, both OPENs of each session, and
//! a connection out of a namespace that is no tenant's for what all tenants were told. What
//! it would be asked for, which path was heard and what became of it, is in `show rib` and
//! the API for whoever asks, and what happened in the history and the event stream.
//!
//! In reading order: [`Family`] and [`Nlri`] (what is spoken of),
//! [`Attributes`] (what is said of it), [`Update`] (what one message says),
//! [`proto`] (how that goes over the wire), [`session`] (one neighbor),
//! [`ImportPolicy`] (what is taken of it, and [`Reject`]: why not), [`Rib`] (what
//! is held, chosen and kept past a session), [`Surroundings`] (where next hops
//! are), [`AdjRibOut`] (what is advertised), [`speaker`] (all of it together),
//! [`SharedSession`] (what several tenants hear).

mod attributes;
mod export;
mod next_hop;
mod policy;
pub mod proto;
mod reject;
mod rib;
pub mod session;
mod shared;
pub mod speaker;
mod update;

pub use crate::net::{Community, ExtendedCommunity, LargeCommunity};
pub use attributes::{AsPath, AsSegment, Attributes, Origin};
pub use export::{AdjRibOut, Exporter, NextHopSelf, Wanted, wanted_by_fabric, wanted_by_site};
pub use next_hop::{Resolved, Surroundings, Unresolved};
pub use policy::ImportPolicy;
pub use reject::{Reject, Verdict};
pub use rib::{
    CALICO_NORMAL, Candidate, Counts, Explained, ExplainedPath, Limit, Lost, Multipath,
    NeighborName, NeighborSettings, PathState, Retain, Rib, Stale, Standing, Treated, preference,
    select,
};
pub use shared::SharedSession;
pub use update::{Announcement, Family, Nlri, RouteDistinguisher, Update};
