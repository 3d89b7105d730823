//! Who watches a tenant's BGP neighbors: its BFD sessions, what they ask of sockets,
//! and what follows when one finds its neighbor dead.
//!
//! Who is named by address is watched from the first; who connects out of a range, from
//! when its session comes up until it is forgotten.
//!
//! BFD does not keep BGP from coming up, for the neighbor may not speak it (RFC 5882
//! §4.1); a session that was up and is not takes BGP down at once, unless someone at
//! the neighbor took it down on purpose (RFC 5882 §3.2).

use super::tenant::TenantMachine;
use super::{BfdAction, BfdEndpoint, Output};
use crate::bfd::{
    self, Arrival, DownReason, Event, Hops, NeighborSample, Sessions, Settings, State, Timing,
};
use crate::bgp::NeighborName;
use crate::bgp::speaker::{Endpoint, Speaker, endpoints};
use crate::model::{BgpNeighbor, Tenant};
use crate::net::{Instant, Jitter, Now};
use crate::status::EventReason;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first of the UDP ports that packets come from (RFC 5881 §4), the last being
/// 65535.
const FIRST_SOURCE_PORT: u16 = 49_152;

/// The longest TTL there is: what leaves with it and arrives with it passed no router.
const MAXIMUM_TTL: u8 = 255;

/// What a tenant's BFD is at, for its machine.
#[derive(Debug, Default)]
pub(super) struct Bfd {
    /// None until the namespace can carry packets.
    sessions: Option<Sessions>,
    names: BTreeMap<IpAddr, NeighborName>,
    /// What the sockets were told to hold.
    open: BTreeMap<IpAddr, BfdEndpoint>,
    /// How often it was said who is to be watched: numbers that are drawn later are
    /// others.
    rounds: u64,
}

impl Bfd {
    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.as_ref()?.poll_timeout()
    }

    /// How the session with a neighbor is; `None` where there is none.
    pub(super) fn sample(&self, address: IpAddr) -> Option<NeighborSample> {
        self.sessions.as_ref()?.sample(address)
    }

    /// Packets of nobody that is watched.
    pub(super) fn strangers(&self) -> u64 {
        self.sessions.as_ref().map_or(0, Sessions::strangers)
    }

    fn state(&self, address: IpAddr) -> Option<State> {
        Some(self.sample(address)?.session.state)
    }
}

impl TenantMachine {
    /// Watches the neighbors that are to be, and no others.
    pub(super) fn watch_neighbors(&mut self, tenant: &Tenant, now: Now) {
        let watched = watched(tenant, self.bgp.speaker.as_ref());
        if watched.is_empty() && self.bgp.bfd.sessions.is_none() {
            return;
        }
        let seed = Jitter::new(self.seed().wrapping_add(self.bgp.bfd.rounds)).number();
        let bfd = &mut self.bgp.bfd;
        bfd.rounds += 1;
        let sessions = bfd.sessions.get_or_insert_with(|| Sessions::new(seed));
        let settings = watched.values().map(|(_, endpoint)| (endpoint.address, settings(endpoint)));
        sessions.configure(&settings.collect(), now.mono);
        bfd.names = watched.iter().map(|(at, (name, _))| (*at, name.clone())).collect();
        let mut chance = Jitter::new(seed);
        let mut open = BTreeMap::new();
        for address in sessions.addresses() {
            let known = bfd.open.get(&address);
            let endpoint = match watched.get(&address) {
                Some((_, endpoint)) => {
                    let drawn = FIRST_SOURCE_PORT | (chance.number() as u16);
                    let source_port = known.map_or(drawn, |it| it.source_port);
                    Some(sockets(tenant, endpoint, source_port))
                }
                // It has still to be told that it is not watched any more.
                None => known.cloned(),
            };
            open.extend(endpoint.map(|endpoint| (address, endpoint)));
        }
        // The last word to somebody goes out of the socket that there is.
        self.after_bfd(now);
        self.open_for(open);
    }

    fn open_for(&mut self, open: BTreeMap<IpAddr, BfdEndpoint>) {
        if open != self.bgp.bfd.open {
            self.bgp.bfd.open.clone_from(&open);
            self.outputs.push_back(Output::Bfd(self.name.clone(), BfdAction::Open(open)));
        }
    }

    /// The sockets are of no use any more, nor is what was heard on them.
    pub(super) fn watch_nobody(&mut self) {
        self.bgp.bfd.sessions = None;
        self.bgp.bfd.names.clear();
        self.open_for(BTreeMap::new());
    }

    /// Every neighbor is told that it is not watched any more, on purpose.
    pub(super) fn end_bfd(&mut self, now: Now) {
        if let Some(sessions) = &mut self.bgp.bfd.sessions {
            sessions.admin_down(now.mono);
            self.after_bfd(now);
        }
    }

    /// Takes a datagram. Gives whether a session is not as it was.
    pub(super) fn handle_bfd(&mut self, arrival: &Arrival, bytes: &[u8], now: Now) -> bool {
        let was = self.bgp.bfd.state(arrival.remote);
        let Some(sessions) = &mut self.bgp.bfd.sessions else { return false };
        sessions.handle_packet(arrival, bytes, now.mono);
        self.after_bfd(now);
        was != self.bgp.bfd.state(arrival.remote)
    }

