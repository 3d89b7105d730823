//! [`Stage`]: a tenant's whole world around a gateway, for the WireGuard tests.
//!
//! ```text
//!   device ─ lan/eth0 ─ router ─ uplink/up0 ─ (underlay) gateway ─ apps ─ app
//!   192.168.1.10        .1    198.51.100.2   .1          10.136.40.1   10.136.40.10
//!   2001:db8:aa::10     ::1   2001:db8:f::2  ::1      2001:db8:40::1   2001:db8:40::10
//! ```
//! All links have an MTU of 1500. The router has a second uplink's worth of
//! addresses to move to.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "a tool is kept whether or not a test takes it up today; a skip is said"
)]

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, slowness, wait_until};
use lockgate::net::{PresharedKey, PrivateKey, PublicKey};
use lockgate::status::Backend;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

/// The tenant of these tests.
pub(crate) const TENANT: &str = "acme/gw";

/// Its customer's site.
pub(crate) const SITE: &str = "hq";

/// The gateway's UDP port.
pub(crate) const PORT: u16 = 51_821;

/// The customer's UDP port, where it listens to be dialled.
pub(crate) const CUSTOMER_PORT: u16 = 51_900;

/// One family's addresses of everyone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) device: &'static str,
    pub(crate) app: &'static str,
    /// The gateway on its uplink.
    pub(crate) gateway: &'static str,
    /// The router on its uplink, and where it moves to.
    pub(crate) router: [&'static str; 2],
    /// Our end of the tunnel, and the customer's.
    pub(crate) tunnel: [&'static str; 2],
    /// The gateway on the fabric.
    pub(crate) fabric: &'static str,
}

/// IPv4.
pub(crate) const V4: Addresses = Addresses {
    device: "192.168.1.10",
    app: "10.136.40.10",
    gateway: "198.51.100.1",
    router: ["198.51.100.2", "198.51.100.3"],
    tunnel: ["10.255.30.0", "10.255.30.1"],
    fabric: "10.136.40.1",
};

/// IPv6.
pub(crate) const V6: Addresses = Addresses {
    device: "2001:db8:aa::10",
    app: "2001:db8:40::10",
    gateway: "2001:db8:f::1",
    router: ["2001:db8:f::2", "2001:db8:f::3"],
    tunnel: ["fd00:255:30::", "fd00:255:30::1"],
    fabric: "2001:db8:40::1",
};

/// Where the router is once it is behind another network.
pub(crate) const BEHIND: [&str; 2] = ["203.0.113.2", "2001:db8:e::2"];

/// Both.
pub(crate) const FAMILIES: [Addresses; 2] = [V4, V6];

/// A key that is always the same for a seed.
pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

/// A preshared key that is always the same for a seed.
pub(crate) fn psk(seed: u8) -> PresharedKey {
    PresharedKey::from_random([seed; 32])
}

/// A socket address of a text.
pub(crate) fn socket(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// Who carries the tunnels of the gateway under test: `LOCKGATE_TEST_BACKEND`, as
/// a document has it, or Lockgate itself. The customer's end is not asked.
pub(crate) fn backend() -> Backend {
    match std::env::var("LOCKGATE_TEST_BACKEND").as_deref() {
        Ok("Kernel") => Backend::Kernel,
        Ok("Userspace") | Err(_) => Backend::Userspace,
        Ok(other) => panic!("LOCKGATE_TEST_BACKEND is {other}, and neither Kernel nor Userspace"),
    }
}

/// Whether a test of what the kernel's WireGuard has not is to end here: it
/// renames no networks. Says so.
pub(crate) fn is_without_aliases() -> bool {
    let without = backend() == Backend::Kernel;
    if without {
        println!("skipped: the kernel's WireGuard renames no networks");
    }
    without
}

/// The class of every tenant here.
pub(crate) fn class_document() -> String {
    format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: ConnectivityClass
metadata: {{name: default}}
spec: {{advertisedHost: vpn.example.net, backend: {}}}
",
        backend().name()
    )
}

/// Where it is to be the kernel, it is.
pub(crate) fn assert_backend(gateway: &Gateway<'_>, tenant: &str) {
    if backend() == Backend::Kernel {
        assert_eq!(gateway.tenant(tenant).backend, Backend::Kernel);
    }
}

/// How many packets a tenant's device refused for their source. The kernel's
/// gives no reasons, so there it is all it refused.
pub(crate) fn refused_sources(gateway: &Gateway<'_>, lab: &Lab) -> u64 {
    if backend() == Backend::Userspace {
        return gateway.device_drops(TENANT, "source_not_allowed");
    }
    let text = lab.ip("lockgate.acme.gw", "-j -s link show lg-wg");
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    listed[0]["stats64"]["rx"]["errors"].as_u64().unwrap()
}

/// The documents of a tenant before its sites. `more` is what its spec has
/// beside the usual, in flow style.
pub(crate) fn tenant_document(more: &str) -> String {
    tenant_document_on("veth: {peer: apps", more)
}

/// As [`tenant_document`], on the fabric link that is begun here.
pub(crate) fn tenant_document_on(link: &str, more: &str) -> String {
    let class = class_document();
    format!(
        "{class}---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  listenPort: {PORT}
  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64']
  fabric:
    {link}, addresses: [10.136.40.1/24, '2001:db8:40::1/64'], mtu: 1500}}
  {more}
"
    )
}

