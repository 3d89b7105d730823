//! [`Scene`]: two customers with the same addresses on one trunk, and somebody
//! who can put any frame on it.
//!
//! Each frame carries bytes that are its own, and every leg is recorded: where
//! they turn up is what has become of it. A [`Table`] says for many frames what
//! should.

use crate::capture::Capture;
use crate::frames::{Wire, udp};
use crate::gateway::{Gateway, drops};
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::Tag;
use crate::vlan_stage::{ACME, APP, BOLT, Customer, OWN, app, connect, trunk, works};
use lockgate::reconcile::DropReason;
use lockgate::status::{DropPlace, SiteState};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A host of a customer's network, which may send to the applications.
pub(crate) const HOST: [&str; 2] = ["192.168.1.66", "2001:db8:aa::66"];

/// Ports of what is sent.
pub(crate) const PORTS: [u16; 2] = [9_000, 9_001];

/// What each frame's own bytes begin with; a number of four digits follows.
const MARK: &[u8] = b"hostile frame ";

/// A leg that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    AcmeApp,
    BoltApp,
    /// What the gateway sends to a customer.
    AcmeSite,
    BoltSite,
    /// The trunk, where each frame passes once when it is sent.
    Trunk,
}

/// What should become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is nowhere.
    Gone,
    /// It is nowhere, and counted among acme's drops.
    Counted(DropReason),
    /// It arrives there, and nowhere else.
    Arrives(Place),
    /// Acme's customer, and nobody else, gets an ICMP error about it from our
    /// address on its VLAN.
    Refused,
}

/// Frames, and what should become of them.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    frames: Vec<Vec<u8>>,
    fate: Fate,
}

impl Table {
    /// Adds a frame that is made around its own bytes.
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        fate: Fate,
        make: impl FnOnce(&[u8]) -> Vec<u8>,
    ) {
        self.add_all(what, fate, |mark| vec![make(mark)]);
    }

    /// Adds several that are one attack.
    pub(crate) fn add_all(
        &mut self,
        what: impl Into<String>,
        fate: Fate,
        make: impl FnOnce(&[u8]) -> Vec<Vec<u8>>,
    ) {
        let frames = make(&mark(self.rows.len()));
        self.rows.push(Row { what: what.into(), frames, fate });
    }
}

fn mark(number: usize) -> Vec<u8> {
    [MARK, format!("{number:04}").as_bytes()].concat()
}

/// The numbers of the marks in a frame.
fn marks(frame: &[u8]) -> BTreeSet<usize> {
    let at = frame.windows(MARK.len()).enumerate().filter(|(_, it)| *it == MARK);
    let number = |at: usize| {
        let digits = frame.get(at + MARK.len()..at + MARK.len() + 4)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    at.filter_map(|(at, _)| number(at)).collect()
}

/// The gateway and everything around it.
pub(crate) struct Scene<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) gateway: Gateway<'lab>,
    pub(crate) wire: Wire,
    id: u32,
    legs: Vec<(Place, Capture)>,
}

impl<'lab> Scene<'lab> {
    /// With the documents of both customers, and `more`.
    pub(crate) fn new(lab: &'lab Lab, documents: &str) -> Self {
        lab.add("wan");
        trunk(lab);
        for customer in [ACME, BOLT] {
            quiet(lab, &customer.site());
            quiet(lab, &customer.app());
            connect(lab, &customer);
        }
        let gateway = Gateway::start(lab, At::Underlay, documents);
        for customer in [ACME, BOLT] {
            app(lab, &customer);
            mute(lab, &customer.app());
            gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
            assert!(works(lab, &customer), "{}", customer.name);
        }
        let (acme_app, bolt_app) = (ACME.app(), BOLT.app());
        let (acme_site, bolt_site) = (ACME.site(), BOLT.site());
        let legs = vec![
            (Place::AcmeApp, lab.capture(&acme_app, "eth0")),
            (Place::BoltApp, lab.capture(&bolt_app, "eth0")),
            (Place::AcmeSite, lab.capture(&acme_site, "uplink")),
            (Place::BoltSite, lab.capture(&bolt_site, "uplink")),
            (Place::Trunk, lab.capture("wan", "trunk")),
        ];
        let id = gateway.id();
        Self { lab, gateway, wire: Wire::new(lab), id, legs }
    }

