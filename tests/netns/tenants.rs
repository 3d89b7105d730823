//! [`Tenants`]: several tenants' worlds around one gateway, all with the same
//! addresses.
//!
//! ```text
//!   device-acme ─ router-acme ─ up-acme ┐            ┌ apps-acme ─ app-acme
//!   192.168.1.10                        ├─ gateway ──┤             10.136.40.10
//!   device-bolt ─ router-bolt ─ up-bolt ┘            └ apps-bolt ─ app-bolt
//!   192.168.1.10     (underlay)                                    10.136.40.10
//! ```
//! Beside the addresses that all have, each device and each app has one in a
//! network that goes with its tenant's number; only two tenants of one number,
//! of which the second takes the place of the first, share that, too.

use crate::lab::{At, Lab};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    FAMILIES, PREFIXES, V4, V6, class_document, forward, key, psk, socket,
};
use lockgate::config::{Documents, Options, Secrets, validate};
use lockgate::model::Config;
use lockgate::net::PublicKey;
use std::net::IpAddr;

/// One tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant {
    /// Its namespace in the documents; its gateway there is `gw`, its site `hq`.
    pub(crate) name: &'static str,
    /// The namespace of its customer's router.
    pub(crate) router: &'static str,
    /// What is its alone goes by this: canaries, keys, its customer's uplink.
    pub(crate) mark: u8,
    /// What is its place goes by this: the networks only it has, its UDP port.
    pub(crate) number: u8,
    /// Its site's `allow`, in flow style; `None` is an open site.
    pub(crate) allow: Option<&'static str>,
    /// Whether its site has a preshared key.
    pub(crate) with_psk: bool,
}

/// The device behind the customer's router, or the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Device,
    App,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Device, Self::App];

    /// Who is at the other end.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Device => Self::App,
            Self::App => Self::Device,
        }
    }
}

impl Tenant {
    /// Its name in full.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/gw", self.name)
    }

    /// The network namespace the gateway makes for it.
    pub(crate) fn netns(&self) -> String {
        format!("lockgate.{}.gw", self.name)
    }

    /// The namespace of its device or app.
    pub(crate) fn host(&self, side: Side) -> String {
        match side {
            Side::Device => format!("device-{}", self.name),
            Side::App => format!("app-{}", self.name),
        }
    }

    /// The UDP port its customer dials.
    pub(crate) fn port(&self) -> u16 {
        51_820 + u16::from(self.number)
    }

    /// The addresses of its device or app: the two that all have, then its own.
    pub(crate) fn addresses(&self, side: Side) -> [IpAddr; 4] {
        let n = self.number;
        let texts = match side {
            Side::Device => [
                V4.device.to_owned(),
                V6.device.to_owned(),
                format!("172.20.{n}.10"),
                format!("2001:db8:ab:{n}::10"),
            ],
            Side::App => [
                V4.app.to_owned(),
                V6.app.to_owned(),
                format!("10.140.{n}.10"),
                format!("2001:db8:140:{n}::10"),
            ],
        };
        texts.map(|text| text.parse().unwrap())
    }

    /// The networks behind its router.
    fn site_prefixes(&self) -> Vec<String> {
        let n = self.number;
        let own = [format!("172.20.{n}.0/24"), format!("2001:db8:ab:{n}::/64")];
        PREFIXES.map(str::to_owned).into_iter().chain(own).collect()
    }

    /// The gateway's address on its uplink, and its router's; every other
    /// tenant's is IPv6.
    fn uplink(&self) -> ([String; 2], u8) {
        let n = self.mark;
        if n.is_multiple_of(2) {
            ([1, 2].map(|host| format!("198.51.100.{}", 4 * n + host)), 30)
        } else {
            ([1, 2].map(|host| format!("2001:db8:f:{n}::{host}")), 64)
        }
    }

    /// The gateway and the customer's router on the wire between them.
    pub(crate) fn outer(&self) -> (IpAddr, IpAddr) {
        let ([near, far], _) = self.uplink();
        (near.parse().unwrap(), far.parse().unwrap())
    }

    /// Its documents.
    pub(crate) fn documents(&self) -> String {
        let Self { name, number: n, .. } = self;
        let prefixes: Vec<_> =
            self.site_prefixes().iter().map(|it| format!("{{cidr: '{it}'}}")).collect();
        let psk = if self.with_psk { ", presharedKeySecretRef: {name: psk, key: psk}" } else { "" };
        let allow = self.allow.map(|allow| format!("  allow: {allow}\n")).unwrap_or_default();
        format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  listenPort: {}
  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64', 10.140.{n}.0/24, '2001:db8:140:{n}::/64']
  fabric:
    veth: {{peer: apps-{name}, addresses: [10.136.40.1/24, '2001:db8:40::1/64'], mtu: 1500}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: {name}}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    {{publicKey: {}, tunnelAddresses: [10.255.30.0/31, 'fd00:255:30::/127']{psk}}}
  prefixes: [{}]
{allow}",
            self.port(),
            key(self.mark).public(),
            prefixes.join(", "),
        )
    }
}

