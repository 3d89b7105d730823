//! V10: somebody on a VLAN asks where every network there is has its hosts. We answer
//! for our own address on that VLAN and for nobody else, though we have routes to
//! others, and are what they would be reached by (`proxy_arp`, `arp_ignore`).

use crate::frames::{ARP, EVERYONE, FOE, arp, frame, v6};
use crate::lab::{Lab, PATIENCE, wait_until};
use crate::links;
use crate::vlan_hostile::{Scene, both, tag};
use crate::vlan_neighbours::{FOE_ADDRESS, answers, neighbour};
use crate::vlan_stage::{ACME, Customer};
use serde_json::Value;

/// Ours on the VLAN.
const OWN: [&str; 2] = ["10.1.0.7", "2001:db8:1::7"];

/// Asked one after the other: fewer than are heard at once.
const AT_ONCE: usize = 15;

/// Addresses out of the whole of either family, some of each network that the tenant has a
/// route to or an address in, and of what is next to them.
fn everyone() -> Vec<String> {
    let far = [0, 1, 11, 100, 127, 169, 172, 198, 203, 224, 240, 255];
    let mut all: Vec<String> = far.iter().map(|first| format!("{first}.0.0.1")).collect();
    for network in ["10.136.40", "10.136.41", "192.168.1", "192.168.0", "10.1.0", "10.1.1"] {
        all.extend([0, 1, 2, 6, 10, 255].map(|host| format!("{network}.{host}")));
    }
    for network in ["2001:db8:40:", "2001:db8:aa:", "2001:db8:1:", "2001:db8:41:", "fd00:", "fe80:"]
    {
        all.extend(["1", "2", "10", "ffff"].map(|host| format!("{network}:{host}")));
    }
    all.extend(["2000::1", "2a00::1", "3fff::1"].map(str::to_owned));
    all
}

/// A question for an address to everyone, or where there is no such thing straight to us.
fn question(scene: &Scene<'_>, target: &str) -> Vec<u8> {
    let tags = [tag(&ACME).bytes()];
    if target.contains(':') {
        let ask = neighbour(135, FOE_ADDRESS[1], target, 0, target, 1);
        let packet = v6(FOE_ADDRESS[1], target, 58, 255, &ask);
        frame(scene.wire.gateway, FOE, &tags, 0x86dd, &packet)
    } else {
        let body = arp(1, (FOE, FOE_ADDRESS[0]), ([0; 6], target));
        frame(EVERYONE, FOE, &tags, ARP, &body)
    }
}

/// Questions that were not heard, for there were too many at once.
fn unheard(lab: &Lab, customer: &Customer) -> u64 {
    let text = lab.command_output(&customer.netns(), &["nft", "-j", "list", "counters"]);
    let listed: Value = serde_json::from_str(&text).unwrap();
    let counters = listed["nftables"].as_array().unwrap().iter().filter_map(|it| it.get("counter"));
    let ours = counters.filter(|counter| counter["name"] == "neighbor_limit");
    ours.map(|counter| counter["packets"].as_u64().unwrap()).sum()
}

#[test]
fn a_scan_of_every_network_is_answered_for_our_own_address_alone() {
    links::run(|lab| {
        let scene = Scene::new(lab, &both());
        let wire = lab.capture("wan", "trunk");
        for targets in everyone().chunks(AT_ONCE) {
            // Ours last of all: when it is answered, all before it were heard.
            let own = OWN[usize::from(targets[0].contains(':'))];
            let targets = targets.iter().map(String::as_str).chain([own]);
            let questions: Vec<_> = targets.map(|target| question(&scene, target)).collect();
            let mut rounds = 0;
            wait_until("every question to be heard", PATIENCE, || {
                let before = unheard(lab, &ACME);
                scene.wire.send(&questions);
                scene.settle();
                rounds += 1;
                match unheard(lab, &ACME) - before {
                    0 => Ok(()),
                    more => Err(more),
                }
            });
            let answers = answers(&wire.frames(), scene.wire.gateway);
            assert!((1..=rounds).contains(&answers.len()), "{rounds} rounds: {answers:x?}");
            let is_own =
                |(tags, who): &(Vec<[u8; 4]>, String)| *tags == [tag(&ACME).bytes()] && who == own;
            assert!(answers.iter().all(is_own), "{answers:x?}");
        }
        assert_eq!(wire.lost(), 0);
        // It is these settings that keep us from it, and the scan would have told.
        let link = scene.gateway.site(&ACME.tenant(), "lab").link.unwrap();
        for (setting, guard, other) in
            [("proxy_arp", 0, "10.136.40.2"), ("arp_ignore", 1, "10.136.40.1")]
        {
            let set = |value: u8| {
                let name = format!("net/ipv4/conf/{link}/{setting}={value}");
                lab.command_output(&ACME.netns(), &["sysctl", "-qw", &name]);
            };
            set(1 - guard);
            wait_until(setting, PATIENCE, || {
                scene.wire.send(&[question(&scene, other)]);
                scene.settle();
                let answers = answers(&wire.frames(), scene.wire.gateway);
                if answers.iter().any(|(_, who)| who == other) { Ok(()) } else { Err(answers) }
            });
            set(guard);
        }
        scene.assert_unharmed();
    });
}
