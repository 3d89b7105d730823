//! One session with a route reflector in the underlay, shared by two tenants that have the
//! same networks: each takes what is of its own route targets.
//!
//! ```text
//!            10.1.0.0/24, the session
//!   underlay ──────────────────────── reflector
//!   acme ──── 10.136.40.0/24 ─────────┤ its other legs are where their routes lead
//!   beta ──── 10.136.41.0/24 ─────────┘
//! ```

use crate::bgp_stage::{Ask, NETNS, learned, tenant_document, wait_learned};
use crate::frr::{self, Frr};
use crate::gateway::Gateway;
use crate::gobgp::{self, GoBgp};
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::{NeighborState, ReflectorSnapshot, Snapshot};

const BETA: &str = "lockgate.beta.gw";
const REFLECTOR: &str = "reflector";

/// The class, with a reflector that has `more`.
fn class(more: &str) -> String {
    let reflector = format!(
        "vpnReflectors: [{{name: rr1, address: 10.1.0.100, localASN: 64600, remoteASN: 65001, \
         routerID: 10.1.0.2{more}}}]"
    );
    let class = class_document().replace("spec: {", &format!("spec: {{{reflector}, "));
    assert!(class.contains(&reflector));
    class
}

/// A tenant that hears the reflector and has no neighbor of its own.
fn tenant(ask: &Ask<'_>, targets: &str) -> String {
    let mut document = tenant_document(ask);
    let begin = document.find("      neighbors:").unwrap();
    let end = begin + document[begin..].find('\n').unwrap() + 1;
    document.replace_range(begin..end, "");
    let import = format!("import: {{routeTargets: [{targets}], maximumPrefixes: 10, prefixes:");
    document.replace("import: {prefixes:", &import)
}

fn acme(targets: &str) -> String {
    tenant(&Ask::default(), targets)
}

fn beta() -> String {
    let ask = Ask { tenant: "beta", port: 51_822, ..Ask::default() };
    tenant(&ask, "\"65001:41\"").replace("10.136.40.", "10.136.41.")
}

/// The reflector's legs: the one that is spoken over now, the others once they are there.
fn build(lab: &Lab) {
    lab.add(REFLECTOR);
    lab.veth((At::Underlay, "core0"), (At::Netns(REFLECTOR), "core"));
    lab.address(At::Underlay, "core0", "10.1.0.2/24");
    lab.address(REFLECTOR, "core", "10.1.0.100/24");
}

fn attach(lab: &Lab, tenant: &str, address: &str) {
    let link = format!("apps-{tenant}");
    lab.ip(At::Underlay, &format!("link set {link} netns {REFLECTOR}"));
    lab.ip(REFLECTOR, &format!("link set {link} up"));
    lab.address(REFLECTOR, &link, address);
}

fn start_gobgp<'lab>(lab: &'lab Lab, families: &[&str]) -> GoBgp<'lab> {
    let mut config = "[global.config]
  as = 65001
  router-id = \"10.1.0.100\"
[[neighbors]]
  [neighbors.config]
    neighbor-address = \"10.1.0.2\"
    peer-as = 64600
  [neighbors.timers.config]
    connect-retry = 2
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 60
"
    .to_owned();
    for family in families {
        config += &format!(
            "  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = \"{family}\"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"
        );
    }
    GoBgp::start(lab, REFLECTOR, &config)
}

/// Adds a VPN route to GoBGP's table, or takes it off.
#[track_caller]
fn vpn(gobgp: &GoBgp<'_>, command: &str, words: &str) {
    assert_eq!(gobgp.say(&format!("global rib -a vpnv4 {command} {words}")), "");
}

const OF_ACME: &str = "10.140.1.0/24 label 16 rd 65001:1 rt 65001:40 nexthop 10.136.40.2";
const OF_BETA: [&str; 2] = [
    "10.140.1.0/24 label 17 rd 65001:2 rt 65001:41 nexthop 10.136.41.2",
    "10.140.2.0/24 label 17 rd 65001:2 rt 65001:41 nexthop 10.136.41.2",
];
const OF_NOBODY: &str = "10.140.3.0/24 label 18 rd 65001:3 rt 65001:99 nexthop 10.136.41.2";

fn reflector(snapshot: &Snapshot) -> Option<&ReflectorSnapshot> {
    snapshot.reflectors.first()
}

