//! What became of a plan.
//!
//! A failed step ends its tenant's plan and nobody else's. What was reached is
//! not written down here: it is observed.

use super::Plan;
use crate::net::TenantName;
use std::collections::BTreeMap;

/// What became of a plan, by tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each tenant of the plan.
    pub tenants: BTreeMap<TenantName, Outcome>,
}

/// What became of one tenant's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All were taken.
    Done,
    /// One failed, and those after it were not tried.
    Failed(Failure),
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {} of {of}, `{step}`", .index + 1)]
pub struct Failure {
    /// Which, from 0.
    pub index: usize,
    /// How many there were.
    pub of: usize,
    /// Its text.
    pub step: String,
    /// Why.
    #[source]
    pub reason: StepError,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The kernel refused it.
    #[error("the kernel answers {}", .0.name())]
    Errno(Errno),
    /// `nft` could not be run, or did not take the rules.
    #[error("nft: {0}")]
    Nft(String),
    /// The kernel lacks what the step needs, such as TUN devices.
    #[error("the kernel has no support for {0}")]
    Unsupported(&'static str),
    /// The namespace's thread is gone.
    #[error("the namespace cannot be entered")]
    NoNamespace,
}

/// A Linux error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The error's name in snake_case, for those steps are known to meet; a
    /// metric's label, so a bounded set.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "eperm",
            2 => "enoent",
            4 => "eintr",
            5 => "eio",
            12 => "enomem",
            13 => "eacces",
            16 => "ebusy",
            17 => "eexist",
            19 => "enodev",
            22 => "einval",
            28 => "enospc",
            30 => "erofs",
            90 => "emsgsize",
            95 => "eopnotsupp",
            99 => "eaddrnotavail",
            100 => "enetdown",
            101 => "enetunreach",
            105 => "enobufs",
            110 => "etimedout",
            113 => "ehostunreach",
            _ => "another_errno",
        }
    }
}

impl Report {
    /// A report that every step of `plan` was taken.
    pub fn all_done(plan: &Plan) -> Self {
        let done = plan.tenants.keys().map(|tenant| (tenant.clone(), Outcome::Done));
        Self { tenants: done.collect() }
    }

    /// The tenants whose plan broke off, and where.
    pub fn failures(&self) -> impl Iterator<Item = (&TenantName, &Failure)> {
        self.tenants.iter().filter_map(|(tenant, outcome)| match outcome {
            Outcome::Done => None,
            Outcome::Failed(failure) => Some((tenant, failure)),
        })
    }
}
