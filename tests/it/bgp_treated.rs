//! What counts as withdrawn for what was wrong with it is remembered with the reason, for
//! as long as that is why a route is not here, and never without bound.

use crate::bgp_scene::{announce, attributes, name, nlri, rib, say, withdraw};
use lockgate::bgp::proto::{Fault, Flaw};
use lockgate::bgp::{Family, Nlri, Retain, Rib, Update};
use lockgate::model::limits::{TREATED_PER_NEIGHBOR, TREATED_PER_TENANT};
use lockgate::net::Instant;

const NETWORK: &str = "192.168.3.64/26";
const MALFORMED: Fault = Fault { flaw: Flaw::MalformedAttribute, attribute: Some(2) };

/// As a session tells it: what was there goes, and then why.
fn treat(rib: &mut Rib, neighbor: &str, networks: &[Nlri], fault: Fault) {
    let update = Update { withdrawn: networks.to_vec(), announced: Vec::new() };
    assert_eq!(rib.update(&name(neighbor), &update), None);
    rib.treated_as_withdrawn(&name(neighbor), networks, fault);
    rib.settle();
}

/// Everything that is remembered, a line each, as it is found by walking all.
fn treated(rib: &Rib) -> Vec<String> {
    let all = rib.explain_all().flat_map(|it| it.treated);
    all.map(|(name, it)| format!("{} of {name}: {}", it.nlri.prefix, it.fault)).collect()
}

#[test]
fn it_says_which_attribute_of_whom_was_wrong() {
    let mut rib = rib();
    say(&mut rib, "peer", NETWORK, "10.1.0.7", &[]);
    say(&mut rib, "second", NETWORK, "10.1.0.8", &[]);
    treat(&mut rib, "peer", &[nlri(NETWORK)], MALFORMED);
    let explained = rib.explain(NETWORK.parse().unwrap()).unwrap();
    assert_eq!(explained.paths.len(), 1, "the other's path serves");
    assert_eq!(treated(&rib), ["192.168.3.64/26 of peer: AS_PATH (attribute 2) is malformed"]);
    // Of a network that nobody else says, it is all there is.
    let other = Fault { flaw: Flaw::AsLoop, attribute: None };
    treat(&mut rib, "tor", &[nlri("192.168.1.0/26"), nlri("192.168.9.0/26")], other);
    let explained = rib.explain("192.168.9.0/26".parse().unwrap()).unwrap();
    assert_eq!((explained.paths.len(), explained.route), (0, None));
    let all: Vec<String> = rib.explain_all().map(|it| it.prefix.to_string()).collect();
    assert_eq!(all, ["192.168.1.0/26", NETWORK, "192.168.9.0/26"], "in order, for the pages");
    let after = rib.explain_after(Some("192.168.1.0/26".parse().unwrap()));
    assert_eq!(after.count(), 2);
    assert!(treated(&rib)[0].ends_with("our own AS is in its path more often than it may be"));
}

#[test]
fn it_is_forgotten_when_the_neighbor_says_something_else() {
    type Act<'a> = &'a dyn Fn(&mut Rib);
    let end = Retain::default();
    let now = Instant::from_secs(9);
    let ends: [(&str, Act<'_>); 6] = [
        ("said rightly", &|rib| say(rib, "peer", NETWORK, "10.1.0.7", &[])),
        ("withdrawn", &|rib| {
            rib.update(&name("peer"), &withdraw(NETWORK));
        }),
        ("about to be said again", &|rib| rib.begin_refresh(&name("peer"), Family::Ipv4Unicast)),
        ("the session over", &|rib| rib.neighbor_down(&name("peer"), &end, now)),
        ("the neighbor gone", &|rib| rib.remove_neighbor(&name("peer"))),
        ("refused by policy", &|rib| {
            let update = announce(attributes("10.1.0.7", &[64_512]), vec![nlri(NETWORK)]);
            rib.update(&name("peer"), &update);
        }),
    ];
    for (what, act) in ends {
        let mut rib = rib();
        treat(&mut rib, "peer", &[nlri(NETWORK)], MALFORMED);
        // What another says of it is nothing to it.
        say(&mut rib, "second", NETWORK, "10.1.0.8", &[]);
        rib.update(&name("second"), &withdraw(NETWORK));
        rib.begin_refresh(&name("peer"), Family::Ipv6Unicast);
        assert_eq!(treated(&rib).len(), 1, "{what}");
        act(&mut rib);
        assert_eq!(treated(&rib), [] as [&str; 0], "{what}");
    }
}

#[test]
fn the_last_of_each_neighbor_are_remembered_and_no_more() {
    let mut rib = rib();
    let network = |n: usize| nlri(&format!("192.168.{}.{}/32", n / 256, n % 256));
    for n in 0..TREATED_PER_NEIGHBOR + 50 {
        treat(&mut rib, "peer", &[network(n)], MALFORMED);
    }
    treat(&mut rib, "second", &[nlri("10.8.1.0/24")], MALFORMED);
    assert_eq!(treated(&rib).len(), TREATED_PER_NEIGHBOR + 1);
    let has = |rib: &Rib, n| rib.explain(network(n).prefix).is_some();
    assert!(!has(&rib, 49) && has(&rib, 50) && has(&rib, TREATED_PER_NEIGHBOR + 49));
    // The same again is no other.
    treat(&mut rib, "peer", &[network(60), network(60)], MALFORMED);
    assert_eq!(treated(&rib).len(), TREATED_PER_NEIGHBOR + 1);
    // A message of a thousand.
    let many: Vec<Nlri> = (0..1_000).map(network).collect();
    treat(&mut rib, "tor", &many, MALFORMED);
    assert_eq!(treated(&rib).len(), 2 * TREATED_PER_NEIGHBOR + 1);
}

/// Who says much of it takes the room of nobody who says little.
#[test]
fn all_neighbors_of_a_tenant_are_bounded_together() {
    let (tenant, mut rib) = (crate::bgp_scene::tenant(), rib());
    let settings = crate::bgp_scene::settings(&tenant, "peer");
    treat(&mut rib, "peer", &[nlri("10.8.1.0/24")], MALFORMED);
    let several = TREATED_PER_TENANT / TREATED_PER_NEIGHBOR + 2;
    for neighbor in 0..several {
        let neighbor = format!("n{neighbor}");
        rib.set_neighbor(name(&neighbor), settings.clone());
        let many: Vec<Nlri> = (0..TREATED_PER_NEIGHBOR)
            .map(|n| nlri(&format!("192.168.{}.{}/32", n / 256, n % 256)))
            .collect();
        treat(&mut rib, &neighbor, &many, MALFORMED);
    }
    let all = treated(&rib);
    assert_eq!(all.len(), TREATED_PER_TENANT);
    assert!(all.iter().any(|it| it.contains("10.8.1.0/24 of peer")), "{all:?}");
    assert!(all.iter().any(|it| it.contains(&format!("of n{}:", several - 1))));
}