    /// Does what is due.
    pub(super) fn handle_bfd_timeout(&mut self, now: Now) {
        let Some(sessions) = &mut self.bgp.bfd.sessions else { return };
        if sessions.poll_timeout().is_none_or(|at| now.mono < at) {
            return;
        }
        sessions.handle_timeout(now.mono);
        self.after_bfd(now);
        // What that led to may have had others watched.
        let Some(sessions) = &self.bgp.bfd.sessions else { return };
        let left: BTreeSet<IpAddr> = sessions.addresses().collect();
        let mut open = self.bgp.bfd.open.clone();
        open.retain(|address, _| left.contains(address));
        self.open_for(open);
    }

    /// Watches who has come up out of a range, and no more who is forgotten.
    pub(super) fn watch_arrivals(&mut self, now: Now) {
        let Some(speaker) = &mut self.bgp.speaker else { return };
        if !speaker.take_arrived() || self.bgp.is_leaving() {
            return;
        }
        let Some(tenant) = self.wanted().map(|wanted| wanted.served().clone()) else { return };
        if ranges_watched(&tenant).next().is_some() {
            self.watch_neighbors(&tenant, now);
        }
    }

    /// Brings up what the sessions have, and acts on what they found.
    fn after_bfd(&mut self, now: Now) {
        while let Some(output) = self.bgp.bfd.sessions.as_mut().and_then(Sessions::poll_output) {
            match output {
                bfd::Output::Send(to, bytes) => {
                    let action = BfdAction::Send(to, bytes);
                    self.outputs.push_back(Output::Bfd(self.name.clone(), action));
                }
                bfd::Output::Event(address, event) => self.handle_bfd_event(address, event, now),
            }
        }
    }

    fn handle_bfd_event(&mut self, address: IpAddr, event: Event, now: Now) {
        let Some(name) = self.bgp.bfd.names.get(&address).cloned() else { return };
        let (reason, why) = match event {
            Event::Up => (EventReason::BfdUp, "BFD is up".to_owned()),
            Event::Down { reason, .. } => (EventReason::BfdDown, why(reason)),
        };
        self.history.push(reason, None, format!("{name}: {why}"), now.wall);
        match event {
            Event::Up | Event::Down { reason: DownReason::NeighborAdminDown, .. } => {}
            Event::Down {
                reason: DownReason::DetectionTimeExpired | DownReason::NeighborDown(_),
                control_plane_independent,
            } => {
                if let Some(speaker) = &mut self.bgp.speaker {
                    speaker.bfd_down(&name, control_plane_independent, now.mono);
                    self.after_bgp(now);
                }
            }
        }
    }
}

/// Why a session is down, for a person.
fn why(reason: DownReason) -> String {
    match reason {
        DownReason::DetectionTimeExpired => "nothing is heard of it".to_owned(),
        DownReason::NeighborDown(diagnostic) => format!("it says that it is down ({diagnostic})"),
        DownReason::NeighborAdminDown => "its BFD was taken down there".to_owned(),
    }
}

/// The ranges out of which neighbors are to be watched, by name.
fn ranges_watched(tenant: &Tenant) -> impl Iterator<Item = &str> {
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let ranges = neighbors.filter(|it| it.bfd && it.address().is_none());
    ranges.map(|range| range.name.as_str())
}

/// The neighbors that are to be watched, by their addresses.
fn watched(
    tenant: &Tenant,
    speaker: Option<&Speaker>,
) -> BTreeMap<IpAddr, (NeighborName, Endpoint)> {
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let asked: Vec<IpAddr> =
        neighbors.filter(|it| it.bfd).filter_map(BgpNeighbor::address).collect();
    let is_asked = |name: &NeighborName, endpoint: &Endpoint| match name {
        NeighborName::Fabric(_) => asked.contains(&endpoint.address),
        NeighborName::Dynamic { .. } | NeighborName::Reflector(_) | NeighborName::Site(_) => false,
    };
    let ranges: Vec<&str> = ranges_watched(tenant).collect();
    let of_range = |name: &NeighborName| name.range().is_some_and(|range| ranges.contains(&range));
    let arrivals = speaker.into_iter().flat_map(Speaker::arrivals);
    let arrivals = arrivals.filter(|(name, _)| of_range(name));
    let all = endpoints(tenant).into_iter().filter(|(name, endpoint)| is_asked(name, endpoint));
    let all = all.chain(arrivals.map(|(name, endpoint)| (name.clone(), endpoint.clone())));
    all.map(|(name, endpoint)| (endpoint.address, (name, endpoint))).collect()
}

fn settings(endpoint: &Endpoint) -> Settings {
    let minimum_ttl = match (endpoint.on_link, endpoint.ttl_security) {
        (true, _) => MAXIMUM_TTL,
        (false, Some(hops)) => MAXIMUM_TTL - hops.saturating_sub(1),
        (false, None) => 1,
    };
    Settings { hops: hops(endpoint), minimum_ttl, timing: Timing::default() }
}

const fn hops(endpoint: &Endpoint) -> Hops {
    if endpoint.on_link { Hops::Single } else { Hops::Multiple }
}

fn sockets(tenant: &Tenant, endpoint: &Endpoint, source_port: u16) -> BfdEndpoint {
    let own = tenant.fabric.addresses.iter().map(|own| own.address());
    let same: Vec<IpAddr> = own.filter(|own| own.is_ipv4() == endpoint.address.is_ipv4()).collect();
    let any = match endpoint.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let at = match endpoint.local {
        Some(local) => vec![local],
        // A pod's own addresses are in no document.
        None if same.is_empty() => vec![any],
        None => same,
    };
    BfdEndpoint { hops: hops(endpoint), at, local: endpoint.local, source_port }
}
