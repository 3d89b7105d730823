//! What is taken from a neighbor, case by case.

use crate::bgp_scene::{attributes, import, nlri, policy, tenant};
use lockgate::bgp::{AsPath, AsSegment, Attributes, ImportPolicy, Nlri, Reject, Verdict};
use lockgate::model::{Class, Tenant};
use lockgate::net::{Community, LargeCommunity, RouteTarget};
use std::sync::Arc;

fn judge(policy: &ImportPolicy, prefix: &str, attributes: &Attributes) -> Verdict {
    policy.judge(&nlri(prefix), attributes)
}

/// A route of `neighbor` in all else as it should be.
fn prefix(tenant: &Tenant, neighbor: &str, prefix: &str) -> Verdict {
    let good = match neighbor {
        "site/hq" => attributes("10.255.30.1", &[65_010]),
        "site/lab" => attributes("172.30.0.2", &[65_010]),
        "tor" => attributes("10.1.0.1", &[65_001]),
        _ => attributes("10.1.0.8", &[]),
    };
    judge(&policy(tenant, neighbor), prefix, &good)
}

#[track_caller]
fn check(tenant: &Tenant, neighbor: &str, table: &[(&str, Option<Reject>)]) {
    for (it, reject) in table {
        let wanted = reject.map_or(Verdict::Accept, Verdict::Reject);
        assert_eq!(prefix(tenant, neighbor, it), wanted, "{it} of {neighbor}");
    }
}

#[test]
fn of_the_fabric_only_what_is_listed() {
    let mut tenant = tenant();
    let import_of = &mut tenant.fabric.bgp.as_mut().unwrap().import;
    import_of.prefixes.push(import("2001:db8::/32", 64, 64));
    import_of.prefixes.push(import("192.168.7.0/24", 24, 24));
    import_of.prefixes.push(import("0.0.0.0/0", 0, 8));
    import_of.prefixes.push(import("10.96.0.0/12", 12, 32));
    import_of.prefixes.push(import("10.64.0.0/10", 10, 32));
    check(
        &tenant,
        "peer",
        &[
            ("192.168.72.64/26", None),
            ("192.168.72.70/32", None),
            ("192.168.72.0/25", Some(Reject::Length)),
            ("192.168.0.0/16", Some(Reject::Length)),
            // The wider list does not take it, another does.
            ("192.168.7.0/24", None),
            ("2001:db8:1::/64", None),
            ("2001:db8:1::/65", Some(Reject::Length)),
            ("2001:db9::/64", Some(Reject::NotListed)),
            ("198.51.100.0/24", Some(Reject::Length)),
            ("11.0.0.0/8", None),
            ("127.1.0.0/16", Some(Reject::Martian)),
            ("224.0.0.0/3", Some(Reject::Martian)),
            ("fe80::/64", Some(Reject::Martian)),
            ("0.0.0.0/0", Some(Reject::DefaultRoute)),
            ("::/0", Some(Reject::DefaultRoute)),
            // Forbidden: it, inside, around.
            ("10.96.0.0/12", Some(Reject::Forbidden)),
            ("10.97.1.0/24", Some(Reject::Forbidden)),
            ("10.0.0.0/8", Some(Reject::Forbidden)),
            // Ours, and sites'.
            ("10.1.0.0/24", Some(Reject::OwnNetwork)),
            ("10.1.0.113/32", Some(Reject::OwnNetwork)),
            ("10.255.30.1/32", Some(Reject::OwnNetwork)),
            ("172.30.0.0/24", Some(Reject::OwnNetwork)),
            ("10.64.0.0/16", Some(Reject::SitePrefix)),
            ("10.64.3.0/24", Some(Reject::SitePrefix)),
            ("10.200.1.128/25", Some(Reject::SitePrefix)),
            ("172.20.9.9/32", Some(Reject::SitePrefix)),
            // Around a site's: the site's own is longer.
            ("10.64.0.0/11", None),
            // As the customer has it, behind its alias: not a name known here.
            ("192.168.1.64/26", None),
        ],
    );
}

