//! The text of a rule, both ways.
//!
//! It is stored as the nft rule's comment, which the kernel limits to 128
//! bytes, so it is terse: `iif lg-wg oif ens5 tcp dport 22,830 accept`.
//! Reading never panics: comments are anyone's to write.

use super::rule::{Conntrack, Icmp, Match, Membership, Rule, Side, Transport, Verdict};
use super::{Device, Family};
use crate::model::Ports;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            write!(f, "{condition} ")?;
        }
        write!(f, "{}", self.verdict)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iif(device) => write!(f, "iif {device}"),
            Self::FromElsewhere => f.write_str("iif!= legs"),
            Self::Oif(device) => write!(f, "oif {device}"),
            Self::ToElsewhere => f.write_str("oif!= legs"),
            Self::Source(Membership { set, inside: true }) => write!(f, "src @{set}"),
            Self::Source(Membership { set, inside: false }) => write!(f, "src!= @{set}"),
            Self::Destination(Membership { set, inside: true }) => write!(f, "dst @{set}"),
            Self::Destination(Membership { set, inside: false }) => write!(f, "dst!= @{set}"),
            Self::Local => f.write_str("local"),
            Self::Ipip => f.write_str("ipip"),
            Self::Transport(transport) => write!(f, "{transport}"),
            Self::SourcePorts(ports) => write!(f, "sport {}", PortList(ports)),
            Self::DestinationPorts(ports) => write!(f, "dport {}", PortList(ports)),
            Self::Syn => f.write_str("syn"),
            Self::Begun => f.write_str("begun"),
            Self::Quotes(family, transport) => write!(f, "quotes{family} {transport}"),
            Self::Icmp(family, icmp) => write!(f, "icmp{family} {}", icmp.word()),
            Self::FromLink => f.write_str("hoplimit 255"),
            Self::Conntrack(conntrack) => write!(f, "ct {}", conntrack.word()),
            Self::Rate(rate) => write!(f, "rate {rate}/s"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Site(Side::Source, family) => write!(f, "site src{family}"),
            Self::Site(Side::Destination, family) => write!(f, "site dst{family}"),
            Self::Drop(reason) => write!(f, "drop {reason}"),
            Self::Untrack => f.write_str("untrack"),
            Self::Meet(set) => write!(f, "meet @{set}"),
            Self::ClampMss => f.write_str("clamp-mss"),
            Self::Foreign => f.write_str("foreign"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sctp => "sctp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `22,830,5000-5999`.
struct PortList<'a>(&'a [Ports]);

impl fmt::Display for PortList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Ports { first, last }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{first}")?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

impl Icmp {
    const ALL: [Self; 7] = [
        Self::Echo,
        Self::EchoReply,
        Self::Errors,
        Self::Neighbor,
        Self::Solicitation,
        Self::Advertisement,
        Self::Listener,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::EchoReply => "echo-reply",
            Self::Errors => "errors",
            Self::Neighbor => "neighbor",
            Self::Solicitation => "solicit",
            Self::Advertisement => "advert",
            Self::Listener => "listener",
        }
    }

    /// The message types, as on the wire. Empty where the family has none.
    pub const fn types(self, family: Family) -> &'static [u8] {
        match (family, self) {
            (Family::V4, Self::Echo) => &[8],
            (Family::V4, Self::EchoReply) => &[0],
            (Family::V4, Self::Errors) => &[3, 11, 12],
            (
                Family::V4,
                Self::Neighbor | Self::Solicitation | Self::Advertisement | Self::Listener,
            ) => &[],
            (Family::V6, Self::Echo) => &[128],
            (Family::V6, Self::EchoReply) => &[129],
            (Family::V6, Self::Errors) => &[1, 2, 3, 4],
            (Family::V6, Self::Neighbor) => &[135, 136],
            (Family::V6, Self::Solicitation) => &[135],
            (Family::V6, Self::Advertisement) => &[136],
            (Family::V6, Self::Listener) => &[131, 143],
        }
    }
}

impl Conntrack {
    const ALL: [Self; 4] = [Self::Established, Self::Invalid, Self::Related, Self::Reply];

    const fn word(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Invalid => "invalid",
            Self::Related => "related",
            Self::Reply => "reply",
        }
    }
}