/// A site's document. `wireguard` is what that block has beside the public key,
/// `more` what the spec has beside the usual; both in flow style.
pub(crate) fn site_document(
    name: &str,
    key: PublicKey,
    prefixes: &[&str],
    wireguard: &str,
    more: &str,
) -> String {
    let prefixes: Vec<String> = prefixes.iter().map(|it| format!("{{cidr: '{it}'}}")).collect();
    let prefixes = prefixes.join(", ");
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: {name}, namespace: acme}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {key}, {wireguard}}}
  prefixes: [{prefixes}]
  {more}
"
    )
}

/// The tunnel's addresses, as a site's document has them.
pub(crate) const TUNNEL: &str = "tunnelAddresses: [10.255.30.0/31, 'fd00:255:30::/127']";

/// What the customer has behind its router.
pub(crate) const PREFIXES: [&str; 2] = ["192.168.1.0/24", "2001:db8:aa::/64"];

/// The documents of the usual tenant with its usual site.
pub(crate) fn documents(customer: PublicKey, wireguard: &str, more: &str) -> String {
    let wireguard = format!("{TUNNEL}, {wireguard}");
    tenant_document("") + &site_document(SITE, customer, &PREFIXES, &wireguard, more)
}

/// Everything around the gateway.
pub(crate) struct Stage<'lab> {
    pub(crate) lab: &'lab Lab,
}

impl<'lab> Stage<'lab> {
    /// Builds the customer's side and the app's namespace, without its link:
    /// that is the gateway's to make.
    pub(crate) fn new(lab: &'lab Lab) -> Self {
        for name in ["router", "device", "app"] {
            lab.add(name);
        }
        lab.veth((At::Underlay, "up0"), (At::Netns("router"), "uplink"));
        lab.veth((At::Netns("router"), "eth0"), (At::Netns("device"), "lan"));
        for (family, length) in [(V4, 24), (V6, 64)] {
            lab.address(At::Underlay, "up0", &format!("{}/{length}", family.gateway));
            lab.address("router", "uplink", &format!("{}/{length}", family.router[0]));
            lab.address("device", "lan", &format!("{}/{length}", family.device));
        }
        lab.address("router", "eth0", "192.168.1.1/24");
        lab.address("router", "eth0", "2001:db8:aa::1/64");
        lab.route("device", "default", "192.168.1.1");
        lab.ip("device", "-6 route add default via 2001:db8:aa::1");
        forward(lab, "router");
        Self { lab }
    }

    /// Moves the customer behind another network: `isp` is then between it and
    /// the gateway, with 198.51.100.254 here and 203.0.113.1 there (`::fe` and
    /// 2001:db8:e::1), the router at [`BEHIND`].
    pub(crate) fn put_isp_between(&self) {
        let lab = self.lab;
        lab.ip(At::Underlay, "link delete up0");
        lab.add("isp");
        lab.veth((At::Underlay, "up0"), (At::Netns("isp"), "core"));
        lab.veth((At::Netns("isp"), "edge"), (At::Netns("router"), "uplink"));
        for (at, link, v4, v6) in [
            (At::Underlay, "up0", V4.gateway, V6.gateway),
            (At::Netns("isp"), "core", "198.51.100.254", "2001:db8:f::fe"),
            (At::Netns("isp"), "edge", "203.0.113.1", "2001:db8:e::1"),
            (At::Netns("router"), "uplink", BEHIND[0], BEHIND[1]),
        ] {
            lab.address(at, link, &format!("{v4}/24"));
            lab.address(at, link, &format!("{v6}/64"));
        }
        lab.route("router", "198.51.100.0/24", "203.0.113.1");
        lab.ip("router", "-6 route add 2001:db8:f::/64 via 2001:db8:e::1");
        forward(lab, "isp");
    }