#[test]
fn a_default_route_needs_the_class_and_a_list() {
    let mut tenant = tenant();
    tenant.class = Arc::new(Class { allow_default_route: true, ..(*tenant.class).clone() });
    check(&tenant, "peer", &[("0.0.0.0/0", Some(Reject::NotListed))]);
    let prefixes = &mut tenant.fabric.bgp.as_mut().unwrap().import.prefixes;
    prefixes.push(import("0.0.0.0/0", 0, 0));
    check(&tenant, "peer", &[("0.0.0.0/0", None), ("10.96.0.0/16", Some(Reject::Forbidden))]);
    // A site that is the default route keeps it, and applications are still found.
    let site = tenant.sites.get_mut(&"lab".parse().unwrap()).unwrap();
    site.prefixes[0].real = "0.0.0.0/0".parse().unwrap();
    check(&tenant, "peer", &[("0.0.0.0/0", Some(Reject::SitePrefix)), ("192.168.72.64/26", None)]);
    check(
        &tenant,
        "site/lab",
        &[
            ("0.0.0.0/0", None),
            ("8.8.8.0/24", None),
            ("192.168.0.0/17", Some(Reject::AppPrefix)),
            ("192.0.0.0/8", None),
            ("172.20.1.0/24", Some(Reject::OtherSite)),
            ("10.96.1.0/24", Some(Reject::Forbidden)),
            ("127.0.0.1/32", Some(Reject::Martian)),
            ("10.1.0.7/32", Some(Reject::OwnNetwork)),
        ],
    );
}

#[test]
fn of_a_customer_only_what_its_site_declares() {
    let mut tenant = tenant();
    check(
        &tenant,
        "site/lab",
        &[
            ("10.64.0.0/16", None),
            ("10.64.3.0/24", None),
            ("10.64.0.0/15", Some(Reject::NotDeclared)),
            ("10.65.0.0/16", Some(Reject::NotDeclared)),
            ("192.168.72.64/26", Some(Reject::NotDeclared)),
            ("10.96.0.0/16", Some(Reject::Forbidden)),
            ("0.0.0.0/0", Some(Reject::DefaultRoute)),
        ],
    );
    // By its own names only.
    check(
        &tenant,
        "site/hq",
        &[
            ("192.168.1.0/24", None),
            ("192.168.1.128/25", None),
            ("10.200.1.0/24", Some(Reject::NotDeclared)),
        ],
    );
    let renamed = policy(&tenant, "site/hq").rename("192.168.1.128/25".parse().unwrap());
    assert_eq!(renamed, Some("10.200.1.128/25".parse().unwrap()));
    // What another site has with a higher priority is that one's.
    let mut other = tenant.sites[&"lab".parse().unwrap()].clone();
    other.name = "main".parse().unwrap();
    other.priority = 200;
    tenant.sites.insert(other.name.clone(), other);
    check(&tenant, "site/lab", &[("10.64.3.0/24", Some(Reject::OtherSite))]);
}

