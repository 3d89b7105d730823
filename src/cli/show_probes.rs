//! `lockgate show probes`, and the same of one site.

use super::output::{self, number, text};
use super::terminal::Style;
use crate::net::Timestamp;
use crate::status::{Ago, Latency, ProbeSnapshot, ProbeState, TenantSnapshot};
use comfy_table::{Cell, Color, Table};
use serde::Serialize;

/// A probe, and whose it is.
#[derive(Serialize)]
pub(super) struct Probe<'a> {
    tenant: String,
    site: String,
    #[serde(flatten)]
    probe: &'a ProbeSnapshot,
}

/// Every probe of `tenants`.
pub(super) fn probes(tenants: &[TenantSnapshot]) -> Vec<Probe<'_>> {
    let mut rows = Vec::new();
    for tenant in tenants {
        for site in &tenant.sites {
            rows.extend(site.probes.iter().map(|probe| Probe {
                tenant: tenant.name.to_string(),
                site: site.name.to_string(),
                probe,
            }));
        }
    }
    rows
}

/// What is said of each probe, whosever it is.
const HEADER: [&str; 9] =
    ["PROBE", "STATE", "LOSS", "LAST", "MIN", "MEAN", "P99", "ANSWERED", "LAST LOSS"];

/// Columns to do without on a narrow terminal, the first one first: 99 of 100, shortest,
/// mean, the tenant's last loss, when it answered.
const DISPENSABLE: [usize; 5] = [8, 6, 7, 10, 9];

pub(super) fn draw(rows: &[Probe<'_>], now: Timestamp, style: Style) -> String {
    let header = [&["TENANT", "SITE"][..], &HEADER].concat();
    let mut table = output::table(style, &header);
    for Probe { tenant, site, probe } in rows {
        table.add_row([text(tenant), text(site)].into_iter().chain(cells(probe, now)));
    }
    output::fit(&mut table, style, &DISPENSABLE);
    output::draw(&mut table)
}

/// The probes of one site.
pub(super) fn draw_site(probes: &[ProbeSnapshot], now: Timestamp, style: Style) -> String {
    let mut table: Table = output::table(style, &HEADER);
    for probe in probes {
        table.add_row(cells(probe, now));
    }
    output::draw(&mut table)
}

fn cells(probe: &ProbeSnapshot, now: Timestamp) -> [Cell; 9] {
    let recent = &probe.recent;
    let loss = recent.loss_percent().map_or_else(
        || "—".to_owned(),
        |percent| format!("{percent} % of {}", recent.micros.len()),
    );
    let answered = probe
        .last_answer_time
        .map_or_else(|| "never".to_owned(), |at| Ago::between(at, now).to_string());
    let failure = match (&probe.last_failure_message, probe.last_failure_time) {
        (Some(message), Some(at)) => format!("{message}, {}", Ago::between(at, now)),
        (Some(message), None) => message.clone(),
        (None, _) => "—".to_owned(),
    };
    [
        text(probe.target()),
        state(probe.state),
        number(loss),
        number(Latency(probe.last_micros)),
        number(Latency(recent.minimum_micros)),
        number(Latency(recent.mean_micros)),
        number(Latency(recent.p99_micros)),
        text(answered),
        text(failure),
    ]
}

fn state(state: ProbeState) -> Cell {
    let cell = Cell::new(format!("{} {state}", state.icon()));
    match state {
        ProbeState::Answered => cell.fg(Color::Green),
        ProbeState::Refused => cell.fg(Color::Yellow),
        ProbeState::Pending | ProbeState::StandingBy => cell.fg(Color::Cyan),
        ProbeState::Lost => cell.fg(Color::Red),
    }
}
