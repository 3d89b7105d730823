//! “Why is this route not here?”, asked of `lockgate show rib`: each cause there is, made by
//! a stock BIRD, and what the engineer reads.

use crate::bgp_stage::{BIRD, GATEWAY, LAB, NETNS, attach, build_lab, wait_learned};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;

/// Two neighbors, of which routes with a community are taken.
fn documents(maximum: u32) -> String {
    let tenant = format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  listenPort: 51821
  appPrefixes: [10.136.40.0/24, 10.140.0.0/16]
  fabric:
    veth: {{peer: apps-acme, addresses: [{GATEWAY}/24], mtu: 1500}}
    bgp:
      localASN: 64600
      routerID: {GATEWAY}
      neighbors:
        - {{name: tor, address: {BIRD}, remoteASN: 65001}}
        - {{name: second, address: 10.136.40.3, remoteASN: 65002}}
      import:
        prefixes: [{{cidr: 10.140.0.0/16, ge: 24, le: 32}}, {{cidr: 10.64.0.0/10, ge: 24, le: 32}},
          {{cidr: 10.96.0.0/12, ge: 24, le: 32}}]
        communities: ['65001:40']
        maximumPrefixes: {maximum}
        maximumPrefixesRestartSeconds: 200
"
    );
    let class = class_document().replace("spec: {", "spec: {forbiddenPrefixes: [10.96.0.0/12], ");
    class + &tenant + LAB
}

/// A BIRD that says `routes`, each a network with what is set of it.
fn bird_config(address: &str, asn: u32, routes: &[(&str, &str)]) -> String {
    // BIRD takes a next hop of somebody else's only from what is said to this neighbor.
    let set = routes.iter().filter(|(_, set)| !set.is_empty());
    let set = set.map(|(network, set)| format!("    if net = {network} then {{ {set} }}\n"));
    let set: String = set.collect();
    let routes = routes.iter().map(|(network, _)| format!("  route {network} blackhole;\n"));
    format!(
        "log \"/dev/null\" all;
router id {address};
protocol device {{}}
protocol static apps {{ ipv4;
{}}}
protocol bgp lockgate {{
  local {address} as {asn};
  neighbor {GATEWAY} as 64600;
  strict bind on;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  graceful restart on; graceful restart time 60;
  ipv4 {{ import all; export filter {{
    if source != RTS_STATIC then reject;
    bgp_community.add((65001,40));
{set}    accept;
  }}; }};
}}
",
        routes.collect::<String>()
    )
}

#[test]
fn every_cause_is_told_by_show_rib() {
    lab::run(|lab| {
        build_lab(lab);
        let gateway = Gateway::start(lab, At::Underlay, &documents(100));
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "10.136.40.3/24");
        let first = [
            ("10.140.1.0/24", ""),
            ("10.140.2.0/24", ""),
            ("10.140.3.0/24", "bgp_community.delete([(65001,40)]);"),
            ("10.140.4.0/24", "bgp_next_hop = 10.9.9.9;"),
            ("10.140.6.0/24", "bgp_next_hop = 172.30.0.2;"),
            ("10.140.7.0/24", "bgp_path.prepend(64600);"),
            ("10.140.8.0/24", "bgp_path.prepend(0);"),
            ("10.140.0.0/16", ""),
            ("10.99.1.0/24", ""),
            ("10.200.1.0/24", ""),
            ("10.64.1.0/24", ""),
            ("10.136.40.0/25", ""),
            ("0.0.0.0/0", ""),
            ("10.140.10.0/24", "bgp_community.add((65535,666));"),
        ];
        let second = [("10.140.1.0/24", "bgp_path.prepend(65009);"), ("10.140.9.0/24", "")];
        let tor = Bird::start(lab, &at, &bird_config(BIRD, 65_001, &first));
        tor.wait_established("lockgate", true);
        let config = bird_config("10.136.40.3", 65_002, &second);
        let other = Bird::start(lab, &at, &config);
        other.wait_established("lockgate", true);
        // The last one is `blackhole 10.140.10.0/24`.
        let first = ["10.140.1.0/24", "10.140.2.0/24", "10.140.9.0/24", "blackhole"];
        wait_learned(lab, NETNS, &first);
        let wait_said = |network: &str, said: &str| {
            wait_until(&format!("{network}: {said}"), PATIENCE, || {
                let shown = gateway.show(&["rib", network]);
                if shown.contains(said) { Ok(()) } else { Err(shown) }
            });
        };
        for (network, said) in [
            ("10.140.1.0/24", "best"),
            ("10.140.1.0/24", "lost: another path is shorter"),
            ("10.140.3.0/24", "refused: it carries none of the communities asked for"),
            ("10.140.4.0/24", "not installed: nothing leads to its next hop"),
            ("10.140.6.0/24", "refused: its next hop is not on the neighbor's side"),
            ("10.140.7.0/24", "treated as withdrawn: our own AS is in its path"),
            ("10.140.8.0/24", "treated as withdrawn: AS_PATH (attribute 2) is malformed"),
            ("10.140.0.0/16", "refused: import prefixes name its network, and not this length"),
            ("10.99.1.0/24", "refused: the class forbids this network"),
            ("10.200.1.0/24", "refused: no import prefix names it"),
            ("10.64.1.0/24", "refused: it lies in what a site declares"),
            ("10.136.40.0/25", "refused: the gateway's own link stands in this network"),
            ("0.0.0.0/0", "refused: the class allows no default route"),
            ("10.140.10.0/24", "best: what is for it is dropped (BLACKHOLE)"),
            ("10.140.99.0/24", "no neighbor says 10.140.99.0/24"),
            ("10.140.1.7/32", "it lies in 10.140.1.0/24, of which something was said"),
            ("2001:db8::/48", "tor is up and could not say it: its session carries IPv4"),
        ] {
            wait_said(network, said);
        }
        // In the whole table, too, and for programs.
        let all = gateway.show(&["rib"]);
        assert!(all.contains("10.140.7.0/24") && all.contains("treated as withdrawn"), "{all}");
        let page = gateway.page("/api/v1/tenants/acme/gw/rib?prefix=10.140.7.0/24");
        assert!(page.contains("\"treatedAsWithdrawn\":[{\"neighbor\":\"tor\""), "{page}");

        // Its session is over, and it may be coming back.
        other.kill();
        wait_said("10.140.9.0/24", "best, stale");
        wait_said("10.140.99.0/24", "second is not up, but ");

        // It says more than it may: nothing of it is here, and that is why.
        gateway.apply(&documents(3));
        tor.say("restart lockgate");
        wait_said(
            "10.140.2.0/24",
            "tor is not up, but Idle: said more than 3 networks, and is left down for 200 s",
        );
        wait_said("10.140.2.0/24", "no neighbor says 10.140.2.0/24");
    });
}
