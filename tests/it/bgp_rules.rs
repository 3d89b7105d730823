//! What BGP asks of a namespace: who may connect to us, which learned routes may
//! stand there, and that IPv6 is on where it may be learned.

use crate::bgp_scene::{import, namespace, tenant};
use lockgate::config::{Documents, Options, Secrets, validate};
use lockgate::model::{BgpNeighbor, Config, NeighborAt, Placement, Tenant};
use lockgate::reconcile::{
    Cause, ChainName, Conversation, DropReason, Fate, KernelState, LeakKind, Leg, Namespace,
    Packet, Payload, TraceStep, Transport, Verdict, desired_tenant, expected, leaks, trace,
};

const PER_TENANT: Placement = Placement::PerTenant;

/// A first segment of TCP.
fn syn(leg: Leg, source: &str, destination: &str, port: u16) -> Packet {
    Packet {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        payload: Payload::Ports { transport: Transport::Tcp, source: 40_000, destination: port },
        conversation: Conversation::New,
        leg,
    }
}

#[test]
fn neighbors_alone_may_connect_and_to_bgp_alone() {
    let tenant = tenant();
    let namespace = desired_tenant(&tenant, PER_TENANT);
    let lab = || Leg::Vlan("lab".parse().unwrap());
    let refused = Fate::Dropped(Cause::Rule(DropReason::ToGateway));
    for (packet, fate) in [
        (syn(Leg::Fabric, "10.1.0.113", "10.1.0.20", 179), Fate::Delivered),
        (syn(Leg::Fabric, "10.1.0.113", "10.1.0.20", 22), refused),
        // An application is no neighbor.
        (syn(Leg::Fabric, "192.168.72.70", "10.1.0.20", 179), refused),
        (syn(Leg::Tunnel, "10.255.30.1", "10.255.30.0", 179), Fate::Delivered),
        (syn(Leg::Tunnel, "10.255.30.1", "10.255.30.0", 22), refused),
        // Behind the customer's router is not the router.
        (syn(Leg::Tunnel, "172.20.0.9", "10.255.30.0", 179), refused),
        (syn(lab(), "172.30.0.2", "172.30.0.1", 179), Fate::Delivered),
        (syn(lab(), "172.30.0.3", "172.30.0.1", 179), refused),
    ] {
        assert_eq!(trace(&namespace, &tenant, &packet).fate, fate, "{packet}");
        assert_eq!(expected(&tenant, &packet), fate, "{packet}");
    }
    // One that stands elsewhere is not let in by another's link.
    let elsewhere = syn(Leg::Fabric, "10.255.30.1", "10.1.0.20", 179);
    assert_ne!(trace(&namespace, &tenant, &elsewhere).fate, Fate::Delivered);
}

