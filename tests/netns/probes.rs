//! Devices that are asked from the tenant's namespace, and what follows when they fall
//! silent behind a tunnel, or a VLAN, that is up.

use crate::bgp_stage::{Ask, attach, bird_config, start_bird, tenant_document as bgp_tenant};
use crate::gateway::{Gateway, site_of};
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, V6, class_document, documents,
    is_without_aliases, key, site_document, socket, tenant_document,
};
use lockgate::status::{
    ConditionType, ProbeSnapshot, ProbeState, SiteReason, SiteSnapshot, SiteState, Snapshot,
};
use std::net::TcpListener;
use std::process::Output;

/// The customer's key.
pub(crate) const CUSTOMER: u8 = 7;

/// A device that all customers have.
const DEVICE: &str = "10.64.0.10";

pub(crate) fn dial<'lab>(lab: &'lab Lab, gateway: &Gateway<'_>) -> Router<'lab> {
    let customer = Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        keepalive: 1,
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    };
    Router::start(lab, "router", Engine::any(), &customer)
}

fn probe_of<'a>(site: &'a SiteSnapshot, target: &str) -> Option<&'a ProbeSnapshot> {
    site.probes.iter().find(|probe| probe.target().to_string() == target)
}

/// Waits until a probe is in this state, and gives its site.
pub(crate) fn wait_probe(
    gateway: &Gateway<'_>,
    (tenant, site): (&str, &str),
    target: &str,
    state: ProbeState,
) -> SiteSnapshot {
    let is = |snapshot: &Snapshot| {
        let site = site_of(snapshot, tenant, site);
        site.is_some_and(|it| probe_of(&it, target).is_some_and(|probe| probe.state == state))
    };
    let snapshot = gateway.wait(&format!("{target} of {tenant} to be {state}"), is);
    site_of(&snapshot, tenant, site).unwrap()
}

/// Runs `lockgate probe`; its exit code and what it printed.
fn ask(gateway: &Gateway<'_>, lab: &Lab, words: &[&str]) -> (Option<i32>, String) {
    let run = gateway.path("run").to_str().unwrap().to_owned();
    let mut line = vec![env!("CARGO_BIN_EXE_lockgate"), "--runtime-dir", &run, "probe"];
    line.extend(words);
    let Output { status, stdout, stderr } = lab.output(At::Underlay, &line);
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn devices_behind_a_tunnel_are_asked_in_both_families_by_ping_and_tcp() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let ssh = format!("{}:22", V4.device);
        let closed = format!("[{}]:23", V6.device);
        // What may pass between applications and site is nothing: a probe is ours.
        let more = format!(
            "allow: []\n  probes:\n    - {{address: {v4}, intervalSeconds: 1}}\n    \
             - {{address: '{v6}', intervalSeconds: 1}}\n    \
             - {{address: {v4}, tcpPort: 22, intervalSeconds: 1}}\n    \
             - {{address: '{v6}', tcpPort: 23, intervalSeconds: 1}}\n    \
             - {{address: {far}, intervalSeconds: 1}}\n    \
             - {{address: 192.168.1.99, intervalSeconds: 1}}",
            v4 = V4.device,
            v6 = V6.device,
            far = V4.tunnel[1],
        );
        let _listener = lab.within("device", || TcpListener::bind(socket(V4.device, 22))).unwrap();
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", &more));
        let site = gateway.site(TENANT, SITE);
        assert!(!site.conditions.holds(ConditionType::Reachable), "nobody is there yet");
        let _router = dial(lab, &gateway);
        let hq = (TENANT, SITE);
        for answered in [V4.device, V6.device, &ssh, V4.tunnel[1]] {
            wait_probe(&gateway, hq, answered, ProbeState::Answered);
        }
        wait_probe(&gateway, hq, &closed, ProbeState::Refused);
        let site = wait_probe(&gateway, hq, "192.168.1.99", ProbeState::Lost);
        let lost = probe_of(&site, "192.168.1.99").unwrap();
        // Without a session our own device says so; then its router, when it has looked.
        let why = lost.last_failure.as_deref().unwrap();
        assert!(["timeout", "unreachable"].contains(&why), "{lost:?}");
        assert_eq!(site.state, SiteState::Up, "others answer");
        let reachable = site.conditions.find(ConditionType::Reachable).unwrap();
        assert!(reachable.message.contains("192.168.1.99: "), "{reachable:?}");
        assert!(reachable.message.contains("refuses the connection"), "{reachable:?}");
        assert!(!reachable.message.contains(&ssh), "{reachable:?}");

        // Everyone sees the same.
        let metrics = gateway.page("/metrics");
        let success = |target: &str, value| {
            format!(
                "lockgate_probe_success{{tenant=\"acme/gw\",site=\"hq\",address=\"{target}\"}} {value}\n"
            )
        };
        assert!(metrics.contains(&success(V4.device, 1)), "{metrics}");
        assert!(metrics.contains(&success(&closed, 0)), "{metrics}");
        let table = gateway.show(&["probes"]);
        assert!(table.contains(&ssh) && table.contains("Refused"), "{table}");
        let page = gateway.page("/tenants/acme/gw/sites/hq");
        assert!(page.contains("<svg class=\"plot\"") && page.contains(&closed), "{page}");
        let applications_pass = lab.ping("app", V4.device);
        assert!(!applications_pass, "`allow` is nothing");

        let run = gateway.path("run").to_str().unwrap().to_owned();
        let line = [env!("CARGO_BIN_EXE_lockgate"), "--runtime-dir", &run, "check-site", "acme/hq"];
        let Output { status, stdout, .. } = lab.output(At::Underlay, &line);
        let said = String::from_utf8(stdout).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("Reachable is False: ProbeFailed (192.168.1.99: "), "{said}");
        assert!(said.contains(" 'loss 192.168.1.99'=100%"), "{said}");

        for (words, code, said) in [
            (vec![V4.device, "--count", "2"], 0, "2 asked, 2 answered, 0 % lost"),
            (vec![V6.device, "--count", "1"], 0, "answered after"),
            (vec![V4.device, "--count", "1", "--tcp", "22"], 0, "site hq"),
            (vec![V6.device, "--count", "1", "--tcp", "23"], 1, "refused the connection"),
            (vec!["192.168.1.98", "--count", "1"], 1, "1: no answer"),
            (vec!["203.0.113.9", "--count", "1"], 2, "is in no site's networks"),
            (vec!["203.0.113.9", "--count", "1", "--tenant", TENANT], 1, "no route"),
            (vec![V4.device, "--tenant", "bolt/gw"], 2, "has no tenant bolt/gw"),
        ] {
            let (ended, text) = ask(&gateway, lab, &words);
            assert_eq!(ended, Some(code), "{words:?}: {text}");
            assert!(text.contains(said), "{words:?}: {text}");
        }
        let run = ["--runtime-dir", "/nowhere", "probe", V4.device];
        let words: Vec<&str> = [env!("CARGO_BIN_EXE_lockgate")].into_iter().chain(run).collect();
        assert_eq!(lab.output(At::Underlay, &words).status.code(), Some(3));
    });
}

