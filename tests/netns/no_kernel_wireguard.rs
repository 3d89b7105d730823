//! N14: a tenant whose tunnels are to be the kernel's, on a kernel that has no
//! WireGuard: it is told, once, and the others are served.

use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::{Stage, TENANT, documents, key};
use lockgate::linux;
use lockgate::model::Ability;
use lockgate::status::{Backend, ConditionReason, ConditionType, SiteReason};
use std::time::Duration;

/// What is to be done about it.
const REMEDY: &str =
    "the kernel has no WireGuard support: load the module `wireguard`, or use another kernel";

#[test]
fn a_kernel_without_wireguard_is_told_once_and_the_others_are_served() {
    lab::run(|lab| {
        if linux::features().wireguard == Ability::Present {
            // Where it is there, tests/vm sees what it does.
            return;
        }
        let _stage = Stage::new(lab);
        let bolt = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: bolt}
spec:
  backend: Auto
  appPrefixes: [10.136.40.0/24]
  fabric: {veth: {peer: apps-bolt, addresses: [10.136.40.1/24]}}
";
        let text =
            documents(key(7).public(), "", "").replace("backend: Userspace", "backend: Kernel");
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &(text.clone() + bolt));
        let check = gateway.lockgate(At::Underlay, &["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(check.status.success(), "{said}");
        assert!(said.contains("note: ") && said.contains("load the module `wireguard`"), "{said}");
        gateway.spawn();
        gateway.wait("the one to be told and the other served", |snapshot| {
            let [acme, bolt] = snapshot.tenants.as_slice() else { return false };
            let programmed = acme.conditions.find(ConditionType::Programmed);
            programmed.is_some_and(|it| it.reason == ConditionReason::ApplyFailed)
                && bolt.conditions.holds(ConditionType::Programmed)
        });
        let acme = gateway.tenant(TENANT);
        let programmed = acme.conditions.find(ConditionType::Programmed).unwrap();
        assert!(programmed.message.contains(REMEDY), "{}", programmed.message);
        assert_eq!((acme.backend, acme.backend_reason.as_str()), (Backend::Kernel, "asked for"));
        assert_eq!(acme.sites[0].reason, SiteReason::NotProgrammed);
        let bolt = gateway.tenant("bolt/gw");
        assert_eq!(bolt.backend, Backend::Userspace);
        assert_eq!(bolt.backend_reason, "the kernel has no WireGuard (module `wireguard`)");
        // It is tried again and again, and said once.
        let attempts = || gateway.log().matches(REMEDY).count();
        let told = gateway.snapshot().taken;
        gateway.wait("five seconds more", |snapshot| {
            Duration::from_secs(5) <= snapshot.taken.since(told)
        });
        assert_eq!(attempts(), 1, "{}", gateway.log());
        // And left to the choice, it is served.
        gateway.apply(&text.replace("backend: Kernel", "backend: Auto"));
        assert!(gateway.tenant(TENANT).conditions.holds(ConditionType::Programmed));
        assert!(gateway.terminate().success());
    });
}
