//! What one peer is as a site: its name, its networks, and the tunnel's addresses.

use super::documents::Note;
use super::wg_quick::Peer;
use crate::net::{InterfaceAddress, Prefix, outermost};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Longest name (RFC 1123), less room for `-` and a number.
const MAX_NAME: usize = 58;

/// Names that are given out once, each with the number that is tried next for another
/// that wants it: many peers of one name are not counted through from the start.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, u32>);

impl Names {
    /// A name as near to `wanted` as names can be, or `usual`, that nobody has yet.
    pub(super) fn take(&mut self, wanted: Option<&str>, usual: &str) -> String {
        let wanted = wanted.map(label).filter(|name| !name.is_empty());
        let name = wanted.unwrap_or_else(|| usual.to_owned());
        let Some(mut number) = self.0.get(&name).copied() else {
            self.0.insert(name.clone(), 2);
            return name;
        };
        let free = loop {
            let numbered = format!("{name}-{number}");
            number += 1;
            if !self.0.contains_key(&numbered) {
                break numbered;
            }
        };
        self.0.insert(name, number);
        self.0.insert(free.clone(), 2);
        free
    }
}

/// A letter of Polish without its mark, for a name is of ASCII.
const fn plain(letter: char) -> char {
    match letter {
        'ą' => 'a',
        'ć' => 'c',
        'ę' => 'e',
        'ł' => 'l',
        'ń' => 'n',
        'ó' => 'o',
        'ś' => 's',
        'ź' | 'ż' => 'z',
        other => other,
    }
}

/// `Poznań, ul. Noskowskiego` as `poznan-ul-noskowskiego`.
fn label(text: &str) -> String {
    // `# Name = x` and `# friendly_name=x` are what tools write.
    let text = text.rsplit_once('=').map_or(text, |(_, name)| name);
    let mut name = String::new();
    for letter in text.chars().flat_map(char::to_lowercase).map(plain) {
        if letter.is_ascii_alphanumeric() {
            name.push(letter);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if MAX_NAME <= name.len() {
            break;
        }
    }
    name.trim_matches('-').to_owned()
}

/// What a peer has: networks, and which addresses in the tunnel.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Our addresses in the tunnel: the customer's is the other one of the network.
    pub(super) tunnel: Vec<InterfaceAddress>,
    /// The site's networks.
    pub(super) prefixes: Vec<Prefix>,
}

/// The ends of a tunnel between `ours` and a customer with the addresses `theirs`, whose
/// networks are `networks`. A network of the tunnel that more than the two are in is no
/// site's: each site has one of its own.
pub(super) fn ends(
    ours: &[InterfaceAddress],
    theirs: &[IpAddr],
    networks: impl IntoIterator<Item = Prefix>,
    is_shared: bool,
) -> Ends {
    let mut found = Ends::default();
    let is_pair = |own: &InterfaceAddress, far: IpAddr| {
        own.other_end() == Some(far) && own.network().contains(far)
    };
    for own in ours {
        let second =
            found.tunnel.iter().any(|it| it.address().is_ipv4() == own.address().is_ipv4());
        if !is_shared && !second && theirs.iter().any(|far| is_pair(own, *far)) {
            found.tunnel.push(*own);
        }
    }
    let inside = |prefix: Prefix| found.tunnel.iter().any(|own| own.network().covers(prefix));
    let hosts = theirs.iter().map(|far| Prefix::host(*far));
    let all = networks.into_iter().chain(hosts);
    let all = all.filter(|prefix| !inside(*prefix) && prefix.length() != 0);
    // What is in another of them is said twice.
    found.prefixes = outermost(all, Prefix::covers);
    found
}

/// The peer's own addresses in the tunnel: the hosts it is allowed in our networks there.
pub(super) fn far_addresses(peer: &Peer, ours: &[InterfaceAddress]) -> Vec<IpAddr> {
    let hosts = peer.allowed_ips.iter().filter(|prefix| **prefix == Prefix::host(prefix.address()));
    let hosts = hosts.map(|prefix| prefix.address());
    hosts.filter(|host| ours.iter().any(|own| own.network().contains(*host))).collect()
}

/// Says of a default route that it is not taken over.
pub(super) fn note_default_route(peer: &Peer, notes: &mut Vec<Note>) {
    for prefix in peer.allowed_ips.iter().filter(|prefix| prefix.length() == 0) {
        notes.push(Note {
            line: Some(peer.line),
            text: format!(
                "{prefix} of AllowedIPs is not taken over: name the networks that are meant"
            ),
        });
    }
}
