//! What is advertised, and to whom.
//!
//! The fabric is told of the networks of sites that are up, as the applications
//! know them; a site's router is told of the applications. Both are begun here:
//! no route that was learned is an argument of anything in this file.

use super::{Announcement, AsPath, AsSegment, Attributes, Community, Nlri, Origin, Update};
use crate::model::{FabricBgp, Tenant};
use crate::net::{Asn, Prefix, SiteName};
use crate::reconcile::serving;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// LOCAL_PREF towards neighbors of our own AS: the default. It has to stay at or
/// below [`CALICO_NORMAL`](super::CALICO_NORMAL), beyond which a Calico node
/// prefers what it hears to its own workloads' routes.
const LOCAL_PREF: u32 = 100;

/// What a session says of where to send to us: ourselves (RFC 4271 §5.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHopSelf {
    /// For IPv4 networks: our IPv4 address on the session's link or, where the
    /// neighbor takes it (RFC 8950), our IPv6 address.
    pub v4: Option<IpAddr>,
    /// For IPv6 networks: our IPv6 address on the session's link.
    pub v6: Option<IpAddr>,
}

/// Who says it, on one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    /// Our AS.
    pub local_asn: Asn,
    /// Whether the neighbor is of another AS.
    pub external: bool,
    /// Where to send to us.
    pub next_hop: NextHopSelf,
    /// Whether we are about to stop as planned: others are to be used first
    /// (RFC 8326).
    pub stopping: bool,
}

/// What a neighbor is to be told, by network.
pub type Wanted = BTreeMap<Prefix, Arc<Attributes>>;

/// What a router of the fabric is to be told: the networks of the sites in `up`,
/// as far as each serves them.
pub fn wanted_by_fabric(
    tenant: &Tenant,
    bgp: &FabricBgp,
    up: &BTreeSet<SiteName>,
    by: &Exporter,
) -> Wanted {
    let served = serving(tenant);
    let prefixes = served.iter().filter(|(_, site)| up.contains(&site.name));
    let mut attributes = by.attributes();
    attributes.med = bgp.export.med;
    attributes.communities.extend(&bgp.export.communities);
    attributes.large_communities.extend(&bgp.export.large_communities);
    by.wanted(attributes, prefixes.map(|(prefix, _)| *prefix))
}

/// What a site's router is to be told: where the applications are.
pub fn wanted_by_site(tenant: &Tenant, by: &Exporter) -> Wanted {
    by.wanted(by.attributes(), tenant.app_prefixes.iter().copied())
}

impl Exporter {
    fn attributes(&self) -> Attributes {
        let own = AsSegment::Sequence(vec![self.local_asn.value()]);
        Attributes {
            origin: Origin::Igp,
            as_path: AsPath(if self.external { vec![own] } else { Vec::new() }),
            next_hop: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            link_local: None,
            med: None,
            local_pref: (!self.external).then_some(LOCAL_PREF),
            originator_id: None,
            cluster_list: Vec::new(),
            communities: self
                .stopping
                .then_some(Community::GRACEFUL_SHUTDOWN)
                .into_iter()
                .collect(),
            large_communities: Vec::new(),
            extended_communities: Vec::new(),
            otc: None,
        }
    }

    /// Of networks for which there is no next hop nothing is said.
    fn wanted(&self, mut attributes: Attributes, prefixes: impl Iterator<Item = Prefix>) -> Wanted {
        attributes.communities.sort();
        attributes.communities.dedup();
        attributes.large_communities.sort();
        attributes.large_communities.dedup();
        let with = |hop: Option<IpAddr>| {
            hop.map(|next_hop| Arc::new(Attributes { next_hop, ..attributes.clone() }))
        };
        let (v4, v6) = (with(self.next_hop.v4), with(self.next_hop.v6));
        let of = |prefix: Prefix| if prefix.is_v4() { v4.clone() } else { v6.clone() };
        prefixes.filter_map(|prefix| Some((prefix, of(prefix)?))).collect()
    }
}

/// What one neighbor was told in its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdjRibOut {
    sent: Wanted,
    /// Families that are to be said again, by whether they are IPv4.
    again: BTreeSet<bool>,
}

impl AdjRibOut {
    /// What a neighbor that was told nothing knows; so it is when a session begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to say so that the neighbor knows what is `wanted`, taken as said;
    /// `None` when it does. Withdrawals come first: whoever has lost its tunnel
    /// must be told before anything else.
    pub fn update(&mut self, wanted: &Wanted) -> Option<Update> {
        let gone = self.sent.keys().filter(|prefix| !wanted.contains_key(*prefix));
        let withdrawn: Vec<Nlri> = gone.map(|prefix| nlri(*prefix)).collect();
        let mut said: BTreeMap<(bool, Arc<Attributes>), Vec<Nlri>> = BTreeMap::new();
        for (prefix, attributes) in wanted {
            let again = self.again.contains(&prefix.is_v4());
            if again || self.sent.get(prefix) != Some(attributes) {
                let key = (prefix.is_v4(), Arc::clone(attributes));
                said.entry(key).or_default().push(nlri(*prefix));
            }
        }
        self.again.clear();
        if withdrawn.is_empty() && said.is_empty() {
            return None;
        }
        self.sent.clone_from(wanted);
        let announced = said.into_iter();
        let announced = announced.map(|((_, attributes), nlri)| Announcement { attributes, nlri });
        Some(Update { withdrawn, announced: announced.collect() })
    }

    /// Has everything of a family said again, for the neighbor asks for it
    /// (RFC 2918). What was said is not forgotten: it may have to be withdrawn.
    pub fn repeat(&mut self, is_v4: bool) {
        self.again.insert(is_v4);
    }

    /// What was said, by network.
    pub const fn sent(&self) -> &Wanted {
        &self.sent
    }
}

const fn nlri(prefix: Prefix) -> Nlri {
    Nlri { prefix, distinguisher: None, path_id: 0 }
}
