//! The device beside the namespace: attached behind its rules, taken away, lost.

use super::world::{World, config, key, keyed, name, peer, usual, with_sites};
use lockgate::gateway::Output;
use lockgate::model::{Backend, BackendChoice, BackendReason, Endpoint, Host, Tenant};
use lockgate::net::{ManagedName, Prefix};
use lockgate::reconcile::{Device, Step};
use lockgate::status::{ConditionReason, ConditionType, EventReason};
use lockgate::wireguard::PeerSample;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_lost_tun_is_detached_made_again_and_attached() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    let acme = name("acme");
    world.serve(&config);
    world.log();
    world.kernel.step(&acme, &Step::DeleteLink(ManagedName::wireguard()));
    world.lose_tuns();
    world.pass(Duration::from_secs(2));
    let order =
        ["detach acme/gw", "observe acme/gw", "apply acme/gw", "observe acme/gw", "attach acme/gw"];
    assert_eq!(world.deeds(), order);
    world.assert_settled(&config);
    assert!(world.tenant(&acme).conditions.holds(ConditionType::Programmed));
}

/// A preshared key was given to the customer when the documents with it were said to be
/// applied, and the device heard of it a moment later: the customer's next handshake failed
/// and it waited for five seconds.
#[test]
fn documents_counted_as_applied_before_the_device_had_them() {
    let mut world = World::new();
    let with_key =
        |number| config(vec![with_sites("acme", vec![keyed("hq", number, &["192.168.1.0/24"])])]);
    world.serve(&with_key(1));
    let generations = |world: &mut World| {
        let config = world.gateway.snapshot(world.now).config;
        (config.loaded_generation, config.applied_generation)
    };
    assert_eq!(generations(&mut world), (1, 1));
    world.load(&with_key(2));
    let mut held = Vec::new();
    loop {
        world.collect();
        match world.pending.pop_front() {
            Some(output @ Output::Configure(..)) => held.push(output),
            Some(output) => world.act(output),
            None => break,
        }
    }
    assert_eq!(held.len(), 1);
    assert_eq!(generations(&mut world), (2, 1));
    world.act(held.remove(0));
    world.drain();
    assert_eq!(generations(&mut world), (2, 2));
}

#[test]
fn a_customer_that_had_dialled_in_was_not_called_after_its_device_broke_off() {
    let mut world = World::new();
    let config = config(vec![with_sites("acme", vec![keyed("hq", 1, &["192.168.1.0/24"])])]);
    let acme = name("acme");
    world.serve(&config);
    let from = "198.51.100.7:1234".parse().unwrap();
    let last_received = Some(world.now.wall);
    let seen = PeerSample { endpoint: Some(from), last_received, ..PeerSample::default() };
    world.sample(&acme, &[(key(1), seen)]);
    world.gateway.handle_device_failure(&acme, "the thread is gone".to_owned(), world.now);
    world.drain();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.devices[&acme].peers[&key(1)].last_endpoint, Some(from));
}

#[test]
fn a_tenant_whose_rules_are_not_the_wanted_ones_is_not_attached() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    world.serve(&config);
    // A new process finds the tunnel, and rules that somebody emptied.
    let mut kernel = world.kernel.clone();
    let ruleset = kernel.state.tenants.get_mut(&name("acme")).unwrap().ruleset.as_mut().unwrap();
    for chain in ruleset.chains.values_mut() {
        chain.rules.clear();
    }
    let mut next = World::on(kernel);
    next.serve(&config);
    let order = ["observe acme/gw", "apply acme/gw", "observe acme/gw", "attach acme/gw"];
    assert_eq!(next.deeds(), order);
}

#[test]
fn a_device_that_cannot_be_attached_is_tried_again_and_told() {
    let mut world = World::new();
    let config = config(vec![usual("acme"), usual("bolt")]);
    let acme = name("acme");
    world.serve(&config);
    world.log();
    world.gateway.handle_device_failure(&acme, "no".to_owned(), world.now);
    world.drain();
    let conditions = world.tenant(&acme).conditions;
    let programmed = conditions.find(ConditionType::Programmed).unwrap();
    assert_eq!(programmed.reason, ConditionReason::DeviceFailed);
    world.pass(Duration::from_secs(1));
    world.assert_settled(&config);
    assert!(world.tenant(&acme).conditions.holds(ConditionType::Ready));
    assert!(world.log().iter().all(|line| line.contains("acme")));
}

fn named(host: &str) -> lockgate::model::Config {
    let mut site = keyed("hq", 1, &["192.168.1.0/24"]);
    peer(&mut site).endpoint = Some(Endpoint { host: Host::Name(host.to_owned()), port: 51_820 });
    config(vec![with_sites("acme", vec![site])])
}

fn endpoint(world: &World) -> Option<String> {
    world.devices[&name("acme")].peers[&key(1)].endpoint.map(|at| at.to_string())
}

