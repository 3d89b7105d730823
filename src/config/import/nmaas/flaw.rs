//! What can be wrong with a domain request.

use crate::config::HostProblem;
use crate::net::PrefixError;
use std::fmt;

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormFlaw {
    /// The JSON path, `userSubnets[0].ipAddressWithMask`, or the option of the command
    /// line; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub problem: FormProblem,
}

impl fmt::Display for FormFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return self.problem.fmt(f);
        }
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormProblem {
    /// It is no JSON.
    #[error("is no JSON: {0}")]
    Json(String),
    /// A value of another kind.
    #[error("is {found}; {expected} is wanted")]
    Shape {
        /// What was there.
        found: &'static str,
        /// What is wanted.
        expected: &'static str,
    },
    /// What is needed is not there.
    #[error("is missing; {0}")]
    Missing(&'static str),
    /// A codename NMaaS does not have.
    #[error("{0:?} is no codename: 2–12 of a–z, 0–9 and `-`")]
    Codename(String),
    /// A codename that no namespace can be called by.
    #[error(
        "{0:?} ends in `-`, which the name of a namespace must not (RFC 1123); ask for another codename"
    )]
    Hyphen(String),
    /// A namespace that is none.
    #[error("{0:?} is no name of a namespace (RFC 1123)")]
    Namespace(String),
    /// A number that is none.
    #[error("{0:?} is no number of a domain")]
    DomainId(String),
    /// A technology that is not served.
    #[error(
        "{0:?} is not served: this gateway ends WireGuard tunnels and VLANs. Agree on one of \
         them with the customer, and say --technology wireguard or --technology vlan"
    )]
    Technology(String),
    /// A network that is none.
    #[error("{text:?} {problem}")]
    Prefix {
        /// As it is written.
        text: String,
        /// What is wrong with it.
        problem: PrefixError,
    },
    /// A mask that is none.
    #[error("{0:?} has a mask with holes; write the length, as in 192.0.2.0/24")]
    Mask(String),
    /// A host that is none.
    #[error("{text:?} {problem}")]
    Host {
        /// As it is written.
        text: String,
        /// What is wrong with it.
        problem: HostProblem,
    },
    /// Nothing a site can have.
    #[error("names no network that a site can have; the customer's networks are needed")]
    NoNetworks,
    /// The applications' networks are not in a form.
    #[error("is needed, once for each network: where the applications are is in no form")]
    NoApps,
    /// No network of applications has an address left for the gateway.
    #[error("has room for the gateway's own address in none of its networks")]
    NoRoom,
    /// A VLAN without what only the operator knows.
    #[error("is needed for a site on a VLAN: {0}")]
    VlanNeeds(&'static str),
    /// An option of the other technology.
    #[error("is for a site {0}; this one is not")]
    OtherTechnology(&'static str),
    /// A port without a host.
    #[error("is for a form with a vpnUserIp that can be dialled; this one's is {0}")]
    NothingToDial(&'static str),
}
