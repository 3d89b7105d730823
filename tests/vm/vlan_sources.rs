//! Packets that should not be: from whom they are not, for where nobody should
//! reach, with headers that ask a router for favours.

use crate::frames::{ICMP, UDP, V4, datagram, icmp4, icmp6, udp, v6};
use crate::links::{self, Tag};
use crate::vlan_hostile::{Fate, HOST, PORTS, Place, Scene, Table, both, tag};
use crate::vlan_stage::{ACME, APP, BOLT, ROUTER};
use lockgate::reconcile::DropReason as D;

const OWN: [&str; 2] = ["10.1.0.7", "2001:db8:1::7"];
const FABRIC: [&str; 2] = ["10.136.40.1", "2001:db8:40::1"];

/// A second site of acme's on a VLAN of its own, which nobody is on.
const BRANCH: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {name: branch, namespace: acme}
spec:
  gatewayRef: {name: gw}
  type: VLAN
  vlan:
    {parent: eth2, id: 32, addresses: [10.2.0.7/24, '2001:db8:2::7/64'],
     nextHops: [10.2.0.1, '2001:db8:2::1']}
  prefixes: [{cidr: 192.168.2.0/24}, {cidr: '2001:db8:bb::/48'}]
";

/// Which of two addresses goes with this one.
fn family(address: &str) -> usize {
    usize::from(address.contains(':'))
}

fn spoofed(scene: &Scene<'_>, table: &mut Table) {
    let acme = [tag(&ACME)];
    let martians = [
        "127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "fe80::66",
        "::",
        OWN[0],
        OWN[1],
        "10.2.0.7",
        "2001:db8:2::7",
    ];
    // Its application's, our own there, its other site's, what is nobody's, and
    // IPv4 in all the dresses it has in IPv6.
    let strangers = [
        APP[0],
        APP[1],
        FABRIC[0],
        FABRIC[1],
        "192.168.2.10",
        "2001:db8:bb::10",
        "192.168.0.255",
        "192.168.2.0",
        "8.8.8.8",
        "203.0.113.9",
        "100.64.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "::ffff:192.168.1.66",
        "::192.168.1.66",
        "64:ff9b::c0a8:142",
        "2002:c0a8:142::1",
        "2001:db8:a9:ffff::1",
        "2001:db8:ab::1",
        "fd00::1",
        "2001:4860::1",
    ];
    // The kernel itself takes these for mistakes, before any rule.
    let impossible = ["::1", "ff02::1", "ff0e::66", "10.1.0.255"];
    let fates = [
        (&martians[..], Fate::Counted(D::Martian)),
        (&strangers[..], Fate::Counted(D::NotSiteSource)),
        (&impossible[..], Fate::Gone),
    ];
    for (sources, fate) in fates {
        for from in sources {
            table.add(format!("from {from}"), fate, |mark| {
                scene.wire.frame(&acme, &udp(from, APP[family(from)], PORTS, mark))
            });
        }
    }
    for index in [0, 1] {
        // Its router may say that something went wrong, and nothing else.
        table.add("from its router", Fate::Counted(D::NotAllowed), |mark| {
            scene.wire.frame(&acme, &udp(ROUTER[index], APP[index], PORTS, mark))
        });
        // The one site's hosts are on its own VLAN alone.
        table.add("by its other site's VLAN", Fate::Counted(D::NotSiteSource), |mark| {
            let branch = [Tag::C(32)];
            scene.wire.frame(&branch, &udp(HOST[index], APP[index], PORTS, mark))
        });
    }
}

