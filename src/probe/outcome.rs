//! What became of asking a device once.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// What became of one shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device answered, so long after it was asked.
    Answered(Duration),
    /// It refused the TCP connection (RFC 9293 §3.5.2), or said itself by an ICMP error
    /// that it takes none: the device is there, and does not do what is asked.
    Refused(Duration),
    /// No answer came.
    Lost(Failure),
    /// It was not asked, for want of a thread, a socket or its namespace. That says
    /// nothing about the device.
    Unsent,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was heard in time.
    Timeout,
    /// Somebody on the way, or the kernel here, says that it cannot be reached.
    Unreachable(IcmpError),
    /// There is no route to it here.
    NoRoute,
    /// The kernel's WireGuard has no peer for it, or does not know where that one is.
    NoPeer,
    /// The tenant's own rules let no probe through to it.
    Filtered,
    /// The kernel would not let us ask: for echo requests our group has to be in
    /// `net.ipv4.ping_group_range`.
    NotPermitted,
    /// Something else; the number of the error (`errno`).
    Other(i32),
}

impl Failure {
    /// Its name in snake_case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::NoRoute => "no_route",
            Self::NoPeer => "no_peer",
            Self::Filtered => "filtered",
            Self::NotPermitted => "not_permitted",
            Self::Other(_) => "error",
        }
    }

    /// Whether it says something about the device or the way there, rather than about
    /// us.
    pub const fn is_of_the_way(self) -> bool {
        !matches!(self, Self::NotPermitted | Self::Other(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer"),
            Self::Unreachable(error) => error.fmt(f),
            Self::NoRoute => f.write_str("no route to it here"),
            Self::NoPeer => f.write_str("the tunnel's other end is not known: it has not connected"),
            Self::Filtered => f.write_str("the tenant's own rules let nothing through to it"),
            Self::NotPermitted => f.write_str(
                "the kernel lets us send no echo requests: set net.ipv4.ping_group_range to our group",
            ),
            Self::Other(errno) => write!(f, "error {errno} of the kernel"),
        }
    }
}

/// An ICMP error about what was sent (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Whether it is of ICMP, and not of `ICMPv6`.
    pub is_v4: bool,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Who says so, when that is known.
    pub from: Option<IpAddr>,
}

impl IcmpError {
    /// Whether a host says this of what it was asked for, rather than somebody of the way
    /// to a host: that the protocol or port is not there, or may not be used.
    pub const fn is_refusal(self) -> bool {
        matches!(
            (self.is_v4, self.kind, self.code),
            (true, 3, 2 | 3 | 9 | 10 | 13) | (false, 1, 1 | 4)
        )
    }

    /// What it says.
    const fn meaning(self) -> Option<&'static str> {
        Some(match (self.is_v4, self.kind, self.code) {
            (true, 3, 0 | 6 | 11) | (false, 1, 0) => "network unreachable",
            (true, 3, 1 | 7 | 12) | (false, 1, 3) => "host unreachable",
            (true, 3, 2) => "protocol unreachable",
            (true, 3, 3) | (false, 1, 4) => "port unreachable",
            (true, 3, 4) | (false, 2, _) => "packet too big",
            (true, 3, 9 | 10 | 13) | (false, 1, 1) => "administratively prohibited",
            (false, 1, 2) => "beyond scope of the source address",
            (false, 1, 5) => "source address failed policy",
            (false, 1, 6) => "route rejected",
            (true, 11, _) | (false, 3, _) => "time exceeded",
            _ => return None,
        })
    }
}

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(meaning) => f.write_str(meaning)?,
            None => {
                let name = if self.is_v4 { "ICMP" } else { "ICMPv6" };
                write!(f, "{name} error {}/{}", self.kind, self.code)?;
            }
        }
        match self.from {
            Some(from) => write!(f, ", says {from}"),
            None => Ok(()),
        }
    }
}
