//! Tags, addresses and kinds of frames: a tenant's VLAN takes what has its one
//! tag, and nothing else becomes a packet of anyone's.
//!
//! Three groups of `threats` are the kernel's alone. No rule and no setting of ours is
//! about them, so there is no check of ours to take out; what is asserted here is what
//! becomes of each frame, at every leg and counter, and another kernel may fail it:
//! - V5, frames that are cut short or too long: whoever reads a header looks first
//!   whether it is there (`pskb_may_pull`), and a link takes nothing above its MTU.
//!   A frame without its checksum is for hardware to see; no link made of software has one.
//! - V7, a tag beside the frame or in it: `vlan_untag` makes one of the other before
//!   anybody is asked whose the frame is.
//! - V15, an address that two tenants have: a route is of one network namespace, and
//!   so is the link that a frame came by. Ours is to put each VLAN into its own.

use crate::frames::{FOE, Mac, ethertype, frame, udp};
use crate::lab::{At, Lab};
use crate::links::{self, Tag};
use crate::vlan_hostile::{Fate, HOST, PORTS, Place, Scene, Table, both, tag};
use crate::vlan_stage::{ACME, APP, BOLT, works};

/// Where bridges, and no others, are addressed (802.1Q table 8-1), and others to
/// whom no unicast packet goes.
const NOT_OURS: [Mac; 9] = [
    [0x01, 0x80, 0xc2, 0, 0, 0x00],
    [0x01, 0x80, 0xc2, 0, 0, 0x01],
    [0x01, 0x80, 0xc2, 0, 0, 0x02],
    [0x01, 0x80, 0xc2, 0, 0, 0x0e],
    [0x01, 0x80, 0xc2, 0, 0, 0x21],
    [0x01, 0x00, 0x5e, 0, 0, 0x01],
    [0x33, 0x33, 0, 0, 0, 0x01],
    [0xff; 6],
    [0x02, 0, 0, 0, 0x77, 0x77],
];

/// A packet that may pass from a site to its application.
fn legitimate(family: usize, mark: &[u8]) -> Vec<u8> {
    udp(HOST[family], APP[family], PORTS, mark)
}

fn words(tags: &[Tag]) -> Vec<[u8; 4]> {
    tags.iter().map(|tag| tag.bytes()).collect()
}

#[test]
fn a_vlan_takes_what_has_its_one_tag_and_is_what_it_says() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        let mut table = Table::default();
        stacks(&scene, &mut table);
        lies(&scene, &mut table);
        scene.suffer(&table);
        scene.assert_unharmed();
    });
}

/// V7, V15: whoever sends puts the tag into the frame or beside it, and whoever
/// receives takes it off or does not; each tenant's packets get to its own application
/// and its answers to its own site, though all addresses are the same.
#[test]
fn a_tag_beside_a_frame_is_the_tag_in_it() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        let ends = [(At::Netns("wan"), "trunk"), (At::Underlay, "eth2")];
        for (sent, received) in [(true, true), (true, false), (false, true), (false, false)] {
            for (at, link) in ends {
                beside(lab, at, link, "tx-vlan-offload", sent);
                beside(lab, at, link, "rx-vlan-offload", received);
            }
            for customer in [ACME, BOLT] {
                assert!(works(lab, &customer), "{} {sent} {received}", customer.name);
            }
            let mut table = Table::default();
            let (acme, bolt) = (tag(&ACME), tag(&BOLT));
            for (tags, fate) in [
                (vec![acme], Fate::Arrives(Place::AcmeApp)),
                (vec![bolt], Fate::Arrives(Place::BoltApp)),
                (vec![acme, bolt], Fate::Gone),
                (vec![bolt, acme], Fate::Gone),
                (vec![Tag::C(0), bolt], Fate::Arrives(Place::BoltApp)),
                (vec![Tag::C(32)], Fate::Gone),
                (vec![], Fate::Gone),
            ] {
                for family in [0, 1] {
                    table.add(format!("{tags:?}, packet {family}"), fate, |mark| {
                        scene.wire.frame(&tags, &legitimate(family, mark))
                    });
                }
            }
            scene.suffer(&table);
        }
        scene.assert_unharmed();
    });
}

