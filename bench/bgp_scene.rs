//! What the benchmarks of BGP have in common: a tenant, its namespace, and a session.

use lockgate::bgp::Family;
use lockgate::bgp::proto::Negotiated;
use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::model::Tenant;
use lockgate::reconcile::{KernelState, Namespace};
use std::net::{IpAddr, Ipv4Addr};

/// A tenant with one neighbor of the system `remote`, of which it takes `import`.
pub(crate) fn tenant(remote: u32, import: &str) -> Option<Tenant> {
    let document = format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric:
    interface: {{name: ens1, addresses: [172.16.0.2/24]}}
    bgp:
      localASN: 64600
      routerID: 172.16.0.2
      neighbors: [{{name: rr1, address: 172.16.0.1, remoteASN: {remote}}}]
      import: {{prefixes: [{import}], maximumPrefixes: 1000000}}
"
    );
    let documents = Documents::parse([("gw.yaml", document.as_bytes())]);
    let options = Options::default();
    let outcome = validate(&documents, &Secrets::default(), &Allocations::new(), &options);
    assert_eq!(outcome.errors.to_string(), "");
    outcome.config.tenants.into_values().next().map(|tenant| (*tenant).clone())
}

/// Its namespace, as its documents want it.
pub(crate) fn namespace() -> Namespace {
    let text = "netns acme/gw\n  link ens1 moved mtu 1500 up 172.16.0.2/24";
    let state = text.parse::<KernelState>();
    state.ok().and_then(|mut state| state.tenants.pop_first()).map(|it| it.1).unwrap_or_default()
}

/// A session from one of its ends.
pub(crate) fn session(local_asn: u32, remote_asn: u32) -> Negotiated {
    Negotiated {
        local_asn,
        remote_asn,
        local_id: Ipv4Addr::new(1, 1, 1, 1),
        remote_id: Ipv4Addr::new(2, 2, 2, 2),
        local_address: IpAddr::V4(Ipv4Addr::new(172, 16, 0, 2)),
        remote_address: IpAddr::V4(Ipv4Addr::new(172, 16, 0, 1)),
        hold_time: None,
        families: vec![Family::Ipv4Unicast],
        four_octet_as: true,
        maximum_message: 4_096,
        route_refresh: true,
        enhanced_refresh: false,
        add_path_receive: Vec::new(),
        extended_next_hop: Vec::new(),
        restart: None,
        long_lived: Vec::new(),
        local_role: None,
        remote_role: None,
        allowed_own_as: 0,
    }
}
