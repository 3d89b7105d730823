//! How a tenant's sites are, from what its device tells.
//!
//! Each sample is judged by [`crate::wireguard`]; this keeps the state, since
//! when, and what follows from it: which sites cannot carry packets (so that a
//! backup takes over) and which key its customer uses.

use super::leg::LegHealth;
use crate::model::{Attachment, Site, Tenant, WireGuardPeer};
use crate::net::{Now, PublicKey, SiteName, Timestamp};
use crate::reconcile::{Device, LegSample, vlan_link};
use crate::status::{Count, EventReason, History, SiteReason, SiteSnapshot, SiteState};
use crate::wireguard::{DeviceConfig, Health, PeerSample, Sample};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// How one site is.
#[derive(Clone, Debug)]
struct SiteStanding {
    state: SiteState,
    reason: SiteReason,
    since: Timestamp,
    /// The key that shook hands last.
    key: Option<PublicKey>,
    sample: PeerSample,
    health: Health,
    /// Of a site on a VLAN.
    leg: LegHealth,
    /// How it is without regard to probes.
    attached: (SiteState, SiteReason),
    is_vlan: bool,
    /// Why no device of its answers, when none does.
    lost: Option<Lost>,
    /// Its attachment came up, and its probes have not been told.
    has_come_up: bool,
}

/// What is known of a site no device of which answers.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Why, for a person.
    pub(super) why: String,
    /// So an earlier process left it, and its attachment has not been up since.
    pub(super) is_remembered: bool,
}

impl SiteStanding {
    /// Comes into a state, or stays in it, and remembers since when.
    fn enter(
        &mut self,
        name: &SiteName,
        attached: (SiteState, SiteReason),
        history: &mut History,
        now: Now,
    ) {
        let (before, _) = std::mem::replace(&mut self.attached, attached);
        if !before.is_usable() && attached.0.is_usable() {
            // What was lost while nothing could pass says nothing about what is behind;
            // what an earlier process had lost was lost while something could.
            self.lost.take_if(|lost| !std::mem::take(&mut lost.is_remembered));
            self.has_come_up = true;
        }
        let (state, reason) = self.judge();
        self.reason = reason;
        if self.state != state {
            let message = format!("{} → {state}: {}", self.state, self.message());
            history.push(EventReason::SiteStateChanged, Some(name.clone()), message, now.wall);
            self.state = state;
            self.since = now.wall;
        }
    }

    /// How it is, and why. Its devices' silence counts while its attachment is up: a
    /// tunnel then carries packets to nobody, and a VLAN counts as down.
    fn judge(&self) -> (SiteState, SiteReason) {
        let (state, _) = self.attached;
        match &self.lost {
            Some(_) if state.is_usable() && self.is_vlan => {
                (SiteState::Down, SiteReason::ProbesLost)
            }
            Some(_) if state.is_usable() => (SiteState::Blackholed, SiteReason::ProbesLost),
            Some(_) | None => self.attached,
        }
    }

    /// Why, for a person.
    fn message(&self) -> String {
        match &self.lost {
            Some(lost) if self.reason == SiteReason::ProbesLost => {
                format!("{} {}.", self.reason.message(), lost.why)
            }
            Some(_) | None => self.reason.message().to_owned(),
        }
    }

    /// Whether it may carry packets, for all that is known.
    fn is_serving(&self) -> bool {
        let is_left_lost = self.lost.as_ref().is_some_and(|lost| lost.is_remembered);
        !is_left_lost && !matches!(self.state, SiteState::Down | SiteState::Blackholed)
    }
}

/// How the sites of one tenant are.
#[derive(Debug, Default)]
pub(super) struct Sites {
    standings: BTreeMap<SiteName, SiteStanding>,
    unusable: BTreeSet<SiteName>,
    endpoints: BTreeMap<PublicKey, SocketAddr>,
    drops: BTreeMap<&'static str, u64>,
    last_initiation: Timestamp,
}

impl Sites {
    /// Forgets sites that are no longer asked for and takes up new ones.
    pub(super) fn handle_config(&mut self, tenant: &Tenant, now: Now) {
        self.standings.retain(|name, _| tenant.sites.contains_key(name));
        self.unusable.retain(|name| tenant.sites.contains_key(name));
        let keys: BTreeSet<PublicKey> = super::device::wireguard_sites(tenant)
            .flat_map(|(_, peer)| peer.public_keys())
            .collect();
        self.endpoints.retain(|key, _| keys.contains(key));
        for (name, site) in &tenant.sites {
            let standing = self.standings.entry(name.clone()).or_insert_with(|| SiteStanding {
                state: SiteState::NeverConnected,
                reason: SiteReason::Starting,
                since: now.wall,
                key: None,
                sample: PeerSample::default(),
                health: Health::default(),
                leg: LegHealth::default(),
                attached: (SiteState::NeverConnected, SiteReason::Starting),
                is_vlan: false,
                lost: None,
                has_come_up: false,
            });
            standing.is_vlan = vlan_link(site).is_some();
        }
    }