/// Has a link's tags go beside its frames, or in them (ethtool(8)).
fn beside(lab: &Lab, at: At<'_>, link: &str, feature: &str, is_beside: bool) {
    let word = if is_beside { "on" } else { "off" };
    lab.command_output(at, &["ethtool", "-K", link, feature, word]);
    let shown = lab.command_output(at, &["ethtool", "-k", link]);
    assert!(shown.contains(&format!("{feature}: {word}")), "{shown}");
}

/// V5: a frame that is longer than the trunk takes ends there, one that just fits
/// arrives. The other end of the wire is wider.
#[test]
fn a_frame_that_is_longer_than_the_trunk_takes_is_nobodys() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        lab.ip("wan", "link set trunk mtu 9000");
        let mut table = Table::default();
        for family in [0, 1] {
            for (bytes, fate) in [
                (1_500, Fate::Arrives(Place::AcmeApp)),
                (1_501, Fate::Gone),
                (2_000, Fate::Gone),
                (8_990, Fate::Gone),
            ] {
                table.add(format!("{bytes} bytes, packet {family}"), fate, |mark| {
                    let headers = [28, 48][family];
                    let mut body = mark.to_vec();
                    body.resize(bytes - headers, 0);
                    scene.wire.frame(&[tag(&ACME)], &legitimate(family, &body))
                });
            }
        }
        scene.suffer(&table);
        scene.assert_unharmed();
    });
}

/// Stacks of tags, none of which leads to another tenant.
fn stacks(scene: &Scene<'_>, table: &mut Table) {
    let gateway = scene.wire.gateway;
    let (acme, bolt) = (tag(&ACME), tag(&BOLT));
    let tagged = |table: &mut Table, fate, tags: &[[u8; 4]]| {
        for family in [0, 1] {
            table.add(format!("tags {tags:02x?}, packet {family}"), fate, |mark| {
                let packet = legitimate(family, mark);
                frame(gateway, FOE, tags, ethertype(&packet), &packet)
            });
        }
    };
    tagged(table, Fate::Arrives(Place::AcmeApp), &words(&[acme]));
    tagged(table, Fate::Arrives(Place::BoltApp), &words(&[bolt]));
    // Every priority, and whether it may be dropped, is of the one VLAN.
    for priority in 0..16_u8 {
        let word = [0x81, 0, priority << 4, 30];
        tagged(table, Fate::Arrives(Place::AcmeApp), &[word]);
    }
    // Tag 0 is a priority and no VLAN (802.1Q §6.9.1), however many there are.
    tagged(table, Fate::Gone, &[]);
    tagged(table, Fate::Gone, &words(&[Tag::C(0)]));
    tagged(table, Fate::Gone, &[[0x81, 0, 0xe0, 0]]);
    tagged(table, Fate::Arrives(Place::AcmeApp), &words(&[Tag::C(0), acme]));
    tagged(table, Fate::Arrives(Place::AcmeApp), &words(&[acme, Tag::C(0)]));
    let mut deep = [Tag::C(0); 8];
    deep[0] = acme;
    tagged(table, Fate::Arrives(Place::AcmeApp), &words(&deep));
    deep[7] = bolt;
    tagged(table, Fate::Gone, &words(&deep));
    tagged(table, Fate::Gone, &words(&[Tag::C(0); 8]));
    for id in [1, 29, 32, 33, 286, 2_078, 4_094, 4_095] {
        tagged(table, Fate::Gone, &words(&[Tag::C(id)]));
        tagged(table, Fate::Gone, &words(&[Tag::C(id), bolt]));
        tagged(table, Fate::Gone, &words(&[acme, Tag::C(id)]));
    }
    let stacks: [&[Tag]; 9] = [
        &[acme, bolt],
        &[bolt, acme],
        &[acme, acme],
        &[Tag::S(30)],
        &[Tag::S(30), bolt],
        &[Tag::S(31), acme],
        &[Tag::S(0), Tag::S(30)],
        &[acme, Tag::S(31)],
        &[acme; 8],
    ];
    for stack in stacks {
        tagged(table, Fate::Gone, &words(stack));
    }
    // Tags from before 802.1ad.
    for old in [[0x91, 0], [0x92, 0], [0x93, 0]] {
        tagged(table, Fate::Gone, &[[old[0], old[1], 0, 31]]);
        tagged(table, Fate::Gone, &[acme.bytes(), [old[0], old[1], 0, 31]]);
    }
}