fn wait_heard(gateway: &Gateway<'_>, tenants: u64, not_kept: u64) {
    gateway.wait("the reflector to be heard", |snapshot| {
        reflector(snapshot).is_some_and(|it| {
            let heard = (it.state, it.tenants, it.not_kept.0);
            heard == (NeighborState::Established, tenants, not_kept)
        })
    });
}

#[test]
fn two_tenants_share_a_reflectors_session_and_none_of_its_routes() {
    if !gobgp::is_installed() {
        return;
    }
    lab::run(|lab| {
        build(lab);
        let gateway =
            Gateway::start(lab, At::Underlay, &(class("") + &acme("\"65001:40\"") + &beta()));
        attach(lab, "acme", "10.136.40.2/24");
        attach(lab, "beta", "10.136.41.2/24");
        let gobgp = start_gobgp(lab, &["l3vpn-ipv4-unicast"]);
        for words in [OF_ACME, OF_BETA[0], OF_BETA[1], OF_NOBODY] {
            vpn(&gobgp, "add", words);
        }
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24", "10.140.2.0/24"]);
        assert!(learned(lab, NETNS)[0].contains("via 10.136.40.2 dev lg-fabric"));
        assert!(learned(lab, BETA).iter().all(|it| it.contains("via 10.136.41.2 dev lg-fabric")));
        wait_heard(&gateway, 2, 1);
        // There is one session, out of the underlay, and nothing of it in the underlay's table.
        let sessions = lab.output(REFLECTOR, &["ss", "-Htn", "state", "established"]);
        let sessions = String::from_utf8(sessions.stdout).unwrap();
        assert_eq!(sessions.matches(":179 ").count(), 1, "{sessions}");
        assert!(sessions.contains("10.1.0.2:"), "{sessions}");
        assert!(!lab.ip(At::Underlay, "route show table all").contains("10.140."));
        // Nobody sees anything of another's.
        let rib = |tenant: &str| gateway.page(&format!("/api/v1/tenants/{tenant}/gw/rib"));
        assert!(!rib("acme").contains("65001:41") && !rib("acme").contains("10.140.2.0/24"));
        assert!(!rib("beta").contains("65001:40"));
        assert!(!(rib("acme") + &rib("beta")).contains("10.140.3.0/24"));
        let shown = gateway.show(&["neighbors"]);
        for words in ["class default", "rr1", "heard by 2 tenants; 1 routes for nobody"] {
            assert!(shown.contains(words), "{shown}");
        }
        assert_eq!(shown.matches("reflector/rr1").count(), 2, "{shown}");
        let shown = gateway.show(&["rib", "10.140.3.0/24"]);
        let nobodys = "rr1, which tenants of class default share, said 1 VPN routes for none";
        assert!(shown.contains(nobodys), "{shown}");

        // One tenant's goes, and the other's of the same network stays.
        vpn(&gobgp, "del", OF_ACME);
        wait_learned(lab, NETNS, &[]);
        wait_learned(lab, BETA, &["10.140.1.0/24", "10.140.2.0/24"]);
        // What is given another target is another tenant's from then on.
        vpn(&gobgp, "add", "10.140.2.0/24 label 17 rd 65001:2 rt 65001:40 nexthop 10.136.40.2");
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24"]);
        // A target that a tenant gets now: what was for nobody is asked for, and comes.
        vpn(&gobgp, "add", "10.140.3.0/24 label 18 rd 65001:3 rt 65001:99 nexthop 10.136.40.2");
        gateway.apply(&(class("") + &acme("\"65001:40\", \"65001:99\"") + &beta()));
        wait_learned(lab, NETNS, &["10.140.2.0/24", "10.140.3.0/24"]);
        // A tenant that goes takes its own along, and the session stays.
        let snapshot = gateway.apply(&(class("") + &beta()));
        assert_eq!(reflector(&snapshot).unwrap().flaps.0, 0);
        wait_learned(lab, BETA, &["10.140.1.0/24"]);
        gateway.wait("one to be left", |snapshot| {
            reflector(snapshot).is_some_and(|it| it.tenants == 1)
        });
        // With the last one the session ends.
        gateway.apply(&class(""));
        wait_until("the session to end", PATIENCE, || {
            let seen = gobgp.say("neighbor");
            if seen.contains("Establ") { Err(seen) } else { Ok(()) }
        });
    });
}

