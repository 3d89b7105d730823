//! `lockgate status`: how a running gateway and its sites are.

use super::args::Directories;
use super::client::{self, Answer};
use super::output::{self, Format};
use super::terminal::{self, ColorChoice, Style};
use super::verdict::{Failure, Verdict};
use crate::status::{
    ConditionType, ReloadOutcome, SiteSnapshot, SiteState, Snapshot, TenantSnapshot,
};
use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

mod browser;
mod detail;
mod line;
mod overview;
mod pane;
mod tenant;
mod watch;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// One site only: its name, or NAMESPACE/NAME
    site: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    /// Draw again and again until q or ctrl-C; arrows choose, Enter opens a site, t its tenant,
    /// / filters
    #[arg(short, long)]
    watch: bool,
    /// Seconds between two drawings
    #[arg(
        long,
        default_value_t = 1,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600),
        requires = "watch"
    )]
    interval: u64,
}

/// A site with the tenant it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) tenant: &'a TenantSnapshot,
    pub(super) site: &'a SiteSnapshot,
}

pub(super) fn run(
    arguments: &StatusArguments,
    directories: &Directories,
    color: ColorChoice,
) -> Result<Verdict, Failure> {
    let socket = directories.socket();
    if arguments.watch {
        return client::runtime()?.block_on(watch::watch(arguments, &socket, color));
    }
    let answer = client::ask(&socket)?;
    warn_if_hung(&answer);
    let (text, verdict) = render(&answer.snapshot, arguments, Style::of_stdout(color))?;
    terminal::print(&text)?;
    Ok(verdict)
}

fn warn_if_hung(answer: &Answer) {
    if !answer.is_alive {
        eprintln!(
            "lockgate: the gateway's control loop hangs; this is how it was at {}",
            answer.snapshot.taken
        );
    }
}

fn render(
    snapshot: &Snapshot,
    arguments: &StatusArguments,
    style: Style,
) -> Result<(String, Verdict), Failure> {
    match &arguments.site {
        None => render_all(snapshot, arguments.output, style),
        Some(wanted) => render_site(snapshot, wanted, arguments.output, style),
    }
}

fn render_all(
    snapshot: &Snapshot,
    format: Format,
    style: Style,
) -> Result<(String, Verdict), Failure> {
    let verdict = Verdict::finding_if(needs_a_look(snapshot));
    let text = match format {
        Format::Json | Format::Yaml => output::serialize(snapshot, format)?,
        Format::Table => overview::draw(snapshot, style, false),
        Format::Wide => overview::draw(snapshot, style.endless(), true),
    };
    Ok((text, verdict))
}

/// Whether somebody should look: a site that is cut off, a tenant that is not
/// programmed or can soon begin no conversation, documents that are not served. A site that was
/// never connected is no finding here, for it may not be due yet.
fn needs_a_look(snapshot: &Snapshot) -> bool {
    let last = snapshot.config.last_reload.as_ref();
    let is_broken = |tenant: &TenantSnapshot| {
        !tenant.conditions.holds(ConditionType::Programmed)
            || tenant.conntrack.is_some_and(|table| table.is_nearly_full())
            || tenant
                .sites
                .iter()
                .any(|site| matches!(site.state, SiteState::Down | SiteState::Blackholed))
    };
    last.is_some_and(|reload| reload.outcome == ReloadOutcome::Refused)
        || !snapshot.refused.is_empty()
        || snapshot.endpoint.as_ref().is_some_and(|endpoint| !endpoint.problems.is_empty())
        || snapshot.tenants.iter().any(is_broken)
}

/// A site as JSON, with the tenant it is of.
#[derive(Serialize)]
struct SiteOf<'a> {
    tenant: String,
    #[serde(flatten)]
    site: &'a SiteSnapshot,
}

fn render_site(
    snapshot: &Snapshot,
    wanted: &str,
    format: Format,
    style: Style,
) -> Result<(String, Verdict), Failure> {
    let place = find(snapshot, wanted)?;
    let verdict = Verdict::finding_if(!place.site.state.is_usable());
    let text = match format {
        Format::Json | Format::Yaml => {
            let tenant = place.tenant.name.to_string();
            output::serialize(&SiteOf { tenant, site: place.site }, format)?
        }
        Format::Table | Format::Wide => detail::draw(place, snapshot.taken, style),
    };
    Ok((text, verdict))
}

/// The one site `wanted` names: `NAME`, `NAMESPACE/NAME` or `NAMESPACE/GATEWAY/NAME`.
pub(super) fn find<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<Place<'a>, Failure> {
    let (tenant, name) = match wanted.rsplit_once('/') {
        Some((tenant, name)) => (Some(tenant), name),
        None => (None, wanted),
    };
    let is_wanted = |tenant: &TenantSnapshot, wanted: &str| {
        tenant.name.namespace() == wanted || tenant.name.to_string() == wanted
    };
    let places: Vec<Place<'_>> = snapshot
        .tenants
        .iter()
        .filter(|of| tenant.is_none_or(|wanted| is_wanted(of, wanted)))
        .flat_map(|tenant| tenant.sites.iter().map(move |site| Place { tenant, site }))
        .filter(|place| place.site.name.as_str() == name)
        .collect();
    match places.as_slice() {
        [place] => Ok(*place),
        [] => {
            Err(anyhow!("the gateway has no site {wanted:?}; `lockgate status` shows those it has")
                .into())
        }
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|place| format!("{}/{}", place.tenant.name.namespace(), place.site.name))
                .collect();
            Err(anyhow!("several sites are called {wanted:?}; say which: {}", names.join(", "))
                .into())
        }
    }
}
