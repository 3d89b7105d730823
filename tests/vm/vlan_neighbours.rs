//! ARP and neighbour discovery: we answer for our own address on the VLAN we are
//! asked on, and believe nobody who tells us where somebody else is, unasked.

use crate::frames::{
    ARP, EVERYONE, FOE, Mac, UDP, V4, arp, datagram, frame, icmp4, icmp6, mac, parse_mac, v6,
};
use crate::lab::{At, Lab};
use crate::links::{self, Tag};
use crate::vlan_hostile::{Fate, Scene, Table, both, tag};
use crate::vlan_stage::{ACME, APP, BOLT, Customer, DEVICE, ROUTER, works};
use lockgate::reconcile::DropReason as D;
use std::net::Ipv6Addr;

const OWN: [&str; 2] = ["10.1.0.7", "2001:db8:1::7"];
pub(crate) const FOE_ADDRESS: [&str; 2] = ["10.1.0.66", "2001:db8:1::66"];

/// The multicast group of who has this address, with its hardware address.
fn solicited(target: &str) -> (String, Mac) {
    let [.., a, b, c] = target.parse::<Ipv6Addr>().unwrap().octets();
    (format!("ff02::1:ff{a:02x}:{b:02x}{c:02x}"), [0x33, 0x33, 0xff, a, b, c])
}

/// A neighbour solicitation (135) or advertisement (136).
pub(crate) fn neighbour(
    kind: u8,
    from: &str,
    to: &str,
    flags: u8,
    target: &str,
    option: u8,
) -> Vec<u8> {
    let mut body = target.parse::<Ipv6Addr>().unwrap().octets().to_vec();
    body.extend([option, 1]);
    body.extend(FOE);
    icmp6(from, to, kind, [flags, 0, 0, 0], &body)
}

/// Each answer on the trunk from the gateway to [`FOE`], for the customers' routers
/// ask too: the tags it has and for whom.
pub(crate) fn answers(frames: &[Vec<u8>], gateway: Mac) -> Vec<(Vec<[u8; 4]>, String)> {
    let mut answers = Vec::new();
    let ours = frames.iter().filter(|frame| frame[..6] == FOE && frame[6..12] == gateway);
    for frame in ours {
        let tags = links::tags(frame);
        let (kind, body) = frame[12 + 4 * tags.len()..].split_at(2);
        match kind {
            [0x08, 0x06] if body[7] == 2 => {
                let [a, b, c, d] = body[14..18] else { unreachable!() };
                answers.push((tags, format!("{a}.{b}.{c}.{d}")));
            }
            [0x86, 0xdd] if body[6] == 58 && body[40] == 136 => {
                let target: [u8; 16] = body[48..64].try_into().unwrap();
                answers.push((tags, Ipv6Addr::from(target).to_string()));
            }
            _ => {}
        }
    }
    answers
}

/// Questions for an address with these tags, in both families, from everyone who
/// may ask so.
fn questions(scene: &Scene<'_>, tags: &[Tag], target: &str) -> Vec<Vec<u8>> {
    let tags: Vec<_> = tags.iter().map(|tag| tag.bytes()).collect();
    if target.contains(':') {
        let (group, to) = solicited(target);
        let ask = neighbour(135, FOE_ADDRESS[1], &group, 0, target, 1);
        let direct = neighbour(135, FOE_ADDRESS[1], target, 0, target, 1);
        let packet = |to: &str, ask: &[u8]| v6(FOE_ADDRESS[1], to, 58, 255, ask);
        let gateway = scene.wire.gateway;
        return vec![
            frame(to, FOE, &tags, 0x86dd, &packet(&group, &ask)),
            frame(gateway, FOE, &tags, 0x86dd, &packet(target, &direct)),
        ];
    }
    let mut all = Vec::new();
    for sender in [FOE_ADDRESS[0], "0.0.0.0"] {
        let body = arp(1, (FOE, sender), ([0; 6], target));
        all.extend([EVERYONE, scene.wire.gateway].map(|to| frame(to, FOE, &tags, ARP, &body)));
    }
    all
}

#[test]
fn we_answer_for_our_own_address_alone_and_learn_nothing_unasked() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        only_our_own_address_is_answered_for(lab, &scene);
        nothing_is_learned_that_was_not_asked_for(lab, &scene);
        nobody_becomes_a_router_by_saying_so(&scene);
        scene.assert_unharmed();
    });
}

