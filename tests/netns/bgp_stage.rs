//! A tenant whose applications are behind a stock BIRD on its fabric link.
//!
//! ```text
//!   gateway ─ fabric link ─ bird
//!   10.136.40.1             10.136.40.2, AS 65001
//! ```
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::bird::Bird;
use crate::lab::{At, Lab, PATIENCE, wait_until};

/// The tenant's namespace.
pub(crate) const NETNS: &str = "lockgate.acme.gw";

/// The gateway on the fabric link, and BIRD.
pub(crate) const GATEWAY: &str = "10.136.40.1";
pub(crate) const BIRD: &str = "10.136.40.2";

/// What a tenant's document is to say of BGP.
pub(crate) struct Ask<'a> {
    /// Its namespace.
    pub(crate) tenant: &'a str,
    pub(crate) port: u16,
    /// What its neighbor has beside the usual, in flow style.
    pub(crate) neighbor: &'a str,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self { tenant: "acme", port: 51_821, neighbor: "" }
    }
}

/// The tenant's document, whose fabric link is `apps-NAMESPACE`.
pub(crate) fn tenant_document(ask: &Ask<'_>) -> String {
    let Ask { tenant, port, neighbor } = ask;
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {tenant}}}
spec:
  listenPort: {port}
  appPrefixes: [10.136.40.0/24, 10.140.0.0/16]
  fabric:
    veth: {{peer: apps-{tenant}, addresses: [{GATEWAY}/24], mtu: 1500}}
    bgp:
      localASN: 64600
      routerID: {GATEWAY}
      neighbors: [{{name: tor, address: {BIRD}, remoteASN: 65001{neighbor}}}]
      import: {{prefixes: [{{cidr: 10.140.0.0/16, ge: 24, le: 32}}]}}
"
    )
}

/// BIRD's configuration: two groups of networks to say, `apps` and `more`, and a
/// session `lockgate` of which `session` is added to what is usual.
pub(crate) fn bird_config(apps: &[&str], more: &[&str], session: &str) -> String {
    let routes = |networks: &[&str]| {
        let routes = networks.iter().map(|net| format!("route {net} blackhole;"));
        routes.collect::<String>()
    };
    format!(
        "log \"/dev/null\" all;
router id {BIRD};
protocol device {{}}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol static apps {{ ipv4; {} }}
protocol static more {{ ipv4; {} }}
protocol bgp lockgate {{
  local {BIRD} as 65001;
  neighbor {GATEWAY} as 64600;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  graceful restart on; graceful restart time 60;
  ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
  {session}
}}
",
        routes(apps),
        routes(more),
    )
}

/// A site `lab` of acme's on an interface that is there already, as its untagged VLAN.
pub(crate) const LAB: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {name: lab, namespace: acme}
spec:
  gatewayRef: {name: gw}
  type: VLAN
  vlan: {interface: lan0, addresses: [172.30.0.1/24], nextHop: 172.30.0.2}
  prefixes: [{cidr: 10.64.0.0/16}]
";

/// A device of the site `lab`, and an application behind BIRD.
pub(crate) const DEVICE: &str = "10.64.0.10";
pub(crate) const APP: &str = "10.140.1.10";

/// Builds that site: its router and its device are the namespace `customer`.
pub(crate) fn build_lab(lab: &Lab) {
    lab.add("customer");
    lab.veth((At::Underlay, "lan0"), (At::Netns("customer"), "lan"));
    lab.address("customer", "lan", "172.30.0.2/24");
    lab.address("customer", "lo", &format!("{DEVICE}/32"));
    lab.route("customer", "10.140.0.0/16", "172.30.0.1");
}

/// What its document has besides when its router speaks BGP.
pub(crate) const LAB_BGP: &str =
    "  bgp: {remoteASN: 65010, neighbor: 172.30.0.2, holdTimeSeconds: 9}\n";

/// The configuration of that router, which has two groups of networks to say, `own` and
/// `more`.
pub(crate) fn customer_config(own: &[&str], more: &[&str]) -> String {
    let routes = |networks: &[&str]| {
        let routes = networks.iter().map(|net| format!("route {net} blackhole;"));
        routes.collect::<String>()
    };
    format!(
        "log \"/dev/null\" all;
router id 172.30.0.2;
protocol device {{}}
protocol static own {{ ipv4; {} }}
protocol static more {{ ipv4; {} }}
protocol bgp lockgate {{
  local 172.30.0.2 as 65010;
  neighbor 172.30.0.1 as 64600;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  graceful restart on; graceful restart time 60;
  ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
}}
",
        routes(own),
        routes(more),
    )
}

/// Gives BIRD the other end of the tenant's fabric link, in a namespace `bird-TENANT`.
pub(crate) fn attach(lab: &Lab, tenant: &str) -> String {
    let at = format!("bird-{tenant}");
    let link = format!("apps-{tenant}");
    lab.add(&at);
    lab.ip(At::Underlay, &format!("link set {link} netns {at}"));
    lab.ip(&at, &format!("link set {link} up"));
    lab.address(&at, &link, &format!("{BIRD}/24"));
    at
}

/// The learned routes in a namespace, as `ip` says them.
pub(crate) fn learned(lab: &Lab, at: &str) -> Vec<String> {
    let text = lab.ip(at, "-4 route show proto 76");
    let lines = text.lines().filter(|line| line.contains("metric 32")).map(str::trim);
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Waits until exactly these networks are learned.
pub(crate) fn wait_learned(lab: &Lab, at: &str, networks: &[&str]) {
    wait_until(&format!("{networks:?} to be learned"), PATIENCE, || {
        let lines = learned(lab, at);
        let found: Vec<&str> =
            lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
        if found == networks { Ok(()) } else { Err(lines) }
    });
}

/// Starts BIRD for a tenant whose gateway is there, and waits for the session.
pub(crate) fn start_bird<'lab>(lab: &'lab Lab, at: &str, config: &str) -> Bird<'lab> {
    let bird = Bird::start(lab, at, config);
    bird.wait_established("lockgate", true);
    bird
}