    /// Gives the gateway a way to a customer behind `isp`.
    pub(crate) fn route_to_isp(&self) {
        self.lab.route(At::Underlay, "203.0.113.0/24", "198.51.100.254");
        self.lab.ip(At::Underlay, "-6 route add 2001:db8:e::/64 via 2001:db8:f::fe");
    }

    /// Gives the app the other end of the gateway's veth pair.
    pub(crate) fn attach_app(&self) {
        self.lab.ip(At::Underlay, "link set apps netns app");
        self.lab.ip("app", "link set apps up");
        self.address_app();
    }

    /// Makes the fabric link for a gateway that lives with its underlay: such a
    /// one cannot make it, for both of its ends would be the tenant's. The
    /// documents name `fabric0`.
    pub(crate) fn link_app(&self) {
        self.lab.veth((At::Underlay, "fabric0"), (At::Netns("app"), "apps"));
        self.address_app();
    }

    fn address_app(&self) {
        self.lab.address("app", "apps", "10.136.40.10/24");
        self.lab.address("app", "apps", "2001:db8:40::10/64");
        self.lab.route("app", "default", V4.fabric);
        self.lab.ip("app", &format!("-6 route add default via {}", V6.fabric));
    }

    /// Starts the gateway with these documents and attaches the app.
    pub(crate) fn start(&self, documents: &str) -> Gateway<'lab> {
        let gateway = Gateway::start(self.lab, At::Underlay, documents);
        assert_backend(&gateway, TENANT);
        self.attach_app();
        gateway
    }

    /// Ping, UDP and TCP between app and device, begun by either.
    pub(crate) fn assert_traffic(&self, family: Addresses) {
        for (from, to, address) in [("app", "device", family.device), ("device", "app", family.app)]
        {
            assert!(self.lab.ping(from, address), "{from} pings {address}");
            assert!(self.asks(from, to, address), "{from} asks {address} over UDP");
            self.tcp(from, to, address, 300_000 / slowness() as usize);
        }
    }

    /// Waits until a question over UDP is answered.
    pub(crate) fn wait_traffic(&self, from: &str, to: &str, address: &str) {
        wait_until("traffic", PATIENCE, || {
            if self.asks(from, to, address) { Ok(()) } else { Err("no answer") }
        });
    }

    /// Whether a question over UDP from one namespace to an address in another
    /// is answered.
    pub(crate) fn asks(&self, from: &str, to: &str, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let echo = self.lab.udp_echo(to, SocketAddr::new(address, 0));
        let any = if address.is_ipv4() { "0.0.0.0" } else { "::" };
        let socket = self.lab.udp(from, socket(any, 0));
        let payload = b"what is your name";
        self.lab.udp_ask(&socket, echo.address, payload).is_some_and(|answer| answer == payload)
    }

    /// `bytes` both ways over one TCP connection; they arrive as they were sent.
    pub(crate) fn tcp(&self, from: &str, to: &str, address: &str, bytes: usize) {
        let listener = self.lab.within(to, || TcpListener::bind(socket(address, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let client = self.lab.within(from, || TcpStream::connect_timeout(&address, PATIENCE));
        let client = client.unwrap_or_else(|error| panic!("{from} to {address}: {error}"));
        let (server, _) = listener.accept().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| exchange(client, bytes));
            exchange(server, bytes);
        });
    }
}

/// Turns a namespace into a router.
pub(crate) fn forward(lab: &Lab, at: &str) {
    lab.within(at, || {
        for name in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{name}"), "1").unwrap();
        }
    });
}

fn exchange(mut stream: TcpStream, bytes: usize) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let sent: Vec<u8> = (0..bytes).map(|at| (at * 7 % 253) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        let mut got = vec![0; bytes];
        stream.read_exact(&mut got).unwrap();
        assert!(got == sent, "the bytes are what was sent");
    });
}