#[test]
fn a_device_is_asked_by_the_name_that_applications_have_for_it() {
    if is_without_aliases() {
        return;
    }
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let more = "probes: [{address: 10.200.1.10, intervalSeconds: 1}]";
        let documents = tenant_document("")
            + &site_document(SITE, key(CUSTOMER).public(), &PREFIXES, TUNNEL, more)
                .replace("'192.168.1.0/24'", "'192.168.1.0/24', alias: '10.200.1.0/24'");
        let gateway = stage.start(&documents);
        let _router = dial(lab, &gateway);
        wait_probe(&gateway, (TENANT, SITE), "10.200.1.10", ProbeState::Answered);
        lab.ip("device", "link set lan down");
        let site = wait_probe(&gateway, (TENANT, SITE), "10.200.1.10", ProbeState::Lost);
        assert_eq!((site.state, site.reason), (SiteState::Blackholed, SiteReason::ProbesLost));
    });
}

#[test]
fn a_network_behind_a_standing_tunnel_is_withdrawn_when_nobody_there_answers() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        let probes = format!("probes: [{{address: {}, intervalSeconds: 1}}]", V4.device);
        let tunnel = "tunnelAddresses: [10.255.30.0/31]";
        let documents = class_document()
            + &bgp_tenant(&Ask::default())
            + &site_document(SITE, key(CUSTOMER).public(), &PREFIXES[..1], tunnel, &probes);
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let bird = start_bird(lab, &at, &bird_config(&[], &[], ""));
        let _router = dial(lab, &gateway);
        bird.wait_told("lockgate", &[PREFIXES[0]]);
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Answered);

        // The network behind the router goes; the tunnel does not notice.
        lab.ip("device", "link set lan down");
        let handshake = gateway.site(TENANT, SITE).handshakes;
        let site = gateway.wait_state(TENANT, SITE, SiteState::Blackholed);
        assert_eq!(site.reason, SiteReason::ProbesLost);
        assert!(site.message.contains(V4.device), "{}", site.message);
        assert!(handshake <= site.handshakes && site.last_received_time.is_some());
        assert!(!site.conditions.holds(ConditionType::Reachable));
        bird.wait_told("lockgate", &[]);
        assert!(bird.is_established("lockgate"), "the session stays");
        let log = gateway.log();
        assert!(log.contains("probe_failed tenant=acme/gw site=\"hq\""), "{log}");

        lab.ip("device", "link set lan up");
        lab.route("device", "default", "192.168.1.1");
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        bird.wait_told("lockgate", &[PREFIXES[0]]);
        assert!(gateway.site(TENANT, SITE).conditions.holds(ConditionType::Reachable));
    });
}

