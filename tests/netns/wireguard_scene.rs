//! [`Scene`]: a gateway that is sent what it should not be, beside a customer
//! who must not notice; and [`Toll`], which counts what strangers send and get.

use crate::gateway::Gateway;
use crate::lab::{At, Lab};
use crate::wireguard_flow::Flow;
use crate::wireguard_raw::RawCustomer;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    CUSTOMER_PORT, PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, V6, key, site_document, socket,
    tenant_document,
};
use lockgate::net::PublicKey;
use lockgate::status::SiteState;
use serde_json::Value;
use std::collections::BTreeMap;

/// The key of the customer next door, and of the one who misbehaves.
pub(crate) const NEIGHBOR: u8 = 7;
pub(crate) const RAW: u8 = 8;

/// The site of the one who misbehaves, and its prefix.
pub(crate) const RAW_SITE: &str = "raw";
pub(crate) const RAW_PREFIX: &str = "192.168.77.0/24";
pub(crate) const RAW_DEVICE: &str = "192.168.77.10";

/// A gateway with two sites: `hq` with a real router and device, whose traffic
/// never stops, and `raw`, which is played by the test.
pub(crate) struct Scene<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) gateway: Gateway<'lab>,
    id: u32,
    pub(crate) public: PublicKey,
    pub(crate) documents: String,
    toll: Toll<'lab>,
    flow: Option<Flow>,
    _router: Router<'lab>,
}

impl<'lab> Scene<'lab> {
    pub(crate) fn new(lab: &'lab Lab) -> Self {
        let toll = Toll::start(lab);
        let stage = Stage::new(lab);
        for (router, length) in [(V4.router[1], 24), (V6.router[1], 64)] {
            lab.address("router", "uplink", &format!("{router}/{length}"));
        }
        let endpoint = format!("endpoint: {{host: {}, port: {CUSTOMER_PORT}}}", V4.router[0]);
        let documents = tenant_document("")
            + &site_document(
                SITE,
                key(NEIGHBOR).public(),
                &PREFIXES,
                &format!("{TUNNEL}, {endpoint}"),
                "",
            )
            + &site_document(
                RAW_SITE,
                key(RAW).public(),
                &[RAW_PREFIX],
                "tunnelAddresses: [10.255.31.0/31]",
                "",
            );
        let gateway = stage.start(&documents);
        let public = gateway.public_key(TENANT);
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            listen_port: Some(CUSTOMER_PORT),
            keepalive: 1,
            ..Customer::new(key(NEIGHBOR), public)
        };
        let router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        stage.wait_traffic("app", "device", V4.device);
        let flow = Some(Flow::ask(lab, "app", "device", V4.device));
        let id = gateway.id();
        Self { lab, gateway, id, public, documents, toll, flow, _router: router }
    }

    /// The customer of `raw`, at the router's other address.
    pub(crate) fn customer(&self) -> RawCustomer {
        self.customer_at(V4.router[1])
    }

    pub(crate) fn customer_at(&self, own: &str) -> RawCustomer {
        let family = if own.contains(':') { V6 } else { V4 };
        let gateway = (self.public, socket(family.gateway, PORT));
        RawCustomer::new(self.lab, "router", own, &key(RAW), gateway)
    }

    /// Sends each datagram, and waits until all of them are counted under
    /// `reason`: by then each has been looked at.
    pub(crate) fn dropped(&self, from: &RawCustomer, reason: &str, datagrams: &[Vec<u8>]) {
        let before = self.gateway.device_drops(TENANT, reason);
        for datagram in datagrams {
            from.send(datagram);
        }
        let count = before + datagrams.len() as u64;
        self.gateway.wait_device_drops(TENANT, reason, count);
        assert_eq!(self.gateway.device_drops(TENANT, reason), count, "{reason}");
    }

    /// The gateway is the same process, the customer next door lost nothing, and
    /// no stranger got more than it sent.
    pub(crate) fn assert_unharmed(self) {
        self.assert_lost_at_most(0);
    }

    /// As [`Scene::assert_unharmed`] after a flood, in which the socket of the
    /// tenant that is flooded may overflow, on a machine that is busy besides.
    pub(crate) fn assert_lost_at_most(mut self, most: u64) {
        self.gateway.assert_alive(self.id);
        self.flow.take().unwrap().assert_lost_at_most(most);
        assert_eq!(self.gateway.site(TENANT, SITE).state, SiteState::Up);
        self.toll.assert_no_amplification();
    }
}

/// W26: bytes from and to each address and port that the gateway has not
/// answered a handshake of, counted by the kernel, so that no flood is too fast.
struct Toll<'lab> {
    lab: &'lab Lab,
}

impl<'lab> Toll<'lab> {
    /// Begins to count in the underlay.
    fn start(lab: &'lab Lab) -> Self {
        let mut text = String::from("table inet toll {\n");
        for (family, address) in [("v4", "ipv4_addr"), ("v6", "ipv6_addr")] {
            for set in ["known", "from", "to"] {
                text += &format!(
                    "set {set}_{family} {{
                        type {address} . inet_service
                        size 65535
                        flags dynamic
                    }}\n"
                );
            }
        }
        let ways = [("v4", "ip"), ("v6", "ip6")];
        text += "chain input {\ntype filter hook input priority 0\n";
        for (family, ip) in ways {
            let source = format!("{ip} saddr . udp sport");
            let ours = format!("udp dport {PORT} {source}");
            text +=
                &format!("{ours} != @known_{family} add @from_{family} {{ {source} counter }}\n");
        }
        text += "}\nchain output {\ntype filter hook output priority 0\n";
        // The gateway dials the customer next door, whoever that is.
        text += &format!("ip daddr {} udp dport {CUSTOMER_PORT} accept\n", V4.router[0]);
        for (family, ip) in ways {
            let receiver = format!("{ip} daddr . udp dport");
            let ours = format!("udp sport {PORT}");
            text += &format!(
                "{ours} {receiver} != @known_{family} add @to_{family} {{ {receiver} counter }}
                 {ours} @th,64,8 2 add @known_{family} {{ {receiver} }}\n"
            );
        }
        lab.nft(At::Underlay, &(text + "}\n}\n"));
        Self { lab }
    }

    /// Bytes by address and port, in one of the sets.
    fn bytes(&self, set: &str) -> BTreeMap<String, u64> {
        let text = self
            .lab
            .command_output(At::Underlay, &["nft", "-j", "list", "set", "inet", "toll", set]);
        let listed: Value = serde_json::from_str(&text).unwrap();
        let sets = listed["nftables"].as_array().unwrap();
        let set = sets.iter().find_map(|object| object.get("set")).unwrap();
        let elements = set.get("elem").and_then(Value::as_array).map(Vec::as_slice);
        let elements = elements.unwrap_or_default().iter().map(|element| {
            let element = &element["elem"];
            (element["val"].to_string(), element["counter"]["bytes"].as_u64().unwrap())
        });
        elements.collect()
    }

    /// Nobody got more bytes than it sent, the headers of IP and UDP included.
    fn assert_no_amplification(&self) {
        let mut strangers = 0;
        for family in ["v4", "v6"] {
            let from = self.bytes(&format!("from_{family}"));
            strangers += from.len();
            for (stranger, got) in self.bytes(&format!("to_{family}")) {
                let sent = from.get(&stranger).copied().unwrap_or_default();
                assert!(got <= sent, "{stranger} sent {sent} bytes and got {got}");
            }
        }
        assert!(0 < strangers, "nothing was counted");
    }
}
