//! `reconcile::plan`, told as texts: what is wanted, what is there, what to do.

use crate::random_config::{Lot, random_config, site, tenant};
use lockgate::model::limits::{PORTS_PER_ALLOW, RULE_TEXT_BYTES};
use lockgate::model::{Allow, Direction, FabricLink, Placement, Ports, Protocol};
use lockgate::net::Instant;
use lockgate::reconcile::{
    Backoff, Device, KernelState, PrefixSet, Rule, StateError, Sysctl, UnprogrammableReason,
    Verdict, desired, desired_tenant, plan, unprogrammable,
};
use std::time::Duration;

#[test]
fn makes_a_tenant_rules_first_and_from_the_outside_in() {
    check(
        "netns acme/gw
           loopback up
           link lg-wg tun mtu 1420 up 10.255.0.0/31
           link ens5 moved up
           route 192.168.1.0/24 metric 64 dev lg-wg src 10.255.0.0
           route 10.1.0.0/16 metric 64 dev ens5 via 10.0.0.1
           route 0.0.0.0/0 metric 4294967295 unreachable
           sysctl net.ipv4.conf.all.send_redirects = 0
           sysctl net.ipv4.conf.lg-wg.forwarding = 1
           ruleset",
        "",
        "netns acme/gw
           + netns
           ~ ruleset
           ~ loopback up
           ~ sysctl net.ipv4.conf.all.send_redirects = 0
           ~ route 0.0.0.0/0 metric 4294967295 unreachable
           + link lg-wg tun
           ~ link lg-wg mtu 1420
           ~ sysctl net.ipv4.conf.lg-wg.forwarding = 1
           + address lg-wg 10.255.0.0/31
           ~ link lg-wg up
           ~ route 192.168.1.0/24 metric 64 dev lg-wg src 10.255.0.0
           + link ens5 moved
           ~ link ens5 up
           ~ route 10.1.0.0/16 metric 64 dev ens5 via 10.0.0.1",
    );
}

#[test]
fn tunnels_come_up_before_a_fabric_link_that_may_fail() {
    check(
        "netns acme/gw
           link lg-fabric veth app0 up
           link lg-wg tun up",
        "netns acme/gw",
        "netns acme/gw
           + link lg-wg tun
           ~ link lg-wg up
           + link lg-fabric veth app0
           ~ link lg-fabric up",
    );
}

#[test]
fn equal_states_need_nothing() {
    let state = "netns acme/gw
                   loopback up
                   link lg-wg tun mtu 1420 up
                   ruleset";
    check(state, state, "");
}

#[test]
fn gives_back_what_is_not_ours_before_the_namespace_goes() {
    check(
        "",
        "netns gone/gw
           link lg-wg tun up
           link lg-fabric veth app0 up
           link ens5 moved up 10.0.0.2/24
           link dbg0 foreign up
           route 10.1.0.0/16 metric 64 dev lg-wg
           ruleset",
        "netns gone/gw
           - link lg-fabric
           - link lg-wg
           - link dbg0 moved
           - link ens5 moved
           - netns",
    );
}

#[test]
fn rules_somebody_flushed_come_back_before_all_else() {
    check(
        "netns acme/gw
           link lg-wg tun up
           route 10.1.0.0/16 metric 64 dev lg-wg
           ruleset",
        "netns acme/gw
           link lg-wg tun up",
        "netns acme/gw
           ~ ruleset
           ~ route 10.1.0.0/16 metric 64 dev lg-wg",
    );
}

#[test]
fn an_edited_rule_brings_the_whole_table_back_in_one_step() {
    let want = "netns acme/gw
                  ruleset
                  chain forward hook forward priority 0 policy drop
                    rule drop not_forwarded";
    check(want, &want.replace("policy drop", "policy accept"), "netns acme/gw\n ~ ruleset");
    check(want, &want.replace("rule drop not_forwarded", ""), "netns acme/gw\n ~ ruleset");
    check(want, &(want.to_owned() + "\n rule foreign"), "netns acme/gw\n ~ ruleset");
    check(want, &(want.to_owned() + "\n foreign set mine"), "netns acme/gw\n ~ ruleset");
}

#[test]
fn moves_a_route_without_a_gap() {
    check(
        "netns acme/gw
           link lg-wg tun up
           link lg-fabric veth app0 up
           route 10.1.0.0/24 metric 64 dev lg-fabric",
        "netns acme/gw
           link lg-wg tun up
           link lg-fabric veth app0 up
           route 10.1.0.0/24 metric 64 dev lg-wg",
        "netns acme/gw
           ~ route 10.1.0.0/24 metric 64 dev lg-fabric",
    );
}

