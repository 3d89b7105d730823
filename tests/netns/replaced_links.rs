//! N3: another link comes to be where one was, while steps are done about that one: it
//! has its index, or its name.
//!
//! So that it comes at that moment and no other, a program stands in the place of `nft`
//! that puts it there before it does what it is asked.

use crate::false_nft::replace_nft;
use crate::lab::{self, At, Lab};
use crate::reconcile_foreign::{NETNS, acme, carry_out, kernel, with_veth};
use lockgate::linux::{ApplyError, Kernel};
use lockgate::net::Mtu;
use lockgate::reconcile::{Device, KernelState, Route, RouteKey, RouteTarget, Step};
use std::fs;

const NFT: &str = r#"
if [ "$*" = "-f -" ] && [ -e /run/before ]; then
  mv /run/before /run/before.done
  . /run/before.done
fi
exec /run/nft "$@"
"#;

/// What is done to a link once it was found, and behind the rules.
fn steps(desired: &KernelState, device: &Device) -> Vec<Step> {
    let mtu = Mtu::new(1_280).unwrap();
    let ruleset = desired.tenants[&acme()].ruleset.clone().unwrap();
    let key: RouteKey = RouteKey::new("10.66.1.0/24".parse().unwrap());
    let target = RouteTarget::Link { device: device.clone(), via: None, source: None };
    vec![
        Step::SetMtu(device.clone(), mtu),
        Step::ReplaceRuleset(Box::new(ruleset)),
        Step::AddAddress(device.clone(), "10.66.0.1/24".parse().unwrap()),
        Step::SetUp(device.clone()),
        Step::ReplaceRoute(key, Route { target }),
    ]
}

/// Has the shell do this before the next rules are put in place.
fn then(deed: &str) {
    fs::write("/run/before", deed).unwrap();
}

fn shown(lab: &Lab, link: &str) -> String {
    let routes = lab.ip(NETNS, &format!("-4 route show dev {link}"));
    lab.ip(NETNS, &format!("address show dev {link}")) + &routes
}

fn begin(lab: &Lab) -> (Kernel, KernelState) {
    replace_nft(lab, NFT);
    let (kernel, desired) = (kernel(), with_veth());
    lab.block_on(carry_out(&kernel, &desired));
    (kernel, desired)
}

/// The links had been listed once for all steps.
#[test]
fn a_link_with_the_index_of_one_that_went_was_taken_for_it() {
    lab::run(|lab| {
        let (kernel, desired) = begin(lab);
        lab.ip(NETNS, "link add one type bridge");
        let index = lab.ip(NETNS, "-o link show one");
        let index = index.split(':').next().unwrap();
        then(&format!(
            "ip link delete one; ip link add theirs index {index} type bridge
             ip link add one type bridge\n"
        ));
        let one: Device = "one".parse().unwrap();
        let applied = lab.block_on(kernel.apply(&acme(), steps(&desired, &one)));
        assert!(fs::exists("/run/before.done").unwrap());
        assert!(applied.is_ok(), "{applied:?}");
        let (ours, theirs) = (shown(lab, "one"), shown(lab, "theirs"));
        assert!(theirs.starts_with(&format!("{index}: theirs")), "{theirs}");
        assert!(!theirs.contains("10.66.") && !theirs.contains(",UP"), "{theirs}");
        assert!(ours.contains("10.66.0.1/24") && ours.contains("10.66.1.0/24"), "{ours}");
        assert!(ours.contains(",UP"), "{ours}");
    });
}

/// Only who made or removed a link looked whose it is.
#[test]
fn a_link_with_the_name_of_one_that_went_was_taken_for_it() {
    lab::run(|lab| {
        let (kernel, desired) = begin(lab);
        then("ip link delete lg-fabric; ip link add lg-fabric type bridge\n");
        let fabric: Device = "lg-fabric".parse().unwrap();
        let applied = lab.block_on(kernel.apply(&acme(), steps(&desired, &fabric)));
        assert!(fs::exists("/run/before.done").unwrap());
        assert_eq!(applied.failed.len(), 3, "{applied:?}");
        for (step, error) in &applied.failed {
            assert!(matches!(error, ApplyError::ForeignLink(_)), "{step}: {error}");
        }
        let theirs = shown(lab, "lg-fabric");
        assert!(!theirs.contains("10.66.") && !theirs.contains(",UP"), "{theirs}");
        assert!(!lab.ip(At::Underlay, "-br link").contains("acme-app"), "its peer went along");
    });
}