    /// Sends what is in the table, looks at every leg and counter, and panics
    /// with all that did not go as it should.
    pub(crate) fn suffer(&self, table: &Table) {
        self.record();
        let (before, known) = (self.kernels_counters(), self.known());
        self.wire.send(table.rows.iter().flat_map(|row| &row.frames));
        let mut wrong = Vec::new();
        let seen = self.record();
        for (number, row) in table.rows.iter().enumerate() {
            if let Some(how) = row.verdict(seen.get(&number).unwrap_or(&Vec::new())) {
                wrong.push(format!("{}: {how}", row.what));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");

        let mut expected = before;
        for row in &table.rows {
            if let Fate::Counted(reason) = row.fate {
                *expected.entry((ACME.name, reason)).or_default() += row.frames.len() as u64;
            }
        }
        wait_until("all drops to be counted, and no others", PATIENCE, || {
            let counted = self.counters();
            if counted == expected { Ok(()) } else { Err((counted, expected.clone())) }
        });
        assert_eq!(self.known(), known, "something was learned");
    }

    /// Waits until all that was sent has got to where it will.
    pub(crate) fn settle(&self) {
        self.record();
    }

    /// Where each number has been since the last call, with the frame. Everything
    /// that was sent before the call has got to where it will.
    fn record(&self) -> BTreeMap<usize, Vec<(Place, Vec<u8>)>> {
        // Last of all something that may pass: it is behind all the others, and
        // shows that the captures see.
        const LAST: usize = 9_999;
        let last = |tag| self.wire.frame(&[tag], &udp(HOST[0], APP[0], PORTS, &mark(LAST)));
        self.wire.send(&[ACME, BOLT].map(|customer| last(customer.tags[0])));
        let mut seen: BTreeMap<usize, Vec<(Place, Vec<u8>)>> = BTreeMap::new();
        wait_until("the last frame", PATIENCE, || {
            for (place, capture) in &self.legs {
                for frame in capture.frames() {
                    for number in marks(&frame) {
                        seen.entry(number).or_default().push((*place, frame.clone()));
                    }
                }
            }
            let places = seen.get(&LAST).into_iter().flatten().map(|(place, _)| *place);
            let mut places: Vec<Place> = places.collect();
            places.sort();
            let wanted = [Place::AcmeApp, Place::BoltApp, Place::Trunk, Place::Trunk];
            if places == wanted { Ok(()) } else { Err(places) }
        });
        for (place, capture) in &self.legs {
            assert_eq!(capture.lost(), 0, "{place:?}");
        }
        seen
    }

    /// The same from the kernel, as it is now: the gateway's is some seconds old.
    fn kernels_counters(&self) -> BTreeMap<(&'static str, DropReason), u64> {
        let mut counters = BTreeMap::new();
        for customer in [ACME, BOLT] {
            let words = ["nft", "-j", "list", "counters"];
            let text = self.lab.command_output(&customer.netns(), &words);
            let listed: Value = serde_json::from_str(&text).unwrap();
            let listed = listed["nftables"].as_array().unwrap().iter();
            for counter in listed.filter_map(|object| object.get("counter")) {
                let reason: DropReason = counter["name"].as_str().unwrap().parse().unwrap();
                let packets = counter["packets"].as_u64().unwrap();
                if packets != 0 {
                    counters.insert((customer.name, reason), packets);
                }
            }
        }
        counters
    }

    /// What the gateway says its tenants' rules have dropped, by whose and why;
    /// what there was none of is absent.
    fn counters(&self) -> BTreeMap<(&'static str, DropReason), u64> {
        let mut counters = BTreeMap::new();
        for customer in [ACME, BOLT] {
            let tenant = self.gateway.tenant(&customer.tenant());
            for reason in DropReason::ALL {
                let count = drops(&tenant, DropPlace::Firewall, reason.as_str());
                if count != 0 {
                    counters.insert((customer.name, *reason), count);
                }
            }
        }
        counters
    }

    /// Every address and route there is in the tenants' namespaces and the underlay.
    fn known(&self) -> Vec<String> {
        let (acme, bolt) = (ACME.netns(), BOLT.netns());
        let mut known = Vec::new();
        for at in [At::Netns(&acme), At::Netns(&bolt), At::Underlay] {
            for what in ["-o address show", "-4 route show table all", "-6 route show table all"] {
                known.extend(self.lab.ip(at, what).lines().map(str::to_owned));
            }
        }
        known
    }

    /// The gateway is the same process, and both customers are served as before.
    pub(crate) fn assert_unharmed(mut self) {
        self.gateway.assert_alive(self.id);
        for customer in [ACME, BOLT] {
            assert!(works(self.lab, &customer), "{}", customer.name);
            assert_eq!(self.gateway.site(&customer.tenant(), "lab").state, SiteState::Up);
        }
    }
}

impl Row {
    /// What is wrong with where it was seen.
    fn verdict(&self, seen: &[(Place, Vec<u8>)]) -> Option<String> {
        let all: Vec<Place> = seen.iter().map(|(place, _)| *place).collect();
        let is_elsewhere = |ours: Place| all.iter().any(|it| ![ours, Place::Trunk].contains(it));
        let count = |wanted: &[Place]| all.iter().filter(|place| wanted.contains(place)).count();
        // What the gateway sends to its customers is on the trunk too, and nothing else is.
        let sent = self.frames.iter().filter(|frame| !marks(frame).is_empty()).count();
        let to_sites = count(&[Place::AcmeSite, Place::BoltSite]);
        let is_stray = count(&[Place::Trunk]) != sent + to_sites;
        let is_right = !is_stray
            && match self.fate {
                Fate::Gone | Fate::Counted(_) => !is_elsewhere(Place::Trunk),
                Fate::Arrives(place) => !is_elsewhere(place) && all.contains(&place),
                Fate::Refused => {
                    let is_ours = |frame: &[u8]| OWN.iter().any(|own| is_from(frame, own));
                    !is_elsewhere(Place::AcmeSite)
                        && to_sites != 0
                        && seen
                            .iter()
                            .all(|(place, frame)| *place == Place::Trunk || is_ours(frame))
                }
            };
        (!is_right).then(|| format!("{:?}, but was seen at {all:?}", self.fate))
    }
}

/// Whether a frame without tags has a packet from this address, a prefix length
/// behind it.
fn is_from(frame: &[u8], address: &str) -> bool {
    match address.split('/').next().unwrap().parse().unwrap() {
        IpAddr::V4(address) => frame[12..14] == [8, 0] && frame[26..30] == address.octets(),
        IpAddr::V6(address) => frame[12..14] == [0x86, 0xdd] && frame[22..38] == address.octets(),
    }
}

/// Adds a namespace that speaks of no groups and asks for no routers: that would be
/// counted as martian at some time or other.
fn quiet(lab: &Lab, name: &str) {
    lab.add(name);
    lab.nft(
        name,
        "table inet quiet {
            chain output {
                type filter hook output priority 0
                icmpv6 type { 131, 132, 133, 143 } drop
                ip protocol igmp drop
            }
        }\n",
    );
}

/// Has a namespace answer nothing that comes from [`HOST`]; it is recorded before.
fn mute(lab: &Lab, name: &str) {
    let [v4, v6] = HOST;
    lab.nft(
        name,
        &format!(
            "table inet mute {{
                chain prerouting {{
                    type filter hook prerouting priority -500
                    ip saddr {v4} drop
                    ip6 saddr {v6} drop
                }}
            }}\n"
        ),
    );
}

/// The documents of both customers.
pub(crate) fn both() -> String {
    crate::vlan_stage::documents(&[ACME, BOLT])
}

/// A customer's only tag.
pub(crate) const fn tag(customer: &Customer) -> Tag {
    customer.tags[0]
}
