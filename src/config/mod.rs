//! Documents in, [`crate::model::Config`] out.
//!
//! Text becomes documents ([`Documents::parse`]), and documents become a
//! config ([`validate()`]) in which nothing collides. What is wrong is found
//! all at once, and each error says where it is and what to do.
//! This room reads no file and knows nothing of Kubernetes but the shape of
//! its resources; what Secrets hold is an argument.
//!
//! In reading order: [`schema`] (documents as written), `yaml` and `node`
//! (text), `shape` (which fields there are), `head`, `document` and `again`, `error`, `host`,
//! `overlap`, `look`, `secrets`, [`validate()`], [`check_transition`], [`crds()`],
//! [`import`] (somebody else's configuration into documents).

mod again;
mod crds;
mod document;
mod error;
mod head;
mod host;
pub mod import;
mod look;
mod node;
mod overlap;
pub mod schema;
mod secrets;
mod shape;
mod transition;
mod validate;
mod yaml;

pub use crate::net::ALWAYS_FORBIDDEN;
pub use crds::{crds, definitions, json_schema};
pub use document::{DEFAULT_NAMESPACE, Document, Documents, Kind, ObjectName};
pub use error::{ConfigError, Errors, Forbidden, HostProblem, Problem};
pub use host::parse_host;
pub use overlap::always_forbidden;
pub use secrets::Secrets;
pub use transition::check_transition;
pub use validate::{Allocations, Checked, Options, Outcome, OwnKeys, validate, validate_after};

/// Reads and checks any bytes as a file of documents; for fuzzing.
///
/// It returns for every input, and what it returns is bounded.
pub fn fuzz(bytes: &[u8]) -> Outcome {
    let documents = Documents::parse([("input.yaml", bytes)]);
    let outcome =
        validate(&documents, &Secrets::default(), &Allocations::new(), &Options::default());
    debug_assert!(outcome.errors.iter().count() <= crate::model::limits::REPORTED_ERRORS);
    outcome
}
