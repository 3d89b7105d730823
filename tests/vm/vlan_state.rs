//! What the kernel remembers for tenants: fragments, conversations, neighbours.
//! Each tenant's is its own, bounded, and gone with it.

use crate::frames::{UDP, V4, datagram, udp, v6};
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::{self, Tag};
use crate::vlan_hostile::{Fate, HOST, PORTS, Place, Scene, Table, both, tag};
use crate::vlan_stage::{ACME, APP, BOLT, Customer, DEVICE, app, documents, socket, works};
use lockgate::reconcile::DropReason as D;
use lockgate::status::SiteState;

/// More fragments follow.
const MORE: u16 = 0x2000;

/// Bytes the kernel keeps of fragments for one namespace (`ipfrag_high_thresh`),
/// and what the last may be above that.
const FRAGMENTS: u64 = (4 << 20) + (64 << 10);

/// Both customers' documents, with only one port allowed.
fn tracked() -> String {
    let allow = "  allow: [{direction: FromSite, protocol: UDP, ports: [9001]}]\n";
    [ACME, BOLT].iter().map(|customer| customer.documents() + allow).collect()
}

/// The two halves of one datagram, the first of `first` bytes.
fn halves(id: u16, first: usize, mark: &[u8]) -> [Vec<u8>; 2] {
    let body = datagram(HOST[0], APP[0], PORTS, &[mark, mark, mark, mark].concat());
    let part =
        |fragment, body: &[u8]| V4 { id, fragment, ..V4::new(HOST[0], APP[0], UDP) }.packet(body);
    [part(MORE, &body[..first]), part((first / 8) as u16, &body[first..])]
}

/// The same over IPv6, the second half beginning `overlap` bytes early.
fn halves6(id: u8, overlap: usize, mark: &[u8]) -> [Vec<u8>; 2] {
    let body = datagram(HOST[1], APP[1], PORTS, &[mark, mark, mark, mark].concat());
    let part = |from: usize, until: usize, more: u8| {
        let [high, low] = (from as u16).to_be_bytes();
        let header = [UDP, 0, high, low | more, 0, 0, 0, id];
        v6(HOST[1], APP[1], 44, 64, &[&header, &body[from..until]].concat())
    };
    [part(0, 40, 1), part(40 - overlap, body.len(), 0)]
}

/// The bytes that fragments wait in, of both families.
fn waiting(lab: &Lab, customer: &Customer) -> u64 {
    let words = ["cat", "/proc/net/sockstat", "/proc/net/sockstat6"];
    let text = lab.command_output(&customer.netns(), &words);
    let lines = text.lines().filter(|line| line.starts_with("FRAG"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// How many conversations are tracked.
fn conversations(lab: &Lab, customer: &Customer) -> u64 {
    let words = ["cat", "/proc/sys/net/netfilter/nf_conntrack_count"];
    lab.command_output(&customer.netns(), &words).trim().parse().unwrap()
}

#[test]
fn what_is_remembered_of_a_tenant_is_its_own_and_ends_with_it() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        fragments_and_storms(&scene);
        floods_of_fragments(lab, &scene);
        scene.gateway.apply(&tracked());
        conversations_with_the_same_addresses(lab, &scene);
        the_tag_is_given_to_another(lab, &scene);
    });
}