/// Of a process that is killed the routes stay until the reflector has said everything to
/// the next one, and no longer.
#[test]
fn each_tenants_routes_stay_over_a_crash() {
    if !gobgp::is_installed() {
        return;
    }
    lab::run(|lab| {
        build(lab);
        let documents = class("") + &acme("\"65001:40\"") + &beta();
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        attach(lab, "acme", "10.136.40.2/24");
        attach(lab, "beta", "10.136.41.2/24");
        let gobgp = start_gobgp(lab, &["l3vpn-ipv4-unicast", "rtc"]);
        for words in [OF_ACME, OF_BETA[0], OF_BETA[1], OF_NOBODY] {
            vpn(&gobgp, "add", words);
        }
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24", "10.140.2.0/24"]);
        // It was told which targets are wanted, and says nothing else.
        wait_heard(&gateway, 2, 0);
        gateway.kill();
        vpn(&gobgp, "del", OF_BETA[1]);
        gateway.spawn();
        gateway.wait_programmed();
        assert_eq!(learned(lab, NETNS).len(), 1, "it stayed");
        wait_learned(lab, BETA, &["10.140.1.0/24"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        wait_heard(&gateway, 2, 0);
    });
}

/// What a stock FRR says to us.
const FRR: &str = "route-map acme permit 10
 set extcommunity rt 65001:40
route-map beta permit 10
 set extcommunity rt 65001:41
router bgp 65001
 bgp router-id 10.1.0.100
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 10.1.0.2 remote-as 64600
 neighbor 10.1.0.2 timers connect 2
 neighbor 10.1.0.2 password kept-canary-one
 neighbor 10.1.0.2 ttl-security hops 1
 address-family ipv4 vpn
  network 10.140.1.0/24 rd 65001:1 label 16 route-map acme
  network 10.140.1.0/24 rd 65001:2 label 17 route-map beta
  neighbor 10.1.0.2 activate
  neighbor 10.1.0.2 route-map leads out
 exit-address-family
";

#[test]
fn a_shared_session_with_frr_is_signed_and_one_that_says_too_much_silences_one_tenant() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        build(lab);
        let more =
            ", ttlSecurity: 1, passwordSecretRef: {namespace: platform, name: bgp, key: rr1}";
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.secret("platform", "bgp", "rr1", "kept-canary-one\n");
        gateway.write("documents.yaml", &(class(more) + &acme("\"65001:40\"") + &beta()));
        gateway.spawn();
        gateway.wait_programmed();
        attach(lab, "acme", "10.136.40.2/24");
        attach(lab, "beta", "10.136.41.2/24");
        // Next hops are where each tenant reaches the reflector's other legs.
        let leads = "route-map leads permit 10
 match extcommunity acme
 set ip next-hop 10.136.40.2
route-map leads permit 20
 set ip next-hop 10.136.41.2
bgp extcommunity-list standard acme permit rt 65001:40
";
        let frr = Frr::start(lab, REFLECTOR, &(leads.to_owned() + FRR));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        wait_learned(lab, BETA, &["10.140.1.0/24"]);
        assert!(learned(lab, NETNS)[0].contains("via 10.136.40.2 dev lg-fabric"));
        assert!(learned(lab, BETA)[0].contains("via 10.136.41.2 dev lg-fabric"));
        // Eleven for acme, who may hear ten.
        let networks: String = (10..21)
            .map(|at| format!("network 10.140.{at}.0/24 rd 65001:1 label 16 route-map acme\n"))
            .collect();
        frr.say(&format!(
            "configure terminal\nrouter bgp 65001\naddress-family ipv4 vpn\n{networks}"
        ));
        wait_learned(lab, NETNS, &[]);
        gateway.wait("acme to hear no more, and beta as before", |snapshot| {
            let state = |namespace: &str| {
                let mut tenants = snapshot.tenants.iter();
                let tenant = tenants.find(|it| it.name.namespace() == namespace)?;
                Some(tenant.bgp.as_ref()?.neighbors.first()?.state)
            };
            (state("acme"), state("beta"))
                == (Some(NeighborState::Idle), Some(NeighborState::Established))
        });
        wait_learned(lab, BETA, &["10.140.1.0/24"]);
        let snapshot = gateway.snapshot();
        let heard = reflector(&snapshot).unwrap();
        assert_eq!((heard.state, heard.flaps.0), (NeighborState::Established, 0));
        assert!(gateway.show(&["neighbors"]).contains("said more than it may"));
        assert!(!gateway.log().contains("canary"));
    });
}