    /// Takes how the tenant's device is, which was told to be `device`. True when
    /// it follows that the device should be another. `unresolved` says of a peer
    /// whether its endpoint's name has no address.
    pub(super) fn handle_sample(
        &mut self,
        tenant: &Tenant,
        device: Option<&DeviceConfig>,
        sample: Sample,
        unresolved: impl Fn(&WireGuardPeer) -> bool,
        history: &mut History,
        now: Now,
    ) -> bool {
        self.last_initiation = self.last_initiation.max(sample.last_initiation);
        self.drops = sample.drops;
        let mut changed = false;
        for (site, peer) in super::device::wireguard_sites(tenant) {
            let (key, peer_sample) = current_peer(peer, &sample.peers);
            let Some(standing) = self.standings.get_mut(&site.name) else { continue };
            if let (Some(before), Some(after)) = (standing.sample.endpoint, peer_sample.endpoint)
                && before != after
            {
                let message = format!("from {before} to {after}");
                history.push(
                    EventReason::EndpointMoved,
                    Some(site.name.clone()),
                    message,
                    now.wall,
                );
            }
            if let Some(endpoint) =
                peer_sample.endpoint.filter(|_| peer_sample.last_received.is_some())
            {
                self.endpoints.insert(key, endpoint);
            }
            if standing.key != Some(key) {
                standing.health = Health::default();
            }
            if let Some(config) = device.and_then(|device| device.peers.get(&key)) {
                standing.health.configure(config);
            }
            standing.health.handle_sample(&peer_sample);
            standing.sample = peer_sample;
            standing.key = Some(key);
            let (state, mut reason) = state_of(&standing.health, now);
            let is_heard = reason == SiteReason::HandshakeUnconfirmed;
            if state == SiteState::NeverConnected && !is_heard && unresolved(peer) {
                reason = SiteReason::EndpointUnresolved;
            }
            standing.enter(&site.name, (state, reason), history, now);
            changed |= put(&mut self.unusable, &site.name, !standing.is_serving());
        }
        changed
    }

    /// Takes how the tenant's VLANs are. True when it follows that another site
    /// has to take over, or may no longer.
    pub(super) fn handle_legs(
        &mut self,
        tenant: &Tenant,
        samples: &BTreeMap<Device, LegSample>,
        history: &mut History,
        now: Now,
    ) -> bool {
        let mut changed = false;
        for (name, site) in &tenant.sites {
            let (Some(link), Some(standing)) = (vlan_link(site), self.standings.get_mut(name))
            else {
                continue;
            };
            standing.leg.handle_sample(samples.get(&link), now);
            let judged = standing.leg.judge(now);
            standing.enter(name, judged, history, now);
            changed |= put(&mut self.unusable, name, !standing.is_serving());
        }
        changed
    }

    /// Takes what a site's probes say: why no device of its answers, when none does.
    /// True when it follows that another site has to take over, or may no longer.
    pub(super) fn handle_probes(
        &mut self,
        name: &SiteName,
        lost: Option<Lost>,
        history: &mut History,
        now: Now,
    ) -> bool {
        let Some(standing) = self.standings.get_mut(name) else { return false };
        standing.lost = lost;
        standing.enter(name, standing.attached, history, now);
        put(&mut self.unusable, name, !standing.is_serving())
    }

    /// The sites that do not serve for what their probes say, now or when an earlier
    /// process ended.
    pub(super) fn lost(&self) -> impl Iterator<Item = &SiteName> {
        let is_lost = |standing: &SiteStanding| {
            let is_remembered = standing.lost.as_ref().is_some_and(|lost| lost.is_remembered);
            is_remembered || standing.reason == SiteReason::ProbesLost
        };
        self.standings.iter().filter(move |(_, standing)| is_lost(standing)).map(|(name, _)| name)
    }