fn fragments_and_storms(scene: &Scene<'_>) {
    let (acme, bolt) = (tag(&ACME), tag(&BOLT));
    let put = |tags: &[Tag], packet: &[u8]| scene.wire.frame(tags, packet);
    let mut table = Table::default();
    let arrives = Fate::Arrives(Place::AcmeApp);
    table.add_all("two halves", arrives, |mark| {
        halves(1, 40, mark).map(|half| put(&[acme], &half)).to_vec()
    });
    table.add_all("the second first", arrives, |mark| {
        let [first, second] = halves(2, 40, mark);
        [second, first].map(|half| put(&[acme], &half)).to_vec()
    });
    table.add_all("two halves over IPv6", arrives, |mark| {
        halves6(3, 0, mark).map(|half| put(&[acme], &half)).to_vec()
    });
    // The ports are in no fragment that a rule could look at by itself.
    table.add_all("a first one of eight bytes", arrives, |mark| {
        halves(4, 8, mark).map(|half| put(&[acme], &half)).to_vec()
    });
    table.add_all("overlapping", Fate::Gone, |mark| {
        let [first, _] = halves(5, 40, mark);
        let [_, second] = halves(5, 24, mark);
        [first, second].map(|half| put(&[acme], &half)).to_vec()
    });
    table.add_all("overlapping over IPv6", Fate::Gone, |mark| {
        halves6(6, 16, mark).map(|half| put(&[acme], &half)).to_vec()
    });
    let elsewhere: [&[Tag]; 5] = [&[bolt], &[], &[acme, bolt], &[Tag::C(32)], &[Tag::S(30)]];
    for (number, tags) in (10..).zip(elsewhere) {
        for turned in [false, true] {
            table.add_all(format!("a half with {tags:?}"), Fate::Gone, |mark| {
                let mut halves = halves(number + if turned { 100 } else { 0 }, 40, mark);
                if turned {
                    halves.reverse();
                }
                let [one, other] = halves;
                vec![put(&[acme], &one), put(tags, &other)]
            });
            table.add_all(format!("a half with {tags:?} over IPv6"), Fate::Gone, |mark| {
                let mut halves = halves6(number as u8 + if turned { 100 } else { 0 }, 0, mark);
                if turned {
                    halves.reverse();
                }
                let [one, other] = halves;
                vec![put(&[acme], &one), put(tags, &other)]
            });
        }
    }
    // A storm of what concerns everyone, each counted.
    for (to, reason) in [
        ("224.0.0.5", D::Martian),
        ("255.255.255.255", D::Martian),
        ("10.136.40.255", D::ToGateway),
        ("10.1.0.255", D::NotAppDestination),
    ] {
        table.add_all(format!("500 to {to}"), Fate::Counted(reason), |mark| {
            vec![put(&[acme], &udp(HOST[0], to, PORTS, mark)); 500]
        });
    }
    table.add_all("500 to everyone over IPv6", Fate::Counted(D::Martian), |mark| {
        vec![put(&[acme], &udp(HOST[1], "ff0e::66", PORTS, mark)); 500]
    });
    scene.suffer(&table);
}

/// Of thousands of datagrams the ends never come.
fn floods_of_fragments(lab: &Lab, scene: &Scene<'_>) {
    let (acme, bolt) = (tag(&ACME), tag(&BOLT));
    let put = |tags: &[Tag], packet: &[u8]| scene.wire.frame(tags, packet);
    let bolts = waiting(lab, &BOLT);
    let unfinished = |id| {
        let part = V4 { id, fragment: MORE, ..V4::new(HOST[0], APP[0], UDP) };
        put(&[acme], &part.packet(&[0; 1_400]))
    };
    let flood: Vec<Vec<u8>> = (1_000..4_000).map(unfinished).collect();
    scene.wire.send(&flood);
    scene.settle();
    let acmes = waiting(lab, &ACME);
    assert!((1 << 20..FRAGMENTS).contains(&acmes), "{acmes} bytes wait");
    assert_eq!(waiting(lab, &BOLT), bolts);
    let mut table = Table::default();
    table.add_all("two halves of bolt's", Fate::Arrives(Place::BoltApp), |mark| {
        halves(1, 40, mark).map(|half| put(&[bolt], &half)).to_vec()
    });
    scene.suffer(&table);
}

fn conversations_with_the_same_addresses(lab: &Lab, scene: &Scene<'_>) {
    let acme = tag(&ACME);
    let put = |tag: Tag, packet: &[u8]| scene.wire.frame(&[tag], packet);

    // The same two addresses and ports at once, and everyone hears his own.
    let both = [ACME, BOLT].map(|customer| {
        let echo = lab.udp_echo(&customer.app(), socket(APP[0], PORTS[1]));
        (customer, echo, lab.udp(&customer.site(), socket(DEVICE[0], PORTS[0])))
    });
    for round in 0..3 {
        for (customer, echo, client) in &both {
            let question = format!("{} {round}", customer.name);
            let answer = lab.udp_ask(client, echo.address, question.as_bytes());
            assert_eq!(answer.as_deref(), Some(question.as_bytes()));
        }
    }
    let mut table = Table::default();
    let forged =
        |from: &str, to: &str, ports: [u16; 2], mark: &[u8]| put(acme, &udp(from, to, ports, mark));
    let [there, back] = [PORTS, [PORTS[1], PORTS[0]]];
    // The application's answers, from where the customer is.
    table.add("an answer", Fate::Counted(D::NotSiteSource), |mark| {
        forged(APP[0], DEVICE[0], back, mark)
    });
    table.add("an answer backwards", Fate::Counted(D::NotAllowed), |mark| {
        forged(DEVICE[0], APP[0], back, mark)
    });
    table.add("to another port", Fate::Counted(D::NotAllowed), |mark| {
        forged(DEVICE[0], APP[0], [PORTS[0], 9_002], mark)
    });
    table.add("to the port", Fate::Arrives(Place::AcmeApp), |mark| {
        forged(HOST[0], APP[0], there, mark)
    });
    table.add("a checksum that is wrong", Fate::Counted(D::CtInvalid), |mark| {
        let mut packet = udp(HOST[0], APP[0], there, mark);
        packet[26] ^= 0x55;
        put(acme, &packet)
    });
    for protocol in [2, 4, 41, 47, 50, 253, 255] {
        table.add(format!("protocol {protocol}"), Fate::Counted(D::NotAllowed), |mark| {
            put(acme, &V4::new(HOST[0], APP[0], protocol).packet(mark))
        });
    }
    scene.suffer(&table);

    // Thousands of one tenant's are none of the other's.
    let before = [ACME, BOLT].map(|customer| conversations(lab, &customer));
    let many = (10_000..13_000)
        .map(|port| put(acme, &udp(HOST[0], APP[0], [port, PORTS[1]], b"one of many")));
    scene.wire.send(&many.collect::<Vec<_>>());
    scene.settle();
    let after = [ACME, BOLT].map(|customer| conversations(lab, &customer));
    assert!(before[0] + 2_900 < after[0], "{before:?} became {after:?}");
    assert!(after[1] < before[1] + 100, "{before:?} became {after:?}");
    for (customer, echo, client) in &both {
        assert!(lab.udp_ask(client, echo.address, b"still").is_some(), "{}", customer.name);
    }
}