#[test]
fn makes_a_route_of_several_ways_when_the_last_of_its_links_is_there() {
    let want = "netns acme/gw
           link ens1 moved up
           link lg-fabric veth app0 up
           route 10.1.0.0/24 metric 32 multipath dev lg-fabric via fe80::1 dev ens1 via 10.9.0.1
           route 10.2.0.0/24 metric 32 blackhole";
    check(
        want,
        "netns acme/gw",
        "netns acme/gw
           ~ route 10.2.0.0/24 metric 32 blackhole
           + link lg-fabric veth app0
           ~ link lg-fabric up
           + link ens1 moved
           ~ link ens1 up
           ~ route 10.1.0.0/24 metric 32 multipath dev lg-fabric via fe80::1 dev ens1 via 10.9.0.1",
    );
    // One way less is another route; one link made anew took it along.
    check(
        want,
        &want.replace("multipath dev lg-fabric via fe80::1 dev ens1 via 10.9.0.1", "dev ens1"),
        "netns acme/gw
           ~ route 10.1.0.0/24 metric 32 multipath dev lg-fabric via fe80::1 dev ens1 via 10.9.0.1",
    );
    check(
        want,
        &want.replace("veth app0", "veth app1"),
        "netns acme/gw
           - link lg-fabric
           + link lg-fabric veth app0
           ~ link lg-fabric up
           ~ route 10.1.0.0/24 metric 32 multipath dev lg-fabric via fe80::1 dev ens1 via 10.9.0.1",
    );
}

#[test]
fn one_way_or_the_same_twice_is_not_several() {
    for ways in ["", "dev ens1 via 10.9.0.1", "dev ens1 dev ens1", "dev ens1 dev"] {
        let text = format!("netns acme/gw\n route 10.1.0.0/24 metric 32 multipath {ways}");
        assert!(text.parse::<KernelState>().is_err(), "{ways}");
    }
}

#[test]
fn keeps_one_route_of_two_with_other_metrics() {
    check(
        "netns acme/gw
           link lg-wg tun up
           route 10.1.0.0/24 metric 64 dev lg-wg",
        "netns acme/gw
           link lg-wg tun up
           route 10.1.0.0/24 metric 7 dev lg-wg
           route 10.1.0.0/24 metric 64 dev lg-wg",
        "netns acme/gw
           - route 10.1.0.0/24 metric 7",
    );
}

#[test]
fn remakes_the_routes_of_a_link_made_anew() {
    check(
        "netns acme/gw
           link lg-fabric veth app1 up
           route 10.1.0.0/24 metric 64 dev lg-fabric
           sysctl net.ipv4.conf.lg-fabric.rp_filter = 2",
        "netns acme/gw
           link lg-fabric veth app0 up
           route 10.1.0.0/24 metric 64 dev lg-fabric
           sysctl net.ipv4.conf.lg-fabric.rp_filter = 2",
        "netns acme/gw
           - link lg-fabric
           + link lg-fabric veth app1
           ~ sysctl net.ipv4.conf.lg-fabric.rp_filter = 2
           ~ link lg-fabric up
           ~ route 10.1.0.0/24 metric 64 dev lg-fabric",
    );
}

#[test]
fn remakes_the_routes_that_stood_on_an_address() {
    check(
        "netns acme/gw
           link lg-wg tun up fd00::1/127
           route 2001:db8::/48 metric 64 dev lg-wg src fd00::1
           route 2001:db8:1::/48 metric 64 dev lg-wg",
        "netns acme/gw
           link lg-wg tun up fd00::1/64
           route 2001:db8::/48 metric 64 dev lg-wg src fd00::1
           route 2001:db8:1::/48 metric 64 dev lg-wg",
        "netns acme/gw
           - address lg-wg fd00::1/64
           + address lg-wg fd00::1/127
           ~ route 2001:db8::/48 metric 64 dev lg-wg src fd00::1",
    );
}

#[test]
fn a_v4_address_is_added_before_the_last_one_goes() {
    check(
        "netns acme/gw
           link lg-wg tun up 10.0.0.1/31
           route 10.1.0.0/16 metric 64 dev lg-wg",
        "netns acme/gw
           link lg-wg tun up 10.0.9.1/31
           route 10.1.0.0/16 metric 64 dev lg-wg",
        "netns acme/gw
           + address lg-wg 10.0.0.1/31
           - address lg-wg 10.0.9.1/31",
    );
}

#[test]
fn leaves_other_tenants_and_foreign_links_alone() {
    check(
        "netns acme/gw
           link lg-wg tun up
         netns bolt/gw
           loopback up",
        "netns acme/gw
           link lg-wg tun up
           link dbg0 foreign mtu 900 down 192.0.2.1/24
         netns gone/gw",
        "netns bolt/gw
           + netns
           ~ loopback up
         netns gone/gw
           - netns",
    );
}

