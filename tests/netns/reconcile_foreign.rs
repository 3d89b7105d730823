//! Other hands in a tenant's namespace: what is theirs stays, what they do to
//! ours is noticed and put right.
#![allow(clippy::disallowed_methods, reason = "a state is watched for some seconds")]

use crate::lab::{self, At, Lab, PATIENCE};
use crate::random_config::{site, tenant};
use lockgate::linux::{ApplyError, Dirty, Kernel, KernelOptions, Watch, missing};
use lockgate::model::{Config, FabricLink, Placement};
use lockgate::net::TenantName;
use lockgate::reconcile::{
    Device, DropReason, Family, KernelState, LinkSetting, Ruleset, Scope, Step, Sysctl, desired,
    plan,
};
use std::time::Duration;

pub(crate) const NETNS: &str = "lockgate.acme.gw";

pub(crate) fn acme() -> TenantName {
    TenantName::new("acme", "gw").unwrap()
}

/// A tenant with one site, its fabric a veth pair or a link moved in.
fn wanted(fabric: FabricLink) -> KernelState {
    let mut acme = tenant("acme");
    acme.app_prefixes = vec!["10.136.40.0/24".parse().unwrap()];
    acme.fabric.link = fabric;
    acme.fabric.addresses = vec!["172.16.130.2/24".parse().unwrap()];
    let hq = site("hq", &["10.255.0.0/31"], &["192.168.1.0/24", "192.168.7.0/24"]);
    acme.sites.insert(hq.name.clone(), hq);
    let mut config = Config::default();
    config.tenants.insert(acme.name.clone(), acme.into());
    desired(&config, Placement::PerTenant)
}

pub(crate) fn with_veth() -> KernelState {
    wanted(FabricLink::Veth { peer: "acme-app".parse().unwrap() })
}

pub(crate) fn kernel() -> Kernel {
    Kernel::new(Placement::PerTenant, KernelOptions::default()).unwrap()
}

pub(crate) async fn todo(kernel: &Kernel, desired: &KernelState) -> Vec<Step> {
    let mut observed = KernelState::default();
    if let Some(namespace) = kernel.observe(&acme()).await.unwrap() {
        observed.tenants.insert(acme(), namespace);
    }
    let mut plan = plan(desired, &observed, Placement::PerTenant);
    plan.tenants.remove(&acme()).unwrap_or_default()
}

pub(crate) async fn carry_out(kernel: &Kernel, desired: &KernelState) {
    let applied = kernel.apply(&acme(), todo(kernel, desired).await).await;
    assert!(applied.is_ok(), "{applied:#?}");
    assert_eq!(todo(kernel, desired).await, []);
}

fn ruleset(desired: &KernelState) -> Ruleset {
    desired.tenants[&acme()].ruleset.clone().unwrap()
}

/// Waits until the tenant is told to be dirty.
pub(crate) async fn told(watch: &mut Watch, why: &str) {
    let told = async { while watch.next().await != Dirty::Tenant(acme()) {} };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("not told of {why}"));
}

/// Waits until nothing is told any more.
pub(crate) async fn quiet(watch: &mut Watch) {
    while tokio::time::timeout(Duration::from_millis(200), watch.next()).await.is_ok() {}
}

