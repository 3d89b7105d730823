//! Sets of addresses as the fewest prefixes that do not overlap.
//!
//! The kernel's interval sets refuse overlapping elements and may list adjacent
//! ones as one, so both sides are brought to this one form before they are
//! compared.

use crate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family of a network.
    pub fn of_prefix(prefix: Prefix) -> Self {
        Self::of(prefix.address())
    }

    /// The network of all its addresses.
    pub fn everything(self) -> Prefix {
        let address = match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        cut(address, 0)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "4",
            Self::V6 => "6",
        })
    }
}

/// A set of addresses, as the fewest prefixes, none overlapping another.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixSet(BTreeSet<Prefix>);

impl PrefixSet {
    /// The prefixes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Prefix> {
        self.0.iter().copied()
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        // Members do not overlap, so only the last one that begins at or before
        // the address can hold it.
        let mut upto = self.0.range(..=Prefix::host(address));
        upto.next_back().is_some_and(|prefix| prefix.contains(address))
    }

    /// Whether every address of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        // Of the fewest prefixes, one alone has to hold each; and as they do not
        // overlap, that is the last one that begins at or before it.
        other.iter().all(|inner| {
            let mut upto = self.0.range(..=inner);
            upto.next_back().is_some_and(|outer| outer.covers(inner))
        })
    }

    /// What is in it and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let is_left = |prefix: &Prefix| !other.covers(&Self(BTreeSet::from([*prefix])));
        let left = self.iter().filter(is_left).map(|prefix| (prefix, true));
        let holes = other.iter().map(|prefix| (prefix, false));
        let labelled = canonical(left.chain(holes).collect());
        Self(labelled.into_iter().filter_map(|(prefix, is_in)| is_in.then_some(prefix)).collect())
    }

    /// Those of `family` only.
    pub fn of_family(&self, family: Family) -> Self {
        Self(self.iter().filter(|prefix| Family::of_prefix(*prefix) == family).collect())
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let labelled = prefixes.into_iter().map(|prefix| (prefix, ()));
        Self(canonical(labelled.collect()).into_keys().collect())
    }
}

impl fmt::Display for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, prefix) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{prefix}")?;
        }
        Ok(())
    }
}

/// Makes of prefixes with a label, where the longest match counts, the fewest
/// that say the same without overlapping.
pub(super) fn canonical<T: Clone + PartialEq>(
    labelled: BTreeMap<Prefix, T>,
) -> BTreeMap<Prefix, T> {
    let mut done = BTreeMap::new();
    for family in Family::BOTH {
        let inside: Vec<(Prefix, T)> = labelled
            .iter()
            .filter(|(prefix, _)| Family::of_prefix(**prefix) == family)
            .map(|(prefix, label)| (*prefix, label.clone()))
            .collect();
        if let Some(label) = flatten(family.everything(), None, &inside, &mut done) {
            done.insert(family.everything(), label);
        }
    }
    done
}

/// Writes what holds inside `area` to `done`; or, when one label holds for all
/// of it, writes nothing and returns the label.
///
/// `inside` are the prefixes in `area`, in order, so that one that covers others
/// comes before them; `outer` is the label of the longest one around `area`.
fn flatten<T: Clone + PartialEq>(
    area: Prefix,
    outer: Option<&T>,
    inside: &[(Prefix, T)],
    done: &mut BTreeMap<Prefix, T>,
) -> Option<T> {
    let (outer, inside) = match inside.split_first() {
        Some(((prefix, label), rest)) if *prefix == area => (Some(label), rest),
        Some(_) | None => (outer, inside),
    };
    if inside.is_empty() {
        return outer.cloned();
    }
    let Some((low, high)) = halves(area) else {
        // Only next to ::ffff:0:0/96, which has no prefix of its own.
        done.extend(inside.iter().cloned());
        return None;
    };
    let middle = inside.partition_point(|(prefix, _)| prefix.address() < high.address());
    let (low_inside, high_inside) = inside.split_at(middle);
    let in_low = flatten(low, outer, low_inside, done);
    let in_high = flatten(high, outer, high_inside, done);
    match (in_low, in_high) {
        (Some(one), Some(other)) if one == other => return Some(one),
        (one, other) => {
            done.extend(one.map(|label| (low, label)));
            done.extend(other.map(|label| (high, label)));
        }
    }
    None
}

/// The two halves of a network; `None` of one address.
fn halves(prefix: Prefix) -> Option<(Prefix, Prefix)> {
    let length = prefix.length() + 1;
    let low = Prefix::containing_address(prefix.address(), length).ok()?;
    let high = match prefix.address() {
        IpAddr::V4(address) => {
            let bit = 1_u32.checked_shl(32 - u32::from(length))?;
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() | bit))
        }
        IpAddr::V6(address) => {
            let bit = 1_u128.checked_shl(128_u32.checked_sub(u32::from(length))?)?;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() | bit))
        }
    };
    Some((low, Prefix::containing_address(high, length).ok()?))
}

/// The network of `length` bits around `address`, or of the address alone.
fn cut(address: IpAddr, length: u8) -> Prefix {
    Prefix::containing_address(address, length).unwrap_or_else(|_| Prefix::host(address))
}