/// Why a text is not a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It ends before it says what happens.
    #[error("has no verdict")]
    NoVerdict,
    /// A word is not one of ours, or not where it may stand.
    #[error("does not go on with `{0}`")]
    Word(String),
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut matches = Vec::new();
        let mut words = text.split(' ');
        while let Some(word) = words.next() {
            let unknown = || RuleError::Word(word.to_owned());
            if let Some(verdict) = lone_verdict(word) {
                return match words.next() {
                    None => Ok(Self { matches, verdict }),
                    Some(more) => Err(RuleError::Word(more.to_owned())),
                };
            }
            if let Some(condition) = lone_match(word) {
                matches.push(condition);
                continue;
            }
            let object = words.next().ok_or_else(unknown)?;
            if let Some(verdict) = verdict_of(word, object) {
                return match words.next() {
                    None => Ok(Self { matches, verdict }),
                    Some(more) => Err(RuleError::Word(more.to_owned())),
                };
            }
            matches.push(match_of(word, object).ok_or_else(unknown)?);
        }
        Err(RuleError::NoVerdict)
    }
}

fn lone_verdict(word: &str) -> Option<Verdict> {
    Some(match word {
        "accept" => Verdict::Accept,
        "untrack" => Verdict::Untrack,
        "clamp-mss" => Verdict::ClampMss,
        "foreign" => Verdict::Foreign,
        _ => return None,
    })
}

fn verdict_of(word: &str, object: &str) -> Option<Verdict> {
    Some(match (word, object) {
        ("goto", chain) => Verdict::Goto(chain.parse().ok()?),
        ("meet", set) => Verdict::Meet(set.strip_prefix('@')?.parse().ok()?),
        ("drop", reason) => Verdict::Drop(reason.parse().ok()?),
        ("site", "src4") => Verdict::Site(Side::Source, Family::V4),
        ("site", "src6") => Verdict::Site(Side::Source, Family::V6),
        ("site", "dst4") => Verdict::Site(Side::Destination, Family::V4),
        ("site", "dst6") => Verdict::Site(Side::Destination, Family::V6),
        _ => return None,
    })
}

fn lone_match(word: &str) -> Option<Match> {
    Some(match word {
        "local" => Match::Local,
        "ipip" => Match::Ipip,
        "syn" => Match::Syn,
        "begun" => Match::Begun,
        _ => return transport(word).map(Match::Transport),
    })
}

fn transport(word: &str) -> Option<Transport> {
    Some(match word {
        "sctp" => Transport::Sctp,
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return None,
    })
}

fn match_of(word: &str, object: &str) -> Option<Match> {
    let device = || object.parse::<Device>().ok();
    let member = |inside| Some(Membership { set: object.strip_prefix('@')?.parse().ok()?, inside });
    let icmp = |family| {
        let found = Icmp::ALL.into_iter().find(|icmp| icmp.word() == object)?;
        (!found.types(family).is_empty()).then_some(Match::Icmp(family, found))
    };
    Some(match word {
        "iif" => Match::Iif(device()?),
        "iif!=" if object == "legs" => Match::FromElsewhere,
        "oif" => Match::Oif(device()?),
        "oif!=" if object == "legs" => Match::ToElsewhere,
        "src" => Match::Source(member(true)?),
        "src!=" => Match::Source(member(false)?),
        "dst" => Match::Destination(member(true)?),
        "dst!=" => Match::Destination(member(false)?),
        "sport" => Match::SourcePorts(ports(object)?),
        "dport" => Match::DestinationPorts(ports(object)?),
        "icmp4" => icmp(Family::V4)?,
        "icmp6" => icmp(Family::V6)?,
        "quotes4" => Match::Quotes(Family::V4, transport(object)?),
        "quotes6" => Match::Quotes(Family::V6, transport(object)?),
        "hoplimit" if object == "255" => Match::FromLink,
        "ct" => Match::Conntrack(Conntrack::ALL.into_iter().find(|ct| ct.word() == object)?),
        "rate" => Match::Rate(object.strip_suffix("/s")?.parse().ok()?),
        _ => return None,
    })
}

fn ports(text: &str) -> Option<Vec<Ports>> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Ports { first: first.parse().ok()?, last: last.parse().ok()? })
    };
    text.split(',').map(range).collect()
}
