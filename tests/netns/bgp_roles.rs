//! Roles (RFC 9234) with a stock FRR: two that match, two that do not, and who has to
//! say its own.

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, tenant_document, wait_learned,
};
use crate::frr::{self, Frr};
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::class_document;
use lockgate::status::{NeighborSnapshot, NeighborState, Snapshot};

fn config(role: &str) -> String {
    format!(
        "router bgp 65001
 bgp router-id {BIRD}
 no bgp network import-check
 no bgp ebgp-requires-policy
 neighbor {GATEWAY} remote-as 64600
 neighbor {GATEWAY} timers connect 2
 {role}
 address-family ipv4 unicast
  network 10.140.1.0/24
 exit-address-family
"
    )
}

fn documents(role: &str) -> String {
    class_document() + &tenant_document(&Ask { neighbor: role, ..Ask::default() }) + LAB
}

fn tor(snapshot: &Snapshot) -> Option<&NeighborSnapshot> {
    snapshot.tenants.first()?.bgp.as_ref()?.neighbors.first()
}

#[test]
fn frr_and_the_gateway_say_what_they_are_to_each_other() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let gateway = Gateway::start(lab, At::Underlay, &documents(", role: Customer"));
        let at = attach(lab, "acme");
        let provider = format!("neighbor {GATEWAY} local-role provider");
        let frr = Frr::start(lab, &at, &config(&provider));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let up = gateway.snapshot();
        let roles = tor(&up).map(|tor| (tor.role.as_deref(), tor.remote_role.as_deref()));
        assert_eq!(roles, Some((Some("Customer"), Some("Provider"))));
        let said = frr.say(&format!("show bgp neighbors {GATEWAY} json"));
        assert!(said.contains("\"localRole\":\"provider\""), "{said}");
        assert!(said.contains("\"remoteRole\":\"customer\""), "{said}");

        // Of two peers one that says provider is no match; as a peer we mark what we say
        // (Only to Customer).
        gateway.apply(&documents(", role: Peer"));
        gateway.wait("the two not to match", |snapshot| {
            tor(snapshot).is_some_and(|tor| {
                let error = tor.last_error.as_deref().unwrap_or_default();
                tor.state != NeighborState::Established && error.contains("(2/11)")
            })
        });
        wait_learned(lab, NETNS, &[]);
        frr.say(&format!(
            "configure terminal\nrouter bgp 65001\nneighbor {GATEWAY} local-role peer"
        ));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        frr.wait_said("show bgp ipv4 unicast 10.64.0.0/16", "otc 64600");
    });
}

#[test]
fn who_has_to_say_its_role_gets_no_session_without() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        let strict = documents(", role: Customer, strictRole: true");
        let gateway = Gateway::start(lab, At::Underlay, &strict.replace(LAB, ""));
        let at = attach(lab, "acme");
        let frr = Frr::start(lab, &at, &config(""));
        gateway.wait("the silent one to be refused", |snapshot| {
            tor(snapshot).is_some_and(|tor| {
                tor.notifications.iter().any(|it| it.is_sent && (it.code, it.subcode) == (2, 11))
            })
        });
        wait_learned(lab, NETNS, &[]);
        // Without it the same one gets its session.
        gateway.apply(&documents(", role: Customer").replace(LAB, ""));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        // It asks the same of us.
        let ask = format!("neighbor {GATEWAY} local-role provider strict-mode");
        gateway.apply(&documents("").replace(LAB, ""));
        frr.say(&format!("configure terminal\nrouter bgp 65001\n{ask}"));
        gateway.wait("us to be refused", |snapshot| {
            tor(snapshot).is_some_and(|tor| {
                tor.notifications.iter().any(|it| !it.is_sent && (it.code, it.subcode) == (2, 11))
            })
        });
        gateway.apply(&documents(", role: Customer").replace(LAB, ""));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
    });
}
