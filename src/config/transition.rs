//! From one set of documents to the next: what may not change.
//!
//! The rules are those in the custom resources' schemas, run here by the same
//! expressions that the API server runs (CEL).

use super::document::{Document, Documents, ObjectName};
use super::error::{Errors, Problem};
use super::schema::SiteAttachmentSpec;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Checks the schemas' own rules, and where a site is in both sets, that its
/// identity is the same: gateway, type, VLAN.
///
/// Only what changed is checked, for the expressions are slow to run.
pub fn check_transition(old: &Documents, new: &Documents) -> Errors {
    let mut errors = Errors::default();
    let specs = |documents: &Documents| -> HashSet<*const SiteAttachmentSpec> {
        documents.sites().iter().map(|document| Arc::as_ptr(&document.spec)).collect()
    };
    let (before, after) = (specs(old), specs(new));
    let replaced = old.sites().iter().filter(|it| !after.contains(&Arc::as_ptr(&it.spec)));
    let replaced: BTreeMap<&ObjectName, &Document<SiteAttachmentSpec>> =
        replaced.map(|document| (&*document.object, document)).collect();
    for document in new.sites().iter().filter(|it| !before.contains(&Arc::as_ptr(&it.spec))) {
        let Some(earlier) = replaced.get(&*document.object) else { continue };
        if earlier.spec == document.spec {
            continue;
        }
        let (Ok(now), Ok(then)) =
            (serde_json::to_value(&*document.spec), serde_json::to_value(&*earlier.spec))
        else {
            continue;
        };
        if let Err(broken) = SiteAttachmentSpec::validate_cel(&now, Some(&then)) {
            for error in broken {
                // Each message begins with the field it is about.
                let (field, what) = error.message.split_once(' ').unwrap_or(("", &error.message));
                errors
                    .push(document.error(format!("spec.{field}"), Problem::Rule(what.to_owned())));
            }
        }
    }
    errors
}