fn only_our_own_address_is_answered_for(lab: &Lab, scene: &Scene<'_>) {
    // The host has an address beside its trunk.
    lab.ip(At::Underlay, "address add 198.51.100.1/32 dev lo");
    let (acme, bolt) = ([tag(&ACME)], [tag(&BOLT)]);
    let gateway = scene.wire.gateway;
    let wire = lab.capture("wan", "trunk");
    let ask = |tags: &[Tag], target: &str| {
        let questions = questions(scene, tags, target);
        let asked = questions.len();
        scene.wire.send(&questions);
        asked
    };
    // Ours in one tenant is ours in the other too, and each is asked by itself.
    for tags in [acme, bolt] {
        let asked: usize = OWN.iter().map(|own| ask(&tags, own)).sum();
        scene.settle();
        let answers = answers(&wire.frames(), gateway);
        assert_eq!(answers.len(), asked, "{answers:x?}");
        let is_own = |(with, who): &(Vec<[u8; 4]>, String)| {
            *with == [tags[0].bytes()] && OWN.contains(&who.as_str())
        };
        assert!(answers.iter().all(is_own), "{answers:x?}");
    }
    // Everyone else there is: the applications, our address with them, the
    // router, the device, the host, the metadata service, the world.
    let others = [
        APP[0],
        APP[1],
        "10.136.40.1",
        "2001:db8:40::1",
        ROUTER[0],
        ROUTER[1],
        DEVICE[0],
        DEVICE[1],
        "198.51.100.1",
        "169.254.169.254",
        "0.0.0.0",
        "127.0.0.1",
        "10.1.0.0",
        "10.1.0.255",
        "255.255.255.255",
        "224.0.0.1",
        "8.8.8.8",
        "10.96.0.1",
        "10.1.0.8",
        "2001:db8:1::8",
        "::",
        "::1",
        "fe80::1",
        "2001:4860::1",
        "fd00::1",
    ];
    for target in others {
        ask(&acme, target);
    }
    for low in 0..=255 {
        if low != 7 {
            ask(&acme, &format!("10.1.0.{low}"));
        }
    }
    // Ours, by ways that are not the VLAN's, and in messages that lie.
    let ways: [&[Tag]; 4] =
        [&[Tag::C(32)], &[acme[0], bolt[0]], &[Tag::S(30)], &[bolt[0], Tag::C(32)]];
    for tags in ways {
        for own in OWN {
            ask(tags, own);
        }
    }
    let honest = arp(1, (FOE, FOE_ADDRESS[0]), ([0; 6], OWN[0]));
    for (at, value) in [(0, 9), (1, 9), (2, 9), (4, 0), (4, 255), (5, 0), (5, 255), (7, 9)] {
        let mut lie = honest.clone();
        lie[at] = value;
        scene.wire.send(&[frame(EVERYONE, FOE, &[acme[0].bytes()], ARP, &lie)]);
    }
    let cut = [frame(EVERYONE, FOE, &[acme[0].bytes()], ARP, &honest[..20])];
    scene.wire.send(&cut);
    let far = neighbour(135, FOE_ADDRESS[1], OWN[1], 0, OWN[1], 1);
    scene.wire.send(&[scene.wire.frame(&acme, &v6(FOE_ADDRESS[1], OWN[1], 58, 254, &far))]);
    scene.settle();
    let answers = answers(&wire.frames(), gateway);
    assert!(answers.is_empty(), "{answers:x?}");
    assert_eq!(wire.lost(), 0);
}

/// Where a tenant believes its router to be, in both families.
fn routers(lab: &Lab, link: &str, customer: &Customer) -> Vec<Option<Mac>> {
    let shown = lab.ip(&customer.netns(), &format!("neighbour show dev {link}"));
    let of = |router: &str| {
        let line = shown.lines().find(|line| line.split(' ').next() == Some(router))?;
        let mac = line.split("lladdr ").nth(1)?.split(' ').next()?;
        Some(parse_mac(mac))
    };
    ROUTER.map(of).to_vec()
}

