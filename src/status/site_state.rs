//! How a site is, in one word, and why.
//!
//! The judgement is made where the samples are ([`crate::wireguard`] for
//! tunnels); this is the vocabulary it is given in, and the order of urgency
//! in which it is shown.

use crate::wireguard::{PeerReason, PeerState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a site is. Written as its name in every view.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum SiteState {
    /// Nothing authentic was ever received from it.
    #[default]
    NeverConnected,
    /// Traffic can pass both ways, as far as this end can know.
    Up,
    /// It worked, has been silent for longer than a session lives, and nothing
    /// was sent to it that it would have had to answer.
    Stale,
    /// The tunnel stands, we send, and nothing comes back.
    Blackholed,
    /// It worked before and does not now.
    Down,
}

impl SiteState {
    /// Every state, most urgent first.
    pub const ALL: [Self; 5] =
        [Self::Down, Self::Blackholed, Self::NeverConnected, Self::Stale, Self::Up];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverConnected => "NeverConnected",
            Self::Up => "Up",
            Self::Stale => "Stale",
            Self::Blackholed => "Blackholed",
            Self::Down => "Down",
        }
    }

    /// One character that tells it from the others without colour.
    pub const fn icon(self) -> char {
        match self {
            Self::NeverConnected => '○',
            Self::Up => '●',
            Self::Stale => '◐',
            Self::Blackholed => '◍',
            Self::Down => '✖',
        }
    }

    /// How urgent it is to look: 0 for [`SiteState::Up`], 4 for [`SiteState::Down`].
    pub const fn urgency(self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Stale => 1,
            Self::NeverConnected => 2,
            Self::Blackholed => 3,
            Self::Down => 4,
        }
    }

    /// Whether packets can be expected to arrive. A stale tunnel does, after
    /// one handshake.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Up | Self::Stale)
    }
}

impl fmt::Display for SiteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a site is in its state. Written in snake_case in every view.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SiteReason {
    /// Never connected: nothing was heard or tried yet, the gateway having just
    /// started.
    #[default]
    Starting,
    /// Never connected: no endpoint is configured, so the customer has to begin.
    WaitingForCustomer,
    /// Never connected: we send initiations and no answer comes. The endpoint,
    /// the keys or a firewall on the way are wrong.
    HandshakeUnanswered,
    /// Never connected: the customer's initiations come and are answered, and
    /// the answers are not believed or do not arrive.
    HandshakeUnconfirmed,
    /// Never connected: the DNS name of its endpoint has no address that may be
    /// dialled.
    EndpointUnresolved,
    /// Up: a session is alive and something was received in its time.
    SessionAlive,
    /// Stale: the last session has run out (180 s, WireGuard paper §6.1) and
    /// neither side had anything to send.
    SessionExpired,
    /// Blackholed: we send data, and nothing comes back.
    NoReply,
    /// Down: it was connected, and no handshake completes any more.
    HandshakeTimeout,
    /// Down or never connected: it or its tenant could not be programmed.
    NotProgrammed,
    /// Up: its VLAN has carrier and the next hop answers.
    NextHopReachable,
    /// Down: its link has no carrier.
    LinkDown,
    /// Down: its link is not there.
    LinkMissing,
    /// Stale: the next hop has not answered lately and is being asked.
    NextHopSilent,
    /// Down or never connected: the next hop does not answer.
    NextHopUnreachable,
    /// Blackholed, or Down on a VLAN: it is up, and none of its devices answers probes.
    ProbesLost,
}

