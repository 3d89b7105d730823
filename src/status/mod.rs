//! How it is, as one value.
//!
//! The machine makes a [`Snapshot`]; the page, the metrics, the JSON, the
//! custom resources' status and `lockgate status` are views of it and know
//! nothing else. So two views never disagree.
//! Nothing here judges a tunnel or reads a clock, and no type here can hold a
//! secret: keys are public ones, and text comes from reasons and errors, which
//! carry none.
//!
//! In reading order: [`Snapshot`], [`TenantSnapshot`], [`SiteSnapshot`], [`SiteState`]
//! and [`SiteReason`], [`ProbeSnapshot`], [`KeySnapshot`], [`BgpSnapshot`] and
//! [`BfdSnapshot`], [`ReflectorSnapshot`], [`Conditions`], [`History`], [`RateMeter`], [`Check`] (readiness),
//! [`EndpointSnapshot`] (who shows all this), [`RibPage`] (asked for apart), [`Count`],
//! [`Bytes`], [`BitRate`], [`Latency`], [`Ago`] and [`Visible`] (how numbers, times and
//! texts are written).

mod age;
mod bfd;
mod condition;
mod endpoint;
mod history;
mod key;
mod neighbor;
mod probe;
mod quantity;
mod rate;
mod ready;
mod reflector;
mod rib;
mod site;
mod site_state;
mod snapshot;
mod tenant;
mod text;

pub use crate::probe::BOUNDS as PROBE_BOUNDS;
pub use age::Ago;
pub use bfd::{BfdDiscard, BfdSnapshot, BfdState};
pub use condition::{Condition, ConditionReason, ConditionStatus, ConditionType, Conditions};
pub use endpoint::EndpointSnapshot;
pub use history::{Event, EventReason, History};
pub use key::{KeyRole, KeySnapshot};
pub use neighbor::{
    BgpSnapshot, FlawCount, NeighborKind, NeighborSnapshot, NeighborState, NotificationCount,
    PrefixCounts, RangeSnapshot,
};
pub use probe::{Latency, ProbeDurations, ProbeSnapshot, ProbeState, ProbeWindow};
pub use quantity::{BitRate, Bytes};
pub use rate::RateMeter;
pub use ready::Check;
pub use reflector::ReflectorSnapshot;
pub use rib::{RibNetwork, RibPage, RibPath, RibWithdrawn};
pub use site::{AttachmentKind, PrefixSource, SitePrefixStatus, SiteSnapshot};
pub use site_state::{SiteReason, SiteState};
pub use snapshot::{
    Backend, ConfigSnapshot, Offloads, RefusedDocument, Reload, ReloadOutcome, SCHEMA, Snapshot,
};
pub use tenant::{
    ConntrackSnapshot, DropPlace, DropSnapshot, RouteSnapshot, RouteSource, TenantSnapshot,
};
pub use text::{Count, Visible};