fn answer(world: &mut World, addresses: &[&str]) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    world.names.insert("hq.example.net".to_owned(), addresses);
    world.pass(Duration::from_secs(61));
}

#[test]
fn a_name_moves_the_peer_only_when_its_address_is_gone() {
    let mut world = World::new();
    let config = named("hq.example.net");
    world.serve(&config);
    assert_eq!(endpoint(&world), None);
    answer(&mut world, &["198.51.100.7"]);
    assert_eq!(endpoint(&world).as_deref(), Some("198.51.100.7:51820"));
    answer(&mut world, &["198.51.100.1", "198.51.100.7"]);
    assert_eq!(endpoint(&world).as_deref(), Some("198.51.100.7:51820"));
    answer(&mut world, &["198.51.100.1"]);
    assert_eq!(endpoint(&world).as_deref(), Some("198.51.100.1:51820"));
    // DNS that fails takes no customer away.
    answer(&mut world, &[]);
    assert_eq!(endpoint(&world).as_deref(), Some("198.51.100.1:51820"));
    world.assert_settled(&config);
}

#[test]
fn a_name_never_leads_to_this_machine() {
    let mut world = World::new();
    world.serve(&named("hq.example.net"));
    for nobody in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
    ] {
        answer(&mut world, &[nobody]);
        assert_eq!(endpoint(&world), None, "{nobody}");
    }
}

#[test]
fn a_name_never_leads_to_where_its_class_forbids() {
    let mut world = World::new();
    let mut config = named("hq.example.net");
    let acme = Arc::make_mut(config.tenants.get_mut(&name("acme")).unwrap());
    let mut class = (*acme.class).clone();
    class.forbidden_prefixes = vec!["10.42.0.0/16".parse().unwrap()];
    acme.class = class.into();
    world.serve(&config);
    answer(&mut world, &["10.42.0.7"]);
    assert_eq!(endpoint(&world), None);
    answer(&mut world, &["10.42.0.7", "198.51.100.7"]);
    assert_eq!(endpoint(&world).as_deref(), Some("198.51.100.7:51820"));
    // Forbidden later: it is left, and not kept for want of another.
    let acme = Arc::make_mut(config.tenants.get_mut(&name("acme")).unwrap());
    let mut class = (*acme.class).clone();
    class.forbidden_prefixes = vec!["198.51.100.0/24".parse().unwrap()];
    acme.class = class.into();
    world.serve(&config);
    answer(&mut world, &["198.51.100.7"]);
    assert_eq!(endpoint(&world), None);
}

#[test]
fn of_a_hundred_addresses_one_is_taken_and_kept() {
    let mut world = World::new();
    world.serve(&named("hq.example.net"));
    let all: Vec<String> = (1..=100).map(|n| format!("203.0.113.{n}")).collect();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    answer(&mut world, &all);
    let taken = endpoint(&world).unwrap();
    world.log();
    for _ in 0..5 {
        // As a resolver that turns them round at each answer.
        all.rotate_left(7);
        answer(&mut world, &all);
        assert_eq!(endpoint(&world).as_ref(), Some(&taken));
    }
    assert!(!world.deeds().contains(&"configure acme/gw".to_owned()));
}

#[test]
fn names_are_not_asked_for_when_nobody_has_them_any_more() {
    let mut world = World::new();
    world.serve(&named("hq.example.net"));
    world.serve(&named("other.example.net"));
    world.log();
    world.pass(Duration::from_secs(300));
    let log = world.log();
    assert!(log.contains(&"resolve other.example.net".to_owned()));
    assert!(!log.contains(&"resolve hq.example.net".to_owned()));
}

/// The usual tenant, with its tunnels in the kernel.
fn in_kernel(namespace: &str) -> Tenant {
    let backend = BackendChoice { backend: Backend::Kernel, reason: BackendReason::Present };
    Tenant { backend, ..usual(namespace) }
}

#[test]
fn another_backend_gets_the_device_after_the_first_has_let_go_of_it() {
    let mut world = World::new();
    let acme = name("acme");
    let (ours, kernels) = (config(vec![usual("acme")]), config(vec![in_kernel("acme")]));
    world.serve(&ours);
    assert_eq!(world.snapshot().backend, lockgate::status::Backend::Userspace);
    for (wanted, link, verb) in [(&kernels, "wireguard", "adopt"), (&ours, "tun", "attach")] {
        world.log();
        world.serve(wanted);
        let log = world.log();
        let place = |line: &str| {
            let found = log.iter().position(|logged| logged.trim() == line);
            found.unwrap_or_else(|| panic!("no `{line}` in {log:#?}"))
        };
        let order = [
            "detach acme/gw".to_owned(),
            "acme/gw - link lg-wg".to_owned(),
            format!("acme/gw + link lg-wg {link}"),
            format!("{verb} acme/gw"),
        ];
        let places: Vec<usize> = order.iter().map(|line| place(line)).collect();
        assert!(places.is_sorted(), "{log:#?}");
        world.assert_settled(wanted);
        let tenant = world.tenant(&acme);
        assert!(tenant.conditions.holds(ConditionType::Programmed));
        let expected = wanted.tenants[&acme].backend.clone();
        assert_eq!(tenant.backend, expected.backend.into());
        assert_eq!(tenant.backend_reason, expected.reason.to_string());
    }
    // And back again before it was done.
    world.load(&kernels);
    world.load(&ours);
    world.drain();
    world.pass(Duration::from_secs(5));
    world.assert_settled(&ours);
}

