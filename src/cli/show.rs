//! `lockgate show`: tables of a running gateway.

use super::args::Directories;
use super::client;
use super::output::{self, Format, number, text};
use super::terminal::{self, ColorChoice, Style};
use super::verdict::{Failure, Verdict};
use super::{show_absent, show_bgp, show_probes};
use crate::net::{Prefix, TenantName};
use crate::status::{Ago, Bytes, Count, RouteSnapshot, SiteState, Snapshot, TenantSnapshot};
use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde::Serialize;

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Which table
    what: What,
    /// Of the table `rib`, one network only: 192.0.2.0/24
    prefix: Option<Prefix>,
    /// One tenant only: NAMESPACE/NAME
    #[arg(short, long)]
    tenant: Option<TenantName>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// WireGuard peers
    Peers,
    /// Routes
    Routes,
    /// BGP neighbors
    Neighbors,
    /// Probes of customers' devices
    Probes,
    /// What BGP neighbors said, and what became of it
    Rib,
}

pub(super) fn run(
    arguments: &ShowArguments,
    directories: &Directories,
    color: ColorChoice,
) -> Result<Verdict, Failure> {
    if arguments.prefix.is_some() && !matches!(arguments.what, What::Rib) {
        return Err(anyhow!("only `show rib` takes a network").into());
    }
    let mut snapshot = client::ask(&directories.socket())?.snapshot;
    if let Some(wanted) = &arguments.tenant {
        snapshot.tenants.retain(|tenant| tenant.name == *wanted);
        if snapshot.tenants.is_empty() {
            return Err(anyhow!(
                "the gateway has no tenant {wanted}; `lockgate status` shows those it has"
            )
            .into());
        }
    }
    let style = match arguments.output {
        Format::Wide => Style::of_stdout(color).endless(),
        Format::Table | Format::Json | Format::Yaml => Style::of_stdout(color),
    };
    let text = match arguments.what {
        What::Peers => show(&peers(&snapshot), arguments.output, |rows| draw_peers(rows, style)),
        What::Routes => {
            show(&routes(&snapshot.tenants), arguments.output, |rows| draw_routes(rows, style))
        }
        What::Neighbors => {
            let rows = show_bgp::neighbors(&snapshot.tenants, &snapshot.reflectors);
            show(&rows, arguments.output, |rows| {
                show_bgp::draw_neighbors(rows, snapshot.taken, style)
            })
        }
        What::Probes => {
            let rows = show_probes::probes(&snapshot.tenants);
            show(&rows, arguments.output, |rows| show_probes::draw(rows, snapshot.taken, style))
        }
        What::Rib => {
            let asked = arguments.prefix;
            let (rows, around) = show_bgp::rib(&snapshot, &directories.socket(), asked)?;
            show(&rows, arguments.output, |rows| {
                let absent = show_absent::absent(&snapshot, rows, asked, &around);
                show_bgp::draw_rib(rows, style) + &absent
            })
        }
    };
    terminal::print(&text?)?;
    Ok(Verdict::Good)
}

fn show<T: Serialize>(
    rows: &[T],
    format: Format,
    draw: impl FnOnce(&[T]) -> String,
) -> anyhow::Result<String> {
    match format {
        Format::Json | Format::Yaml => output::serialize(&rows, format),
        Format::Table | Format::Wide => Ok(draw(rows)),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    tenant: String,
    site: String,
    state: SiteState,
    public_key: String,
    endpoint: Option<std::net::SocketAddr>,
    last_handshake_time: Option<String>,
    received_bytes: Count,
    sent_bytes: Count,
    handshakes: Count,
    #[serde(skip)]
    age: String,
}

fn peers(snapshot: &Snapshot) -> Vec<Peer> {
    let mut rows = Vec::new();
    for tenant in &snapshot.tenants {
        for site in &tenant.sites {
            let Some(public_key) = site.public_key else { continue };
            let handshake = site.last_handshake_time;
            rows.push(Peer {
                tenant: tenant.name.to_string(),
                site: site.name.to_string(),
                state: site.state,
                public_key: public_key.to_string(),
                endpoint: site.endpoint,
                last_handshake_time: handshake.map(|at| at.to_string()),
                received_bytes: site.received_bytes,
                sent_bytes: site.sent_bytes,
                handshakes: site.handshakes,
                age: handshake.map_or_else(
                    || "never".to_owned(),
                    |at| Ago::between(at, snapshot.taken).to_string(),
                ),
            });
        }
    }
    rows
}

/// Columns of peers to do without on a narrow terminal, the first one first:
/// sent, received, handshake, endpoint.
const DISPENSABLE_OF_PEERS: [usize; 4] = [7, 6, 5, 4];

/// Of routes: source, link.
const DISPENSABLE_OF_ROUTES: [usize; 2] = [5, 3];

fn draw_peers(rows: &[Peer], style: Style) -> String {
    let header = ["TENANT", "SITE", "PEER", "STATE", "ENDPOINT", "HANDSHAKE", "RECEIVED", "SENT"];
    let mut table = output::table(style, &header);
    for row in rows {
        table.add_row([
            text(&row.tenant),
            text(&row.site),
            text(&row.public_key),
            output::state(row.state),
            text(row.endpoint.map_or_else(|| "—".to_owned(), |at| at.to_string())),
            text(&row.age),
            number(Bytes(row.received_bytes.0)),
            number(Bytes(row.sent_bytes.0)),
        ]);
    }
    output::fit(&mut table, style, &DISPENSABLE_OF_PEERS);
    output::draw(&mut table)
}

/// A route, and whose it is.
#[derive(Serialize)]
pub(super) struct Route<'a> {
    tenant: String,
    #[serde(flatten)]
    route: &'a RouteSnapshot,
}

/// The routes of all of `tenants`.
pub(super) fn routes(tenants: &[TenantSnapshot]) -> Vec<Route<'_>> {
    let of = |tenant: &TenantSnapshot| tenant.name.to_string();
    tenants
        .iter()
        .flat_map(|tenant| {
            tenant.routes.iter().map(move |route| Route { tenant: of(tenant), route })
        })
        .collect()
}

pub(super) fn draw_routes(rows: &[Route<'_>], style: Style) -> String {
    let header = ["TENANT", "PREFIX", "VIA", "LINK", "SITE", "SOURCE", "INSTALLED"];
    let mut table = output::table(style, &header);
    for Route { tenant, route } in rows {
        table.add_row([
            text(tenant),
            text(route.prefix),
            text(route.via.map_or_else(|| "—".to_owned(), |via| via.to_string())),
            text(&route.link),
            text(route.site.as_ref().map_or("—", |site| site.as_str())),
            text(route.source),
            text(if route.installed { "yes" } else { "no" }),
        ]);
    }
    output::fit(&mut table, style, &DISPENSABLE_OF_ROUTES);
    output::draw(&mut table)
}