/// The tag is given to another tenant in the middle of a conversation and of a
/// datagram. Nothing of either is known there.
fn the_tag_is_given_to_another(lab: &Lab, scene: &Scene<'_>) {
    let (acme, bolt) = (tag(&ACME), tag(&BOLT));
    let put = |tag: Tag, packet: &[u8]| scene.wire.frame(&[tag], packet);
    let beginning = halves(99, 40, b"from before, from before");
    scene.wire.send(&[put(acme, &beginning[0])]);
    let heir = Customer { name: "corp", tags: ACME.tags };
    let closed = "  allow: [{direction: ToSite, protocol: UDP, ports: [1]}]\n";
    scene.gateway.apply(&(heir.documents() + closed + &BOLT.documents()));
    app(lab, &heir);
    scene.gateway.wait_state(&heir.tenant(), "lab", SiteState::Up);
    let capture = lab.capture(&heir.app(), "eth0");
    assert!(conversations(lab, &heir) < 50);
    assert_eq!(waiting(lab, &heir), 0);
    let counted = scene.gateway.firewall_drops(&heir.tenant(), "not_allowed");
    assert_eq!(counted, 0, "counters begin anew");
    let old = udp(DEVICE[0], APP[0], PORTS, b"from before, from before");
    scene.wire.send(&[put(acme, &beginning[1]), put(acme, &old)]);
    scene.gateway.wait_firewall_drops(&heir.tenant(), "not_allowed", 1);
    let is_old = |frame: &Vec<u8>| frame.windows(11).any(|it| it == b"from before");
    assert!(!capture.frames().iter().any(is_old));
    // It sees, when there is something to see.
    scene.gateway.apply(&documents(&[heir, BOLT]));
    scene.wire.send(&[put(acme, &old), put(bolt, &old)]);
    wait_until("what may pass now", PATIENCE, || {
        let frames = capture.frames();
        if frames.iter().any(is_old) { Ok(()) } else { Err(frames.len()) }
    });
    assert!(works(lab, &BOLT));
}

#[test]
fn a_trunk_that_flaps_while_documents_change_leaves_tenants_apart_and_served() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        for turn in 0..4 {
            let text = if turn % 2 == 0 { tracked() } else { both() };
            scene.gateway.write("documents.yaml", &text);
            for _ in 0..2 {
                lab.ip(At::Underlay, "link set eth2 down");
                lab.ip(At::Underlay, "link set eth2 up");
            }
        }
        scene.gateway.apply(&both());
        for customer in [ACME, BOLT] {
            scene.gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
            wait_until("everything to pass again", PATIENCE, || {
                if works(lab, &customer) { Ok(()) } else { Err(scene.gateway.log()) }
            });
        }
        let mut table = Table::default();
        for (customer, place) in [(ACME, Place::AcmeApp), (BOLT, Place::BoltApp)] {
            for index in [0, 1] {
                table.add("as it should be", Fate::Arrives(place), |mark| {
                    scene.wire.frame(&[tag(&customer)], &udp(HOST[index], APP[index], PORTS, mark))
                });
                table.add("from an application", Fate::Gone, |mark| {
                    let packet = udp(APP[index], APP[index], PORTS, mark);
                    scene.wire.frame(&[tag(&customer), tag(&BOLT)], &packet)
                });
            }
        }
        scene.suffer(&table);
        scene.assert_unharmed();
    });
}