/// The documents of all of them.
pub(crate) fn documents(tenants: &[Tenant]) -> String {
    class_document() + &tenants.iter().map(Tenant::documents).collect::<String>()
}

/// What the gateway makes of their documents.
pub(crate) fn config(tenants: &[Tenant]) -> Config {
    let documents = Documents::parse([("documents.yaml", documents(tenants).as_bytes())]);
    let mut secrets = Secrets::default();
    for tenant in tenants {
        let psk = psk(tenant.mark).to_base64().as_bytes().to_vec();
        secrets.insert(tenant.name, "psk", "psk", psk.into());
    }
    let outcome = validate(&documents, &secrets, &Default::default(), &Options::default());
    assert_eq!(outcome.errors.iter().count(), 0, "{:?}", outcome.errors);
    outcome.config
}

/// Their worlds, built one after the other.
pub(crate) struct Tenants<'lab> {
    lab: &'lab Lab,
}

impl<'lab> Tenants<'lab> {
    pub(crate) const fn new(lab: &'lab Lab) -> Self {
        Self { lab }
    }

    /// Builds a customer's side and the app's namespace, all but the link that
    /// is the gateway's to make.
    pub(crate) fn build(&self, tenant: &Tenant) {
        let lab = self.lab;
        let (router, device) = (tenant.router, &*tenant.host(Side::Device));
        for name in [router, device, &tenant.host(Side::App)] {
            lab.add(name);
        }
        let up = format!("up-{}", tenant.name);
        lab.veth((At::Underlay, &up), (At::Netns(router), "uplink"));
        lab.veth((At::Netns(router), "eth0"), (At::Netns(device), "lan"));
        let ([near, far], length) = tenant.uplink();
        lab.address(At::Underlay, &up, &format!("{near}/{length}"));
        lab.address(router, "uplink", &format!("{far}/{length}"));
        lab.address(router, "eth0", "192.168.1.1/24");
        lab.address(router, "eth0", "2001:db8:aa::1/64");
        self.addresses(device, "lan", tenant, Side::Device);
        for prefix in &tenant.site_prefixes()[PREFIXES.len()..] {
            lab.ip(router, &format!("{} route add {prefix} dev eth0", family(prefix)));
        }
        lab.route(device, "default", "192.168.1.1");
        lab.ip(device, "-6 route add default via 2001:db8:aa::1");
        forward(lab, router);
    }

    /// Gives the app the other end of the gateway's veth pair.
    pub(crate) fn attach_app(&self, tenant: &Tenant) {
        let (lab, app) = (self.lab, tenant.host(Side::App));
        lab.ip(At::Underlay, &format!("link set apps-{} netns {app}", tenant.name));
        lab.ip(&app, &format!("link set apps-{} up", tenant.name));
        self.addresses(&app, &format!("apps-{}", tenant.name), tenant, Side::App);
        lab.route(&app, "default", V4.fabric);
        lab.ip(&app, &format!("-6 route add default via {}", V6.fabric));
    }

    fn addresses(&self, at: &str, link: &str, tenant: &Tenant, side: Side) {
        for address in tenant.addresses(side) {
            let length = if address.is_ipv4() { 24 } else { 64 };
            self.lab.address(at, link, &format!("{address}/{length}"));
        }
    }

    /// Starts the customer's router, which dials in.
    pub(crate) fn start_router(
        &self,
        tenant: &Tenant,
        engine: Engine,
        gateway: PublicKey,
    ) -> Router<'lab> {
        let ([near, _], _) = tenant.uplink();
        let apps = ["10.136.40.0/24", "2001:db8:40::/64", "10.140.0.0/16", "2001:db8:140::/48"];
        let tunnel = FAMILIES.iter().map(|family| match family.tunnel[0] {
            address if address.contains(':') => format!("{address}/128"),
            address => format!("{address}/32"),
        });
        let customer = Customer {
            endpoint: Some(socket(&near, tenant.port())),
            psk: tenant.with_psk.then(|| psk(tenant.mark)),
            keepalive: 1,
            // Of everybody: what is not its own is the gateway's to drop.
            allowed_ips: apps.map(str::to_owned).into_iter().chain(tunnel).collect(),
            lan: tenant.site_prefixes(),
            ..Customer::new(key(tenant.mark), gateway)
        };
        Router::start(self.lab, tenant.router, engine, &customer)
    }
}

/// `ip`'s word for the family of a prefix.
fn family(prefix: &str) -> &'static str {
    if prefix.contains(':') { "-6" } else { "-4" }
}