fn misdirected(scene: &Scene<'_>, table: &mut Table) {
    let acme = [tag(&ACME)];
    let martians = [
        "169.254.169.254",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.5",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "ff02::5",
        "ff0e::1",
    ];
    let others = ["10.2.0.7", "2001:db8:2::7", FABRIC[0], FABRIC[1]];
    let ours = [OWN[0], OWN[1], "10.136.40.255"];
    let around = [
        "192.168.1.77",
        "2001:db8:aa::77",
        "192.168.2.10",
        "2001:db8:bb::10",
        "10.1.0.99",
        "10.1.0.255",
    ];
    let fates = [
        (&martians[..], Fate::Counted(D::Martian)),
        (&others[..], Fate::Counted(D::WrongLink)),
        (&ours[..], Fate::Counted(D::ToGateway)),
        (&around[..], Fate::Counted(D::NotAppDestination)),
        (&["::1"][..], Fate::Gone),
    ];
    for (targets, fate) in fates {
        for to in targets {
            table.add(format!("to {to}"), fate, |mark| {
                scene.wire.frame(&acme, &udp(HOST[family(to)], to, PORTS, mark))
            });
        }
    }
    // Pods, services, nodes, the whole Internet: there is no way, and it is counted.
    let nowhere = [
        "10.96.0.1",
        "10.244.0.5",
        "198.51.100.1",
        "8.8.8.8",
        "192.0.2.1",
        "fd00:ec2::254",
        "2001:4860::1",
        "2001:db8:41::1",
    ];
    for (number, to) in nowhere.into_iter().enumerate() {
        let from = [format!("192.168.1.{}", 100 + number), format!("2001:db8:aa:{number}::66")];
        table.add(format!("to {to}"), Fate::Counted(D::NotAppDestination), |mark| {
            scene.wire.frame(&acme, &udp(&from[family(to)], to, PORTS, mark))
        });
    }
    table.add("between hosts of the VLAN", Fate::Counted(D::NotAppDestination), |mark| {
        scene.wire.frame(&acme, &udp("2001:db8:1::66", "2001:db8:1::99", PORTS, mark))
    });
    table.add("at its last hop", Fate::Refused, |mark| {
        let body = datagram(HOST[0], APP[0], PORTS, mark);
        let last = V4 { ttl: 1, ..V4::new(HOST[0], APP[0], UDP) };
        scene.wire.frame(&acme, &last.packet(&body))
    });
    table.add("at its last hop over IPv6", Fate::Refused, |mark| {
        let body = datagram(HOST[1], APP[1], PORTS, mark);
        scene.wire.frame(&acme, &v6(HOST[1], APP[1], UDP, 1, &body))
    });
}

#[test]
fn nobody_is_believed_to_be_another_or_gets_where_there_is_no_application() {
    links::run(|lab| {
        let scene = Scene::new(lab, &(both() + BRANCH));
        let mut table = Table::default();
        spoofed(&scene, &mut table);
        misdirected(&scene, &mut table);
        for (customer, place) in [(ACME, Place::AcmeApp), (BOLT, Place::BoltApp)] {
            for index in [0, 1] {
                table.add("as it should be", Fate::Arrives(place), |mark| {
                    let packet = udp(HOST[index], APP[index], PORTS, mark);
                    scene.wire.frame(&[tag(&customer)], &packet)
                });
            }
        }
        favours(&scene, &mut table);
        errors(&scene, &mut table);
        scene.suffer(&table);
        for address in [HOST[0], HOST[1]] {
            let route = lab.ip(&ACME.netns(), &format!("route get {address}"));
            assert!(route.contains(&format!("via {}", ROUTER[family(address)])), "{route}");
        }
        scene.assert_unharmed();
    });
}

