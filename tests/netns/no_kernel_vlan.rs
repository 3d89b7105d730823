//! N14: a site on a VLAN, on a kernel that has no 802.1Q: it is told, once, and the
//! tenant's other site and the other tenant are served.
#![allow(clippy::print_stdout, reason = "a skip is said")]

use crate::gateway::{Gateway, site_of};
use crate::lab::{self, At};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, documents, key, socket};
use lockgate::linux;
use lockgate::model::Ability;
use lockgate::status::{ConditionReason, ConditionStatus, ConditionType, SiteReason, SiteState};
use std::time::Duration;

/// What is to be done about it.
const REMEDY: &str =
    "the kernel has no 802.1Q support: load the module `8021q`, or use another kernel";

/// The customer's key.
const CUSTOMER: u8 = 7;

/// Acme's site on a VLAN.
const LAB: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {name: lab, namespace: acme}
spec:
  gatewayRef: {name: gw}
  type: VLAN
  vlan: {parent: eth2, id: 30, addresses: [10.1.0.7/24], nextHop: 10.1.0.1}
  prefixes: [{cidr: 192.168.9.0/24}]
";

/// Another tenant.
const BOLT: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: bolt}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {veth: {peer: apps-bolt, addresses: [10.136.40.1/24]}}
";

#[test]
fn a_kernel_without_vlans_is_told_once_and_the_others_are_served() {
    lab::run(|lab| {
        if linux::features().vlan != Ability::Missing {
            println!("skipped: this kernel has 802.1Q; tests/vm sees what it does");
            return;
        }
        let stage = Stage::new(lab);
        lab.add("wan");
        lab.veth((At::Underlay, "eth2"), (At::Netns("wan"), "trunk"));
        let mut gateway = Gateway::new(lab, At::Underlay);
        let usual = documents(key(CUSTOMER).public(), "", "") + BOLT;
        gateway.write("documents.yaml", &(usual.clone() + LAB));
        let check = gateway.lockgate(At::Underlay, &["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(check.status.success(), "{said}");
        assert!(said.contains("note: ") && said.contains("load the module `8021q`"), "{said}");

        gateway.spawn();
        gateway.wait("the site to be told and the others served", |snapshot| {
            let holds = |site: &str| {
                let site = site_of(snapshot, TENANT, site)?;
                site.conditions.find(ConditionType::Programmed).map(|it| it.status)
            };
            holds("lab") == Some(ConditionStatus::False)
                && holds(SITE) == Some(ConditionStatus::True)
                && snapshot.tenants[1].conditions.holds(ConditionType::Programmed)
        });
        stage.attach_app();
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        stage.assert_traffic(V4);
        // It is tried again and again, and said once.
        let begun = gateway.snapshot().taken;
        gateway.wait("five seconds more", |snapshot| {
            Duration::from_secs(5) <= snapshot.taken.since(begun)
        });
        assert_eq!(gateway.log().matches(REMEDY).count(), 1, "{}", gateway.log());
        let site = gateway.site(TENANT, "lab");
        assert_eq!(site.reason, SiteReason::NotProgrammed);
        let programmed = site.conditions.find(ConditionType::Programmed).unwrap();
        assert_eq!(programmed.reason, ConditionReason::ApplyFailed);
        assert!(programmed.message.contains(REMEDY), "{}", programmed.message);
        assert_eq!(gateway.site(TENANT, SITE).state, SiteState::Up);
        // Without it the tenant is in order.
        gateway.apply(&usual);
        stage.assert_traffic(V4);
        assert!(gateway.terminate().success());
    });
}