fn nothing_is_learned_that_was_not_asked_for(lab: &Lab, scene: &Scene<'_>) {
    let (acme, bolt) = (tag(&ACME), tag(&BOLT));
    let gateway = scene.wire.gateway;
    let real = Some(mac(lab, At::Netns(&ACME.site()), "uplink"));
    let link = scene.gateway.site(&ACME.tenant(), "lab").link.unwrap();
    assert_eq!(routers(lab, &link, &ACME), [real, real]);

    // Somebody says he is the router: to all, to us, as question, as answer;
    // and on the other tenant's VLAN in any way there is.
    let mut lies = Vec::new();
    for operation in [1, 2] {
        for (to, target) in [(EVERYONE, ROUTER[0]), (gateway, ROUTER[0])] {
            let body = arp(operation, (FOE, ROUTER[0]), (FOE, target));
            lies.push(frame(to, FOE, &[acme.bytes()], ARP, &body));
        }
        let body = arp(operation, (FOE, ROUTER[0]), (gateway, OWN[0]));
        for tags in [vec![], vec![acme, bolt], vec![Tag::S(30)], vec![Tag::C(32)]] {
            let tags: Vec<_> = tags.iter().map(|tag| tag.bytes()).collect();
            lies.push(frame(gateway, FOE, &tags, ARP, &body));
        }
    }
    for (to, hardware) in [("ff02::1", [0x33, 0x33, 0, 0, 0, 1]), (OWN[1], gateway)] {
        for flags in [0x20, 0xa0, 0x00] {
            let lie = neighbour(136, ROUTER[1], to, flags, ROUTER[1], 2);
            let packet = v6(ROUTER[1], to, 58, 255, &lie);
            lies.push(frame(hardware, FOE, &[acme.bytes()], 0x86dd, &packet));
            // As if asked, from behind a router: neighbours are nearer.
            let lie = neighbour(136, ROUTER[1], OWN[1], 0x60, ROUTER[1], 2);
            let packet = v6(ROUTER[1], OWN[1], 58, 254, &lie);
            lies.push(frame(gateway, FOE, &[acme.bytes()], 0x86dd, &packet));
        }
    }
    // Our own address, so that we stop using it.
    for tags in [[acme.bytes()], [bolt.bytes()]] {
        for operation in [1, 2] {
            let body = arp(operation, (FOE, OWN[0]), (FOE, OWN[0]));
            lies.push(frame(EVERYONE, FOE, &tags, ARP, &body));
        }
        let lie = neighbour(136, OWN[1], "ff02::1", 0x20, OWN[1], 2);
        let packet = v6(FOE_ADDRESS[1], "ff02::1", 58, 255, &lie);
        lies.push(frame([0x33, 0x33, 0, 0, 0, 1], FOE, &tags, 0x86dd, &packet));
    }
    scene.wire.send(&lies);
    scene.settle();
    assert_eq!(routers(lab, &link, &ACME), [real, real]);
}

