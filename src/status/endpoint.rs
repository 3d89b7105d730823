//! How the status endpoint itself is: what it shows to be itself by, and what is amiss
//! with that.

use super::text;
use crate::net::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the status endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSnapshot {
    /// When its certificate expires (`notAfter`, RFC 5280 §4.1.2.5); `null` without TLS.
    #[serde(with = "text::time_option")]
    #[schemars(with = "Option<text::Moment>")]
    pub certificate_expires: Option<Timestamp>,
    /// What is wrong with its certificate, keys or tokens. What was in force before stays
    /// in force.
    pub problems: Vec<String>,
}