/// V20: thousands of errors about packets that nobody sent, with every size a path may
/// be said to have. None makes the kernel remember a path.
#[test]
fn a_flood_of_forged_errors_leaves_the_paths_as_they_are() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        let acme = [tag(&ACME)];
        let mut table = Table::default();
        let about = |number: usize| format!("203.0.{}.{}", number / 250, 1 + number % 250);
        for mtu in [0_u16, 68, 552, 1_279] {
            let [high, low] = mtu.to_be_bytes();
            let what = format!("500 that say a path is of {mtu}");
            table.add_all(&*what, Fate::Counted(D::CtInvalid), |mark| {
                let forged = |number| {
                    let inner = udp(OWN[0], &about(number), PORTS, mark);
                    let error = icmp4(3, 4, [0, 0, high, low], &inner);
                    scene.wire.frame(&acme, &V4::new(ROUTER[0], OWN[0], ICMP).packet(&error))
                };
                (0..500).map(forged).collect()
            });
            table.add_all(format!("{what} over IPv6"), Fate::Counted(D::CtInvalid), |mark| {
                let forged = |number| {
                    let inner = udp(OWN[1], &format!("2001:db8:f::{number:x}"), PORTS, mark);
                    let error = icmp6(ROUTER[1], OWN[1], 2, [0, 0, high, low], &inner);
                    scene.wire.frame(&acme, &v6(ROUTER[1], OWN[1], 58, 64, &error))
                };
                (0..500).map(forged).collect()
            });
        }
        // The other tenant's flow of the same addresses is in nothing acme's can say.
        table.add_all("500 about the application's", Fate::Arrives(Place::AcmeApp), |mark| {
            let inner = udp(APP[0], HOST[0], PORTS, mark);
            let error = icmp4(3, 4, [0, 0, 0, 68], &inner);
            vec![scene.wire.frame(&acme, &V4::new(HOST[0], APP[0], ICMP).packet(&error)); 500]
        });
        scene.suffer(&table);
        for netns in [ACME.netns(), BOLT.netns()] {
            for words in ["-4 route show cache", "-6 route show cache"] {
                assert_eq!(lab.ip(&netns, words), "", "{netns}: {words}");
            }
        }
        scene.assert_unharmed();
    });
}

/// An extension header of IPv6, that `next` follows; `body` is what it has after
/// its first two bytes.
fn extension(next: u8, body: &[u8], then: &[u8]) -> Vec<u8> {
    assert_eq!((2 + body.len()) % 8, 0);
    let length = ((2 + body.len()) / 8 - 1) as u8;
    [&[next, length], body, then].concat()
}

/// Options and extension headers.
fn favours(scene: &Scene<'_>, table: &mut Table) {
    let acme = [tag(&ACME)];
    let with = |to: &str, options: &[u8], mark: &[u8]| {
        let body = datagram(HOST[0], to, PORTS, mark);
        scene.wire.frame(&acme, &V4 { options, ..V4::new(HOST[0], to, UDP) }.packet(&body))
    };
    // Along a route of the sender's choice: through us, past us, to us.
    for kind in [0x83, 0x89] {
        let through = [kind, 7, 4, 10, 136, 40, 10, 0];
        table.add("source route through us", Fate::Gone, |mark| with(OWN[0], &through, mark));
        let past = [kind, 7, 4, 192, 168, 1, 77, 0];
        table.add("source route past us", Fate::Gone, |mark| with(APP[0], &past, mark));
        let done = [kind, 7, 8, 10, 136, 40, 10, 0];
        table.add("source route at its end", Fate::Gone, |mark| with(APP[0], &done, mark));
    }
    // What only writes down or asks to look is no harm.
    for harmless in
        [[7, 7, 4, 0, 0, 0, 0, 0], [0x44, 8, 5, 0, 0, 0, 0, 0], [0x94, 4, 0, 0, 1, 1, 1, 1]]
    {
        let fate = Fate::Arrives(Place::AcmeApp);
        table.add(format!("option {harmless:?}"), fate, |mark| with(APP[0], &harmless, mark));
    }
    for wrong in [[7, 255, 4, 0], [7, 0, 4, 0], [0x94, 2, 0, 0]] {
        table.add(format!("option {wrong:?}"), Fate::Refused, |mark| with(APP[0], &wrong, mark));
    }
    // A source route is not for us to find mistakes in.
    let route = [0x83, 3, 4, 1];
    table.add("source route cut short", Fate::Gone, |mark| with(APP[0], &route, mark));

    let six = |to: &str, next: u8, make: &dyn Fn(&[u8]) -> Vec<u8>, mark: &[u8]| {
        let body = make(&datagram(HOST[1], to, PORTS, mark));
        scene.wire.frame(&acme, &v6(HOST[1], to, next, 64, &body))
    };
    let app: std::net::Ipv6Addr = APP[1].parse().unwrap();
    for kind in [0, 2, 3, 4, 253] {
        let route = [&[kind, 1, 0, 0, 0, 0], &app.octets()[..]].concat();
        let through = |then: &[u8]| extension(UDP, &route, then);
        let fate = Fate::Counted(D::ToGateway);
        table.add(format!("routing header {kind}"), fate, |mark| six(OWN[1], 43, &through, mark));
        let fate = Fate::Arrives(Place::AcmeApp);
        table.add("the same past us", fate, |mark| six(APP[1], 43, &through, mark));
    }
    let many = [0x1e, 0].repeat(99);
    let hops = |then: &[u8]| extension(UDP, &many, then);
    // More than eight that it does not know the kernel does not look through
    // (`net.ipv6.max_hbh_opts_number`).
    table.add("a hundred options", Fate::Gone, |mark| six(APP[1], 0, &hops, mark));
    let jumbo = |then: &[u8]| extension(UDP, &[0xc2, 4, 0, 1, 0, 0], then);
    table.add("a jumbogram", Fate::Refused, |m| six(APP[1], 0, &jumbo, m));
    let twice = |then: &[u8]| {
        extension(60, &[1, 4, 0, 0, 0, 0], &extension(UDP, &[1, 4, 0, 0, 0, 0], then))
    };
    table.add("options twice", Fate::Arrives(Place::AcmeApp), |m| six(APP[1], 60, &twice, m));
    let atomic = |then: &[u8]| extension(UDP, &[0, 0, 0, 0, 0, 9], then);
    table.add("one fragment", Fate::Arrives(Place::AcmeApp), |m| six(APP[1], 44, &atomic, m));
    for protocol in [2, 4, 41, 47, 50, 51, 132, 253, 255] {
        let fate = Fate::Arrives(Place::AcmeApp);
        table.add(format!("protocol {protocol}"), fate, |mark| {
            scene.wire.frame(&acme, &V4::new(HOST[0], APP[0], protocol).packet(mark))
        });
        table.add(format!("next header {protocol}"), fate, |mark| {
            scene.wire.frame(&acme, &v6(HOST[1], APP[1], protocol, 64, mark))
        });
    }
}

