//! Rules and documents must say the same of every packet; and planted faults
//! must be found.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test names what it is about")]

use crate::bgp_scene::fabric_neighbor;
use crate::random_config::{Lot, random_config, site, tenant};
use lockgate::model::{
    Allow, Attachment, BgpExport, BgpImport, Config, Direction, FabricBgp, FabricLink, Placement,
    Ports, Protocol, Site, SiteBgp, Tenant,
};
use lockgate::net::{Asn, ManagedName, Prefix};
use lockgate::reconcile::{
    Conversation, Device, Fate, KernelState, Leg, Match, Packet, Payload, Policy, PrefixSet, Route,
    RouteKey, RouteTarget, Rule, Said, Transport, desired, desired_tenant, expected, leaks, plan,
    serving, trace, vlan_link,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_rules_do_what_the_documents_say() {
    let (mut forwarded, mut delivered, mut dropped) = (0, 0, 0);
    for seed in 0..400 {
        let mut lot = Lot(seed);
        let mut config = random_config(&mut lot, Placement::PerTenant);
        for tenant in config.tenants.values_mut() {
            let tenant = Arc::make_mut(tenant);
            speak(&mut lot, tenant);
            follow(&mut lot, tenant);
            let mut namespace = desired_tenant(tenant, Placement::PerTenant);
            namespace.routes.extend(learned(tenant));
            for number in 0..60 {
                let packet = if number % 4 == 0 {
                    random_packet_to_us(&mut lot, tenant)
                } else {
                    random_packet(&mut lot, tenant)
                };
                let traced = trace(&namespace, tenant, &packet);
                let must = expected(tenant, &traced.packet);
                assert_eq!(traced.fate, must, "seed {seed}\n{traced}\n{namespace}");
                match must {
                    Fate::Forwarded => forwarded += 1,
                    Fate::Delivered => delivered += 1,
                    Fate::Dropped(_) => dropped += 1,
                }
            }
        }
    }
    // Or the lot tells us nothing.
    let counts = (forwarded, delivered, dropped);
    assert!(1_000 < forwarded && 1_000 < delivered && 1_000 < dropped, "{counts:?}");
}

/// Has half of the tenants speak BGP, with neighbors on the fabric, which BFD may watch,
/// and customers' routers.
fn speak(lot: &mut Lot, tenant: &mut Tenant) {
    if lot.one_in(2) {
        return;
    }
    let asn = Asn::new(65_001).unwrap();
    let at = lot.some(&["172.16.130.1", "172.16.130.9", "10.136.40.7", "2001:db8:f::1"]);
    let neighbors = at.iter().map(|at| {
        let mut neighbor = fabric_neighbor(at, at, 65_001);
        neighbor.bfd = lot.one_in(2);
        neighbor
    });
    tenant.fabric.bgp = Some(FabricBgp {
        local_asn: asn,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        neighbors: neighbors.collect(),
        import: BgpImport {
            prefixes: Vec::new(),
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: Vec::new(),
            maximum_prefixes: 1,
            restart_after: Duration::from_secs(300),
        },
        export: BgpExport::default(),
    });
    for site in tenant.sites.values_mut() {
        let router = match &site.attachment {
            Attachment::WireGuard(peer) => {
                peer.tunnel_addresses.first().and_then(|it| it.other_end())
            }
            Attachment::Vlan(vlan) => vlan.next_hops.first().copied(),
        };
        site.bgp = router.filter(|_| lot.one_in(2)).map(|neighbor| SiteBgp {
            remote_asn: asn,
            neighbor,
            password: None,
            maximum_prefixes: 1,
            restart_after: Duration::from_secs(300),
            hold_time: Duration::from_secs(90),
            role: None,
            strict_role: false,
        });
    }
}

/// Has each site that speaks BGP say none, some or all of its networks.
fn follow(lot: &mut Lot, tenant: &mut Tenant) {
    let mut said = Said::default();
    for site in tenant.sites.values() {
        let mut networks = Vec::new();
        for prefix in site.prefixes.iter().map(|prefix| prefix.visible()) {
            let half = Prefix::containing_address(prefix.address(), prefix.length() + 1);
            networks.extend(match lot.below(3) {
                0 => None,
                1 => half.ok(),
                _ => Some(prefix),
            });
        }
        said.put(&site.name, networks);
    }
    *tenant = Arc::unwrap_or_clone(said.bound(&Arc::new(tenant.clone())));
}

/// The routes that its speaker makes of what sites say.
fn learned(tenant: &Tenant) -> Vec<(RouteKey, Route)> {
    let said = serving(tenant).into_iter().filter(|(_, site)| site.bounds.is_some());
    let route = |(prefix, site): (Prefix, &Site)| {
        let tunnels = || Device::Managed(ManagedName::wireguard());
        let device = vlan_link(site).unwrap_or_else(tunnels);
        let via = match &site.attachment {
            Attachment::WireGuard(_) => None,
            Attachment::Vlan(vlan) => vlan.next_hop_for(prefix.address()),
        };
        let target = RouteTarget::Link { device, via, source: None };
        Some((RouteKey::learned(prefix), Route { target }))
    };
    said.filter_map(route).collect()
}

/// A packet for an address of ours, by the link that has it or another, of a neighbor or
/// of who is none.
fn random_packet_to_us(lot: &mut Lot, tenant: &Tenant) -> Packet {
    let sites = tenant.sites.values().flat_map(|site| {
        let (addresses, router) = match &site.attachment {
            Attachment::WireGuard(peer) => (&peer.tunnel_addresses, None),
            Attachment::Vlan(vlan) => (&vlan.addresses, vlan.next_hops.first().copied()),
        };
        let neighbor = site.bgp.as_ref().map(|bgp| bgp.neighbor);
        addresses.iter().map(move |own| {
            (Leg::to(site), own.address(), neighbor.or(router).or_else(|| own.other_end()))
        })
    });
    let mut neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let neighbor = neighbors.nth(lot.below(3)).and_then(|neighbor| neighbor.address());
    let mut nodes = tenant.fabric.ipip.iter().flat_map(|ipip| &ipip.nodes).map(|it| it.address());
    let neighbor = nodes.next_back().filter(|_| lot.one_in(2)).or(neighbor);
    let fabric = tenant.fabric.addresses.iter().map(|own| (Leg::Fabric, own.address(), neighbor));
    let all: Vec<_> = sites.chain(fabric).collect();
    let Some((leg, destination, near)) = (!all.is_empty()).then(|| lot.pick(&all)) else {
        return random_packet(lot, tenant);
    };
    let like = random_packet(lot, tenant);
    let near = near.filter(|near| near.is_ipv4() == destination.is_ipv4());
    let source = match near.filter(|_| !lot.one_in(4)) {
        Some(near) => near,
        None if like.source.is_ipv4() == destination.is_ipv4() => like.source,
        None => return like,
    };
    let leg = if lot.one_in(8) { like.leg } else { leg };
    let ports = [179, 179, 3_784, 4_784, 40_000];
    let payload = match lot.below(5) {
        0 => like.payload,
        1 => Payload::IcmpError,
        2 => Payload::IPIP,
        _ => Payload::Ports {
            transport: lot.pick(&[Transport::Tcp, Transport::Tcp, Transport::Udp]),
            source: lot.pick(&ports),
            destination: lot.pick(&ports),
        },
    };
    let conversation = match payload {
        Payload::IcmpError => lot.pick(&[Conversation::New, Conversation::Related]),
        _ => lot.pick(&[Conversation::New, Conversation::Reply]),
    };
    Packet { source, destination, payload, conversation, leg }
}

#[test]
fn answers_to_what_passes_pass_too() {
    for seed in 0..400 {
        let mut lot = Lot(seed);
        let config = random_config(&mut lot, Placement::PerTenant);
        for tenant in config.tenants.values() {
            let namespace = desired_tenant(tenant, Placement::PerTenant);
            for _ in 0..60 {
                let packet =
                    Packet { conversation: Conversation::New, ..random_packet(&mut lot, tenant) };
                let traced = trace(&namespace, tenant, &packet);
                if traced.fate == Fate::Forwarded && packet.payload != Payload::IcmpError {
                    let back = trace(&namespace, tenant, &answer(&traced.packet, tenant));
                    assert_eq!(back.fate, Fate::Forwarded, "seed {seed}\n{traced}\n{back}");
                }
            }
        }
    }
}

fn random_packet(lot: &mut Lot, tenant: &Tenant) -> Packet {
    let v4 = [
        "192.168.1.5",
        "192.168.1.200",
        "192.168.77.1",
        "10.9.0.9",
        "10.200.1.9",
        "10.136.40.7",
        "10.137.8.8",
        "172.16.130.1",
        "172.16.130.2",
        "172.16.130.9",
        "172.16.131.2",
        "10.255.0.0",
        "10.255.0.1",
        "10.255.1.0",
        "10.255.1.1",
        "10.255.1.2",
        "10.1.0.1",
        "10.1.0.7",
        "10.1.1.9",
        "10.1.2.7",
        "8.8.8.8",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.5",
        "0.0.0.0",
    ];
    let v6 = [
        "2001:db8:aa::5",
        "2001:db8:aa:1::5",
        "2001:db8:40::7",
        "2001:db8:f::1",
        "2001:db8:f::2",
        "fd00:0::",
        "fd00:0::1",
        "fd00:1::1",
        "2001:db8:1:0::1",
        "2001:db8:1:1::7",
        "2001:db8:ffff::1",
        "fe80::1",
        "ff02::1",
        "::1",
    ];
    let pool: &[&str] = if lot.one_in(3) { &v6 } else { &v4 };
    let address = |lot: &mut Lot| -> IpAddr { lot.pick(pool).parse().unwrap() };
    let ports = [21, 22, 80, 161, 162, 163, 5500, 40_000];
    let payload = match lot.below(6) {
        0 => Payload::Echo,
        1 => Payload::EchoReply,
        2 => Payload::IcmpError,
        3 => lot.pick(&[Payload::Other(47), Payload::IPIP]),
        _ => Payload::Ports {
            transport: lot.pick(&[Transport::Sctp, Transport::Tcp, Transport::Udp]),
            source: lot.pick(&ports),
            destination: lot.pick(&ports),
        },
    };
    let conversation = match payload {
        Payload::IcmpError => lot.pick(&[Conversation::New, Conversation::Related]),
        _ => lot.pick(&[Conversation::New, Conversation::Reply]),
    };
    let mut legs: Vec<Leg> = tenant.sites.values().map(Leg::to).collect();
    legs.push(if lot.one_in(2) { Leg::Tunnel } else { Leg::Fabric });
    let leg = if lot.one_in(2) { Leg::Fabric } else { lot.pick(&legs) };
    if lot.one_in(2) {
        return Packet {
            source: address(lot),
            destination: address(lot),
            payload,
            conversation,
            leg,
        };
    }
    // Half of them where something may well pass.
    let (sites, apps) = if lot.one_in(3) { (&v6[..2], &v6[2..5]) } else { (&v4[..6], &v4[5..11]) };
    let site: IpAddr = lot.pick(sites).parse().unwrap();
    let app: IpAddr = lot.pick(apps).parse().unwrap();
    let (source, destination) = if leg == Leg::Fabric { (app, site) } else { (site, app) };
    Packet { source, destination, payload, conversation, leg }
}

fn answer(packet: &Packet, tenant: &Tenant) -> Packet {
    let payload = match packet.payload {
        Payload::Ports { transport, source, destination } => {
            Payload::Ports { transport, source: destination, destination: source }
        }
        Payload::Echo => Payload::EchoReply,
        other => other,
    };
    let leg = match packet.leg {
        Leg::Tunnel | Leg::Vlan(_) => Leg::Fabric,
        Leg::Fabric => Leg::of(tenant, packet.destination),
    };
    let (source, destination) = (packet.destination, packet.source);
    Packet { source, destination, payload, conversation: Conversation::Reply, leg }
}

/// In a pod with one site, on a VLAN, the kernel refused the whole table: a rule named
/// the tunnels' set of our addresses, and there were no tunnels.
#[test]
fn a_rule_named_a_set_that_was_not_there() {
    for (seed, placement) in
        (0..400).flat_map(|seed| [Placement::PerTenant, Placement::Current].map(|it| (seed, it)))
    {
        let mut lot = Lot(seed);
        let mut config = random_config(&mut lot, placement);
        for tenant in config.tenants.values_mut() {
            let tenant = Arc::make_mut(tenant);
            speak(&mut lot, tenant);
            follow(&mut lot, tenant);
            let ruleset = desired_tenant(tenant, placement).ruleset.unwrap();
            for rule in ruleset.chains.values().flat_map(|chain| &chain.rules) {
                let named = rule.matches.iter().filter_map(|one| match one {
                    Match::Source(membership) | Match::Destination(membership) => {
                        Some(&membership.set)
                    }
                    _ => None,
                });
                for set in named {
                    let is_there = ruleset.sets.contains_key(set) || ruleset.met.contains_key(set);
                    assert!(is_there, "seed {seed}, {placement:?}: {set} in {rule}");
                }
            }
        }
    }
}

#[test]
fn what_is_desired_has_no_leak() {
    for seed in 0..60 {
        let mut lot = Lot(seed);
        let mut config = random_config(&mut lot, Placement::PerTenant);
        for tenant in config.tenants.values_mut() {
            let tenant = Arc::make_mut(tenant);
            speak(&mut lot, tenant);
            follow(&mut lot, tenant);
        }
        let found = leaks(&config, &desired(&config, Placement::PerTenant), Placement::PerTenant);
        assert!(found.is_empty(), "seed {seed}: {}", found[0]);
    }
}

/// Two tenants with the very same networks.
/// Ten networks at each of a thousand sites: every look at one network among all
/// the others has to be a short one, or the control loop stands still.
#[test]
fn a_large_tenant_is_planned_and_walked_too() {
    let mut large = tenant("large");
    large.app_prefixes = vec!["10.136.40.0/24".parse().unwrap()];
    large.fabric.addresses = vec!["10.136.40.1/24".parse().unwrap()];
    large.sites = (0..1_000_u32)
        .map(|n| {
            let tunnel = format!("11.{}.{}.{}/31", n >> 15, n >> 7 & 255, n << 1 & 255);
            let prefixes: Vec<String> =
                (n * 10..n * 10 + 10).map(|m| format!("20.{}.{}.0/24", m >> 8, m & 255)).collect();
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let site = site(&format!("s{n}"), &[&tunnel], &prefixes);
            (site.name.clone(), site)
        })
        .collect();
    let config =
        Config { tenants: [(large.name.clone(), large.into())].into(), refused: Vec::new() };
    let state = desired(&config, Placement::PerTenant);
    let namespace = state.tenants.values().next().unwrap();
    assert_eq!(namespace.routes.len(), 10_000 + 1);
    assert_eq!(leaks(&config, &state, Placement::PerTenant), []);
    assert_eq!(plan(&state, &state, Placement::PerTenant).to_string(), "");
}

fn twins() -> Config {
    let mut config = Config::default();
    for name in ["acme", "bolt"] {
        let tenant = twin(name);
        config.tenants.insert(tenant.name.clone(), tenant.into());
    }
    config
}

fn twin(name: &str) -> Tenant {
    let mut tenant = tenant(name);
    tenant.app_prefixes = vec!["10.136.40.0/24".parse().unwrap()];
    tenant.fabric.addresses = vec!["10.136.40.1/24".parse().unwrap()];
    let open = site("hq", &["10.255.0.0/31"], &["192.168.1.0/24"]);
    let mut shut = site("lab", &["10.255.1.0/31"], &["192.168.2.0/24"]);
    let ports = vec![Ports { first: 22, last: 22 }];
    let allow = Allow { direction: Direction::ToSite, protocol: Protocol::Tcp, ports };
    shut.allow = Some(vec![allow]);
    for site in [open, shut] {
        tenant.sites.insert(site.name.clone(), site);
    }
    tenant
}

#[test]
fn finds_what_is_planted() {
    check(|_| (), &[]);
    check(|state| acme(state).ruleset = None, &["no_rules"]);
    check(|state| forward(state).base.as_mut().unwrap().policy = Policy::Accept, &["open_policy"]);
    check(|state| rule(state, "forward", "iif lg-wg accept"), &["passes", "unbounded_rule"]);
    check(|state| rule(state, "site.lab", "iif lg-wg oif ens9 accept"), &["unbounded_rule"]);
    check(|state| rule(state, "input", "accept"), &["unbounded_rule"]);
    // Such a chain lets pass without naming links: what leads there has to.
    let leads = |from: &'static str, text: &'static str| {
        check(|state| rule(state, from, text), &["unbounded_rule"]);
    };
    leads("forward", "iif ens9 oif lg-fabric goto site-to-app");
    leads("forward", "iif lg-fabric oif lg-fabric goto app-to-site");
    leads("prerouting", "iif ens9 goto from-site");
    leads("output", "oif lg-fabric goto from-fabric");
    leads("site.lab", "iif lg-wg oif lg-fabric goto site-to-app");
    check(|state| rule(state, "forward", "foreign"), &["foreign_in_table"]);
    check(
        |state| {
            let set: PrefixSet = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
            let sets = &mut acme(state).ruleset.as_mut().unwrap().sets;
            sets.insert("apps4".parse().unwrap(), set);
        },
        &["wide_set"],
    );
    check(
        |state| {
            let sets = &mut acme(state).ruleset.as_mut().unwrap().sets;
            sets.insert("martians4".parse().unwrap(), PrefixSet::default());
        },
        &["wide_set"],
    );
    check(
        |state| {
            let text = "netns acme/gw\n route 10.9.0.0/16 metric 64 dev lg-fabric";
            let more: KernelState = text.parse().unwrap();
            acme(state).routes.extend(more.tenants.into_values().next().unwrap().routes);
        },
        &["strange_route"],
    );
    check(
        |state| {
            let text = "netns acme/gw\n link ens5 moved up 10.9.0.1/16";
            let more: KernelState = text.parse().unwrap();
            for namespace in state.tenants.values_mut() {
                namespace.links.extend(more.tenants.values().next().unwrap().links.clone());
            }
        },
        &["shared_link", "strange_link", "strange_link"],
    );
    check(
        |state| {
            let link = acme(state).links.get_mut(&"lg-wg".parse().unwrap()).unwrap();
            link.addresses.insert("10.77.0.1/24".parse().unwrap());
        },
        &["strange_address"],
    );
    check(
        |state| {
            let stray = state.tenants.values().next().unwrap().clone();
            state.tenants.insert("gone/gw".parse().unwrap(), stray);
        },
        &["shared_link", "unknown_tenant"],
    );
}

#[test]
fn two_documents_with_one_other_end_share_a_link() {
    let mut config = twins();
    for tenant in config.tenants.values_mut() {
        Arc::make_mut(tenant).fabric.link = FabricLink::Veth { peer: "app0".parse().unwrap() };
    }
    let found = leaks(&config, &desired(&config, Placement::PerTenant), Placement::PerTenant);
    assert_eq!(found.iter().map(|leak| leak.kind.name()).collect::<Vec<_>>(), ["shared_link"]);
}

/// In a single namespace the other end of a veth pair is beside ours until somebody
/// takes it away.
#[test]
fn a_tenant_was_said_to_share_a_link_with_itself() {
    let mut config = Config::default();
    let tenant = twin("acme");
    config.tenants.insert(tenant.name.clone(), tenant.into());
    let mut state = desired(&config, Placement::Current);
    let text = "netns acme/gw\n link acme-app foreign up";
    let more: KernelState = text.parse().unwrap();
    acme(&mut state).links.extend(more.tenants.into_values().next().unwrap().links);
    assert_eq!(leaks(&config, &state, Placement::Current), []);
}

/// Plants a fault in what two tenants should have, and names what is found.
#[track_caller]
fn check(plant: impl Fn(&mut KernelState), expected: &[&str]) {
    let config = twins();
    let mut state = desired(&config, Placement::PerTenant);
    plant(&mut state);
    let found = leaks(&config, &state, Placement::PerTenant);
    let mut names: Vec<_> = found.iter().map(|leak| leak.kind.name()).collect();
    names.sort_unstable();
    names.dedup_by(|a, b| a == b && *a == "passes");
    assert_eq!(names, expected, "{}", found.first().map(ToString::to_string).unwrap_or_default());
}

fn acme(state: &mut KernelState) -> &mut lockgate::reconcile::Namespace {
    state.tenants.get_mut(&"acme/gw".parse().unwrap()).unwrap()
}

fn forward(state: &mut KernelState) -> &mut lockgate::reconcile::Chain {
    let chains = &mut acme(state).ruleset.as_mut().unwrap().chains;
    chains.get_mut(&"forward".parse().unwrap()).unwrap()
}

/// Puts a rule first.
fn rule(state: &mut KernelState, chain: &str, text: &str) {
    let chains = &mut acme(state).ruleset.as_mut().unwrap().chains;
    let rule: Rule = text.parse().unwrap();
    chains.get_mut(&chain.parse().unwrap()).unwrap().rules.insert(0, rule);
}
