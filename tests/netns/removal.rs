//! The gateway ends: what it made goes with it, and nothing else does.

use crate::gateway::Gateway;
use crate::inventory::{changes, inventory, wait_changes, wait_settled};
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::{PREFIXES, SITE, Stage, TUNNEL, documents, key, site_document};
use lockgate::status::EventReason;
use std::collections::BTreeSet;

/// The tenant's namespace.
const NETNS: &str = "lockgate.acme.gw";

/// A tenant whose fabric is an interface that is there already.
fn with_interface() -> String {
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: bolt}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric:
    interface: {{name: ens5f3, addresses: [10.136.40.1/24], mtu: 1400}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: bolt}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {}, tunnelAddresses: [10.255.30.0/31]}}
  prefixes: [{{cidr: 192.168.1.0/24}}]
",
        key(8).public()
    )
}

/// What others have in the underlay.
fn furnish(lab: &Lab) {
    lab.add("world");
    lab.veth((At::Underlay, "theirs0"), (At::Netns("world"), "theirs0"));
    // As an interface that nobody has configured yet.
    lab.ip(At::Underlay, "link add ens5f3 type veth peer name ens5f3 netns world");
    lab.address(At::Underlay, "theirs0", "10.77.0.1/24");
    lab.ip(At::Underlay, "route add 203.0.113.0/24 dev theirs0 proto 76");
    lab.nft(
        At::Underlay,
        "add table inet theirs\nadd chain inet theirs c { type filter hook input priority 5; }",
    );
    lab.nft(At::Underlay, "add table ip lockgate");
}

fn names() -> BTreeSet<String> {
    let names = std::fs::read_dir("/run/netns").unwrap();
    names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn on_sigterm_what_was_made_goes_and_what_is_others_stays() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        furnish(lab);
        wait_settled(lab, &[At::Underlay]);
        let (before, named) = (inventory(lab, At::Underlay), names());
        let documents = documents(key(7).public(), "", "") + &with_interface();
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        assert_eq!(names().len(), named.len() + 2);
        assert!(lab.ip(At::Netns("lockgate.bolt.gw"), "-br link").contains("ens5f3"));
        assert!(gateway.terminate().success(), "{}", gateway.log());
        assert_eq!(names(), named);
        // Its number may be another, when its own was taken where it was.
        wait_changes(lab, At::Underlay, &before, &[": ens5f3@"]);
        let given_back = lab.ip(At::Underlay, "link show ens5f3");
        assert!(given_back.contains("mtu 1500") && !given_back.contains("alias"), "{given_back}");

        // Started again, and somebody brings a link of theirs into the tenant's
        // namespace. That would go with it, so it is put out first.
        gateway.spawn();
        gateway.wait_programmed();
        lab.veth((At::Netns(NETNS), "theirs1"), (At::Netns("world"), "theirs1"));
        assert!(gateway.terminate().success(), "{}", gateway.log());
        assert_eq!(names(), named);
        wait_changes(lab, At::Underlay, &before, &["theirs1", ": ens5f3@"]);
        assert!(lab.ip(At::Underlay, "-br link").contains("theirs1"));
    });
}

/// A namespace that is not the gateway's, with two links.
fn furnish_pod(lab: &Lab) -> BTreeSet<String> {
    lab.add("pod");
    lab.add("world");
    for link in ["eth0", "eth1"] {
        lab.veth((At::Netns("pod"), link), (At::Netns("world"), link));
    }
    lab.address("pod", "eth0", "10.136.40.1/24");
    lab.address("pod", "eth0", "2001:db8:40::1/64");
    wait_settled(lab, &[At::Netns("pod")]);
    inventory(lab, "pod")
}

/// The only tenant of a pod.
fn pod_documents(name: &str) -> String {
    let site = site_document(SITE, key(7).public(), &PREFIXES, TUNNEL, "");
    let text = format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64']
{site}"
    );
    text.replace("acme", name)
}

/// One tenant in the namespace of the gateway itself, which goes on without it.
#[test]
fn without_a_namespace_of_its_own_settings_are_given_back_too() {
    lab::run(|lab| {
        let before = furnish_pod(lab);
        let mut gateway = Gateway::new(lab, "pod");
        gateway.argument(&["--netns", "current"]);
        gateway.write("documents.yaml", &pod_documents("acme"));
        gateway.spawn();
        gateway.wait_programmed();
        assert!(!changes(&before, &inventory(lab, "pod")).is_empty());
        // How it was is remembered also by the next one.
        gateway.kill();
        gateway.spawn();
        gateway.wait_programmed();
        assert!(gateway.terminate().success(), "{}", gateway.log());
        wait_changes(lab, "pod", &before, &[]);
    });
}

/// Both have the same namespace: the one that came went, for the one that went
/// took all there was along.
#[test]
fn in_the_current_namespace_two_tenants_fought_over_it() {
    lab::run(|lab| {
        let before = furnish_pod(lab);
        let mut gateway = Gateway::new(lab, "pod");
        gateway.argument(&["--netns", "current"]);
        gateway.write("documents.yaml", &pod_documents("acme"));
        gateway.spawn();
        gateway.wait_programmed();
        for name in ["bolt", "acme"] {
            gateway.apply(&pod_documents(name));
            let events = gateway.tenant(&format!("{name}/gw")).events;
            let is_trouble =
                |reason| !matches!(reason, EventReason::TenantAdded | EventReason::ConfigApplied);
            assert!(!events.iter().any(|event| is_trouble(event.reason)), "{events:#?}");
            let diff = gateway.lockgate("pod", &["diff", "--netns", "current"]);
            assert_eq!((diff.status.code(), &*diff.stdout), (Some(0), &b""[..]), "{diff:?}");
        }
        assert!(gateway.terminate().success(), "{}", gateway.log());
        wait_changes(lab, "pod", &before, &[]);
    });
}

/// Descriptors of the process, without those that come and go.
fn descriptors(gateway: &Gateway<'_>) -> usize {
    let path = format!("/proc/{}/fd", gateway.id());
    (0..200).map(|_| std::fs::read_dir(&path).unwrap().count()).min().unwrap()
}

/// V26: what watched it had it live on without a name, with all that was in it.
#[test]
fn the_namespace_of_a_tenant_that_went_was_kept_alive() {
    lab::run(|lab| {
        let usual = documents(key(7).public(), "", "");
        let gateway = Gateway::start(lab, At::Underlay, &usual);
        let bolt = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: bolt}
spec:
  appPrefixes: [10.136.41.0/24]
  fabric: {veth: {peer: apps-bolt, addresses: [10.136.41.1/24]}}
";
        let before = descriptors(&gateway);
        gateway.apply(&format!("{usual}{bolt}"));
        assert!(before < descriptors(&gateway), "it is watched by nothing");
        gateway.apply(&usual);
        wait_until("nothing to be held of it", PATIENCE, || {
            let now = descriptors(&gateway);
            if now <= before { Ok(()) } else { Err((now, before)) }
        });
    });
}
