//! Who reaches whom: as the documents say, and as it is measured.
//!
//! A [`Cell`] is one question: who asks, which address, how. What must come of
//! it is the project's oracle's word on question and answer, and the stage's on
//! who lives at the address. What does come of it is the answer's own name.
#![allow(clippy::disallowed_methods, reason = "answers are waited for, and the wait has a bound")]

use crate::answerer::{self, TCP_PORTS, UDP_PORTS, ping, ping_socket, receive_ping_answer};
use crate::canary::Canary;
use crate::lab::{Lab, PATIENCE, slowness};
use crate::tenants::{Side, Tenant};
use crate::wireguard_stage::FAMILIES;
use lockgate::model::Config;
use lockgate::reconcile::{Conversation, Fate, Leg, Packet, Payload, Transport, expected};
use rustix::fd::OwnedFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long nobody may answer who must not, once all have who must.
const QUIET: Duration = Duration::from_millis(700);

/// How often a question is asked again that was not answered.
const AGAIN: Duration = Duration::from_millis(200);

/// How long a TCP connection that nobody answers is tried.
const CONNECTING: Duration = Duration::from_millis(1_500);

/// Connections that are tried at once, for one asker.
const CONNECTIONS: usize = 128;

/// The source port where the oracle wants one; its answer is the same for all
/// that are no service's.
const EPHEMERAL: u16 = 40_000;

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Ping,
    Udp(u16),
    Tcp(u16),
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) tenant: &'static str,
    pub(crate) side: Side,
    pub(crate) to: IpAddr,
    pub(crate) way: Way,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, side, to, way } = self;
        write!(f, "{} asks {to} by {way:?}", name(tenant, *side))
    }
}

/// What a host is called.
pub(crate) fn name(tenant: &str, side: Side) -> String {
    match side {
        Side::Device => format!("{tenant}'s device"),
        Side::App => format!("{tenant}'s app"),
    }
}

/// Who answers each question; nobody, where there is nothing.
pub(crate) type Answers = BTreeMap<Cell, Option<String>>;

/// Every question these tenants' hosts can ask of any tenant's hosts at the
/// other end, and of the gateway.
pub(crate) fn cells(tenants: &[Tenant]) -> Vec<Cell> {
    let ways =
        [Way::Ping].into_iter().chain(UDP_PORTS.map(Way::Udp)).chain(TCP_PORTS.map(Way::Tcp));
    let ways: Vec<Way> = ways.collect();
    let mut cells = Vec::new();
    for asker in tenants {
        for side in Side::BOTH {
            let mut to: Vec<IpAddr> =
                tenants.iter().flat_map(|other| other.addresses(side.other())).collect();
            to.extend(FAMILIES.iter().map(|family| family.fabric.parse::<IpAddr>().unwrap()));
            if side == Side::App {
                to.extend(FAMILIES.iter().map(|own| own.tunnel[0].parse::<IpAddr>().unwrap()));
            }
            to.sort();
            to.dedup();
            for (to, way) in to.iter().flat_map(|to| ways.iter().map(move |way| (*to, *way))) {
                cells.push(Cell { tenant: asker.name, side, to, way });
            }
        }
    }
    cells
}

/// Who must answer each of `cells` under `config`.
pub(crate) fn predict(config: &Config, tenants: &[Tenant], cells: &[Cell]) -> Answers {
    let of = |cell: &Cell| *tenants.iter().find(|tenant| tenant.name == cell.tenant).unwrap();
    cells.iter().map(|cell| (*cell, who_answers(config, &of(cell), cell))).collect()
}

fn who_answers(config: &Config, tenant: &Tenant, cell: &Cell) -> Option<String> {
    let documents = config.tenants.get(&tenant.full_name().parse().unwrap())?;
    let (payload, answer) = match cell.way {
        Way::Ping => (Payload::Echo, Payload::EchoReply),
        Way::Udp(port) => ports(Transport::Udp, port),
        Way::Tcp(port) => ports(Transport::Tcp, port),
    };
    let (leg, far_leg) = match cell.side {
        Side::Device => (Leg::Tunnel, Leg::Fabric),
        Side::App => (Leg::Fabric, Leg::Tunnel),
    };
    let (source, destination) = (asking_address(tenant, cell), cell.to);
    let question = Packet { source, destination, payload, conversation: Conversation::New, leg };
    let answer = Packet {
        source: destination,
        destination: source,
        payload: answer,
        conversation: Conversation::Reply,
        leg: far_leg,
    };
    let far = cell.side.other();
    match expected(documents, &question) {
        Fate::Delivered if cell.way == Way::Ping => Some("the gateway".to_owned()),
        Fate::Forwarded
            if tenant.addresses(far).contains(&cell.to)
                && expected(documents, &answer) == Fate::Forwarded =>
        {
            Some(name(tenant.name, far))
        }
        Fate::Delivered | Fate::Forwarded | Fate::Dropped(_) => None,
    }
}

