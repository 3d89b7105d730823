//! Documents of sites on VLANs, and what their links are called.

use lockgate::config::{Allocations, Documents, Options, Outcome, Secrets, validate};
use lockgate::model::{Ability, Attachment, KernelFeatures, Vlan, VlanProtocol};
use lockgate::net::{ManagedName, VlanId};
use std::collections::BTreeSet;

/// One tenant with a site on a VLAN: the fields of `vlan`, and its prefixes.
fn run(vlan: &str, prefixes: &str, kernel: KernelFeatures) -> Outcome {
    let text = format!(
        "apiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\nmetadata: {{name: gw, namespace: a}}\n\
         spec:\n  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64']\n  \
         fabric: {{veth: {{peer: apps, addresses: [172.16.0.1/24]}}}}\n---\n\
         apiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\nmetadata: {{name: lab, namespace: a}}\n\
         spec:\n  gatewayRef: {{name: gw}}\n  type: VLAN\n  vlan: {{{vlan}}}\n  prefixes: [{prefixes}]\n"
    );
    let documents = Documents::parse([("a.yaml", text.as_bytes())]);
    let options = Options { kernel, ..Options::default() };
    validate(&documents, &Secrets::default(), &Allocations::new(), &options)
}

fn errors(vlan: &str, prefixes: &str) -> String {
    let outcome = run(vlan, prefixes, KernelFeatures::default());
    outcome.errors.iter().map(|error| format!("{}: {}\n", error.path, error.problem)).collect()
}

const LAN: &str = "{cidr: 192.168.1.0/24}";
const V6: &str = "{cidr: '2001:db8:aa::/48'}";
const LINK: &str = "parent: eth2, id: 30, addresses: [10.1.0.7/24, '2001:db8:1::7/64']";

#[test]
fn each_family_needs_a_router_unless_it_is_on_the_link() {
    let both = format!("{LAN}, {V6}");
    let with = |hops: &str| errors(&format!("{LINK}, {hops}"), &both);
    assert_eq!(with("nextHops: [10.1.0.1, '2001:db8:1::1']"), "");
    let one = with("nextHop: 10.1.0.1");
    assert!(one.starts_with("spec.prefixes[1].cidr: 2001:db8:aa::/48 is not on the link"), "{one}");
    let other = with("nextHop: '2001:db8:1::1'");
    assert!(other.starts_with("spec.prefixes[0].cidr: 192.168.1.0/24 is not on"), "{other}");
    let twice = with("nextHops: [10.1.0.1, 10.1.0.2]");
    assert!(twice.contains("spec.vlan.nextHops[1]"), "{twice}");
    assert_eq!(with("mtu: 1500"), "spec.vlan: needs either nextHop or nextHops\n");
    let either = with("nextHop: 10.1.0.1, nextHops: ['2001:db8:1::1']");
    assert_eq!(either, "spec.vlan: needs either nextHop or nextHops\n");
    // The VLAN's own network needs none of its family.
    let on_link = errors(
        &format!("{LINK}, nextHop: '2001:db8:1::1'"),
        &format!("{{cidr: 10.1.0.0/24}}, {V6}"),
    );
    assert!(!on_link.contains("is not on the link"), "{on_link}");
}

/// It was seen only by the kernel, which gave it to whoever came first.
#[test]
fn an_outer_tag_alone_and_one_with_a_tag_inside_were_both_taken() {
    let site = |name: &str, tags: &str| {
        format!(
            "---\napiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\n\
             metadata: {{name: gw, namespace: {name}}}\nspec:\n  appPrefixes: [10.136.40.0/24]\n  \
             fabric: {{veth: {{peer: apps-{name}, addresses: [172.16.0.1/24]}}}}\n---\n\
             apiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\nmetadata: {{name: lab, namespace: {name}}}\n\
             spec:\n  gatewayRef: {{name: gw}}\n  type: VLAN\n  vlan: {{parent: eth2, {tags}, \
             addresses: [10.1.0.7/24], nextHop: 10.1.0.1}}\n  prefixes: [{LAN}]\n"
        )
    };
    let errors = |one: &str, other: &str| {
        let text = site("a", one) + &site("b", other);
        let documents = Documents::parse([("a.yaml", text.as_bytes())]);
        let (none, options) = (Secrets::default(), Options::default());
        let outcome = validate(&documents, &none, &Allocations::new(), &options);
        outcome.errors.iter().map(|it| it.to_string()).collect::<Vec<_>>()
    };
    let (alone, inside) = ("id: 100, protocol: 802.1ad", "id: 100, protocol: 802.1ad, innerId: 30");
    for (one, other) in [(alone, inside), (inside, alone)] {
        let told = errors(one, other);
        assert!(
            matches!(&told[..], [it] if it.contains("SiteAttachment/b/lab") && it.contains("is already")),
            "{told:?}"
        );
    }
    for other in
        ["id: 100, protocol: 802.1ad, innerId: 31", "id: 100", "id: 101, protocol: 802.1ad"]
    {
        assert_eq!(errors(inside, other), [] as [&str; 0], "{other}");
    }
}

