//! Sites on VLANs: their trunk, the customer's router, and who takes over.

use super::world::{World, config, key, keyed, name, with_sites};
use crate::allocation::asked;
use crate::random_config::{on_vlan, site};
use lockgate::gateway::Output;
use lockgate::model::{Config, Site};
use lockgate::net::{ManagedName, SiteName, TenantName};
use lockgate::reconcile::{Answer, Device, LegSample, Link, LinkKind, vlan_link};
use lockgate::status::{ConditionReason, ConditionType, SiteReason, SiteState};
use lockgate::wireguard::PeerSample;
use std::collections::BTreeMap;
use std::time::Duration;

const LAN: &str = "192.168.1.0/24";

pub(crate) fn vlan(name: &str, id: u32, prefixes: &[&str]) -> Site {
    let mut site = site(name, &[], prefixes);
    let (own, hop) = (format!("10.1.{id}.7/24"), format!("10.1.{id}.1"));
    on_vlan(&mut site, id, &[&own], &[&hop]);
    site
}

pub(crate) fn link(site: &Site) -> (Device, ManagedName) {
    match vlan_link(site) {
        Some(Device::Managed(name)) => (Device::Managed(name.clone()), name),
        other => panic!("{other:?}"),
    }
}

/// A tunnel and a VLAN.
fn both() -> (Config, Site) {
    let tagged = vlan("lab", 30, &["10.9.0.0/16"]);
    let sites = vec![keyed("hq", 1, &[LAN]), tagged.clone()];
    (config(vec![with_sites("acme", sites)]), tagged)
}

/// Tells how one VLAN is: with carrier or not, and what its router does.
pub(crate) fn tell(
    world: &mut World,
    tenant: &TenantName,
    site: &Site,
    carrier: bool,
    answer: Answer,
) {
    let hop = match &site.attachment {
        lockgate::model::Attachment::Vlan(vlan) => vlan.next_hops[0],
        lockgate::model::Attachment::WireGuard(_) => panic!("no VLAN"),
    };
    let sample = LegSample { carrier, routers: [(hop, answer)].into(), ..LegSample::default() };
    world.gateway.handle_legs(tenant, &[(link(site).0, sample)].into(), world.now);
    world.drain();
}

fn state(world: &mut World, tenant: &TenantName, site: &str) -> (SiteState, SiteReason) {
    let site = world.site(tenant, site);
    (site.state, site.reason)
}

/// The link by which packets for a network leave.
pub(crate) fn way(world: &World, tenant: &TenantName, prefix: &str) -> String {
    let routes = &world.kernel.state.tenants[tenant].routes;
    let prefix = prefix.parse().unwrap();
    let found = routes.iter().find(|(key, _)| key.prefix == prefix);
    found.and_then(|(_, route)| route.device()).map(ToString::to_string).unwrap_or_default()
}

/// Looks at a tenant, and gives how often memory was asked for to take in what is there.
fn look(world: &mut World, tenant: &TenantName) -> u64 {
    world.gateway.handle_dirty(tenant, world.now);
    world.collect();
    assert!(matches!(world.pending.pop_front(), Some(Output::Observe(_))));
    let seen = world.kernel.state.tenants.get(tenant).cloned();
    let before = asked();
    world.gateway.handle_observed(tenant, Ok(seen), world.now);
    let asked = asked() - before;
    world.drain();
    asked
}

