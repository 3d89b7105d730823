//! A file of wg-quick's as it is written (wg(8), wg-quick(8)), every flaw with its line.

use super::{Flaw, FlawKind};
use crate::config::parse_host;
use crate::model::{Endpoint, limits};
use crate::net::{InterfaceAddress, Mtu, Prefix, PrefixError, PresharedKey, PrivateKey, PublicKey};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

/// What is kept of a name that has no end.
const MAX_WORD: usize = 40;

/// A file of wg-quick's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WgQuickFile {
    /// The end whose file it is.
    pub interface: Interface,
    /// The others.
    pub peers: Vec<Peer>,
    /// Settings that no document has a place for.
    pub left_out: Vec<LeftOut>,
}

/// The end whose file it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its private key, and the line it stands in.
    pub private_key: Option<(u32, PrivateKey)>,
    /// Its UDP port.
    pub listen_port: Option<u16>,
    /// Its addresses in the tunnel.
    pub addresses: Vec<InterfaceAddress>,
    /// The largest packet in the tunnel.
    pub mtu: Option<Mtu>,
}

/// Another end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The line its section begins in.
    pub line: u32,
    /// The comment at its head, which many write its name in.
    pub comment: Option<String>,
    /// Its public key.
    pub public_key: PublicKey,
    /// The preshared key, if there is one.
    pub preshared_key: Option<PresharedKey>,
    /// Where it is dialled.
    pub endpoint: Option<Endpoint>,
    /// What is behind it.
    pub allowed_ips: Vec<Prefix>,
    /// Seconds of silence after which something is sent; 0: none.
    pub keepalive: u16,
}

/// A setting that no document has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it stands.
    pub line: u32,
    /// Its key.
    pub key: &'static str,
}

/// Keys of the two sections that are read.
const INTERFACE_KEYS: [&str; 4] = ["PrivateKey", "ListenPort", "Address", "MTU"];
const PEER_KEYS: [&str; 5] =
    ["PublicKey", "PresharedKey", "Endpoint", "AllowedIPs", "PersistentKeepalive"];

/// Keys of `[Interface]` that are known and left out.
const LEFT_OUT_KEYS: [&str; 8] =
    ["DNS", "Table", "FwMark", "SaveConfig", "PreUp", "PostUp", "PreDown", "PostDown"];

/// A peer in the making.
#[derive(Default)]
struct Begun {
    line: u32,
    comment: Option<String>,
    public_key: Option<PublicKey>,
    preshared_key: Option<PresharedKey>,
    endpoint: Option<Endpoint>,
    allowed_ips: Vec<Prefix>,
    keepalive: u16,
    has_key: bool,
    seen: Vec<&'static str>,
}

#[derive(Default)]
struct Reader {
    interface: Option<Interface>,
    interface_line: u32,
    interface_seen: Vec<&'static str>,
    peers: Vec<Begun>,
    is_in_peer: bool,
    is_in_unknown: bool,
    comment: Option<String>,
    left_out: Vec<LeftOut>,
    flaws: Vec<Flaw>,
    line: u32,
}

impl WgQuickFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Flaw>> {
        let mut reader = Reader::default();
        for (at, line) in text.lines().enumerate() {
            reader.line = u32::try_from(at + 1).unwrap_or(u32::MAX);
            reader.read(line);
        }
        reader.end()
    }
}

impl Reader {
    fn flaw(&mut self, kind: FlawKind) {
        let line = self.line;
        self.flaws.push(Flaw { line, kind });
    }