impl SiteReason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::Starting,
        Self::WaitingForCustomer,
        Self::HandshakeUnanswered,
        Self::HandshakeUnconfirmed,
        Self::EndpointUnresolved,
        Self::SessionAlive,
        Self::SessionExpired,
        Self::NoReply,
        Self::HandshakeTimeout,
        Self::NotProgrammed,
        Self::NextHopReachable,
        Self::LinkDown,
        Self::LinkMissing,
        Self::NextHopSilent,
        Self::NextHopUnreachable,
        Self::ProbesLost,
    ];

    /// Its name in snake_case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::WaitingForCustomer => "waiting_for_customer",
            Self::HandshakeUnanswered => "handshake_unanswered",
            Self::HandshakeUnconfirmed => "handshake_unconfirmed",
            Self::EndpointUnresolved => "endpoint_unresolved",
            Self::SessionAlive => "session_alive",
            Self::SessionExpired => "session_expired",
            Self::NoReply => "no_reply",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NotProgrammed => "not_programmed",
            Self::NextHopReachable => "next_hop_reachable",
            Self::LinkDown => "link_down",
            Self::LinkMissing => "link_missing",
            Self::NextHopSilent => "next_hop_silent",
            Self::NextHopUnreachable => "next_hop_unreachable",
            Self::ProbesLost => "probes_lost",
        }
    }

    /// What it means and what to look at, as one sentence for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Starting => "The gateway has just started and has not heard from the site yet.",
            Self::WaitingForCustomer => {
                "No endpoint is configured, so the customer's router has to begin; nothing has come from it."
            }
            Self::HandshakeUnanswered => {
                "Handshakes are sent and not answered: check the endpoint, both public keys, the preshared key, and firewalls for UDP."
            }
            Self::HandshakeUnconfirmed => {
                "The customer's handshakes come and are answered, and never complete: check the preshared key on both ends, and firewalls for UDP on the way back."
            }
            Self::EndpointUnresolved => {
                "The endpoint's DNS name has no address, or only such as may not be dialled: this machine's own, nobody's, or what its class forbids."
            }
            Self::SessionAlive => "A session is alive and the site is heard.",
            Self::SessionExpired => {
                "No traffic for more than three minutes; the next packet opens a new session."
            }
            Self::NoReply => {
                "Packets are sent and nothing comes back: the customer's router may have lost its routes, its key or its uplink."
            }
            Self::HandshakeTimeout => "It was connected; handshakes are no longer answered.",
            Self::NotProgrammed => "It or its tenant could not be programmed; see the conditions.",
            Self::NextHopReachable => "The link has carrier and the customer's router answers.",
            Self::LinkDown => {
                "The VLAN has no carrier: its trunk is down, or unplugged at the other end."
            }
            Self::LinkMissing => "The VLAN's link is not there; see the conditions.",
            Self::NextHopSilent => "The customer's router answered before and has not lately.",
            Self::NextHopUnreachable => {
                "The customer's router does not answer ARP or neighbour discovery on the VLAN: check the tag on both ends, its address, and that it is on."
            }
            Self::ProbesLost => {
                "The attachment is up, and no device behind it answers a probe: look at the customer's network, and whether it has a way back to our address in the tunnel or on the VLAN."
            }
        }
    }
}

impl fmt::Display for SiteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<PeerState> for SiteState {
    fn from(state: PeerState) -> Self {
        match state {
            PeerState::NeverConnected => Self::NeverConnected,
            PeerState::Up => Self::Up,
            PeerState::Stale => Self::Stale,
            PeerState::Blackholed => Self::Blackholed,
            PeerState::Down => Self::Down,
        }
    }
}

impl From<PeerReason> for SiteReason {
    fn from(reason: PeerReason) -> Self {
        match reason {
            PeerReason::Starting => Self::Starting,
            PeerReason::WaitingForCustomer => Self::WaitingForCustomer,
            PeerReason::HandshakeUnanswered => Self::HandshakeUnanswered,
            PeerReason::HandshakeUnconfirmed => Self::HandshakeUnconfirmed,
            PeerReason::SessionAlive => Self::SessionAlive,
            PeerReason::SessionExpired => Self::SessionExpired,
            PeerReason::NoReply => Self::NoReply,
            PeerReason::HandshakeTimeout => Self::HandshakeTimeout,
        }
    }
}
