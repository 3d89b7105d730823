//! A tenant with a tunnel and a VLAN, and another with the very same networks
//! on the next VLAN: who reaches whom, and who takes over from whom.
#![allow(clippy::disallowed_methods, reason = "it looks at its socket at a steady pace")]

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, slowness, wait_until};
use crate::links::{self, Peer};
use crate::vlan_stage::{
    ACME, APP, BOLT, Customer, DEVICE, app, documents, readdress, set, socket,
};
use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::model::Config;
use lockgate::net::PrivateKey;
use lockgate::reconcile::{Conversation, Fate, Leg, Packet, Payload, Transport, expected};
use lockgate::status::SiteState;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What only the site behind the tunnel has.
const OWN: [&str; 2] = ["192.168.2.10", "2001:db8:bb::10"];

/// The port everyone answers at.
const PORT: u16 = 7;

/// What the site behind the tunnel lets pass, and bolt's VLAN; acme's is open.
const HQ_RULES: &str = "  allow: [{direction: ToSite, protocol: UDP, ports: [7]}, \
                          {direction: FromSite, protocol: TCP, ports: [7]}]\n";
const BOLT_RULES: &str = "  allow: [{direction: ToSite, protocol: Any}]\n";

/// Says who it is to whoever asks over UDP or connects, until it is dropped.
struct Namer {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Namer {
    fn start(lab: &Lab, at: &str, addresses: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = addresses.iter().map(|address| {
            let (address, name) = (socket(address, PORT), at.to_owned());
            let udp = lab.udp(at, address);
            udp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let tcp = lab.within(at, || TcpListener::bind(address)).unwrap();
            tcp.set_nonblocking(true).unwrap();
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut question = [0; 64];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = udp.recv_from(&mut question) {
                        let _ = udp.send_to(name.as_bytes(), from);
                    }
                    if let Ok((mut connected, _)) = tcp.accept() {
                        let _ = connected.write_all(name.as_bytes());
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

/// The other site of acme: the same networks as its VLAN, of lower priority, and
/// its own.
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
    tunnelAddresses: [10.255.30.0/31, 'fd00:255:30::/127']
  prefixes: [{{cidr: 192.168.1.0/24}}, {{cidr: 192.168.2.0/24}},
    {{cidr: '2001:db8:aa::/48'}}, {{cidr: '2001:db8:bb::/64'}}]
  priority: 50
{HQ_RULES}",
        key.public()
    )
}

/// A stock router of the other site, which dials in.
fn router(lab: &Lab, gateway: &Gateway<'_>, key: &PrivateKey) {
    lab.add("hq");
    lab.veth((At::Underlay, "up-hq"), (At::Netns("hq"), "uplink"));
    lab.address(At::Underlay, "up-hq", "198.51.100.1/30");
    lab.address("hq", "uplink", "198.51.100.2/30");
    for device in OWN.into_iter().chain(DEVICE) {
        let length = if device.contains(':') { 128 } else { 32 };
        lab.ip("hq", &format!("address add {device}/{length} dev lo"));
    }
    let port = gateway.tenant("acme/gw").listen_port;
    let peer = Peer {
        key: gateway.public_key("acme/gw"),
        endpoint: Some(socket("198.51.100.1", port)),
        allowed_ips: "10.136.40.0/24,2001:db8:40::/64,10.255.30.0/32",
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

/// One question, and who must answer it.
#[derive(Debug)]
struct Cell {
    from: String,
    source: &'static str,
    to: &'static str,
    transport: Transport,
    must: Option<String>,
}

/// From every address of everyone to every address there is, over UDP and TCP,
/// with the answers that the documents allow.
fn cells(config: &Config, hosts: &[Host]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for from in hosts {
        let tenant = &config.tenants[&from.tenant.tenant().parse().unwrap()];
        let to = || APP.into_iter().chain(DEVICE).chain(OWN);
        let ways = from.addresses.iter().flat_map(|source| to().map(move |to| (*source, to)));
        for (source, to) in ways {
            if from.addresses.contains(&to) || source.contains(':') != to.contains(':') {
                continue;
            }
            for transport in [Transport::Udp, Transport::Tcp] {
                let packet = Packet {
                    source: source.parse().unwrap(),
                    destination: to.parse().unwrap(),
                    payload: Payload::Ports { transport, source: 40_000, destination: PORT },
                    conversation: Conversation::New,
                    leg: from.leg.clone(),
                };
                // Of acme's two sites with one network the VLAN serves.
                let there = hosts
                    .iter()
                    .find(|it| it.tenant.name == from.tenant.name && it.addresses.contains(&to));
                let must = (expected(tenant, &packet) == Fate::Forwarded)
                    .then(|| there.unwrap().at.clone());
                cells.push(Cell { from: from.at.clone(), source, to, transport, must });
            }
        }
    }
    cells
}

/// A socket that asks one question, and what came of it.
struct Asking {
    socket: Socket,
    to: SockAddr,
    answer: Option<String>,
}

impl Asking {
    fn new(lab: &Lab, cell: &Cell) -> Self {
        let (own, to) = (socket(cell.source, 0), SockAddr::from(socket(cell.to, PORT)));
        let kind = if cell.transport == Transport::Udp { Type::DGRAM } else { Type::STREAM };
        lab.within(&cell.from, || {
            let socket = Socket::new(Domain::for_address(own), kind, None).unwrap();
            socket.bind(&own.into()).unwrap();
            socket.set_nonblocking(true).unwrap();
            if cell.transport == Transport::Tcp {
                // It is under way, or there is no route.
                let _ = socket.connect(&to);
            }
            Self { socket, to, answer: None }
        })
    }
}

/// Asks everything at once, until all is answered that must be, and for a while
/// after that.
fn ask(lab: &Lab, cells: &[Cell]) -> Vec<Option<String>> {
    const AFTERWARDS: Duration = Duration::from_secs(1);
    let mut asking: Vec<Asking> = cells.iter().map(|cell| Asking::new(lab, cell)).collect();
    let (begun, mut complete) = (Instant::now(), None);
    loop {
        for (asking, cell) in asking.iter_mut().zip(cells) {
            if cell.transport == Transport::Udp && asking.answer.is_none() {
                // An error is of an earlier one: somebody said it cannot be reached.
                let _ = asking.socket.send_to(b"who are you?", &asking.to);
            }
        }
        std::thread::sleep(Duration::from_millis(250));
        for asking in &mut asking {
            let mut answer = [0; 64];
            if let Ok(len @ 1..) = (&asking.socket).read(&mut answer) {
                let text = String::from_utf8(answer[..len].to_vec()).unwrap();
                asking.answer.get_or_insert(text);
            }
        }
        let missing =
            asking.iter().zip(cells).any(|(it, cell)| cell.must.is_some() && it.answer.is_none());
        if !missing {
            complete.get_or_insert_with(Instant::now);
        }
        let is_over = complete.is_some_and(|at| at + AFTERWARDS * slowness() < Instant::now());
        if is_over || begun + PATIENCE * slowness() < Instant::now() {
            return asking.into_iter().map(|it| it.answer).collect();
        }
    }
}

#[test]
fn the_matrix_is_what_the_documents_say_and_backups_take_over() {
    links::run(|lab| {
        let key = PrivateKey::from_random([5; 32]);
        set(lab, &[ACME, BOLT]);
        let text = documents(&[ACME]) + &BOLT.documents() + BOLT_RULES + &hq(&key);
        let mut gateway = Gateway::start(lab, At::Underlay, &text);
        router(lab, &gateway, &key);
        for customer in [ACME, BOLT] {
            app(lab, &customer);
            for (to, via) in OWN.into_iter().zip(["10.136.40.1", "2001:db8:40::1"]) {
                lab.route(customer.app().as_str(), to, via);
            }
            gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
        }
        gateway.wait_state("acme/gw", "hq", SiteState::Up);

        let lab_leg = || Leg::Vlan("lab".parse().unwrap());
        let host = |at: String, tenant, leg, addresses| Host { at, tenant, leg, addresses };
        let hosts = [
            host(ACME.app(), ACME, Leg::Fabric, APP.to_vec()),
            host(BOLT.app(), BOLT, Leg::Fabric, APP.to_vec()),
            host(ACME.site(), ACME, lab_leg(), DEVICE.to_vec()),
            host(BOLT.site(), BOLT, lab_leg(), DEVICE.to_vec()),
            host("hq".to_owned(), ACME, Leg::Tunnel, [OWN, DEVICE].concat()),
        ];
        let answering: Vec<Namer> =
            hosts.iter().map(|it| Namer::start(lab, &it.at, &it.addresses)).collect();
        for from in [ACME.site(), BOLT.site()] {
            for (to, via) in OWN.into_iter().zip(["10.1.0.7", "2001:db8:1::7"]) {
                lab.route(from.as_str(), to, via);
            }
        }

        let parsed = Documents::parse([("a.yaml", text.as_bytes())]);
        let (none, options) = (Secrets::default(), Options::default());
        let config = validate(&parsed, &none, &Allocations::new(), &options).config;
        let cells = cells(&config, &hosts);
        // Of each family and transport: four of ten, or nothing was compared.
        let passing = cells.iter().filter(|cell| cell.must.is_some()).count();
        assert_eq!((passing, cells.len()), (16, 40), "{cells:#?}");
        let answers = ask(lab, &cells);
        let compared = cells.iter().zip(&answers).filter(|(cell, answer)| cell.must != **answer);
        let different: Vec<_> = compared.collect();
        assert!(different.is_empty(), "{different:#?}\n{}", gateway.log());

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
        readdress(lab, &ACME);
        wait(&ACME.site());
        drop(answering);
        assert!(gateway.terminate().success());
    });
}
