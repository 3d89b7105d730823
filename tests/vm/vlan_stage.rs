//! Customers on VLANs of one trunk, all with the same addresses, around one
//! gateway.
//!
//! ```text
//!   cust-acme ─ 30 ┐                             ┌ apps-acme ─ app-acme
//!   192.168.1.10   ├─ wan: trunk ─ eth2: gateway ┤             10.136.40.10
//!   cust-bolt ─ 31 ┘                             └ apps-bolt ─ app-bolt
//! ```
//! A customer is one namespace: router and device in one, the device's address
//! on its loopback.
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::lab::{At, Lab};
use crate::links::Tag;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Our address and the customer's on every VLAN, and what is behind them.
pub(crate) const OWN: [&str; 2] = ["10.1.0.7/24", "2001:db8:1::7/64"];
pub(crate) const ROUTER: [&str; 2] = ["10.1.0.1", "2001:db8:1::1"];
pub(crate) const DEVICE: [&str; 2] = ["192.168.1.10", "2001:db8:aa::10"];
pub(crate) const APP: [&str; 2] = ["10.136.40.10", "2001:db8:40::10"];

/// A customer's tags, outermost first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Customer {
    /// Its tenant's namespace in the documents.
    pub(crate) name: &'static str,
    pub(crate) tags: &'static [Tag],
}

pub(crate) const ACME: Customer = Customer { name: "acme", tags: &[Tag::C(30)] };
pub(crate) const BOLT: Customer = Customer { name: "bolt", tags: &[Tag::C(31)] };

impl Customer {
    /// Its tenant's name in full.
    pub(crate) fn tenant(&self) -> String {
        format!("{}/gw", self.name)
    }

    /// The namespace the gateway makes for it.
    pub(crate) fn netns(&self) -> String {
        format!("lockgate.{}.gw", self.name)
    }

    /// Where its router and device are.
    pub(crate) fn site(&self) -> String {
        format!("cust-{}", self.name)
    }

    /// Where its application is.
    pub(crate) fn app(&self) -> String {
        format!("app-{}", self.name)
    }

    /// The fields of `vlan` that name its link.
    fn link(&self) -> String {
        match *self.tags {
            [Tag::C(id)] => format!("parent: eth2, id: {id}"),
            [Tag::S(outer), Tag::C(id)] => {
                format!("parent: eth2, id: {outer}, protocol: 802.1ad, innerId: {id}")
            }
            _ => panic!("{:?}", self.tags),
        }
    }

    /// Its tenant's documents, with one site `lab`.
    pub(crate) fn documents(&self) -> String {
        self.documents_with(&self.link())
    }

    /// The same with another link.
    pub(crate) fn documents_with(&self, link: &str) -> String {
        let name = self.name;
        format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64']
  fabric:
    veth: {{peer: apps-{name}, addresses: [10.136.40.1/24, '2001:db8:40::1/64']}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: lab, namespace: {name}}}
spec:
  gatewayRef: {{name: gw}}
  type: VLAN
  vlan:
    {{{link}, addresses: [{}, '{}'], nextHops: [{}, '{}']}}
  prefixes: [{{cidr: 192.168.1.0/24}}, {{cidr: '2001:db8:aa::/48'}}]
",
            OWN[0], OWN[1], ROUTER[0], ROUTER[1]
        )
    }
}

/// The documents of several.
pub(crate) fn documents(customers: &[Customer]) -> String {
    customers.iter().fold(String::new(), |mut text, customer| {
        let _ = write!(text, "{}", customer.documents());
        text
    })
}

/// The trunk, from the gateway's end to the provider's.
pub(crate) fn trunk(lab: &Lab) {
    lab.veth((At::Underlay, "eth2"), (At::Netns("wan"), "trunk"));
}

/// The provider, its trunk, and each customer on its VLAN.
pub(crate) fn set(lab: &Lab, customers: &[Customer]) {
    lab.add("wan");
    trunk(lab);
    for customer in customers {
        lab.add(&customer.site());
        connect(lab, customer);
    }
}

/// Puts a customer on its VLAN of the trunk, as when the trunk has come back.
pub(crate) fn connect(lab: &Lab, customer: &Customer) {
    let site = customer.site();
    let mut parent = "trunk".to_owned();
    for (depth, tag) in customer.tags.iter().enumerate() {
        let name = match (depth + 1 == customer.tags.len(), tag) {
            (true, _) => format!("v-{}", customer.name),
            (false, Tag::S(id) | Tag::C(id)) => format!("outer{id}"),
        };
        if !lab.output("wan", &["ip", "link", "show", &name]).status.success() {
            lab.vlan("wan", &parent, &name, *tag);
        }
        parent = name;
    }
    lab.ip("wan", &format!("link set {parent} netns {site} name uplink"));
    let site = site.as_str();
    lab.ip(site, "link set uplink up");
    for (index, (router, device)) in ROUTER.into_iter().zip(DEVICE).enumerate() {
        let (length, host) = [(24, 32), (64, 128)][index];
        lab.address(site, "uplink", &format!("{router}/{length}"));
        if !lab.ip(site, "address show lo").contains(device) {
            lab.ip(site, &format!("address add {device}/{host} dev lo"));
        }
    }
    routes(lab, customer);
}

/// Gives a customer back what its link took along as it went down.
pub(crate) fn readdress(lab: &Lab, customer: &Customer) {
    lab.address(customer.site().as_str(), "uplink", &format!("{}/64", ROUTER[1]));
    routes(lab, customer);
}

/// A customer's routes to the applications.
fn routes(lab: &Lab, customer: &Customer) {
    for (network, via) in [("10.136.40.0/24", OWN[0]), ("2001:db8:40::/64", OWN[1])] {
        lab.route(customer.site().as_str(), network, via.split('/').next().unwrap());
    }
}

/// Puts a tenant's application on the fabric's other end, which is there now.
pub(crate) fn app(lab: &Lab, customer: &Customer) {
    let app = customer.app();
    if !lab.ip(At::Underlay, "netns list").contains(&app) {
        lab.add(&app);
    }
    lab.ip(At::Underlay, &format!("link set apps-{} netns {app} name eth0", customer.name));
    let app = app.as_str();
    lab.ip(app, "link set eth0 up");
    for (index, address) in APP.into_iter().enumerate() {
        lab.address(app, "eth0", &format!("{address}/{}", [24, 64][index]));
    }
    lab.route(app, "192.168.1.0/24", "10.136.40.1");
    lab.route(app, "2001:db8:aa::/48", "2001:db8:40::1");
}

/// A UDP socket's address.
pub(crate) fn socket(address: &str, port: u16) -> SocketAddr {
    (address.parse::<IpAddr>().unwrap(), port).into()
}

/// Whether a datagram goes from one address to the other and its echo back, the
/// echo server seeing the client's very address.
pub(crate) fn reaches(lab: &Lab, (from, source): (&str, &str), (to, target): (&str, &str)) -> bool {
    let echo = lab.udp_echo(to, socket(target, 0));
    let client = lab.udp(from, socket(source, 0));
    lab.udp_ask(&client, echo.address, b"through and back").as_deref() == Some(b"through and back")
}

/// Whether everything that should pass between a customer and its application does.
pub(crate) fn works(lab: &Lab, customer: &Customer) -> bool {
    let (site, app) = (customer.site(), customer.app());
    DEVICE.into_iter().zip(APP).all(|(device, address)| {
        reaches(lab, (&app, address), (&site, device))
            && reaches(lab, (&site, device), (&app, address))
    })
}