/// Checks the plan between two texts.
#[track_caller]
fn check(desired: &str, observed: &str, expected: &str) {
    let desired: KernelState = desired.parse().unwrap();
    let observed: KernelState = observed.parse().unwrap();
    let plan = plan(&desired, &observed, Placement::PerTenant);
    assert_eq!(unindent(&plan.to_string()), unindent(expected));
}

fn unindent(text: &str) -> String {
    text.lines().map(|line| line.trim().to_owned() + "\n").collect()
}

#[test]
fn a_state_is_its_text() {
    for seed in 0..100 {
        for placement in [Placement::PerTenant, Placement::Current] {
            let state = desired(&random_config(&mut Lot(seed), placement), placement);
            let text = state.to_string();
            assert_eq!(text.parse::<KernelState>().as_ref(), Ok(&state), "{text}");
        }
    }
}

#[test]
fn a_text_that_is_no_state_is_refused_by_its_line() {
    let line = |text: &str| text.parse::<KernelState>().map_err(|StateError { line, .. }| line);
    assert_eq!(line("link lg-wg tun up"), Err(1));
    assert_eq!(line("netns acme/gw\nnetns acme/gw"), Err(2));
    assert_eq!(line("netns acme/gw\nloopback up\nloopback up"), Err(3));
    assert_eq!(line("netns acme/gw\nlink lg-wg tun sideways"), Err(2));
    assert_eq!(line("netns acme/gw\nruleset\nrule accept"), Err(3));
    assert_eq!(line("netns acme/gw\nroute 10.0.0.1/8 metric 1 unreachable"), Err(2));
}

#[test]
fn every_rule_fits_its_comment_and_reads_back() {
    let mut worst = tenant("acme");
    worst.fabric.link = FabricLink::Interface("a-name-of-15-ch".parse().unwrap());
    let mut long = site(&"s".repeat(63), &["10.255.0.0/31"], &["192.168.1.0/24"]);
    let ports = (0..PORTS_PER_ALLOW as u16)
        .map(|index| Ports { first: 10_000 + 100 * index, last: 10_050 + 100 * index })
        .collect();
    let allow = Allow { direction: Direction::FromSite, protocol: Protocol::Sctp, ports };
    long.allow = Some(vec![allow]);
    worst.sites.insert(long.name.clone(), long);
    for placement in [Placement::PerTenant, Placement::Current] {
        let ruleset = desired_tenant(&worst, placement).ruleset.unwrap();
        for rule in ruleset.chains.values().flat_map(|chain| &chain.rules) {
            let text = rule.to_string();
            assert!(text.len() <= RULE_TEXT_BYTES, "{} bytes: {text}", text.len());
            assert_eq!(text.parse().as_ref(), Ok(rule));
        }
    }
}

#[test]
fn a_comment_that_is_no_rule_is_refused() {
    for text in [
        "",
        "accept accept",
        "iif",
        "iif lg-wg",
        "drop",
        "drop because",
        "tcp dport x accept",
        "src apps4 accept",
        "src @apps5 accept",
        "icmp4 neighbor accept",
        "rate 5 accept",
        "goto nowhere",
        "iif  lg-wg accept",
        "iif ../etc accept",
    ] {
        assert!(text.parse::<Rule>().is_err(), "{text:?}");
    }
    assert_eq!("foreign".parse::<Rule>().unwrap().verdict, Verdict::Foreign);
}

#[test]
fn sets_are_the_fewest_prefixes_that_do_not_overlap() {
    let set = |text: &str| -> PrefixSet { text.split(' ').map(|p| p.parse().unwrap()).collect() };
    assert_eq!(set("10.0.0.0/25 10.0.0.128/25 10.0.1.0/24 10.0.1.7/32").to_string(), "10.0.0.0/23");
    assert_eq!(set("::/1 8000::/1 10.0.0.0/8").to_string(), "10.0.0.0/8 ::/0");
    let some = set("10.0.0.0/25 10.0.0.200/32 2001:db8::/32");
    for (address, inside) in [
        ("10.0.0.1", true),
        ("10.0.0.128", false),
        ("10.0.0.200", true),
        ("2001:db8::1", true),
        ("::", false),
    ] {
        assert_eq!(some.contains(address.parse().unwrap()), inside, "{address}");
    }
}

/// A set within 32 addresses, so that two meet often and can be counted.
fn small_set(lot: &mut Lot) -> PrefixSet {
    let count = lot.below(4);
    let prefixes = (0..count).map(|_| {
        let (length, host) = (27 + lot.below(6), lot.below(32));
        let address = format!("10.0.0.{}", host >> (32 - length) << (32 - length));
        format!("{address}/{length}").parse().unwrap()
    });
    prefixes.collect()
}

