//! All sites in one table, the most urgent first, and what else is amiss.

use super::Place;
use super::pane::{MARGIN, Picture, Row, Spot};
use crate::cli::output::{self, number, text};
use crate::cli::terminal::Style;
use crate::net::Timestamp;
use crate::status::{
    Ago, BitRate, Bytes, ConditionStatus, ConditionType, ConntrackSnapshot, ReloadOutcome,
    SiteState, Snapshot, TenantSnapshot, Visible,
};
use comfy_table::Table;
use std::cmp::Reverse;
use std::fmt::Write;

/// Columns to do without on a narrow terminal, the first one first: sent,
/// received, since, handshake.
const DISPENSABLE: [usize; 4] = [7, 6, 4, 5];

/// Every site and everything that is not as it should be.
pub(super) fn draw(snapshot: &Snapshot, style: Style, is_wide: bool) -> String {
    let mut out = summary(snapshot);
    out.push('\n');
    out += &draw_sites(&snapshot.tenants, snapshot.taken, style, is_wide);
    out += &complaints(snapshot);
    out
}

/// The same in parts, for a screen that it may not fit. Each row is a line.
pub(super) fn picture(snapshot: &Snapshot, style: Style, is_wide: bool) -> Picture {
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut head = lines(summary(snapshot));
    head.push(String::new());
    let places = by_urgency(&snapshot.tenants);
    let width = style.width.map(|width| width.saturating_sub(MARGIN));
    let mut table = sites(&places, snapshot.taken, Style { width, ..style }, is_wide);
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
    let mut columns = if places.is_empty() { Vec::new() } else { lines(output::draw(&mut table)) };
    let rows = columns.split_off(columns.len().saturating_sub(places.len()));
    let about = |Place { tenant, site }: &Place<'_>| {
        Some(Spot { tenant: tenant.name.clone(), site: Some(site.name.clone()) })
    };
    let rows = rows.into_iter().zip(&places);
    let rows = rows.map(|(text, place)| Row { text, about: about(place) }).collect();
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

/// The sites of `tenants` in a table, the most urgent first; nothing where there are none.
pub(super) fn draw_sites(
    tenants: &[TenantSnapshot],
    now: Timestamp,
    style: Style,
    is_wide: bool,
) -> String {
    let places = by_urgency(tenants);
    if places.is_empty() {
        return String::new();
    }
    output::draw(&mut sites(&places, now, style, is_wide))
}

fn by_urgency(tenants: &[TenantSnapshot]) -> Vec<Place<'_>> {
    let of = |tenant| move |site| Place { tenant, site };
    let mut places: Vec<Place<'_>> =
        tenants.iter().flat_map(|tenant| tenant.sites.iter().map(of(tenant))).collect();
    places.sort_by_key(|place| Reverse(place.site.state.urgency()));
    places
}

fn sites(places: &[Place<'_>], now: Timestamp, style: Style, is_wide: bool) -> Table {
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
            text(Ago::between(site.since, now)),
            text(age(site.last_handshake_time, now)),
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
    table
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