/// Each tenant is looked at once a minute, and every packet that must not pass was walked
/// through its rules each time. With a thousand VLANs that was most of what was done
/// while nothing changed.
#[test]
fn a_look_that_found_all_as_it_was_judged_it_anew() {
    let sites = (1..=10).map(|id| vlan(&format!("s{id}"), id, &[&format!("192.168.{id}.0/24")]));
    let mut world = World::new();
    let acme = name("acme");
    world.serve(&config(vec![with_sites("acme", sites.collect())]));
    let is_isolated =
        |world: &mut World| world.tenant(&acme).conditions.holds(ConditionType::Isolated);
    assert!(is_isolated(&mut world));
    let again = look(&mut world, &acme);
    // What nobody has to mend is judged all the same, once.
    let theirs: Device = "theirs0".parse().unwrap();
    let link = Link { kind: LinkKind::Foreign, mtu: None, up: true, addresses: [].into() };
    world.kernel.state.tenants.get_mut(&acme).unwrap().links.insert(theirs.clone(), link);
    let anew = look(&mut world, &acme);
    assert!(20 * again < anew, "{again} and {anew} allocations");
    assert!(!is_isolated(&mut world));
    assert!(20 * look(&mut world, &acme) < anew);
    assert!(!is_isolated(&mut world), "it was found, and is there");
    world.kernel.state.tenants.get_mut(&acme).unwrap().links.remove(&theirs);
    assert!(20 * again < look(&mut world, &acme));
    assert!(is_isolated(&mut world));
}

#[test]
fn a_missing_trunk_took_the_tenants_other_sites_along() {
    let mut world = World::new();
    let acme = name("acme");
    let (config, tagged) = both();
    world.broken_links.insert(link(&tagged).1);
    world.serve(&config);

    assert!(world.devices.contains_key(&acme), "the tunnel carries packets");
    let tenant = world.tenant(&acme);
    assert!(tenant.conditions.holds(ConditionType::Ready), "{:?}", tenant.conditions);
    let site = world.site(&acme, "lab");
    assert_eq!((site.state, site.reason), (SiteState::NeverConnected, SiteReason::NotProgrammed));
    assert!(site.message.contains("no trunk"), "{}", site.message);
    let programmed = site.conditions.find(ConditionType::Programmed).unwrap();
    assert_eq!(programmed.reason, ConditionReason::ApplyFailed);
    assert!(programmed.message.contains("no trunk"), "{}", programmed.message);
    assert!(!site.prefixes[0].installed);

    // It is tried again, less and less often, and the tenant is watched as ever.
    world.log();
    world.pass(Duration::from_secs(50));
    let tries = world.log().iter().filter(|line| *line == "apply acme/gw").count();
    assert!((3..=10).contains(&tries), "{tries} tries in 50 s");
    world.kernel.state.tenants.get_mut(&acme).unwrap().routes.clear();
    world.gateway.handle_dirty(&acme, world.now);
    world.drain();
    assert_eq!(way(&world, &acme, LAN), "lg-wg", "put right at once");

    world.broken_links.clear();
    world.pass(Duration::from_secs(31));
    world.assert_settled(&config);
}

#[test]
fn a_trunk_that_comes_is_taken_at_once() {
    let mut world = World::new();
    let (config, tagged) = both();
    world.broken_links.insert(link(&tagged).1);
    world.serve(&config);
    world.pass(Duration::from_secs(300));
    world.broken_links.clear();
    world.gateway.handle_underlay(world.now);
    world.drain();
    world.assert_settled(&config);
}

#[test]
fn a_site_is_up_only_while_its_router_answers() {
    let mut world = World::new();
    let acme = name("acme");
    let (config, tagged) = both();
    world.serve(&config);
    let now = |world: &mut World| state(world, &acme, "lab");
    assert_eq!(now(&mut world), (SiteState::NeverConnected, SiteReason::Starting));
    tell(&mut world, &acme, &tagged, true, Answer::Asked);
    let waiting = (SiteState::NeverConnected, SiteReason::NextHopUnreachable);
    assert_eq!(now(&mut world), waiting);
    tell(&mut world, &acme, &tagged, true, Answer::Silent);
    assert_eq!(now(&mut world), waiting);
    tell(&mut world, &acme, &tagged, true, Answer::Answers);
    assert_eq!(now(&mut world), (SiteState::Up, SiteReason::NextHopReachable));

    // Being asked is no news yet.
    world.pass(Duration::from_secs(4));
    tell(&mut world, &acme, &tagged, true, Answer::Asked);
    assert_eq!(now(&mut world).0, SiteState::Up);
    world.pass(Duration::from_secs(7));
    tell(&mut world, &acme, &tagged, true, Answer::Asked);
    assert_eq!(now(&mut world), (SiteState::Stale, SiteReason::NextHopSilent));
    tell(&mut world, &acme, &tagged, true, Answer::Silent);
    assert_eq!(now(&mut world), (SiteState::Down, SiteReason::NextHopUnreachable));
    tell(&mut world, &acme, &tagged, false, Answer::Silent);
    assert_eq!(now(&mut world), (SiteState::Down, SiteReason::LinkDown));
    world.gateway.handle_legs(&acme, &BTreeMap::new(), world.now);
    assert_eq!(now(&mut world), (SiteState::Down, SiteReason::LinkMissing));
    tell(&mut world, &acme, &tagged, true, Answer::Answers);
    assert_eq!(now(&mut world).0, SiteState::Up);
}