    fn read(&mut self, line: &str) {
        // A `#` begins a comment wherever it stands.
        let (code, comment) = match line.split_once('#') {
            Some((code, comment)) => (code.trim(), Some(comment)),
            None => (line.trim(), None),
        };
        if code.is_empty() {
            match comment.map(|it| it.trim_matches(['#', ' ', '\t'])) {
                Some(words) if !words.is_empty() => self.comment(words),
                // An empty line is an end: what stands above it is about something else.
                Some(_) => {}
                None => self.comment = None,
            }
            return;
        }
        match code.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            Some(name) => self.section(name.trim(), comment),
            None => self.setting(code),
        }
    }

    /// A comment above a section, or the first thing in one, is its name.
    fn comment(&mut self, words: &str) {
        match self.peers.last_mut().filter(|_| self.is_in_peer) {
            Some(peer) if peer.seen.is_empty() && peer.comment.is_none() => {
                peer.comment = Some(words.to_owned());
            }
            Some(_) | None => self.comment = Some(words.to_owned()),
        }
    }

    fn section(&mut self, name: &str, comment: Option<&str>) {
        let above = self.comment.take();
        let beside = comment.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned);
        self.is_in_unknown = false;
        if name.eq_ignore_ascii_case("interface") {
            self.is_in_peer = false;
            if self.interface.is_some() {
                self.flaw(FlawKind::Twice("[Interface]"));
            } else {
                self.interface = Some(Interface::default());
                self.interface_line = self.line;
            }
        } else if name.eq_ignore_ascii_case("peer") {
            self.is_in_peer = true;
            let comment = beside.or(above);
            self.peers.push(Begun { line: self.line, comment, ..Begun::default() });
        } else {
            self.is_in_unknown = true;
            self.flaw(FlawKind::Section(name.chars().take(MAX_WORD).collect()));
        }
    }

    fn setting(&mut self, code: &str) {
        self.comment = None;
        let Some((key, value)) = code.split_once('=') else {
            return self.flaw(FlawKind::NoSetting);
        };
        let (key, value) = (key.trim(), value.trim());
        // What is in a section nobody knows is no flaw more.
        if self.is_in_unknown {
            return;
        }
        let known = |keys: &[&'static str]| {
            keys.iter().copied().find(|known| known.eq_ignore_ascii_case(key))
        };
        let word = || key.chars().take(MAX_WORD).collect::<String>();
        if self.is_in_peer {
            match known(&PEER_KEYS) {
                Some(key) => self.peer_setting(key, value),
                None => self.unknown("Peer", word(), &PEER_KEYS),
            }
        } else if self.interface.is_none() {
            self.flaw(FlawKind::Outside(word()));
        } else if let Some(key) = known(&INTERFACE_KEYS) {
            self.interface_setting(key, value);
        } else if let Some(key) = known(&LEFT_OUT_KEYS) {
            self.left_out.push(LeftOut { line: self.line, key });
        } else {
            self.unknown("Interface", word(), &[&INTERFACE_KEYS[..], &LEFT_OUT_KEYS].concat());
        }
    }

    fn unknown(&mut self, section: &'static str, key: String, keys: &[&'static str]) {
        let written = key.to_ascii_lowercase();
        let distance = |known: &&&str| strsim::osa_distance(&written, &known.to_ascii_lowercase());
        let nearest = keys.iter().min_by_key(distance).filter(|known| distance(known) <= 2);
        self.flaw(FlawKind::UnknownKey { section, key, nearest: nearest.copied() });
    }

    fn interface_setting(&mut self, key: &'static str, value: &str) {
        if key != "Address" {
            if self.interface_seen.contains(&key) {
                return self.flaw(FlawKind::Twice(key));
            }
            self.interface_seen.push(key);
        }
        let line = self.line;
        match key {
            "PrivateKey" => {
                let found = self.key(key, value).map(|found| (line, found));
                self.interface_mut().private_key = found;
            }
            "ListenPort" => {
                // 0 asks for any.
                let port = self.number(key, value, 0, 65_535).and_then(|it| u16::try_from(it).ok());
                self.interface_mut().listen_port = port.filter(|port| *port != 0);
            }
            "Address" => {
                let found = self.list(key, value, interface_address);
                self.interface_mut().addresses.extend(found);
                // Every peer is held against each of them.
                if limits::ADDRESSES_PER_LINK < self.interface_mut().addresses.len() {
                    self.interface_mut().addresses.truncate(limits::ADDRESSES_PER_LINK);
                    if !self.interface_seen.contains(&"Address") {
                        self.interface_seen.push("Address");
                        self.flaw(FlawKind::TooManyAddresses(limits::ADDRESSES_PER_LINK));
                    }
                }
            }
            _ => {
                let mtu = self.number(key, value, 576, 65_535);
                self.interface_mut().mtu = mtu.and_then(|bytes| Mtu::new(bytes).ok());
            }
        }
    }

    fn interface_mut(&mut self) -> &mut Interface {
        self.interface.get_or_insert_default()
    }

    fn peer_setting(&mut self, key: &'static str, value: &str) {
        let is_second = self.peers.last().is_some_and(|peer| peer.seen.contains(&key));
        if is_second && key != "AllowedIPs" {
            return self.flaw(FlawKind::Twice(key));
        }
        let mut peer = self.peers.pop().unwrap_or_default();
        if !is_second {
            peer.seen.push(key);
        }
        match key {
            "PublicKey" => {
                peer.has_key = true;
                peer.public_key = self.key(key, value);
            }
            "PresharedKey" => {
                // All zero is WireGuard's way of saying that there is none.
                let found: Option<PresharedKey> = self.key(key, value);
                peer.preshared_key = found.filter(|it| it.as_bytes().iter().any(|byte| *byte != 0));
            }
            "Endpoint" => peer.endpoint = self.endpoint(value),
            "AllowedIPs" => peer.allowed_ips.extend(self.list(key, value, network)),
            _ if value.eq_ignore_ascii_case("off") => {}
            _ => {
                let seconds = self.number(key, value, 0, 65_535);
                peer.keepalive = seconds.and_then(|it| u16::try_from(it).ok()).unwrap_or(0);
            }
        }
        self.peers.push(peer);
    }

    fn key<K: FromStr<Err = crate::net::KeyError>>(
        &mut self,
        key: &'static str,
        value: &str,
    ) -> Option<K> {
        value.parse().map_err(|problem| self.flaw(FlawKind::Key { key, problem })).ok()
    }

    fn number(&mut self, key: &'static str, value: &str, min: u32, max: u32) -> Option<u32> {
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse::<u32>().ok().filter(|it| digits && (min..=max).contains(it));
        if number.is_none() {
            self.flaw(FlawKind::Number { key, min, max });
        }
        number
    }

    /// Values with commas between; an empty list is one of none.
    fn list<T>(
        &mut self,
        key: &'static str,
        value: &str,
        read: impl Fn(&str) -> Result<T, PrefixError>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match read(part) {
                Ok(value) => found.push(value),
                Err(problem) => self.flaw(FlawKind::Prefix { key, problem }),
            }
        }
        found
    }

    fn endpoint(&mut self, value: &str) -> Option<Endpoint> {
        let Some((host, port)) = value.rsplit_once(':') else {
            self.flaw(FlawKind::Endpoint);
            return None;
        };
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let port = port.parse::<u16>().ok().filter(|port| *port != 0);
        // An IPv6 address without brackets has a port nobody can tell from it.
        let (Some(port), false) = (port, bare.is_none() && host.contains(':')) else {
            self.flaw(FlawKind::Endpoint);
            return None;
        };
        match parse_host(bare.unwrap_or(host)) {
            Ok(host) => Some(Endpoint { host, port }),
            Err(problem) => {
                self.flaw(FlawKind::Host(problem));
                None
            }
        }
    }

    fn end(mut self) -> Result<WgQuickFile, Vec<Flaw>> {
        if self.interface.is_none() {
            let kind = FlawKind::Missing { section: "the file", key: "[Interface]" };
            self.flaws.push(Flaw { line: 1, kind });
        }
        if self.peers.is_empty() {
            let kind = FlawKind::Missing { section: "the file", key: "[Peer]" };
            self.flaws.push(Flaw { line: self.interface_line.max(1), kind });
        }
        let mut lines: BTreeMap<PublicKey, u32> = BTreeMap::new();
        let mut peers = Vec::with_capacity(self.peers.len());
        for peer in self.peers {
            let line = peer.line;
            let Some(public_key) = peer.public_key else {
                // One that is wrong was said already.
                if !peer.has_key {
                    let kind = FlawKind::Missing { section: "this [Peer]", key: "PublicKey" };
                    self.flaws.push(Flaw { line, kind });
                }
                continue;
            };
            if let Some(first) = lines.insert(public_key, line) {
                self.flaws.push(Flaw { line, kind: FlawKind::SameKey(first) });
            }
            peers.push(Peer {
                line,
                comment: peer.comment,
                public_key,
                preshared_key: peer.preshared_key,
                endpoint: peer.endpoint,
                allowed_ips: peer.allowed_ips,
                keepalive: peer.keepalive,
            });
        }
        if !self.flaws.is_empty() {
            self.flaws.sort_by_key(|flaw| flaw.line);
            return Err(self.flaws);
        }
        let interface = self.interface.unwrap_or_default();
        Ok(WgQuickFile { interface, peers, left_out: self.left_out })
    }
}

/// An address; without a length it is alone in its network.
fn interface_address(text: &str) -> Result<InterfaceAddress, PrefixError> {
    match text.parse::<IpAddr>() {
        Ok(address) => InterfaceAddress::new(address, if address.is_ipv4() { 32 } else { 128 }),
        Err(_) => text.parse(),
    }
}

/// A network; host bits are dropped as wg(8) drops them.
fn network(text: &str) -> Result<Prefix, PrefixError> {
    interface_address(text).map(InterfaceAddress::network)
}
