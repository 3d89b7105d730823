//! A tenant with a tunnel and a VLAN, and another with the very same networks
//! on the next VLAN: who reaches whom, and who takes over from whom.
#![allow(clippy::disallowed_methods, reason = "it looks at its socket at a steady pace")]

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::{self, Peer};
use crate::vlan_stage::{ACME, APP, BOLT, Customer, DEVICE, app, documents, set, socket};
use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::net::PrivateKey;
use lockgate::reconcile::{Conversation, Fate, Leg, Packet, Payload, Transport, expected};
use lockgate::status::SiteState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What only the site behind the tunnel has.
const OWN: &str = "192.168.2.10";

/// The port everyone answers at.
const PORT: u16 = 7;

/// Says who it is to whoever asks, until it is dropped.
struct Namer {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Namer {
    fn start(lab: &Lab, at: &str, addresses: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = addresses.iter().map(|address| {
            let (socket, name) = (lab.udp(at, socket(address, PORT)), at.to_owned());
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut question = [0; 64];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = socket.recv_from(&mut question) {
                        let _ = socket.send_to(name.as_bytes(), from);
                    }
                }
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }
}

impl Drop for Namer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Who answers at `to`, asked from a host by one of its addresses.
fn who(lab: &Lab, (from, source): (&str, &str), to: &str) -> Option<String> {
    let client = lab.udp(from, socket(source, 0));
    lab.udp_ask(&client, socket(to, PORT), b"who are you?")
        .map(|answer| String::from_utf8(answer).unwrap())
}

/// The other site of acme: the same network as its VLAN, of lower priority, and
/// one of its own.
fn hq(key: &PrivateKey) -> String {
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: acme}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    publicKey: {}
    tunnelAddresses: [10.255.30.0/31]
  prefixes: [{{cidr: 192.168.1.0/24}}, {{cidr: 192.168.2.0/24}}]
  priority: 50
",
        key.public()
    )
}

/// A stock router of the other site, which dials in.
fn router(lab: &Lab, gateway: &Gateway<'_>, key: &PrivateKey) {
    lab.add("hq");
    lab.veth((At::Underlay, "up-hq"), (At::Netns("hq"), "uplink"));
    lab.address(At::Underlay, "up-hq", "198.51.100.1/30");
    lab.address("hq", "uplink", "198.51.100.2/30");
    for device in [OWN, DEVICE[0]] {
        lab.ip("hq", &format!("address add {device}/32 dev lo"));
    }
    let port = gateway.tenant("acme/gw").listen_port;
    let peer = Peer {
        key: gateway.public_key("acme/gw"),
        endpoint: Some(socket("198.51.100.1", port)),
        allowed_ips: "10.136.40.0/24,10.255.30.0/32",
    };
    lab.wireguard("hq", "wg0", key, 0, &[peer]);
    lab.ip("hq", "address add 10.255.30.1/32 dev wg0");
    lab.command_output(
        "hq",
        &["wg", "set", "wg0", "peer", &peer_key(gateway), "persistent-keepalive", "1"],
    );
}

fn peer_key(gateway: &Gateway<'_>) -> String {
    gateway.public_key("acme/gw").to_string()
}

/// A host: where it is, its tenant, how it reaches that, and its addresses.
struct Host {
    at: String,
    tenant: Customer,
    leg: Leg,
    addresses: Vec<&'static str>,
}

#[test]
fn the_matrix_is_what_the_documents_say_and_backups_take_over() {
    links::run(|lab| {
        let key = PrivateKey::from_random([5; 32]);
        set(lab, &[ACME, BOLT]);
        let text = documents(&[ACME, BOLT]) + &hq(&key);
        let mut gateway = Gateway::start(lab, At::Underlay, &text);
        router(lab, &gateway, &key);
        for customer in [ACME, BOLT] {
            app(lab, &customer);
            lab.route(customer.app().as_str(), "192.168.2.0/24", "10.136.40.1");
            gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
        }
        gateway.wait_state("acme/gw", "hq", SiteState::Up);

        let lab_leg = || Leg::Vlan("lab".parse().unwrap());
        let host = |at: String, tenant, leg, addresses| Host { at, tenant, leg, addresses };
        let hosts = [
            host(ACME.app(), ACME, Leg::Fabric, vec![APP[0]]),
            host(BOLT.app(), BOLT, Leg::Fabric, vec![APP[0]]),
            host(ACME.site(), ACME, lab_leg(), vec![DEVICE[0]]),
            host(BOLT.site(), BOLT, lab_leg(), vec![DEVICE[0]]),
            host("hq".to_owned(), ACME, Leg::Tunnel, vec![OWN, DEVICE[0]]),
        ];
        let answering: Vec<Namer> =
            hosts.iter().map(|it| Namer::start(lab, &it.at, &it.addresses)).collect();
        for (from, route) in [(ACME.site(), OWN), (BOLT.site(), OWN)] {
            lab.route(from.as_str(), route, "10.1.0.7");
        }

        // From every address of everyone to every address there is.
        let parsed = Documents::parse([("a.yaml", text.as_bytes())]);
        let (none, options) = (Secrets::default(), Options::default());
        let config = validate(&parsed, &none, &Allocations::new(), &options).config;
        let mut passing = 0;
        for from in &hosts {
            let tenant = &config.tenants[&from.tenant.tenant().parse().unwrap()];
            for source in &from.addresses {
                for to in [APP[0], DEVICE[0], OWN] {
                    if from.addresses.contains(&to) {
                        continue;
                    }
                    let packet = Packet {
                        source: source.parse().unwrap(),
                        destination: to.parse().unwrap(),
                        payload: Payload::Ports {
                            transport: Transport::Udp,
                            source: 40_000,
                            destination: PORT,
                        },
                        conversation: Conversation::New,
                        leg: from.leg.clone(),
                    };
                    // Of acme's two sites with one network the VLAN serves.
                    let there = hosts.iter().find(|it| {
                        it.tenant.name == from.tenant.name && it.addresses.contains(&to)
                    });
                    let must = (expected(tenant, &packet) == Fate::Forwarded)
                        .then(|| there.unwrap().at.clone());
                    let answer = who(lab, (&from.at, source), to);
                    assert_eq!(answer, must, "{} {source} → {to}", from.at);
                    passing += usize::from(must.is_some());
                }
            }
        }
        assert_eq!(passing, 6, "or nothing was compared");

        // The VLAN goes, and the tunnel has its network; it comes back.
        let asked = || who(lab, (&ACME.app(), APP[0]), DEVICE[0]);
        let wait = |at: &str| {
            wait_until(&format!("{at} to answer"), 2 * PATIENCE, || match asked() {
                Some(answer) if answer == at => Ok(()),
                other => Err(other),
            });
        };
        lab.ip("cust-acme", "link set uplink down");
        wait("hq");
        assert_eq!(who(lab, (&BOLT.app(), APP[0]), DEVICE[0]), Some(BOLT.site()));
        lab.ip("cust-acme", "link set uplink up");
        lab.route("cust-acme", "10.136.40.0/24", "10.1.0.7");
        lab.address("cust-acme", "uplink", "2001:db8:1::1/64");
        wait(&ACME.site());
        drop(answering);
        assert!(gateway.terminate().success());
    });
}