fn ports(transport: Transport, port: u16) -> (Payload, Payload) {
    let of = |source, destination| Payload::Ports { transport, source, destination };
    (of(EPHEMERAL, port), of(port, EPHEMERAL))
}

/// The address a host asks from: the one that all tenants' hosts have.
fn asking_address(tenant: &Tenant, cell: &Cell) -> IpAddr {
    let mut own = tenant.addresses(cell.side).into_iter();
    own.find(|own| own.is_ipv4() == cell.to.is_ipv4()).unwrap()
}

/// A host that asks.
pub(crate) struct Asker {
    mark: u8,
    /// Its pings' number: raw sockets of one host get one another's answers.
    id: u16,
    netns: OwnedFd,
    cells: Vec<Cell>,
    udp: [UdpSocket; 2],
    pings: [UdpSocket; 2],
    own: [IpAddr; 2],
    connecting: VecDeque<(usize, TcpStream, Instant, Vec<u8>)>,
}

/// Numbers for canaries: none is used twice, so no late answer is taken for another's.
static NUMBERS: AtomicU64 = AtomicU64::new(0);
static IDS: AtomicU16 = AtomicU16::new(0);

impl Asker {
    /// The host that asks these cells; none when it has no address, as the app of
    /// a tenant that is gone, whose link went with it.
    fn new(lab: &Lab, tenant: &Tenant, side: Side, cells: Vec<Cell>) -> Option<Self> {
        let addresses = tenant.addresses(side);
        let own = [addresses[0], addresses[1]];
        lab.within(&tenant.host(side), || {
            let udp = own.map(|own| UdpSocket::bind((own, 0)).ok());
            let [Some(v4), Some(v6)] = udp else { return None };
            let udp = [v4, v6];
            udp.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
            let netns = std::fs::File::open("/proc/thread-self/ns/net").unwrap().into();
            let (mark, pings, connecting) = (tenant.mark, own.map(ping_socket), VecDeque::new());
            let id = IDS.fetch_add(1, Ordering::Relaxed);
            Some(Self { mark, id, netns, cells, udp, pings, own, connecting })
        })
    }

    /// One for each host that has something to ask.
    pub(crate) fn all(lab: &Lab, tenants: &[Tenant], cells: &[Cell]) -> Vec<Self> {
        let mut askers = Vec::new();
        for tenant in tenants {
            for side in Side::BOTH {
                let of = |cell: &&Cell| cell.tenant == tenant.name && cell.side == side;
                let cells: Vec<Cell> = cells.iter().filter(of).copied().collect();
                if !cells.is_empty() {
                    askers.extend(Self::new(lab, tenant, side, cells));
                }
            }
        }
        askers
    }

