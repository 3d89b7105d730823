//! `lockgate trace`: one packet, followed through what a tenant's namespace is to hold.

use super::args::Directories;
use super::documents::DocumentArguments;
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::model::{Config, Placement, Site, Tenant};
use crate::net::{Prefix, SiteName, TenantName};
use crate::reconcile::{
    Conversation, Fate, Leg, Packet, Payload, Transport, desired_tenant, serving, trace,
};
use anyhow::anyhow;
use clap::{Args, ValueEnum};
use std::net::IpAddr;
use std::sync::Arc;

/// The sender's port, where none is asked about: the first ephemeral one (RFC 6335 §6).
const SOURCE_PORT: u16 = 49_152;

/// Arguments of `trace`.
#[derive(Debug, Args)]
pub struct TraceArguments {
    /// Where it comes from
    source: IpAddr,
    /// Where it goes
    destination: IpAddr,
    /// What it carries
    #[arg(long, value_enum, default_value_t)]
    protocol: Carried,
    /// The port it goes to; not for ICMP
    #[arg(long, default_value_t = 22)]
    port: u16,
    #[command(flatten)]
    documents: DocumentArguments,
    /// The tenant it is of, NAMESPACE/NAME; not needed when there is only one
    #[arg(short, long)]
    tenant: Option<TenantName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Carried {
    /// An echo request
    #[default]
    Icmp,
    /// The first segment of a connection
    Tcp,
    /// A datagram
    Udp,
    /// The first packet of an association
    Sctp,
}

pub(super) fn run(
    arguments: &TraceArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let (source, destination) = (arguments.source, arguments.destination);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(anyhow!("{source} and {destination} are not of the same family").into());
    }
    let outcome = arguments.documents.load(directories)?;
    let tenant = choose(&outcome.config, arguments.tenant.as_ref())?;
    let ports =
        |transport| Payload::Ports { transport, source: SOURCE_PORT, destination: arguments.port };
    let payload = match arguments.protocol {
        Carried::Icmp => Payload::Echo,
        Carried::Tcp => ports(Transport::Tcp),
        Carried::Udp => ports(Transport::Udp),
        Carried::Sctp => ports(Transport::Sctp),
    };
    let leg = Leg::of(tenant, source);
    let packet = Packet { source, destination, payload, conversation: Conversation::New, leg };
    let namespace = desired_tenant(tenant, Placement::PerTenant);
    let way = trace(&namespace, tenant, &packet);
    terminal::print(&way.to_string())?;
    if let (Fate::Forwarded, Some(router)) = (way.fate, router(tenant, &way.packet)) {
        terminal::print(&format!(
            "only while the router of site {router} says this network by BGP, \
             see `lockgate show rib`\n"
        ))?;
    }
    Ok(Verdict::finding_if(matches!(way.fate, Fate::Dropped(_))))
}

/// The site whose router has to say the network that a packet comes from or goes to.
fn router<'a>(tenant: &'a Tenant, packet: &Packet) -> Option<&'a SiteName> {
    tenant.fabric.bgp.as_ref()?;
    let side = if packet.leg == Leg::Fabric { packet.destination } else { packet.source };
    let has = |(network, _): &(Prefix, &Site)| network.contains(side);
    let (_, site) = serving(tenant).into_iter().filter(has).max_by_key(|(it, _)| it.length())?;
    site.bgp.as_ref().map(|_| &site.name)
}

fn choose<'a>(config: &'a Config, wanted: Option<&TenantName>) -> anyhow::Result<&'a Tenant> {
    let mut tenants = config.tenants.values();
    match (wanted, tenants.next(), tenants.next()) {
        (Some(wanted), ..) => config.tenants.get(wanted).map(Arc::as_ref).ok_or_else(|| {
            anyhow!("the documents have no tenant {wanted} without errors; see `lockgate check`")
        }),
        (None, Some(only), None) => Ok(only),
        (None, None, _) => Err(anyhow!("no tenant is without errors; see `lockgate check`")),
        (None, Some(one), Some(_)) => Err(anyhow!(
            "there are {} tenants; say which with --tenant, as --tenant {}",
            config.tenants.len(),
            one.name
        )),
    }
}
