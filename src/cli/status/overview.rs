//! All sites in one table, the most urgent first, and what else is amiss.

use super::Place;
use super::pane::Picture;
use crate::cli::output::{self, number, text};
use crate::cli::terminal::Style;
use crate::net::Timestamp;
use crate::status::{
    Ago, BitRate, Bytes, ConditionStatus, ConditionType, ConntrackSnapshot, ReloadOutcome,
    SiteState, Snapshot, TenantSnapshot, Visible,
};
use std::cmp::Reverse;
use std::fmt::Write;

/// Columns to do without on a narrow terminal, the first one first: sent,
/// received, since, handshake.
const DISPENSABLE: [usize; 4] = [7, 6, 4, 5];

/// Every site and everything that is not as it should be.
pub(super) fn draw(snapshot: &Snapshot, style: Style, is_wide: bool) -> String {
    let mut out = summary(snapshot);
    out.push('\n');
    out += &sites(snapshot, style, is_wide);
    out += &complaints(snapshot);
    out
}

/// The same in parts, for a screen that it may not fit.
pub(super) fn picture(snapshot: &Snapshot, style: Style, is_wide: bool) -> Picture {
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut head = lines(summary(snapshot));
    head.push(String::new());
    let mut columns = lines(sites(snapshot, style, is_wide));
    let rows = columns.split_off(columns.len().min(1));
    Picture { head, columns, rows, tail: lines(complaints(snapshot)) }
}

fn summary(snapshot: &Snapshot) -> String {
    let states = || snapshot.tenants.iter().flat_map(|tenant| &tenant.sites).map(|site| site.state);
    let mut counts = Vec::new();
    for state in SiteState::ALL {
        match states().filter(|other| *other == state).count() {
            0 => {}
            count => counts.push(format!("{count} {state}")),
        }
    }
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let config = &snapshot.config;
    let applied = match config.last_applied {
        Some(at) => format!("applied {}", Ago::between(at, snapshot.taken)),
        None => "not applied yet".to_owned(),
    };
    let behind = if config.applied_generation == config.loaded_generation {
        String::new()
    } else {
        format!(" (generation {} is loaded)", config.loaded_generation)
    };
    format!(
        "lockgate {}, running since {} ({})\nconfig {}, generation {} {applied}{behind}\n\
         tenants {}, sites: {counts}\n",
        Visible(&snapshot.version),
        snapshot.started,
        Ago::between(snapshot.started, snapshot.taken),
        Visible(&config.source),
        config.applied_generation,
        snapshot.tenants.len(),
    )
}

fn sites(snapshot: &Snapshot, style: Style, is_wide: bool) -> String {
    let mut places: Vec<Place<'_>> = snapshot
        .tenants
        .iter()
        .flat_map(|tenant| tenant.sites.iter().map(move |site| Place { tenant, site }))
        .collect();
    if places.is_empty() {
        return String::new();
    }
    places.sort_by_key(|place| Reverse(place.site.state.urgency()));
    let mut header =
        vec!["STATE", "SITE", "TENANT", "WHY", "SINCE", "HANDSHAKE", "RECEIVED", "SENT"];
    if is_wide {
        header.extend(["IN", "OUT", "TYPE", "ENDPOINT", "HANDSHAKES", "PREFIXES"]);
    }
    let mut table = output::table(style, &header);
    for Place { tenant, site } in places {
        let mut row = vec![
            output::state(site.state),
            text(&site.name),
            text(&tenant.name),
            text(site.reason),
            text(Ago::between(site.since, snapshot.taken)),
            text(age(site.last_handshake_time, snapshot.taken)),
            number(Bytes(site.received_bytes.0)),
            number(Bytes(site.sent_bytes.0)),
        ];
        if is_wide {
            let prefixes: Vec<String> = site
                .prefixes
                .iter()
                .map(|prefix| match prefix.alias {
                    Some(alias) => format!("{} as {alias}", prefix.cidr),
                    None => prefix.cidr.to_string(),
                })
                .collect();
            row.push(number(BitRate(site.received_bits_per_second)));
            row.push(number(BitRate(site.sent_bits_per_second)));
            row.push(text(site.kind));
            row.push(text(site.endpoint.map_or_else(|| "—".to_owned(), |at| at.to_string())));
            row.push(number(site.handshakes));
            row.push(text(prefixes.join(", ")));
        }
        table.add_row(row);
    }
    if !is_wide {
        output::fit(&mut table, style, &DISPENSABLE);
    }
    output::draw(&mut table)
}

/// What is not as it should be, besides sites.
fn complaints(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for tenant in &snapshot.tenants {
        complain_of(tenant, &mut out);
    }
    for problem in snapshot.endpoint.iter().flat_map(|endpoint| &endpoint.problems) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{}", Visible(problem));
    }
    if let Some(reload) = &snapshot.config.last_reload
        && reload.outcome == ReloadOutcome::Refused
    {
        let when = Ago::between(reload.at, snapshot.taken);
        let _ =
            writeln!(out, "\nThe documents were refused {when}; the set before stays in force:");
        for error in &reload.errors {
            let _ = writeln!(out, "  {}", Visible(error));
        }
    }
    if !snapshot.refused.is_empty() {
        out += "\nNot served:\n";
    }
    for refused in &snapshot.refused {
        let path = refused.path.as_deref().map(|path| format!("{path}: ")).unwrap_or_default();
        let text = format!("{}: {path}{}", refused.document, refused.message);
        let _ = writeln!(out, "  {}", Visible(&text));
    }
    out
}

fn complain_of(tenant: &TenantSnapshot, out: &mut String) {
    for condition in tenant.conditions.iter() {
        // Ready sums the others up.
        let is_said = condition.kind == ConditionType::Ready || condition.waits_for_sites();
        if condition.status == ConditionStatus::True || is_said {
            continue;
        }
        let (kind, reason) = (condition.kind, condition.reason);
        let line = format!("{}: {kind} is {}: {reason}", tenant.name, condition.status);
        let message = Visible(&condition.message);
        let colon = if condition.message.is_empty() { "" } else { ": " };
        let _ = write!(out, "\n{line}{colon}{message}");
    }
    if let Some(table) = tenant.conntrack.filter(ConntrackSnapshot::is_nearly_full) {
        let (name, used, of) = (&tenant.name, table.entries, table.maximum);
        let _ = write!(
            out,
            "\n{name}: {used} of {of} conversations are tracked: at the maximum, \
             net.netfilter.nf_conntrack_max, none can begin"
        );
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// How long ago; `never` when it was not.
pub(super) fn age(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "never".to_owned(), |at| Ago::between(at, now).to_string())
}