#[test]
fn a_tunnel_takes_over_from_a_vlan_and_gives_back() {
    let mut world = World::new();
    let acme = name("acme");
    let tagged = vlan("lab", 30, &[LAN]);
    let mut backup = keyed("hq", 1, &[LAN]);
    backup.priority = 50;
    world.serve(&config(vec![with_sites("acme", vec![tagged.clone(), backup])]));
    let vlan = link(&tagged).0.to_string();
    tell(&mut world, &acme, &tagged, true, Answer::Answers);
    let alive = PeerSample {
        last_handshake: Some(world.now.wall),
        last_received: Some(world.now.wall),
        received_bytes: 1,
        handshakes: 1,
        ..PeerSample::default()
    };
    world.sample(&acme, &[(key(1), alive)]);
    assert_eq!(way(&world, &acme, LAN), vlan);
    let sources = |world: &World, set: &str| {
        let ruleset = world.kernel.state.tenants[&acme].ruleset.clone().unwrap();
        ruleset.sets[&set.parse().unwrap()].to_string()
    };
    assert!(!sources(&world, "sources4").contains(LAN), "only from where it is");

    tell(&mut world, &acme, &tagged, false, Answer::Silent);
    assert_eq!(way(&world, &acme, LAN), "lg-wg");
    assert!(sources(&world, "sources4").contains(LAN));
    assert!(!sources(&world, &format!("sources4.{vlan}")).contains(LAN));
    assert!(world.tenant(&acme).conditions.holds(ConditionType::Isolated));

    tell(&mut world, &acme, &tagged, true, Answer::Answers);
    assert_eq!(way(&world, &acme, LAN), vlan);
    // With nobody to take over it keeps what it has.
    let lonely: SiteName = "lab".parse().unwrap();
    world.serve(&config(vec![with_sites("acme", vec![tagged.clone()])]));
    tell(&mut world, &acme, &tagged, false, Answer::Silent);
    assert_eq!(way(&world, &acme, LAN), vlan);
    assert_eq!(world.site(&acme, lonely.as_str()).state, SiteState::Down);
    assert!(world.devices.is_empty(), "no tunnel, no device");
}

#[test]
fn outer_tags_are_wanted_while_a_site_stands_on_them() {
    let mut world = World::new();
    let mut double = vlan("lab", 30, &[LAN]);
    if let lockgate::model::Attachment::Vlan(vlan) = &mut double.attachment
        && let lockgate::model::VlanLink::Tagged(tags) = &mut vlan.link
    {
        tags.inner_id = Some(lockgate::net::VlanId::new(7).unwrap());
    }
    world.serve(&config(vec![with_sites("acme", vec![double])]));
    let outer: Vec<String> = world.gateway.outer_vlans().iter().map(ToString::to_string).collect();
    assert_eq!(outer.len(), 1);
    assert!(outer[0].starts_with("lg-s30."), "{outer:?}");
    world.serve(&config(vec![with_sites("acme", vec![keyed("hq", 1, &[LAN])])]));
    assert!(world.gateway.outer_vlans().is_empty());
}