#[test]
fn an_alias_on_a_vlan_is_refused() {
    let vlan = format!("{LINK}, nextHop: 10.1.0.1");
    let refused = errors(&vlan, "{cidr: 192.168.1.0/24, alias: 10.200.1.0/24}");
    assert!(refused.contains("spec.prefixes[0].alias: needs WireGuard"), "{refused}");
}

#[test]
fn a_kernel_without_vlans_is_told_of_beforehand() {
    let notes = |vlan: Ability| {
        let kernel = KernelFeatures { vlan, ..KernelFeatures::default() };
        let outcome = run(&format!("{LINK}, nextHop: 10.1.0.1"), LAN, kernel);
        assert_eq!(outcome.errors.to_string(), "");
        assert_eq!(outcome.config.tenants.len(), 1, "it is served all the same");
        outcome.notes.iter().map(|note| note.problem.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(notes(Ability::Present), [] as [&str; 0]);
    assert_eq!(notes(Ability::Unknown), [] as [&str; 0]);
    let told = notes(Ability::Missing);
    assert!(matches!(&told[..], [one] if one.contains("`8021q`")), "{told:?}");
}

#[test]
fn a_tagged_link_is_as_wide_as_ethernet_unless_it_is_said() {
    let mtu = |more: &str| {
        let outcome =
            run(&format!("{LINK}, nextHop: 10.1.0.1{more}"), LAN, KernelFeatures::default());
        let tenant = outcome.config.tenants.values().next().unwrap();
        match &tenant.sites.values().next().unwrap().attachment {
            Attachment::Vlan(vlan) => vlan.mtu.map(lockgate::net::Mtu::bytes),
            Attachment::WireGuard(_) => panic!("no VLAN"),
        }
    };
    assert_eq!(mtu(""), Some(1_500));
    assert_eq!(mtu(", mtu: 9000"), Some(9_000));
}

/// Every VLAN that a tenant could have at once has a name of its own, which
/// Linux takes and which is known again.
#[test]
fn links_of_different_vlans_have_different_names() {
    let mut names = BTreeSet::new();
    let mut count = 0;
    let inner = [None, Some(1), Some(30), Some(4094)];
    for parent in ["eth0", "eth2", "enp175s0f0np0", "bond-trunk-0.10"] {
        for (id, inner_id) in [1, 30, 31, 100, 4094].iter().flat_map(|id| inner.map(|it| (*id, it)))
        {
            for protocol in VlanProtocol::ALL {
                let tag = |id| VlanId::new(id).unwrap();
                let parent = parent.parse().unwrap();
                let vlan = Vlan { parent, id: tag(id), protocol, inner_id: inner_id.map(tag) };
                let mut made = vec![vlan.link_name()];
                made.extend(
                    vlan.outer().filter(|_| inner_id == Some(1)).map(|it| it.outer_link_name()),
                );
                for name in made {
                    count += 1;
                    assert!(name.as_str().len() <= 15, "{name}");
                    assert_eq!(ManagedName::recognize(name.as_str()), Some(name.clone()));
                    names.insert(name.to_string());
                }
            }
        }
    }
    assert_eq!(names.len(), count);
    for foreign in [
        "lg-v0.000000",
        "lg-v4095.000000",
        "lg-v030.000000",
        "lg-v30.00000",
        "lg-v30.00000g",
        "lg-v30",
        "lg-x30.000000",
    ] {
        assert_eq!(ManagedName::recognize(foreign), None, "{foreign}");
    }
}

/// Each router takes an entry of a table that is one for the whole machine.
#[test]
fn the_neighbours_of_all_tenants_are_counted() {
    let count = |hops: &str, prefixes: &str| {
        let outcome = run(&format!("{LINK}, {hops}"), prefixes, KernelFeatures::default());
        assert_eq!(outcome.errors.to_string(), "");
        outcome.config.neighbours()
    };
    // Whoever is on the fabric is one of them.
    assert_eq!(count("nextHop: 10.1.0.1", LAN), 2);
    assert_eq!(count("nextHops: [10.1.0.1, '2001:db8:1::1']", &format!("{LAN}, {V6}")), 3);
}