/// Router advertisements however they are dressed, redirects, and what other
/// protocols have instead.
fn nobody_becomes_a_router_by_saying_so(scene: &Scene<'_>) {
    let acme = tag(&ACME);
    let mut table = Table::default();
    for (from, to) in [
        ("fe80::66", "ff02::1"),
        ("fe80::66", OWN[1]),
        (FOE_ADDRESS[1], "ff02::1"),
        (ROUTER[1], "ff02::1"),
    ] {
        for lifetime in [0, 0xff] {
            let message = |mark: &[u8]| advertisement(from, to, lifetime, mark);
            let name = |how: &str| format!("advertisement {how} from {from} to {to}");
            let send = |packet: Vec<u8>| scene.wire.frame(&[acme], &packet);
            let fate = Fate::Counted(D::Martian);
            table.add(name("alone"), fate, |mark| send(v6(from, to, 58, 255, &message(mark))));
            // A header before it, so that who looks for its type does not find it.
            for before in [0, 60] {
                table.add(name("behind options"), fate, |mark| {
                    let body = [&[58, 0, 1, 4, 0, 0, 0, 0], &message(mark)[..]].concat();
                    send(v6(from, to, before, 255, &body))
                });
            }
            table.add(name("as one fragment"), fate, |mark| {
                let body = [&[58, 0, 0, 0, 0, 0, 0, 9], &message(mark)[..]].concat();
                send(v6(from, to, 44, 255, &body))
            });
        }
    }
    let send =
        |from, to, message: &[u8]| scene.wire.frame(&[acme], &v6(from, to, 58, 255, message));
    table.add("redirect", Fate::Counted(D::Martian), |mark| {
        let targets: Vec<u8> = ["fe80::66", DEVICE[1]]
            .iter()
            .flat_map(|it| it.parse::<Ipv6Addr>().unwrap().octets())
            .collect();
        let message = icmp6("fe80::66", OWN[1], 137, [0; 4], &[&targets[..], mark].concat());
        send("fe80::66", OWN[1], &message)
    });
    table.add("redirect by the router", Fate::Counted(D::CtInvalid), |mark| {
        let targets = [DEVICE[1].parse::<Ipv6Addr>().unwrap().octets(); 2].concat();
        let message = icmp6(ROUTER[1], OWN[1], 137, [0; 4], &[&targets[..], mark].concat());
        send(ROUTER[1], OWN[1], &message)
    });
    table.add("listener query", Fate::Counted(D::Martian), |mark| {
        let message = icmp6("fe80::66", "ff02::1", 130, [0; 4], &[&[0; 16], mark].concat());
        send("fe80::66", "ff02::1", &message)
    });
    table.add("question for routers", Fate::Counted(D::Martian), |mark| {
        send("fe80::66", "ff02::2", &icmp6("fe80::66", "ff02::2", 133, [0; 4], mark))
    });
    table.add("IGMP query", Fate::Counted(D::Martian), |mark| {
        let query = [&[0x11, 100, 0, 0, 0, 0, 0, 0], mark].concat();
        scene.wire.frame(&[acme], &V4::new(ROUTER[0], "224.0.0.1", 2).packet(&query))
    });
    table.add("a router by ICMP", Fate::Counted(D::CtInvalid), |mark| {
        let message =
            icmp4(9, 0, [1, 2, 0xff, 0xff], &[&[10, 1, 0, 66, 0, 0, 0, 1], mark].concat());
        scene.wire.frame(&[acme], &V4::new(ROUTER[0], OWN[0], 1).packet(&message))
    });
    table.add("RIP", Fate::Counted(D::Martian), |mark| {
        let body = datagram(ROUTER[0], "224.0.0.9", [520, 520], mark);
        scene
            .wire
            .frame(&[acme], &V4 { ttl: 1, ..V4::new(ROUTER[0], "224.0.0.9", UDP) }.packet(&body))
    });
    scene.suffer(&table);
}

/// Whoever asks for our address is remembered, in a table that all namespaces of
/// the machine share: a customer with more askers than it has room for would
/// leave the others without their neighbours.
#[test]
fn a_flood_of_askers_on_one_vlan_filled_the_table_of_all() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        let link =
            |customer: &Customer| scene.gateway.site(&customer.tenant(), "lab").link.unwrap();
        let known = |customer: &Customer| {
            let shown =
                lab.ip(&customer.netns(), &format!("-6 neighbour show dev {}", link(customer)));
            shown.lines().count()
        };
        let before = known(&ACME);
        let ask = |number: u32| {
            let from = format!("2001:db8:1::{:x}:{:x}", 0x100 + (number >> 16), number & 0xffff);
            let ask = neighbour(135, &from, OWN[1], 0, OWN[1], 1);
            scene.wire.frame(&[tag(&ACME)], &v6(&from, OWN[1], 58, 255, &ask))
        };
        let flood: Vec<Vec<u8>> = (0..4_000).map(ask).collect();
        scene.wire.send(&flood);
        scene.settle();
        let learned = known(&ACME) - before;
        assert!((1..400).contains(&learned), "{learned} of 4000 askers are remembered");
        // Whom the other one is to reach is found out anew.
        lab.ip(&BOLT.netns(), &format!("-6 neighbour flush dev {}", link(&BOLT)));
        assert!(works(lab, &BOLT));
        // So it is on the first one's, once the flood is over.
        scene.settle();
        assert!(works(lab, &ACME));
    });
}

/// A router advertisement with a prefix to make addresses of and a route, and
/// these bytes.
fn advertisement(from: &str, to: &str, lifetime: u8, mark: &[u8]) -> Vec<u8> {
    let prefix: Ipv6Addr = "2001:db8:bad::".parse().unwrap();
    let mut body = vec![0; 8];
    body.extend([1, 1]);
    body.extend(FOE);
    body.extend([3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(prefix.octets());
    body.extend([24, 2, 48, 0, 0, 0, 0xff, 0xff]);
    body.extend(&prefix.octets()[..8]);
    // An option that nobody knows.
    body.extend([253, (2 + mark.len()).div_ceil(8) as u8]);
    body.extend(mark);
    body.resize(body.len().next_multiple_of(8), 0);
    icmp6(from, to, 134, [64, 0, 0, lifetime], &body)
}
