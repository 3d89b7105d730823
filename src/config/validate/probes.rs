//! The probes of a site: devices behind it that are asked whether they are there.

use super::finding::Findings;
use crate::config::error::Problem;
use crate::config::schema::SiteAttachmentSpec;
use crate::model::{Attachment, Probe, SitePrefix, limits};
use crate::net::InterfaceAddress;
use std::net::IpAddr;
use std::time::Duration;

/// How often at the least: once a day.
const LONGEST_INTERVAL: u32 = 86_400;

pub(super) fn check(
    spec: &SiteAttachmentSpec,
    prefixes: &[SitePrefix],
    attachment: Option<&Attachment>,
    own: &[InterfaceAddress],
    found: &mut Findings,
) -> Vec<Probe> {
    if limits::PROBES_PER_SITE < spec.probes.len() {
        found.note("spec.probes", Problem::TooMany { max: limits::PROBES_PER_SITE });
        return Vec::new();
    }
    let mut probes: Vec<Probe> = Vec::with_capacity(spec.probes.len());
    for (index, spec) in spec.probes.iter().enumerate() {
        let path = format!("spec.probes[{index}]");
        let address = found.address(&format!("{path}.address"), &spec.address);
        if let Some(address) = address {
            // Whose addresses they are is known once its attachment can be read.
            let problem = attachment.and_then(|it| problem_of(address, prefixes, it, own));
            if let Some(problem) = problem {
                found.note(format!("{path}.address"), problem);
            }
        }
        let tcp_port = spec
            .tcp_port
            .map(|port| found.ranged::<u16>(&format!("{path}.tcpPort"), port, 1, 65_535));
        let interval = found.ranged::<u32>(
            &format!("{path}.intervalSeconds"),
            spec.interval_seconds,
            1,
            LONGEST_INTERVAL,
        );
        if let (Some(address), Some(interval)) = (address, interval) {
            let tcp_port = tcp_port.flatten();
            if probes.iter().any(|it| (it.address, it.tcp_port) == (address, tcp_port)) {
                found.note(path, Problem::Twice);
                continue;
            }
            let interval = Duration::from_secs(u64::from(interval));
            probes.push(Probe { address, tcp_port, interval });
        }
    }
    probes
}

/// Why an address is none to ask.
fn problem_of(
    address: IpAddr,
    prefixes: &[SitePrefix],
    attachment: &Attachment,
    own: &[InterfaceAddress],
) -> Option<Problem> {
    if own.iter().any(|own| own.address() == address) {
        return Some(Problem::OwnAddress(address));
    }
    let is_neighbor = match attachment {
        Attachment::WireGuard(peer) => peer.far_addresses().any(|far| far == address),
        Attachment::Vlan(vlan) => vlan.networks().any(|network| network.contains(address)),
    };
    if !is_neighbor && !prefixes.iter().any(|prefix| prefix.visible().contains(address)) {
        return Some(Problem::NotInPrefixes(address));
    }
    let has_source = own.iter().any(|own| own.address().is_ipv4() == address.is_ipv4());
    (!has_source).then_some(Problem::NoProbeSource(address))
}