#[test]
fn a_kernel_without_wireguard_is_one_tenants_matter() {
    let mut world = World::new();
    let (acme, bolt) = (name("acme"), name("bolt"));
    world.broken_kinds.insert("wireguard");
    world.serve(&config(vec![in_kernel("acme"), usual("bolt")]));
    world.pass(Duration::from_secs(60));
    let condition = world.tenant(&acme).conditions;
    let programmed = condition.find(ConditionType::Programmed).unwrap();
    assert_eq!(programmed.reason, ConditionReason::ApplyFailed);
    assert!(programmed.message.contains("no such kind"), "{}", programmed.message);
    let failures = |tenant: &lockgate::status::TenantSnapshot| {
        let failed = |it: &&lockgate::status::Event| it.reason == EventReason::StepFailed;
        tenant.events.iter().filter(failed).map(|it| it.count.0).sum::<u64>()
    };
    assert_eq!(failures(&world.tenant(&acme)), 1, "however often it is tried");
    let other = world.tenant(&bolt);
    assert!(other.conditions.holds(ConditionType::Programmed));
    assert!(world.devices.contains_key(&bolt));
    // Once it can, it is.
    world.broken_kinds.clear();
    world.pass(Duration::from_secs(120));
    assert!(world.tenant(&acme).conditions.holds(ConditionType::Programmed));
}

/// A new process that finds a kernel's device at work gives no network to
/// another site than the one that has it. Which of a site's two keys has it, the
/// device tells.
#[test]
fn what_serves_when_a_device_is_taken_up_goes_on_to_serve() {
    let prefix = &["192.168.1.0/24"];
    let mut rotating = keyed("hq", 1, prefix);
    peer(&mut rotating).next_public_key = Some(key(2));
    peer(&mut rotating).keepalive = Some(Duration::from_secs(25));
    let mut backup = keyed("backup", 3, prefix);
    backup.priority = 50;
    let tenant = Tenant {
        sites: [rotating, backup].map(|it| (it.name.clone(), it)).into(),
        ..in_kernel("acme")
    };
    let (acme, config) = (name("acme"), config(vec![tenant]));
    let network: Prefix = prefix[0].parse().unwrap();
    let (hq, backup) = (vec![1, 2], vec![3]);
    for (ages, owner) in [([900, 100, 50], &hq), ([900, 800, 50], &backup), ([60, 800, 50], &hq)] {
        let mut world = World::new();
        let handshakes = ages.map(|age| Some(world.now.wall.before(Duration::from_secs(age))));
        let found = [1, 2, 3].map(|number: u8| {
            let last_handshake = handshakes[usize::from(number) - 1];
            (key(number), PeerSample { last_handshake, handshakes: 1, ..PeerSample::default() })
        });
        world.load(&config);
        world.sample(&acme, &found);
        world.drain();
        let first = world.log().into_iter().filter(|line| line.starts_with("configure")).count();
        assert_eq!(first, 0, "it was right from the start");
        let peers = &world.devices[&acme].peers;
        let owners: Vec<u8> =
            (1..=3).filter(|number| peers[&key(*number)].allowed_ips.contains(&network)).collect();
        assert_eq!(owners, *owner, "{ages:?}");
    }
}

/// It carried nothing any more, and kept what it was in alive.
#[test]
fn a_device_stayed_in_a_namespace_that_somebody_removed() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    let acme = name("acme");
    world.serve(&config);
    world.log();
    let links = world.kernel.state.tenants[&acme].links.keys().cloned();
    for device in links.collect::<Vec<_>>() {
        // They go with it, and their other ends.
        let Device::Managed(link) = device else { continue };
        world.kernel.step(&acme, &Step::DeleteLink(link));
    }
    world.kernel.step(&acme, &Step::DeleteNetns);
    world.gateway.handle_dirty(&acme, world.now);
    world.drain();
    world.pass(Duration::from_secs(2));
    let order = [
        "observe acme/gw",
        "detach acme/gw",
        "observe acme/gw",
        "apply acme/gw",
        "observe acme/gw",
        "attach acme/gw",
    ];
    assert_eq!(world.deeds(), order);
    world.assert_settled(&config);
}