#[test]
fn what_is_said_of_a_route_has_to_be_sound() {
    let tenant = tenant();
    let internal = policy(&tenant, "peer");
    let external = policy(&tenant, "tor");
    let customer = policy(&tenant, "site/hq");
    let good = || attributes("10.1.0.8", &[]);
    let table = [
        (good(), None),
        (attributes("10.1.0.8", &[65_009]), None),
        (attributes("10.1.0.8", &[64_512]), Some(Reject::AsLoop)),
        (attributes("10.1.0.8", &[65_009, 0]), Some(Reject::AsZero)),
        (Attributes { otc: Some(0), ..good() }, Some(Reject::AsZero)),
        (
            Attributes { as_path: AsPath(vec![AsSegment::Set(vec![1])]), ..good() },
            Some(Reject::AsSet),
        ),
        (
            Attributes { originator_id: Some("10.1.0.20".parse().unwrap()), ..good() },
            Some(Reject::ReflectionLoop),
        ),
        (
            Attributes { cluster_list: vec!["10.1.0.20".parse().unwrap()], ..good() },
            Some(Reject::ReflectionLoop),
        ),
        (attributes("10.1.0.20", &[]), Some(Reject::NextHopOwn)),
        (attributes("0.0.0.0", &[]), Some(Reject::NextHopMartian)),
        (attributes("127.0.0.1", &[]), Some(Reject::NextHopMartian)),
        (attributes("239.1.1.1", &[]), Some(Reject::NextHopMartian)),
        (attributes("::ffff:10.1.0.8", &[]), Some(Reject::NextHopMartian)),
        // Towards a site.
        (attributes("10.64.0.1", &[]), Some(Reject::NextHopElsewhere)),
        (attributes("172.30.0.2", &[]), Some(Reject::NextHopElsewhere)),
        (attributes("10.255.30.1", &[]), Some(Reject::NextHopElsewhere)),
        // Hops away.
        (attributes("10.77.0.1", &[]), None),
        (attributes("fe80::1", &[]), None),
    ];
    for (attributes, reject) in table {
        assert_eq!(internal.attributes(&attributes, false), reject, "{attributes:?}");
    }
    assert_eq!(external.attributes(&attributes("10.1.0.1", &[65_001]), false), None);
    let other = attributes("10.1.0.1", &[65_002, 65_001]);
    assert_eq!(external.attributes(&other, false), Some(Reject::FirstAs));
    assert_eq!(external.attributes(&attributes("10.1.0.1", &[]), false), Some(Reject::FirstAs));
    // A customer cannot point at the fabric or at another site.
    for hop in ["10.1.0.8", "172.30.0.2", "192.168.1.9"] {
        let reject = customer.attributes(&attributes(hop, &[65_010]), false);
        assert_eq!(reject, Some(Reject::NextHopElsewhere), "{hop}");
    }
}

#[test]
fn one_of_the_communities_has_to_be_there() {
    let mut tenant = tenant();
    let asked = &mut tenant.fabric.bgp.as_mut().unwrap().import;
    asked.communities = vec!["64512:40".parse().unwrap()];
    asked.large_communities = vec!["64512:1:40".parse().unwrap()];
    let policy = policy(&tenant, "peer");
    let good = || attributes("10.1.0.8", &[]);
    assert_eq!(policy.attributes(&good(), false), Some(Reject::Community));
    let other = Attributes { communities: vec![Community(64_512 << 16 | 41)], ..good() };
    assert_eq!(policy.attributes(&other, false), Some(Reject::Community));
    let standard = Attributes { communities: vec![Community(64_512 << 16 | 40)], ..good() };
    assert_eq!(policy.attributes(&standard, false), None);
    let large = Attributes { large_communities: vec![LargeCommunity([64_512, 1, 40])], ..good() };
    assert_eq!(policy.attributes(&large, false), None);
}

#[test]
fn route_targets_read_back_and_are_never_mixed_up() {
    for text in ["64512:40", "64512:4294967295", "4200000000:65535", "0.64512:40", "192.0.2.1:40"] {
        assert_eq!(text.parse::<RouteTarget>().unwrap().to_string(), text);
    }
    let same: Vec<RouteTarget> =
        ["64512:40", "0.64512:40", "0.0.252.0:40"].map(|it| it.parse().unwrap()).into();
    assert!(same[0] != same[1] && same[1] != same[2] && same[0] != same[2]);
    assert_eq!("1.0:7".parse::<RouteTarget>().unwrap().to_string(), "65536:7");
    // A VPN route needs one even where communities are right; others need none.
    let tenant = tenant();
    let policy = policy(&tenant, "peer");
    let vpn = Nlri {
        distinguisher: Some(lockgate::bgp::RouteDistinguisher([1; 8])),
        ..nlri("192.168.72.64/26")
    };
    let bare = attributes("10.1.0.8", &[]);
    assert_eq!(policy.judge(&vpn, &bare), Verdict::Reject(Reject::RouteTarget));
    assert_eq!(policy.judge(&nlri("192.168.72.64/26"), &bare), Verdict::Accept);
}