/// A router that knows that nobody is there says so, and so do we.
#[test]
fn what_a_router_on_the_way_says_is_told() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let more = format!(
            "probes: [{{address: {v4}, intervalSeconds: 1}}, {{address: {v4}, tcpPort: 22, intervalSeconds: 1}}]",
            v4 = V4.device
        );
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", &more));
        let _router = dial(lab, &gateway);
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Answered);
        // As often as it is asked: by default a router says such things once a second.
        lab.command_output("router", &["sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"]);
        let rule = format!("ip daddr {} reject with icmp type host-unreachable", V4.device);
        lab.nft(
            "router",
            &format!(
                "add table inet t
add chain inet t c {{ type filter hook forward priority 0; }}
add rule inet t c {rule}
"
            ),
        );
        for target in [V4.device.to_owned(), format!("{}:22", V4.device)] {
            let site = wait_probe(&gateway, (TENANT, SITE), &target, ProbeState::Lost);
            let probe = probe_of(&site, &target).unwrap();
            assert_eq!(probe.last_failure.as_deref(), Some("unreachable"), "{probe:?}");
            let message = probe.last_failure_message.as_deref().unwrap();
            assert_eq!(message, format!("host unreachable, says {}", V4.tunnel[1]));
        }
        // The device itself says of a port that nobody may use it: it is there.
        lab.nft("router", "delete table inet t");
        lab.nft(
            "device",
            "add table inet t
add chain inet t c { type filter hook input priority 0; }
add rule inet t c tcp dport 22 reject with icmp type admin-prohibited
",
        );
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Answered);
        let ssh = format!("{}:22", V4.device);
        wait_probe(&gateway, (TENANT, SITE), &ssh, ProbeState::Refused);
    });
}

/// Our own datapath answers for a site without a session, in the name of who was asked:
/// that was taken for an answer of the device.
#[test]
fn a_site_that_never_connected_seemed_to_refuse() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let more = format!("probes: [{{address: {}, intervalSeconds: 1}}]", V4.device);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", &more));
        let site = wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Lost);
        assert_eq!((site.state, site.probes[0].refused.0), (SiteState::NeverConnected, 0));
        let failure = site.probes[0].last_failure_message.as_deref().unwrap();
        // The kernel's WireGuard does not take what it knows nobody for: that was taken for a
        // fault of ours, and the device for one that had not been asked.
        let unknown = "the tunnel's other end is not known: it has not connected";
        assert!(["host unreachable", "no answer", unknown].contains(&failure), "{failure}");
        let _router = dial(lab, &gateway);
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Answered);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
    });
}

/// The tunnel is pulled, so its devices are lost, too; when it is back nobody waits.
#[test]
fn a_site_whose_router_was_away_is_there_when_its_router_is() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let more = format!("probes: [{{address: {}, intervalSeconds: 30}}]", V4.device);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", &more));
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Lost);
        let _router = dial(lab, &gateway);
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Answered);
        let log = gateway.log();
        assert!(log.contains("NeverConnected → Up"), "{log}");
        assert!(!log.contains("Blackholed"), "{log}");
    });
}

/// A tenant with sites on interfaces that are there already.
fn on_links(tenant: &str, sites: &[(&str, u32, &str)]) -> String {
    let mut text = format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {tenant}}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: apps-{tenant}, addresses: [10.136.40.1/24]}}}}
"
    );
    for (index, (link, priority, more)) in sites.iter().enumerate() {
        text += &format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: {link}, namespace: {tenant}}}
spec:
  gatewayRef: {{name: gw}}
  type: VLAN
  priority: {priority}
  vlan: {{interface: {link}, addresses: [172.3{index}.0.1/24], nextHop: 172.3{index}.0.2}}
  {more}
"
        );
    }
    text
}

/// A customer's router on such a link, with a device of its own.
fn customer(lab: &Lab, link: &str, index: usize, devices: &[&str]) {
    let at = format!("at-{link}");
    lab.add(&at);
    lab.veth((At::Underlay, link), (At::Netns(&at), "lan"));
    lab.address(&at, "lan", &format!("172.3{index}.0.2/24"));
    for device in devices {
        lab.address(&at, "lo", &format!("{device}/32"));
    }
    lab.route(&at, "10.136.40.0/24", &format!("172.3{index}.0.1"));
}