/// Frames for bridges, for somebody else, that lie about what is in them.
fn lies(scene: &Scene<'_>, table: &mut Table) {
    let gateway = scene.wire.gateway;
    let acme = [tag(&ACME).bytes()];
    for family in [0, 1] {
        for to in NOT_OURS {
            table.add(format!("packet {family} to {to:02x?}"), Fate::Gone, |mark| {
                let packet = legitimate(family, mark);
                frame(to, FOE, &acme, ethertype(&packet), &packet)
            });
        }
        // Nothing is learned of a source: it is not what tells who sent.
        for from in [gateway, [0; 6], [0xff; 6], [0x01, 0x80, 0xc2, 0, 0, 0]] {
            let fate = Fate::Arrives(Place::AcmeApp);
            table.add(format!("packet {family} from {from:02x?}"), fate, |mark| {
                let packet = legitimate(family, mark);
                frame(gateway, from, &acme, ethertype(&packet), &packet)
            });
        }
    }
    // A packet in an 802.3 frame: LLC, SNAP, and SNAP around another's tag, with
    // lengths that are right, too long, too short and none.
    let llc: [&[u8]; 3] = [
        &[0x06, 0x06, 0x03],
        &[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00],
        &[0xaa, 0xaa, 0x03, 0, 0, 0, 0x81, 0x00, 0, 31, 0x08, 0x00],
    ];
    for head in llc {
        for lie in [0, 400, -40, -1_000] {
            table.add(format!("{head:02x?} and {lie}"), Fate::Gone, |mark| {
                let body = [head, &legitimate(0, mark)].concat();
                let length = (body.len() as i16 + lie).max(0) as u16;
                frame(gateway, FOE, &acme, length, &body)
            });
        }
    }
    // Protocols of the link and of providers: pause, LACP, LLDP, CFM, PTP, MACsec,
    // MPLS, PPPoE, EAPOL, what is not assigned.
    let kinds = [
        0x8808, 0x8809, 0x88cc, 0x8902, 0x88f7, 0x88e5, 0x8847, 0x8848, 0x8863, 0x8864, 0x888e,
        0x1234, 0xffff,
    ];
    for kind in kinds {
        for to in [gateway, NOT_OURS[3], NOT_OURS[7]] {
            table.add(format!("{kind:04x} to {to:02x?}"), Fate::Gone, |mark| {
                frame(to, FOE, &acme, kind, &legitimate(0, mark))
            });
        }
    }
    // Cut off inside the tag, inside the header, before the end.
    for length in [14, 15, 16, 17, 18, 19, 20, 37, 38, 46, 57] {
        table.add(format!("{length} bytes"), Fate::Gone, |mark| {
            let mut whole = scene.wire.frame(&[tag(&ACME)], &legitimate(0, mark));
            whole.truncate(length);
            whole
        });
    }
    // Headers that say what is not so: version, length, total length, checksum.
    let lies: [(usize, u8); 8] =
        [(0, 0x55), (0, 0x05), (0, 0x44), (0, 0x4f), (2, 0xff), (3, 10), (3, 19), (10, 0)];
    for (at, value) in lies {
        table.add(format!("header byte {at} is {value:#x}"), Fate::Gone, |mark| {
            let mut packet = legitimate(0, mark);
            packet[at] = value;
            frame(gateway, FOE, &acme, 0x0800, &packet)
        });
    }
    table.add("an IPv6 length beyond the end", Fate::Gone, |mark| {
        let mut packet = legitimate(1, mark);
        packet[4] = 0x10;
        frame(gateway, FOE, &acme, 0x86dd, &packet)
    });
    table.add("IPv6 called IPv4", Fate::Gone, |mark| {
        frame(gateway, FOE, &acme, 0x0800, &legitimate(1, mark))
    });
    table.add("IPv4 called IPv6", Fate::Gone, |mark| {
        frame(gateway, FOE, &acme, 0x86dd, &legitimate(0, mark))
    });
}
