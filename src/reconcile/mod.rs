//! Desired against observed, and what to do about the difference.
//!
//! Planning is a pure function of two values. It makes every choice; applying a
//! [`Plan`] makes none. So a plan can be printed, kept, tested and compared
//! before anything happens, and applying it is one match arm per [`Step`].
//!
//! **Invariant:** a plan between equal states is empty.
//! **Invariant:** a plan applied in full leaves nothing to plan.
//! **Invariant:** a tenant's rules stand before its links come up, change in one
//! transaction, and go last.
//!
//! In reading order: [`KernelState`] (both sides of the comparison), its
//! [`Link`]s, [`Route`]s and [`Sysctl`]s, the [`Ruleset`] and its [`Rule`]s,
//! the text form of it all; [`desired()`] (documents to state), [`plan()`] with its
//! [`Step`]s, [`Borrowed`] settings and [`Backoff`]; and three readers that check the whole:
//! [`trace()`], [`expected`] (the documents' own word) and [`leaks()`].

mod backoff;
mod borrowed;
mod conntrack_sample;
mod desired;
mod desired_rules;
mod desired_sets;
mod desired_speaking;
mod desired_test_page;
mod desired_words;
mod diff;
mod leaks;
mod learned;
mod leg_sample;
mod link;
mod lookup;
mod oracle;
mod packet;
mod plan;
mod prefix_set;
mod route;
mod rule;
mod rule_text;
mod ruleset;
mod said;
mod serving;
mod state;
mod step;
mod sysctl;
mod text;
mod trace;

pub use backoff::Backoff;
pub use borrowed::Borrowed;
pub use conntrack_sample::ConntrackSample;
pub use desired::{
    Unprogrammable, UnprogrammableReason, desired, desired_tenant, unprogrammable, vlan_link,
};
pub use leaks::{Leak, LeakKind, leaks, leaks_of};
pub use learned::Learnable;
pub use leg_sample::{Answer, LegSample};
pub use link::{Device, Link, LinkKind};
pub use oracle::expected;
pub use packet::{Cause, Conversation, Fate, Leg, Packet, Payload};
pub use plan::{plan, plan_tenant};
pub use prefix_set::{Family, PrefixSet};
pub use route::{Hop, Route, RouteKey, RouteTarget};
pub use rule::{Conntrack, Icmp, Match, Membership, Rule, Side, Transport, Verdict};
pub use rule_text::RuleError;
pub use ruleset::{
    Base, Chain, ChainName, Dispatch, DropReason, Hook, List, Policy, Ruleset, SetName,
};
pub use said::Said;
pub use serving::serving;
pub use state::{KernelState, Namespace, ROUTE_PROTOCOL, TABLE};
pub use step::{Plan, Step, StepFailure};
pub use sysctl::{LinkSetting, Scope, Sysctl, SysctlError};
pub use text::{LineError, StateError};
pub use trace::{Trace, TraceStep, trace};