/// N4.
#[test]
fn what_others_do_to_ours_is_noticed_and_put_right() {
    let deeds: [fn(&Lab); 6] = [
        |lab| lab.nft(NETNS, "flush table inet lockgate"),
        |lab| lab.nft(NETNS, "delete table inet lockgate"),
        |lab| lab.nft(NETNS, "add element inet lockgate apps4 { 10.66.0.0/16 }"),
        |lab| drop(lab.ip(NETNS, "route delete 192.168.1.0/24")),
        |lab| drop(lab.ip(NETNS, "address add 10.66.0.1/24 dev lg-wg")),
        |lab| drop(lab.ip(NETNS, "link set lg-wg down")),
    ];
    lab::run(move |lab| {
        let (kernel, desired) = (kernel(), with_veth());
        let mut watch = kernel.watch().unwrap();
        lab.block_on(async {
            carry_out(&kernel, &desired).await;
            for (number, deed) in deeds.into_iter().enumerate() {
                quiet(&mut watch).await;
                deed(lab);
                told(&mut watch, &format!("deed {number}")).await;
                assert_ne!(todo(&kernel, &desired).await, [], "deed {number} is not seen");
                carry_out(&kernel, &desired).await;
            }
            // Our own looking tells nothing, or the daemon would never rest.
            quiet(&mut watch).await;
            assert_eq!(todo(&kernel, &desired).await, []);
            let more = tokio::time::timeout(Duration::from_millis(300), watch.next()).await;
            assert!(more.is_err(), "looking is told as a change: {more:?}");

            lab.remove(NETNS);
            told(&mut watch, "the deleted name").await;
            // The kernel takes the old namespace apart in its own time, and until
            // then the far end of the veth pair keeps its name. So the first
            // tries may fail, as they may for the daemon, which tries again.
            let tries = tokio::time::timeout(PATIENCE, async {
                while !kernel.apply(&acme(), todo(&kernel, &desired).await).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
            tries.await.expect("the namespace can be made again");
            assert_eq!(todo(&kernel, &desired).await, []);
        });
    });
}

/// N3: a trunk that comes, goes, is renamed or comes back, as the underlay tells of it.
#[test]
fn what_becomes_of_a_link_of_the_underlay_is_told() {
    lab::run(|lab| {
        let kernel = kernel();
        let mut watch = kernel.watch().unwrap();
        lab.block_on(async {
            for deed in [
                "link add eth2 type bridge",
                "link set eth2 up",
                "link set eth2 down",
                "link set eth2 name eth3",
                "link delete eth3",
                "link add eth2 type bridge",
            ] {
                quiet(&mut watch).await;
                lab.ip(At::Underlay, deed);
                let told = tokio::time::timeout(PATIENCE, watch.next()).await;
                assert_eq!(told.ok(), Some(Dirty::Underlay), "{deed}");
            }
        });
    });
}

#[test]
fn a_rule_with_our_comment_and_another_meaning_is_seen() {
    lab::run(|lab| {
        let (kernel, desired) = (kernel(), with_veth());
        lab.block_on(carry_out(&kernel, &desired));
        let listed = lab
            .command_output(NETNS, &["nft", "-a", "list", "chain", "inet", "lockgate", "forward"]);
        let line = listed
            .lines()
            .find(|line| line.contains("comment \"") && line.contains(" drop "))
            .unwrap();
        let (_, comment) = line.split_once("comment ").unwrap();
        let (comment, handle) = comment.split_once(" # handle ").unwrap();
        lab.nft(
            NETNS,
            &format!("replace rule inet lockgate forward handle {handle} accept comment {comment}"),
        );
        lab.block_on(async {
            let todo = todo(&kernel, &desired).await;
            assert!(matches!(todo[..], [Step::ReplaceRuleset(_)]), "{todo:?}");
            carry_out(&kernel, &desired).await;
        });
    });
}

/// N5, of what is beside ours.
#[test]
fn what_is_not_ours_stays() {
    lab::run(|lab| {
        let kernel = kernel();
        let nothing = KernelState::default();
        lab.add("world");
        lab.veth((At::Underlay, "ens0"), (At::Netns("world"), "ens0"));
        let desired = wanted(FabricLink::Interface("ens0".parse().unwrap()));
        lab.block_on(carry_out(&kernel, &desired));
        assert!(!lab.ip(At::Underlay, "-br link").contains("ens0"));

        lab.ip(NETNS, "route add 203.0.113.0/24 dev lg-wg");
        lab.ip(NETNS, "route add 198.51.100.0/24 dev lg-wg table 100 proto 76");
        lab.nft(
            NETNS,
            "add table inet theirs\nadd chain inet theirs c { type filter hook forward priority 5; }",
        );
        lab.veth((At::Netns(NETNS), "theirs0"), (At::Netns("world"), "theirs0"));
        lab.address(NETNS, "theirs0", "10.77.0.1/24");
        lab.block_on(async {
            assert_eq!(todo(&kernel, &desired).await, []);
            let other = wanted(FabricLink::Veth { peer: "acme-app".parse().unwrap() });
            carry_out(&kernel, &other).await;
        });
        // Moved in before, it is back now, and its alias is gone.
        let given_back = lab.ip(At::Underlay, "link show ens0");
        assert!(!given_back.contains("alias"), "{given_back}");
        assert!(lab.ip(NETNS, "route").contains("203.0.113.0/24"));
        assert!(lab.ip(NETNS, "route show table 100").contains("198.51.100.0/24"));
        assert!(lab.ip(NETNS, "address show theirs0").contains("10.77.0.1/24"));
        lab.command_output(NETNS, &["nft", "list", "table", "inet", "theirs"]);

        lab.block_on(carry_out(&kernel, &wanted(FabricLink::Interface("ens0".parse().unwrap()))));
        lab.block_on(carry_out(&kernel, &nothing));
        // With the namespace the kernel would destroy them, so both are out.
        let underlay = lab.ip(At::Underlay, "-br link");
        assert!(underlay.contains("ens0") && underlay.contains("theirs0"), "{underlay}");
    });
}

/// N5, of what has a name of ours.
#[test]
fn a_foreign_link_in_our_name_breaks_the_plan_off_and_stays() {
    lab::run(|lab| {
        let (kernel, desired) = (kernel(), with_veth());
        let made = lab.block_on(kernel.apply(&acme(), vec![Step::CreateNetns]));
        assert!(made.is_ok(), "{made:?}");
        lab.ip(NETNS, "link add lg-fabric type bridge");
        lab.block_on(async {
            let todo = todo(&kernel, &desired).await;
            let applied = kernel.apply(&acme(), todo).await;
            let [(_, error)] = applied.failed.as_slice() else { panic!("{applied:?}") };
            assert!(matches!(error, ApplyError::ForeignLink(_)), "{error:?}");
        });
        assert!(lab.ip(NETNS, "-d link show lg-fabric").contains("bridge"));
    });
}

/// N8: our address is on another link already, and on somebody else's machine: ours is
/// usable at once, and theirs stays.
#[test]
fn an_address_that_another_has_too_is_ours_all_the_same() {
    lab::run(|lab| {
        let kernel = kernel();
        let (v4, v6) = ("172.16.130.2/24", "2001:db8:f::2/64");
        let mut acme_tenant = tenant("acme");
        acme_tenant.app_prefixes = vec!["2001:db8:40::/64".parse().unwrap()];
        acme_tenant.fabric.link = FabricLink::Interface("ens0".parse().unwrap());
        acme_tenant.fabric.addresses = vec![v4.parse().unwrap(), v6.parse().unwrap()];
        let mut config = Config::default();
        config.tenants.insert(acme_tenant.name.clone(), acme_tenant.into());
        let desired = desired(&config, Placement::PerTenant);
        lab.add("world");
        lab.veth((At::Underlay, "ens0"), (At::Netns("world"), "twin"));
        lab.address("world", "twin", v6);
        assert!(lab.block_on(kernel.apply(&acme(), vec![Step::CreateNetns])).is_ok());
        lab.ip(NETNS, "link add theirs type bridge");
        lab.ip(NETNS, "link set theirs up");
        lab.address(NETNS, "theirs", v4);

        lab.block_on(carry_out(&kernel, &desired));
        for link in ["ens0", "theirs"] {
            assert!(lab.ip(NETNS, &format!("address show {link}")).contains(v4), "{link}");
        }
        // Longer than it takes to find out who has an address (RFC 4862 §5.4).
        let end = std::time::Instant::now() + Duration::from_secs(3);
        lab::wait_until("three seconds to pass", PATIENCE, || {
            let shown = lab.ip(NETNS, "-o -6 address show ens0");
            let ours = shown.lines().find(|line| line.contains(v6)).expect("it is there");
            assert!(!ours.contains("tentative") && !ours.contains("dadfailed"), "{ours}");
            if end < std::time::Instant::now() { Ok(()) } else { Err(()) }
        });
        lab.block_on(async { assert_eq!(todo(&kernel, &desired).await, []) });
    });
}

#[test]
fn a_link_that_is_not_there_is_named() {
    lab::run(|lab| {
        let desired = wanted(FabricLink::Interface("ens9".parse().unwrap()));
        lab.block_on(async {
            let kernel = kernel();
            let applied = kernel.apply(&acme(), todo(&kernel, &desired).await).await;
            let [(step, error)] = applied.failed.as_slice() else { panic!("{applied:?}") };
            assert!(matches!(step, Step::TakeLink(_)), "{step}");
            assert_eq!(error.to_string(), "there is no link ens9");
        });
    });
}

/// What guards a link is written before it comes up.
#[test]
fn a_link_whose_settings_are_refused_was_set_up() {
    lab::run(|lab| {
        let kernel = kernel();
        let apply = |steps| lab.block_on(kernel.apply(&acme(), steps));
        assert!(apply(vec![Step::CreateNetns]).is_ok());
        for link in ["one", "two"] {
            lab.ip(NETNS, &format!("link add {link} type bridge"));
        }
        let device = |name: &str| name.parse::<Device>().unwrap();
        let scope = Scope::Link(device("one"));
        // There is no such setting for IPv6.
        let unknown = Sysctl { family: Family::V6, scope, setting: LinkSetting::ArpIgnore };
        let narrow = lockgate::net::Mtu::new(1_280).unwrap();
        let applied = apply(vec![
            Step::SetSysctl(unknown, 1),
            Step::SetMtu(device("one"), narrow),
            Step::SetUp(device("one")),
            Step::SetUp(device("two")),
        ]);
        assert!(matches!(&applied.failed[..], [(Step::SetSysctl(..), _)]), "{applied:?}");
        let is_up = |link: &str| lab.ip(NETNS, &format!("link show {link}")).contains(",UP");
        assert_eq!((is_up("one"), is_up("two")), (false, true));
    });
}

#[test]
fn counters_go_on_counting_when_rules_are_replaced() {
    lab::run(|lab| {
        let (kernel, desired) = (kernel(), with_veth());
        lab.block_on(carry_out(&kernel, &desired));
        // A source that is no application's, out of the fabric.
        lab.add("app");
        lab.ip(At::Underlay, "link set acme-app netns app");
        lab.ip("app", "link set acme-app up");
        lab.address("app", "acme-app", "172.16.130.1/24");
        lab.address("app", "acme-app", "10.99.0.1/24");
        lab.ip("app", "neigh add 172.16.130.2 lladdr 02:00:00:00:00:01 dev acme-app");
        let link = lab.ip(NETNS, "link show lg-fabric");
        let mac = link.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
        lab.ip("app", &format!("neigh replace 172.16.130.2 lladdr {mac} dev acme-app"));
        lab.route("app", "192.168.1.0/24", "172.16.130.2");
        let socket = lab.udp("app", "10.99.0.1:0".parse().unwrap());
        let send = |count: usize| {
            for _ in 0..count {
                socket.send_to(b"canary", "192.168.1.5:9").unwrap();
            }
        };
        let dropped = || {
            let (counters, _) = lab.block_on(kernel.counters(&acme())).unwrap();
            counters[&DropReason::NotAppSource]
        };
        assert_eq!(dropped(), 0);
        send(5);
        lab::wait_until("five drops", PATIENCE, || {
            if dropped() == 5 { Ok(()) } else { Err(dropped()) }
        });

        // Refilled in place.
        let replace = || vec![Step::ReplaceRuleset(Box::new(ruleset(&desired)))];
        assert!(lab.block_on(kernel.apply(&acme(), replace())).is_ok());
        assert_eq!(dropped(), 5);
        // Made anew, for there is something in it that we do not know.
        lab.nft(NETNS, "add chain inet lockgate stranger");
        assert!(lab.block_on(kernel.apply(&acme(), replace())).is_ok());
        assert_eq!(dropped(), 5);
        lab.block_on(async { assert_eq!(todo(&kernel, &desired).await, []) });
        send(2);
        lab::wait_until(
            "two more",
            PATIENCE,
            || if dropped() == 7 { Ok(()) } else { Err(dropped()) },
        );
    });
}

/// N6.
#[test]
fn a_refused_transaction_leaves_the_rules_as_they_were() {
    lab::run(|lab| {
        let (kernel, desired) = (kernel(), with_veth());
        lab.block_on(carry_out(&kernel, &desired));
        let mut broken = ruleset(&desired);
        // A chain that rules lead to and that is not there.
        broken.chains.retain(|_, chain| chain.base.is_some());
        lab.block_on(async {
            let step = Step::ReplaceRuleset(Box::new(broken));
            let applied = kernel.apply(&acme(), vec![step]).await;
            let error = &applied.failed.first().expect("refused").1;
            assert!(matches!(error, ApplyError::Nft(_)), "{error:?}");
            assert_eq!(todo(&kernel, &desired).await, []);
        });
    });
}

#[test]
fn as_root_nothing_is_missing() {
    lab::run(|_| assert_eq!(missing(Placement::PerTenant), []));
}