fn has(set: &PrefixSet, n: u8) -> bool {
    set.contains([10, 0, 0, n].into())
}

#[test]
fn a_set_without_another_has_what_only_the_first_has() {
    for seed in 0..2_000 {
        let mut lot = Lot(seed);
        let (one, other) = (small_set(&mut lot), small_set(&mut lot));
        let left = one.without(&other);
        for n in 0..32 {
            let wanted = has(&one, n) && !has(&other, n);
            assert_eq!(has(&left, n), wanted, "10.0.0.{n} of {one} without {other}");
        }
        assert_eq!(left, left.iter().collect(), "the fewest prefixes");
    }
}

#[test]
fn a_set_covers_another_when_it_has_each_of_its_addresses() {
    for seed in 0..2_000 {
        let mut lot = Lot(seed);
        let (outer, inner) = (small_set(&mut lot), small_set(&mut lot));
        let covers = (0..32).all(|n| !has(&inner, n) || has(&outer, n));
        assert_eq!(outer.covers(&inner), covers, "{outer} and {inner}");
    }
}

#[test]
fn a_dotted_link_name_is_written_as_sysctl_does() {
    let text = "net.ipv4.conf.eth2/30.forwarding";
    let sysctl: Sysctl = text.parse().unwrap();
    assert_eq!(
        (sysctl.to_string().as_str(), sysctl.path_in_conf().as_str()),
        (text, "eth2.30/forwarding")
    );
    for bad in [
        "net.ipv4.ip_forward",
        "net.ipv4.conf.all.accept_ra",
        "kernel.panic",
        "net.ipv6.conf.../x.forwarding",
    ] {
        assert!(bad.parse::<Sysctl>().is_err(), "{bad}");
    }
}

#[test]
fn of_two_sites_with_one_network_the_rules_follow_the_first() {
    let mut tenant = tenant("acme");
    tenant.app_prefixes = vec!["10.1.0.0/16".parse().unwrap()];
    let mut first = site("b", &["10.255.0.0/31"], &["192.168.0.0/16"]);
    first.priority = 200;
    first.allow = Some(Vec::new());
    let backup = site("a", &["10.255.1.0/31"], &["192.168.1.0/24", "10.9.0.0/24"]);
    for site in [first, backup] {
        tenant.sites.insert(site.name.clone(), site);
    }
    let namespace = desired_tenant(&tenant, Placement::PerTenant);
    let ruleset = namespace.ruleset.unwrap();
    let open = &ruleset.sets[&"open4".parse().unwrap()];
    assert_eq!(open.to_string(), "10.9.0.0/24");
    let sites: Vec<String> =
        ruleset.sites.iter().map(|(prefix, site)| format!("{prefix} {site}")).collect();
    assert_eq!(sites, ["192.168.0.0/16 b"]);
    let wg: Device = "lg-wg".parse().unwrap();
    let routes = namespace.routes.iter().filter(|(_, route)| route.device() == Some(&wg));
    assert_eq!(routes.count(), 2);
}

#[test]
fn says_what_it_leaves_out() {
    let mut config = lockgate::model::Config::default();
    let mut one = tenant("acme");
    one.fabric.link = FabricLink::Pod("eth0".parse().unwrap());
    one.sites.insert("hq".parse().unwrap(), site("hq", &[], &["192.168.1.0/24"]));
    config.tenants.insert(one.name.clone(), one.clone().into());

    let left_out = unprogrammable(&config, Placement::PerTenant);
    let reasons: Vec<_> = left_out[&one.name].iter().map(|part| part.reason).collect();
    assert_eq!(reasons, [UnprogrammableReason::PodLinkNotHere]);
    let namespace = desired_tenant(&one, Placement::PerTenant);
    assert_eq!(namespace.links.len(), 1);
}

#[test]
fn waits_double_up_to_half_a_minute() {
    let mut backoff = Backoff::default();
    let now = Instant::from_secs(10);
    let mut waits = Vec::new();
    for _ in 0..40 {
        assert!(
            backoff
                .poll_timeout()
                .is_none_or(|until| !backoff.is_open(now) && backoff.is_open(until))
        );
        backoff.handle_failure(now);
        waits.push(backoff.poll_timeout().unwrap().since(now));
    }
    let ms = Duration::from_millis;
    assert_eq!(waits[..4], [ms(100), ms(200), ms(400), ms(800)]);
    assert_eq!(waits[8..10], [ms(25_600), ms(30_000)]);
    assert_eq!(waits[39], ms(30_000));
    backoff.handle_success();
    assert!(backoff.is_open(now) && backoff.failures() == 0);
}