#[test]
fn another_site_serves_while_a_vlan_with_a_router_has_no_device_that_answers() {
    lab::run(|lab| {
        const ONLY_HERE: &str = "10.65.0.10";
        customer(lab, "main0", 0, &[DEVICE, ONLY_HERE]);
        customer(lab, "backup0", 1, &[DEVICE]);
        let main = format!(
            "prefixes: [{{cidr: 10.64.0.0/16}}, {{cidr: 10.65.0.0/24}}]
  probes: [{{address: {ONLY_HERE}, intervalSeconds: 1}}]"
        );
        let backup = format!(
            "prefixes: [{{cidr: 10.64.0.0/16}}]
  probes: [{{address: {DEVICE}, intervalSeconds: 1}}]"
        );
        let documents = class_document()
            + &on_links("acme", &[("main0", 200, &main), ("backup0", 100, &backup)]);
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        lab.add("app");
        lab.ip(At::Underlay, "link set apps-acme netns app");
        lab.ip("app", "link set apps-acme up");
        lab.address("app", "apps-acme", "10.136.40.10/24");
        lab.route("app", "10.64.0.0/16", "10.136.40.1");
        gateway.wait_state(TENANT, "main0", SiteState::Up);
        gateway.wait_state(TENANT, "backup0", SiteState::Up);
        wait_probe(&gateway, (TENANT, "main0"), ONLY_HERE, ProbeState::Answered);
        let stands = wait_probe(&gateway, (TENANT, "backup0"), DEVICE, ProbeState::StandingBy);
        assert_eq!(stands.probes[0].sent.0, 0, "it would go by the other site");
        let way = || lab.ip("lockgate.acme.gw", &format!("route get {DEVICE}"));
        assert!(way().contains("dev main0"), "{}", way());

        lab.ip("at-main0", &format!("address delete {ONLY_HERE}/32 dev lo"));
        let site = gateway.wait_state(TENANT, "main0", SiteState::Down);
        assert_eq!(site.reason, SiteReason::ProbesLost);
        wait_until("the backup to serve", PATIENCE, || {
            if way().contains("dev backup0") { Ok(()) } else { Err(way()) }
        });
        wait_probe(&gateway, (TENANT, "backup0"), DEVICE, ProbeState::Answered);
        assert!(lab.ping("app", DEVICE));

        lab.address("at-main0", "lo", &format!("{ONLY_HERE}/32"));
        gateway.wait_state(TENANT, "main0", SiteState::Up);
        wait_until("the first to serve again", PATIENCE, || {
            if way().contains("dev main0") { Ok(()) } else { Err(way()) }
        });
        wait_probe(&gateway, (TENANT, "backup0"), DEVICE, ProbeState::StandingBy);
        assert!(lab.ping("app", DEVICE));
    });
}

#[test]
fn a_probe_never_reaches_another_tenants_device_of_the_same_address() {
    lab::run(|lab| {
        customer(lab, "lan-acme", 0, &[DEVICE]);
        customer(lab, "lan-bolt", 0, &[]);
        let more = format!(
            "prefixes: [{{cidr: 10.64.0.0/16}}]
  probes: [{{address: {DEVICE}, intervalSeconds: 1}}]"
        );
        let documents = class_document()
            + &on_links("acme", &[("lan-acme", 100, &more)])
            + &on_links("bolt", &[("lan-bolt", 100, &more)]);
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let acme = wait_probe(&gateway, (TENANT, "lan-acme"), DEVICE, ProbeState::Answered);
        let bolt = wait_probe(&gateway, ("bolt/gw", "lan-bolt"), DEVICE, ProbeState::Lost);
        assert_eq!(bolt.probes[0].last_answer_time, None);
        assert_eq!(acme.probes[0].lost.0, 0);
        gateway.wait_state(TENANT, "lan-acme", SiteState::Up);

        let (code, said) = ask(&gateway, lab, &[DEVICE, "--count", "1"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("acme/gw, bolt/gw") && said.contains("--tenant"), "{said}");
        let of = |tenant| ask(&gateway, lab, &[DEVICE, "--count", "1", "--tenant", tenant]);
        assert_eq!(of("acme/gw").0, Some(0));
        assert_eq!(of("bolt/gw").0, Some(1));

        // The other way round, while both run.
        lab.ip("at-lan-acme", &format!("address delete {DEVICE}/32 dev lo"));
        lab.address("at-lan-bolt", "lo", &format!("{DEVICE}/32"));
        wait_probe(&gateway, (TENANT, "lan-acme"), DEVICE, ProbeState::Lost);
        wait_probe(&gateway, ("bolt/gw", "lan-bolt"), DEVICE, ProbeState::Answered);
        assert_eq!(of("acme/gw").0, Some(1));
        assert_eq!(of("bolt/gw").0, Some(0));
    });
}