    /// How many questions it has.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Asks one question. To connect, the calling thread goes to the host's
    /// namespace and stays there.
    pub(crate) fn ask(&mut self, index: usize) {
        let cell = self.cells[index];
        let count = self.cells.len() as u64;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed) * count + index as u64;
        let question = Canary { owner: self.mark, number }.bytes();
        let family = usize::from(cell.to.is_ipv6());
        match cell.way {
            // An error is of an earlier question: somebody said it is unreachable.
            Way::Udp(port) => drop(self.udp[family].send_to(&question, (cell.to, port))),
            Way::Ping => {
                let message = ping(cell.to, self.id, &question);
                drop(self.pings[family].send_to(&message, (cell.to, 0)));
            }
            Way::Tcp(port) => self.connect(index, SocketAddr::new(cell.to, port), &question),
        }
    }

    fn connect(&mut self, index: usize, to: SocketAddr, question: &[u8]) {
        if self.connecting.iter().any(|(of, ..)| *of == index) {
            return;
        }
        move_into_link_name_space(self.netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        let own = SocketAddr::new(self.own[usize::from(to.is_ipv6())], 0);
        if socket.bind(&SockAddr::from(own)).is_err() {
            // Its link went meanwhile.
            return;
        }
        socket.set_nonblocking(true).unwrap();
        // It is under way, or there is no route.
        let _ = socket.connect(&SockAddr::from(to));
        let stream = TcpStream::from(socket);
        self.connecting.push_back((index, stream, Instant::now(), question.to_vec()));
        if CONNECTIONS < self.connecting.len() {
            self.connecting.pop_front();
        }
    }

    /// The questions that were answered since the last call, and by whom.
    pub(crate) fn answers(&mut self) -> Vec<(Cell, String)> {
        let mut room = [0; 2_048];
        let mut read = Vec::new();
        for socket in &self.udp {
            // An error is silence, or that something is unreachable.
            while let Ok((len, _)) = socket.recv_from(&mut room) {
                read.push(room[..len].to_vec());
            }
        }
        for socket in &self.pings {
            read.extend(std::iter::from_fn(|| receive_ping_answer(socket, self.id)));
        }
        let now = Instant::now();
        self.connecting.retain_mut(|(_, stream, since, unsent)| {
            if !unsent.is_empty() && stream.peer_addr().is_ok() {
                let question = std::mem::take(unsent);
                // As long as a fresh connection's room; an error shows when it is read.
                let _ = stream.write_all(&question);
            }
            match stream.read(&mut room) {
                Ok(len) if len != 0 => {
                    read.push(room[..len].to_vec());
                    false
                }
                Ok(_) => false,
                Err(_) => now < *since + CONNECTING * slowness(),
            }
        });
        read.iter().filter_map(|answer| self.answer(answer)).collect()
    }

    fn answer(&self, bytes: &[u8]) -> Option<(Cell, String)> {
        let (question, who) = answerer::read(bytes)?;
        let index = (question.number % self.cells.len() as u64) as usize;
        let cell = self.cells[index];
        if question.owner != self.mark {
            return Some((cell, format!("{who}, who was asked by {}", question.owner)));
        }
        Some((cell, who))
    }
}

/// Asks every question until all that are to be answered are, and for a while
/// after that; says how the answers differ from `predicted`.
pub(crate) fn differences(lab: &Lab, tenants: &[Tenant], predicted: &Answers) -> Vec<String> {
    let cells: Vec<Cell> = predicted.keys().copied().collect();
    let askers = Asker::all(lab, tenants, &cells);
    // A thread of its own, for it goes from namespace to namespace.
    let measured = std::thread::scope(|scope| scope.spawn(|| measure(askers, predicted)).join());
    let measured = measured.unwrap();
    let mut differences = Vec::new();
    for (cell, must) in predicted {
        let did = measured.get(cell);
        if did != must.as_ref() {
            let [must, did] = [must.as_ref(), did].map(|who| who.map_or("nobody", |who| who));
            differences.push(format!("{cell}: {did} answers; {must} must"));
        }
    }
    differences
}

fn measure(mut askers: Vec<Asker>, predicted: &Answers) -> BTreeMap<Cell, String> {
    let mut measured: BTreeMap<Cell, String> = BTreeMap::new();
    let begun = Instant::now();
    let [quiet, again, patience] = [QUIET, AGAIN, PATIENCE].map(|it| it * slowness());
    let (mut complete, mut asked): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        let now = Instant::now();
        if asked.is_none_or(|at| at + again < now) {
            asked = Some(now);
            for asker in &mut askers {
                for index in 0..asker.len() {
                    if !measured.contains_key(&asker.cells[index]) {
                        asker.ask(index);
                    }
                }
            }
        }
        for (cell, who) in askers.iter_mut().flat_map(Asker::answers) {
            // Who must not answer is not forgotten for who must.
            let is_wrong = predicted[&cell].as_ref() != Some(&who);
            if is_wrong || !measured.contains_key(&cell) {
                measured.insert(cell, who);
            }
        }
        let missing =
            predicted.iter().any(|(cell, must)| must.is_some() && !measured.contains_key(cell));
        if !missing && complete.is_none() {
            complete = Some(now);
        }
        let is_over = complete.is_some_and(|at| at + quiet < now && begun + 2 * quiet < now);
        if is_over || begun + patience < now {
            return measured;
        }
        std::thread::sleep(Duration::from_millis(5) * slowness());
    }
}
