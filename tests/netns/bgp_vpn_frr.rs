//! VPN routes of both families from a stock FRR: VPNv4 over IPv4, VPNv6 over IPv6, each
//! with routes of the tenant's target and of another's.

use crate::bgp_stage::{NETNS, attach, learned, wait_learned};
use crate::frr::{self, Frr};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::Snapshot;

const DOCUMENT: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  listenPort: 51821
  appPrefixes: [10.140.0.0/16, '2001:db8:140::/48']
  fabric:
    veth: {peer: apps-acme, addresses: [10.136.40.1/24, '2001:db8:40::1/64'], mtu: 1500}
    bgp:
      localASN: 64600
      routerID: 10.136.40.1
      neighbors:
        - {name: four, address: 10.136.40.2, remoteASN: 65001}
        - {name: six, address: '2001:db8:40::2', remoteASN: 65001}
      import:
        routeTargets: [\"65001:40\"]
        prefixes: [{cidr: 10.140.0.0/16, ge: 24, le: 32}, {cidr: '2001:db8:140::/48', ge: 56, le: 64}]
";

/// What a network says is looked up once, when its line is read.
const CONFIG: &str = "route-map acme permit 10
 set extcommunity rt 65001:40
route-map beta permit 10
 set extcommunity rt 65001:41
router bgp 65001
 bgp router-id 10.136.40.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 10.136.40.1 remote-as 64600
 neighbor 10.136.40.1 timers connect 2
 neighbor 2001:db8:40::1 remote-as 64600
 neighbor 2001:db8:40::1 timers connect 2
 address-family ipv4 vpn
  network 10.140.1.0/24 rd 65001:1 label 16 route-map acme
  network 10.140.1.0/24 rd 65001:2 label 17 route-map beta
  network 10.140.2.0/24 rd 65001:2 label 17 route-map beta
  neighbor 10.136.40.1 activate
 exit-address-family
 address-family ipv6 vpn
  network 2001:db8:140:1::/64 rd 65001:1 label 16 route-map acme
  network 2001:db8:140:2::/64 rd 65001:2 label 17 route-map beta
  neighbor 2001:db8:40::1 activate
 exit-address-family
";

/// Of each neighbor, routes that it said for others, and paths that are held of it.
fn counts(snapshot: &Snapshot) -> Vec<(u64, u64)> {
    let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
    let neighbors = bgp.into_iter().flat_map(|bgp| &bgp.neighbors);
    neighbors.map(|it| (it.prefixes.not_kept, it.prefixes.received)).collect()
}

#[test]
fn frr_has_vpn_routes_of_both_families_and_the_tenant_takes_its_own() {
    if !frr::is_installed() {
        return;
    }
    lab::run(|lab| {
        let gateway = Gateway::start(lab, At::Underlay, &(class_document() + DOCUMENT));
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "2001:db8:40::2/64");
        let frr = Frr::start(lab, &at, CONFIG);
        let six = || {
            let text = lab.ip(NETNS, "-6 route show proto 76");
            let lines = text.lines().filter(|line| line.contains("metric 32"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        wait_until("the IPv6 network alone", PATIENCE, || match &six()[..] {
            [one] if one.starts_with("2001:db8:140:1::/64 via 2001:db8:40::2 dev lg-fabric") => {
                Ok(())
            }
            other => Err((other.to_vec(), frr.say("show bgp summary"), frr.log())),
        });
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        assert!(learned(lab, NETNS)[0].contains("via 10.136.40.2 dev lg-fabric"));
        gateway.wait("what is another's to be counted", |snapshot| {
            counts(snapshot) == [(2, 1), (1, 1)]
        });
        // One with the same network under another distinguisher stays away when ours goes.
        frr.say(
            "configure terminal\nrouter bgp 65001\naddress-family ipv4 vpn\n\
             no network 10.140.1.0/24 rd 65001:1 label 16\nexit-address-family\n\
             address-family ipv6 vpn\n\
             no network 2001:db8:140:1::/64 rd 65001:1 label 16",
        );
        wait_learned(lab, NETNS, &[]);
        wait_until("the IPv6 network to go", PATIENCE, || {
            if six().is_empty() { Ok(()) } else { Err(six()) }
        });
    });
}
