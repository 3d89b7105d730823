//! The links that not every kernel has, as methods of [`Lab`], and [`run`] for
//! the tests that need them.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "a tool is kept whether or not a test takes it up today; a skip is said"
)]

use crate::lab::{self, At, Lab};
use lockgate::net::{PrivateKey, PublicKey};
use std::fmt;
use std::net::SocketAddr;
use std::sync::LazyLock;

/// Runs `test` in a box of its own, on a kernel that has all of [`NEEDED`].
///
/// On another the test is skipped with a line, or fails when `REQUIRE_VM=1` is
/// set.
pub(crate) fn run(test: impl FnOnce(&Lab) + Send + 'static) {
    lab::run(|lab| match &*LACKING {
        None => test(lab),
        Some(lacking) => {
            assert!(std::env::var_os("REQUIRE_VM").is_none(), "REQUIRE_VM is set; {lacking}");
            println!("skipped: {lacking}; `tests/run vm` boots a kernel that has it");
        }
    });
}

/// What these tests take from the kernel, and how to ask for it.
const NEEDED: [(&str, &str); 4] = [
    ("802.1Q", "ip link add link one name probe type vlan id 1"),
    ("WireGuard", "ip link add probe type wireguard"),
    ("a bridge with VLAN filtering", "ip link add probe type bridge vlan_filtering 1"),
    ("netem", "tc qdisc add dev one root netem delay 1ms"),
];

/// The first of [`NEEDED`] that the kernel refuses, in words. Asked once, in a
/// box that is for nothing else.
static LACKING: LazyLock<Option<String>> = LazyLock::new(|| {
    let (say, said) = std::sync::mpsc::sync_channel(1);
    lab::run(move |lab| {
        lab.veth((At::Underlay, "one"), (At::Underlay, "other"));
        let lacking = NEEDED.iter().find_map(|(name, question)| {
            let words: Vec<&str> = question.split_whitespace().collect();
            let answer = lab.output(At::Underlay, &words);
            lab.output(At::Underlay, &["ip", "link", "delete", "probe"]);
            let said = String::from_utf8_lossy(&answer.stderr);
            (!answer.status.success()).then(|| format!("the kernel has no {name}: {}", said.trim()))
        });
        say.send(lacking).unwrap();
    });
    said.recv().unwrap()
});

/// The tag of a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// 802.1Q: a customer's tag.
    C(u16),
    /// 802.1ad: the provider's, around a customer's in QinQ.
    S(u16),
}

impl Tag {
    /// It as the four bytes that stand before a frame's EtherType, priority 0.
    pub(crate) fn bytes(self) -> [u8; 4] {
        let (protocol, id) = match self {
            Self::C(id) => (0x8100_u16, id),
            Self::S(id) => (0x88a8_u16, id),
        };
        let ([a, b], [c, d]) = (protocol.to_be_bytes(), id.to_be_bytes());
        [a, b, c, d]
    }
}

/// As ip-link(8) wants it.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::C(id) => write!(f, "protocol 802.1Q id {id}"),
            Self::S(id) => write!(f, "protocol 802.1ad id {id}"),
        }
    }
}

/// The tags a frame begins with, outermost first, each as four bytes.
pub(crate) fn tags(frame: &[u8]) -> Vec<[u8; 4]> {
    let after_addresses = frame.get(12..).unwrap_or_default();
    let words = after_addresses.as_chunks::<4>().0.iter();
    words.take_while(|word| matches!(word[..2], [0x81, 0] | [0x88, 0xa8])).copied().collect()
}

/// The other end of a kernel's WireGuard device.
pub(crate) struct Peer<'a> {
    pub(crate) key: PublicKey,
    /// Where it is; `None`: it comes to us.
    pub(crate) endpoint: Option<SocketAddr>,
    /// Comma-separated, as wg(8) wants them.
    pub(crate) allowed_ips: &'a str,
}

impl Lab {
    /// Makes the sub-interface `name` of `parent`, up. One of one is QinQ.
    pub(crate) fn vlan<'a>(&self, at: impl Into<At<'a>>, parent: &str, name: &str, tag: Tag) {
        let at = at.into();
        self.ip(at, &format!("link add link {parent} name {name} type vlan {tag}"));
        self.ip(at, &format!("link set {name} up"));
    }

    /// Makes a switch that keeps VLANs apart, up, with `ports` in no VLAN yet.
    pub(crate) fn switch<'a>(&self, at: impl Into<At<'a>>, name: &str, ports: &[&str]) {
        let at = at.into();
        let kind = "bridge vlan_filtering 1 vlan_default_pvid 0";
        self.ip(at, &format!("link add {name} type {kind}"));
        for port in ports {
            self.ip(at, &format!("link set {port} master {name}"));
        }
        self.ip(at, &format!("link set {name} up"));
    }

    /// Carries the VLANs of `ids` with their tags on a port of a [`Lab::switch`].
    pub(crate) fn trunk_port<'a>(&self, at: impl Into<At<'a>>, port: &str, ids: &[u16]) {
        let at = at.into();
        for id in ids {
            self.bridge(at, &format!("vlan add dev {port} vid {id}"));
        }
    }

    /// Puts a port of a [`Lab::switch`] into one VLAN, without a tag.
    pub(crate) fn access_port<'a>(&self, at: impl Into<At<'a>>, port: &str, id: u16) {
        self.bridge(at, &format!("vlan add dev {port} vid {id} pvid untagged"));
    }

    /// Runs `bridge` with the words of `line` at `at`.
    pub(crate) fn bridge<'a>(&self, at: impl Into<At<'a>>, line: &str) -> String {
        let words: Vec<&str> = ["bridge"].into_iter().chain(line.split_whitespace()).collect();
        self.command_output(at, &words)
    }

    /// Treats what leaves by `link` as tc-netem(8) says, from now on, as in
    /// `netem("left", "up0", "delay 50ms loss 10%")`; `""` is a perfect link again.
    pub(crate) fn netem<'a>(&self, at: impl Into<At<'a>>, link: &str, treatment: &str) {
        let line = format!("tc qdisc replace dev {link} root netem {treatment}");
        self.command_output(at, &line.split_whitespace().collect::<Vec<_>>());
    }

    /// Makes the kernel's WireGuard device `name`, up, with all of its peers'
    /// allowed IPs routed to it; `port` 0: any.
    pub(crate) fn wireguard<'a>(
        &self,
        at: impl Into<At<'a>>,
        name: &str,
        key: &PrivateKey,
        port: u16,
        peers: &[Peer<'_>],
    ) {
        let at = at.into();
        let mut text = format!(
            "[Interface]\nPrivateKey = {}\nListenPort = {port}\n",
            key.to_base64().as_str()
        );
        for peer in peers {
            let (public, allowed) = (peer.key, peer.allowed_ips);
            text += &format!("[Peer]\nPublicKey = {public}\nAllowedIPs = {allowed}\n");
            if let Some(endpoint) = peer.endpoint {
                text += &format!("Endpoint = {endpoint}\n");
            }
        }
        self.ip(at, &format!("link add {name} type wireguard"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        self.command_output(at, &["wg", "setconf", name, file.path().to_str().unwrap()]);
        self.ip(at, &format!("link set {name} up"));
        for prefix in peers.iter().flat_map(|peer| peer.allowed_ips.split(',')) {
            self.ip(at, &format!("route add {} dev {name}", prefix.trim()));
        }
    }
}