/// What is said with a neighbor passes connection tracking by, both ways, and no rule
/// that lets it in asks what is tracked. Nothing else passes it by.
#[test]
fn a_customer_who_filled_the_table_ended_the_sessions_of_all() {
    let mut tenant = tenant();
    let mut near = crate::bgp_scene::fabric_neighbor("near", "10.1.0.99", 65_001);
    near.bfd = true;
    tenant.fabric.bgp.as_mut().unwrap().neighbors.push(near);
    let namespace = desired_tenant(&tenant, PER_TENANT);
    let lab = || Leg::Vlan("lab".parse().unwrap());
    let with = |leg, (source, destination), transport, [from, to]: [u16; 2], conversation| Packet {
        payload: Payload::Ports { transport, source: from, destination: to },
        conversation,
        ..syn(leg, source, destination, to)
    };
    let (tcp, udp) = (Transport::Tcp, Transport::Udp);
    let (new, reply) = (Conversation::New, Conversation::Reply);
    let tor = ("10.1.0.113", "10.1.0.20");
    let router = ("172.30.0.2", "172.30.0.1");
    let peer = ("10.255.30.1", "10.255.30.0");
    for (packet, is_tracked, is_taken) in [
        (with(Leg::Fabric, tor, tcp, [40_000, 179], new), false, true),
        (with(Leg::Fabric, tor, tcp, [179, 40_000], reply), false, true),
        (with(lab(), router, tcp, [40_000, 179], new), false, true),
        (with(lab(), router, tcp, [179, 40_000], reply), false, true),
        (with(Leg::Tunnel, peer, tcp, [179, 40_000], reply), false, true),
        (with(Leg::Fabric, ("10.1.0.99", tor.1), udp, [50_000, 3784], new), false, true),
        // Its port is no key to another of ours.
        (with(Leg::Fabric, tor, tcp, [179, 22], new), true, false),
        (with(lab(), router, tcp, [179, 8080], new), true, false),
        (with(Leg::Fabric, tor, udp, [179, 40_000], new), true, false),
        (with(Leg::Fabric, tor, udp, [50_000, 3784], new), true, false),
        // An answer to something else of ours, and who is no neighbor.
        (with(Leg::Fabric, tor, udp, [53, 40_000], reply), true, true),
        (with(lab(), ("172.30.0.3", router.1), tcp, [179, 40_000], new), true, false),
        (with(lab(), ("172.30.0.3", router.1), tcp, [40_000, 179], new), true, false),
    ] {
        let traced = trace(&namespace, &tenant, &packet);
        let untracks = |step: &TraceStep| matches!(step, TraceStep::Rule(_, rule) if rule.verdict == Verdict::Untrack);
        assert_eq!(!traced.steps.iter().any(untracks), is_tracked, "{traced}");
        assert_eq!(traced.fate == Fate::Delivered, is_taken, "{traced}");
        assert_eq!(traced.fate, expected(&tenant, &packet), "{traced}");
    }
    let output = &namespace.ruleset.as_ref().unwrap().chains[&ChainName::Output];
    // Before tracking (`NF_IP_PRI_CONNTRACK` is -200).
    assert!(output.base.unwrap().priority < -200);
    let said = output.rules.iter().filter(|rule| rule.verdict == Verdict::Untrack);
    let said: Vec<String> =
        said.map(ToString::to_string).filter(|text| text.contains("s4")).collect();
    expect_test::expect![[r#"
        oif lg-wg dst @site-neighbors4 tcp dport 179 untrack
        oif lg-wg dst @site-neighbors4 tcp sport 179 untrack
        oif ens2 dst @site-neighbors4.ens2 tcp dport 179 untrack
        oif ens2 dst @site-neighbors4.ens2 tcp sport 179 untrack
        oif ens1 dst @neighbors4 tcp dport 179 untrack
        oif ens1 dst @neighbors4 tcp sport 179 untrack
        oif ens1 dst @bfd-neighbors4 udp dport 3784 untrack
    "#]]
    .assert_eq(&(said.join("\n") + "\n"));
}

/// Each neighbor that BFD watches comes in where it is listened for it, and nobody else.
#[test]
fn watched_neighbors_alone_may_speak_bfd() {
    let mut tenant = tenant();
    let bgp = tenant.fabric.bgp.as_mut().unwrap();
    let not_watched = bgp.neighbors[0].address().unwrap().to_string();
    let datagram = |source: &str, port: u16| Packet {
        payload: Payload::Ports { transport: Transport::Udp, source: 50_000, destination: port },
        ..syn(Leg::Fabric, source, "10.1.0.20", port)
    };
    let refused = Fate::Dropped(Cause::Rule(DropReason::ToGateway));
    let check = |tenant: &Tenant, cases: &[(Packet, Fate)]| {
        let namespace = desired_tenant(tenant, PER_TENANT);
        for (packet, fate) in cases {
            assert_eq!(trace(&namespace, tenant, packet).fate, *fate, "{packet}");
            assert_eq!(expected(tenant, packet), *fate, "{packet}");
        }
    };
    let all = [(datagram(&not_watched, 3784), refused), (datagram(&not_watched, 4784), refused)];
    check(&tenant, &all);
    let mut near = crate::bgp_scene::fabric_neighbor("near", "10.1.0.99", 65_001);
    near.bfd = true;
    tenant.fabric.bgp.as_mut().unwrap().neighbors.push(near);
    check(&tenant, &all);
    check(
        &tenant,
        &[
            (datagram("10.1.0.99", 3784), Fate::Delivered),
            (datagram("10.1.0.99", 4784), refused),
            (datagram("10.1.0.99", 3785), refused),
            (syn(Leg::Fabric, "10.1.0.99", "10.1.0.20", 3784), refused),
            // An application is no neighbor.
            (datagram("192.168.72.70", 3784), refused),
        ],
    );
    let mut far = crate::bgp_scene::fabric_neighbor("far", "10.200.0.1", 65_001);
    far.bfd = true;
    tenant.fabric.bgp.as_mut().unwrap().neighbors.push(far);
    check(&tenant, &[(datagram("10.200.0.1", 4784), Fate::Delivered)]);
    let at = NeighborAt::Range { prefix: "10.1.0.128/26".parse().unwrap(), maximum: 3 };
    let range = BgpNeighbor { at, ..crate::bgp_scene::fabric_neighbor("n", "10.1.0.128", 65_001) };
    let mut neighbors = vec![range];
    tenant.fabric.bgp.as_mut().unwrap().neighbors.clone_from(&neighbors);
    check(&tenant, &[(datagram("10.1.0.130", 3784), refused)]);
    let nobody = Fate::Dropped(Cause::Rule(DropReason::NotAppSource));
    neighbors[0].bfd = true;
    tenant.fabric.bgp.as_mut().unwrap().neighbors.clone_from(&neighbors);
    check(
        &tenant,
        &[
            (datagram("10.1.0.130", 3784), Fate::Delivered),
            (datagram("10.1.0.130", 4784), refused),
            (datagram("10.1.0.192", 3784), nobody),
        ],
    );
}

#[test]
fn who_speaks_no_bgp_is_asked_nothing() {
    let mut tenant = tenant();
    tenant.fabric.bgp = None;
    tenant.sites.values_mut().for_each(|site| site.bgp = None);
    let text = KernelState {
        tenants: [(tenant.name.clone(), desired_tenant(&tenant, PER_TENANT))].into(),
    }
    .to_string();
    assert!(!text.contains("179") && !text.contains("neighbors"), "{text}");
}

#[test]
fn ipv6_is_on_where_it_may_be_learned() {
    let mut tenant = tenant();
    let is_off = |tenant: &Tenant| {
        let namespace = desired_tenant(tenant, PER_TENANT);
        namespace
            .sysctls
            .iter()
            .any(|(sysctl, value)| sysctl.to_string().contains("disable_ipv6") && *value == 1)
    };
    assert!(is_off(&tenant));
    let bgp = tenant.fabric.bgp.as_mut().unwrap();
    bgp.import.prefixes.push(import("2001:db8:40::/48", 48, 128));
    assert!(!is_off(&tenant));
}

/// What is wrong with the namespace when it holds these learned routes beside.
fn strange(tenant: &Tenant, learned: &str) -> Vec<String> {
    let mut held = desired_tenant(tenant, PER_TENANT);
    let extra: Namespace = namespace(learned);
    held.routes.extend(extra.routes.into_iter().filter(|(key, _)| key.metric == 32));
    let config = Config {
        tenants: [(tenant.name.clone(), tenant.clone().into())].into(),
        ..Config::default()
    };
    let state = KernelState { tenants: [(tenant.name.clone(), held)].into() };
    let found = leaks(&config, &state, PER_TENANT);
    let routes = found.iter().filter(|leak| matches!(leak.kind, LeakKind::Route(_)));
    routes.map(ToString::to_string).collect()
}

#[test]
fn a_learned_route_is_no_leak_where_it_may_be_learned_and_one_elsewhere() {
    let mut tenant = tenant();
    let good = [
        "route 192.168.72.64/26 metric 32 dev ens1 via 10.1.0.8",
        "route 10.8.3.0/24 metric 32 dev ens1 via 10.1.0.8",
        // A part of what the customer declares, by its own link.
        "route 172.20.9.0/24 metric 32 dev lg-wg",
        "route 10.64.7.0/24 metric 32 dev ens2 via 172.30.0.2",
    ];
    for route in good {
        assert_eq!(strange(&tenant, route), [""; 0], "{route}");
    }
    let bad = [
        // Shorter than a list has it, outside of every list, another's network.
        "route 192.168.0.0/16 metric 32 dev ens1 via 10.1.0.8",
        "route 10.9.3.0/24 metric 32 dev ens1 via 10.1.0.8",
        "route 10.200.1.0/24 metric 32 dev ens1 via 10.1.0.8",
        // By a link that is not its own.
        "route 192.168.72.64/26 metric 32 dev lg-wg",
        "route 172.20.9.0/24 metric 32 dev ens2 via 172.30.0.2",
        "route 10.64.7.0/24 metric 32 dev ens1 via 10.1.0.8",
    ];
    for route in bad {
        assert_eq!(strange(&tenant, route).len(), 1, "{route}");
    }
    tenant.fabric.bgp = None;
    assert_eq!(strange(&tenant, good[0]).len(), 1, "nobody says anything to it");
}

const GATEWAY: &str = "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric:
    veth: {peer: apps, addresses: [10.1.0.20/24]}
    bgp:
      localASN: 64600
      routerID: 10.1.0.20
      neighbors: [{name: tor, address: 10.1.0.1, remoteASN: 65001, passwordSecretRef: {name: bgp, key: tor}}]
";

#[test]
fn a_password_that_is_not_there_is_told_with_its_place_and_never_itself() {
    let documents = Documents::parse([("acme.yaml", GATEWAY.as_bytes())]);
    let run = |value: Option<&[u8]>| {
        let mut secrets = Secrets::default();
        if let Some(value) = value {
            secrets.insert("acme", "bgp", "tor", value.to_vec().into());
        }
        let outcome = validate(&documents, &secrets, &Default::default(), &Options::default());
        let printed = format!("{outcome:?}");
        assert!(!printed.contains("canary"), "a secret was printed");
        outcome
    };
    let place =
        "acme.yaml:11: TenantGateway/acme/gw: spec.fabric.bgp.neighbors[0].passwordSecretRef: ";
    let long = vec![b'x'; 81];
    for (value, why) in [
        (None, "Secret `bgp` has no key `tor`, or is not there"),
        (Some(&b"\n"[..]), "Secret `bgp` has nothing in `tor`"),
        (Some(&long), "what the Secret holds has 81 bytes; a TCP-MD5 password has at most 80"),
    ] {
        let errors = run(value).errors.to_string();
        assert_eq!(errors.trim(), format!("{place}{why}"));
    }
    let outcome = run(Some(b"canary\n"));
    assert_eq!(outcome.errors.to_string(), "");
    let tenant = outcome.config.tenants.values().next().unwrap();
    let password = tenant.fabric.bgp.as_ref().unwrap().neighbors[0].password.as_ref().unwrap();
    assert_eq!(password.as_bytes(), b"canary");
}