    /// The sites whose attachments came up since this was last asked.
    pub(super) fn take_come_up(&mut self) -> Vec<SiteName> {
        let all = self.standings.iter_mut();
        let come_up = all.filter_map(|(name, standing)| {
            std::mem::take(&mut standing.has_come_up).then(|| name.clone())
        });
        come_up.collect()
    }

    /// How a site is, as its samples say.
    pub(super) fn state(&self, site: &SiteName) -> Option<SiteState> {
        self.standings.get(site).map(|standing| standing.state)
    }

    /// The sites that cannot carry packets.
    pub(super) const fn unusable(&self) -> &BTreeSet<SiteName> {
        &self.unusable
    }

    /// Whether the customer knows the gateway by its next key; `None` before its first
    /// handshake.
    pub(super) fn uses_next_key(&self, site: &Site) -> Option<bool> {
        let sample = &self.standings.get(&site.name)?.sample;
        sample.last_handshake.map(|_| sample.by_next_key)
    }

    /// Whether the customer has the next preshared key; `None` before its first handshake.
    pub(super) fn uses_next_preshared_key(
        &self,
        site: &Site,
        peer: &WireGuardPeer,
    ) -> Option<bool> {
        let standing = self.standings.get(&site.name)?;
        standing.sample.last_handshake?;
        // It is the next key's, where there is one.
        let by_key = peer.next_public_key.map(|next| standing.key == Some(next));
        Some(by_key.unwrap_or(standing.sample.by_next_preshared_key))
    }

    /// Where each peer was last heard.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (PublicKey, SocketAddr)> {
        self.endpoints.iter().map(|(key, endpoint)| (*key, *endpoint))
    }

    /// Packets the device dropped, by reason; reasons that never came up left out.
    pub(super) fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.drops.iter().map(|(reason, packets)| (*reason, *packets))
    }

    /// The latest handshake stamp the device has sent.
    pub(super) const fn last_initiation(&self) -> Timestamp {
        self.last_initiation
    }

    /// Writes how `site` is into its snapshot.
    pub(super) fn describe(&self, site: &Site, snapshot: &mut SiteSnapshot) {
        let Some(standing) = self.standings.get(&site.name) else { return };
        let sample = &standing.sample;
        snapshot.state = standing.state;
        snapshot.reason = standing.reason;
        snapshot.message = standing.message();
        snapshot.since = standing.since;
        snapshot.public_key = match &site.attachment {
            Attachment::WireGuard(peer) => Some(standing.key.unwrap_or(peer.public_key)),
            Attachment::Vlan(_) => None,
        };
        if let Some(link) = vlan_link(site) {
            snapshot.link = Some(link.to_string());
            snapshot.last_received_time = standing.leg.answered();
            if let Some(sample) = standing.leg.sample() {
                snapshot.received_bytes = Count(sample.received_bytes);
                snapshot.sent_bytes = Count(sample.sent_bytes);
                snapshot.received_packets = Some(Count(sample.received_packets));
                snapshot.sent_packets = Some(Count(sample.sent_packets));
            }
            return;
        }
        snapshot.endpoint = sample.endpoint;
        snapshot.last_handshake_time = sample.last_handshake;
        snapshot.last_received_time = sample.last_received;
        snapshot.last_sent_time = sample.last_sent;
        snapshot.received_bytes = Count(sample.received_bytes);
        snapshot.sent_bytes = Count(sample.sent_bytes);
        snapshot.received_packets = sample.received_packets.map(Count);
        snapshot.sent_packets = sample.sent_packets.map(Count);
        snapshot.handshakes = Count(sample.handshakes);
        snapshot.handshake_timeouts = Count(sample.handshake_timeouts);
    }
}

/// The peer that is in use: of the site's two keys the one that shook hands last.
fn current_peer(
    peer: &WireGuardPeer,
    samples: &BTreeMap<PublicKey, PeerSample>,
) -> (PublicKey, PeerSample) {
    let of = |key: PublicKey| (key, samples.get(&key).copied().unwrap_or_default());
    let first = of(peer.public_key);
    match peer.next_public_key.map(of) {
        Some(next) if next.1.last_handshake > first.1.last_handshake => next,
        Some(_) | None => first,
    }
}

/// Puts `name` in the set or takes it out; true when that was a change.
fn put(set: &mut BTreeSet<SiteName>, name: &SiteName, present: bool) -> bool {
    if present { set.insert(name.clone()) } else { set.remove(name) }
}

/// The state in the words every attachment shares, and why.
fn state_of(health: &Health, now: Now) -> (SiteState, SiteReason) {
    let (state, reason) = health.judge(now.wall);
    (state.into(), reason.into())
}
