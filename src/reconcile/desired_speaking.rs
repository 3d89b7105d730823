//! The rules of what we ourselves speak with configured neighbors: BGP, and BFD that
//! watches it.
//!
//! None of it is tracked. A tenant has one table of conversations, which its customers
//! share: one who fills it would keep a session from coming up, and take down one that
//! BFD watches, whose packets are never answered and so the first to be forgotten.
//! That no conversation has to be known lets nobody in: it is a neighbor's address, on
//! that neighbor's link, to or from the port of BGP, and what comes from that port
//! cannot begin a connection.

use super::desired_sets::watched_neighbors;
use super::desired_words::{SetOf, accept, membership, rule};
use super::{Device, Family, Icmp, List, Match, Rule, Transport, Verdict};
use crate::model::{Ports, Tenant};
use crate::net::Prefix;
use std::collections::BTreeSet;

/// Where BGP listens (RFC 4271 §8.2.1).
const BGP: Ports = Ports { first: 179, last: 179 };

/// Where BFD listens for neighbors on a link (RFC 5881 §4), and for those that are
/// routers away (RFC 5883 §5).
const BFD: Ports = Ports { first: 3_784, last: 3_784 };
const BFD_MULTIHOP: Ports = Ports { first: 4_784, last: 4_784 };

/// The neighbors on one link.
pub(super) struct Speaking<'a> {
    pub(super) link: &'a Device,
    pub(super) neighbors: SetOf,
    /// Our addresses there; `None` where they are in no document.
    pub(super) own: Option<SetOf>,
    /// Whose ICMP errors about it are believed.
    pub(super) routers: SetOf,
    /// Where BFD listens for those of them that it watches; may be nowhere.
    pub(super) watched: Vec<Ports>,
}

impl Speaking<'_> {
    /// Before connection tracking sees what they say.
    pub(super) fn heard(&self, family: Family) -> impl Iterator<Item = Rule> {
        self.to_us(family).into_iter().map(|it| rule(it, Verdict::Untrack))
    }

    /// As it is given to us.
    pub(super) fn taken(&self, family: Family) -> impl Iterator<Item = Rule> {
        let iif = || Match::Iif(self.link.clone());
        let to_us = self.to_us(family).into_iter();
        to_us.map(move |it| accept([iif()].into_iter().chain(it)))
    }

    /// Errors about BGP that we sent: to tracking they fit no conversation. Which
    /// connection they are of, and whether it has sent that, TCP asks itself (RFC 5927
    /// §4), and for what no connection sent it remembers nothing.
    pub(super) fn errors(&self, family: Family) -> Option<Rule> {
        let (list, leg) = self.routers.clone();
        Some(accept([
            Match::Iif(self.link.clone()),
            Match::Source(membership(list, leg, family, true)),
            self.own(family)?,
            Match::Icmp(family, Icmp::Errors),
            Match::Quotes(family, Transport::Tcp),
        ]))
    }

    /// As we say it, before connection tracking sees it.
    pub(super) fn said(&self, family: Family) -> Vec<Rule> {
        let (list, leg) = &self.neighbors;
        let to = |list| Match::Destination(membership(list, leg.clone(), family, true));
        let tcp = |ports| vec![to(*list), Match::Transport(Transport::Tcp), ports];
        let mut said =
            vec![tcp(Match::DestinationPorts(vec![BGP])), tcp(Match::SourcePorts(vec![BGP]))];
        said.extend(self.bfd().map(|bfd| [&[to(List::BfdNeighbors)], &bfd[..]].concat()));
        let oif = || Match::Oif(self.link.clone());
        let said = said.into_iter();
        said.map(|it| rule([oif()].into_iter().chain(it), Verdict::Untrack)).collect()
    }

    /// What neighbors may send us: to where we listen, and on connections to where they
    /// do.
    fn to_us(&self, family: Family) -> Vec<Vec<Match>> {
        let own = self.own(family).unwrap_or(Match::Local);
        let (list, leg) = &self.neighbors;
        let from = |list| Match::Source(membership(list, leg.clone(), family, true));
        let begins = vec![
            from(*list),
            own.clone(),
            Match::Transport(Transport::Tcp),
            Match::DestinationPorts(vec![BGP]),
        ];
        let goes_on = vec![
            from(*list),
            own.clone(),
            Match::Transport(Transport::Tcp),
            Match::SourcePorts(vec![BGP]),
            Match::Begun,
        ];
        let bfd = self.bfd().map(|bfd| [&[from(List::BfdNeighbors), own][..], &bfd].concat());
        [begins, goes_on].into_iter().chain(bfd).collect()
    }

    fn own(&self, family: Family) -> Option<Match> {
        let (list, leg) = self.own.clone()?;
        Some(Match::Destination(membership(list, leg, family, true)))
    }

    fn bfd(&self) -> Option<[Match; 2]> {
        let ports = Match::DestinationPorts(self.watched.clone());
        (!self.watched.is_empty()).then_some([Match::Transport(Transport::Udp), ports])
    }
}

/// Where BFD listens for the fabric's neighbors that it watches.
pub(super) fn watched_ports(tenant: &Tenant) -> Vec<Ports> {
    let on_link = |neighbor: Prefix| {
        let mut own = tenant.fabric.addresses.iter();
        own.any(|own| own.network().covers(neighbor))
    };
    let ports: BTreeSet<Ports> = watched_neighbors(tenant)
        .map(|neighbor| if on_link(neighbor) { BFD } else { BFD_MULTIHOP })
        .collect();
    ports.into_iter().collect()
}