/// ICMP errors about packets that we did not send, or did.
fn errors(scene: &Scene<'_>, table: &mut Table) {
    let acme = [tag(&ACME)];
    let to_us =
        |body: &[u8]| scene.wire.frame(&acme, &V4::new(ROUTER[0], OWN[0], ICMP).packet(body));
    let gateway = [10, 1, 0, 66];
    let kinds: [(u8, u8, [u8; 4]); 5] = [
        (3, 4, [0, 0, 0, 0]),
        (3, 4, [0, 0, 0, 68]),
        (3, 1, [0; 4]),
        (5, 1, gateway),
        (11, 0, [0; 4]),
    ];
    for (kind, code, rest) in kinds {
        table.add(format!("error {kind} about nothing"), Fate::Counted(D::CtInvalid), |mark| {
            to_us(&icmp4(kind, code, rest, &udp(OWN[0], HOST[0], PORTS, mark)))
        });
        // About what an application, whichever, may have sent: for acme's to judge.
        let fate = Fate::Arrives(Place::AcmeApp);
        table.add(format!("error {kind} to the application"), fate, |mark| {
            let about = udp(APP[0], HOST[0], PORTS, mark);
            let error = icmp4(kind, code, rest, &about);
            scene.wire.frame(&acme, &V4::new(HOST[0], APP[0], ICMP).packet(&error))
        });
    }
    // We are asked, answer, and are then told to send the answers elsewhere.
    let echo = |kind, mark: &[u8]| icmp4(kind, 0, [0x12, 0x34, 0, 1], mark);
    table.add("an echo request", Fate::Refused, |mark| {
        scene.wire.frame(&acme, &V4::new(HOST[0], OWN[0], ICMP).packet(&echo(8, mark)))
    });
    table.add("a redirect of the answer", Fate::Counted(D::ToGateway), |mark| {
        let answer = V4::new(OWN[0], HOST[0], ICMP).packet(&echo(0, mark));
        to_us(&icmp4(5, 1, gateway, &answer))
    });
    for kind in [1, 2, 3] {
        table.add(format!("v6 error {kind} about nothing"), Fate::Counted(D::CtInvalid), |mark| {
            let about = udp(OWN[1], HOST[1], PORTS, mark);
            let error = icmp6(ROUTER[1], OWN[1], kind, [0, 0, 0, 68], &about);
            scene.wire.frame(&acme, &v6(ROUTER[1], OWN[1], 58, 64, &error))
        });
    }
}
