//! `lockgate check`: what is wrong with documents, without a gateway.

use super::args::Directories;
use super::documents::DocumentArguments;
use super::output::{self, Format};
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::config::{ConfigError, Outcome};
use crate::model::{Refusal, RefusalReason};
use crate::reconcile::{self, Leak};
use crate::status::Visible;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    documents: DocumentArguments,
    /// Also walk every way a packet could take between tenants
    #[arg(long)]
    leaks: bool,
    /// The documents in force, to see whether what may not change does not
    #[arg(long, value_name = "PATH")]
    previous: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

pub(super) fn run(
    arguments: &CheckArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let outcome = arguments.documents.load_after(arguments.previous.as_deref(), directories)?;
    let placement = arguments.documents.netns.into();
    let leaks = arguments.leaks.then(|| {
        let state = reconcile::desired(&outcome.config, placement);
        reconcile::leaks(&outcome.config, &state, placement)
    });
    let text = match arguments.output {
        Format::Json | Format::Yaml => {
            output::serialize(&Report::of(&outcome, leaks.as_deref()), arguments.output)?
        }
        Format::Table | Format::Wide => lines(&outcome, leaks.as_deref()),
    };
    terminal::print(&text)?;
    let is_good = outcome.errors.is_empty()
        && unresolved(&outcome).next().is_none()
        && leaks.is_none_or(|leaks| leaks.is_empty());
    Ok(Verdict::finding_if(!is_good))
}

/// What would not be served for want of a secret. Everything else that is left
/// out is so for an error, and errors are listed.
fn unresolved(outcome: &Outcome) -> impl Iterator<Item = &Refusal> {
    outcome
        .config
        .refused
        .iter()
        .filter(|refusal| refusal.reason == RefusalReason::SecretUnresolved)
}

/// A refusal as a line of text.
fn refusal_text(refusal: &Refusal) -> String {
    match &refusal.site {
        Some(site) => {
            format!("SiteAttachment/{}/{site}: {}", refusal.tenant.namespace(), refusal.message)
        }
        None => format!("TenantGateway/{}: {}", refusal.tenant, refusal.message),
    }
}

/// Notes worth reading: of many keys one in sixteen has one.
const NOTES: usize = 5;

/// One error a line, as a compiler prints them, and a line that sums up.
fn lines(outcome: &Outcome, leaks: Option<&[Leak]>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for error in &outcome.errors {
        let _ = writeln!(text, "{}", Visible(&error.to_string()));
    }
    if outcome.errors.more() != 0 {
        let _ = writeln!(text, "and {} more", outcome.errors.more());
    }
    for note in outcome.notes.iter().take(NOTES) {
        let _ = writeln!(text, "note: {}", Visible(&note.to_string()));
    }
    if let Some(more @ 1..) = outcome.notes.count().checked_sub(NOTES) {
        let _ = writeln!(text, "note: {more} more of that kind, see `-o json`");
    }
    let mut missing = 0;
    for refusal in unresolved(outcome) {
        missing += 1;
        let _ = writeln!(text, "{}", Visible(&refusal_text(refusal)));
    }
    let tenants = &outcome.config.tenants;
    let sites: usize = tenants.values().map(|tenant| tenant.sites.len()).sum();
    let (tenants, errors) = (tenants.len(), outcome.errors.count() + missing);
    let (errors_text, tenants, sites) =
        (count(errors, "error"), count(tenants, "tenant"), count(sites, "site"));
    let _ = match errors {
        0 => writeln!(text, "{tenants}, {sites}: all good"),
        _ => writeln!(text, "{errors_text}; {tenants} and {sites} are good"),
    };
    if let Some(leaks) = leaks {
        for leak in leaks {
            let _ = writeln!(text, "leak: {}", Visible(&leak.to_string()));
        }
        let _ = match leaks.len() {
            0 => writeln!(text, "no packet can pass from one tenant to another"),
            found => writeln!(text, "{}", count(found, "leak")),
        };
    }
    text
}

/// `1 site`, `2 sites`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    errors: Vec<Finding<'a>>,
    /// Errors that are not listed, for there are too many.
    more: usize,
    /// What is no error and may be a mistake.
    notes: Vec<Finding<'a>>,
    /// What is left out for want of a secret.
    unresolved: Vec<String>,
    /// Tenants without errors.
    tenants: Vec<String>,
    /// Ways a packet could take that it must not; absent when not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaks: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    document: Option<String>,
    path: &'a str,
    message: String,
}

impl<'a> Report<'a> {
    fn of(outcome: &'a Outcome, leaks: Option<&[Leak]>) -> Self {
        let finding = |error: &'a ConfigError| Finding {
            file: error.file.as_deref(),
            line: error.line,
            document: error.object.as_ref().map(ToString::to_string),
            path: &error.path,
            message: error.problem.to_string(),
        };
        Report {
            errors: outcome.errors.iter().map(finding).collect(),
            notes: outcome.notes.iter().map(finding).collect(),
            more: outcome.errors.more(),
            unresolved: unresolved(outcome).map(refusal_text).collect(),
            tenants: outcome.config.tenants.keys().map(ToString::to_string).collect(),
            leaks: leaks.map(|leaks| leaks.iter().map(ToString::to_string).collect()),
        }
    }
}
