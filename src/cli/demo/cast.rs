//! Who plays: devices and applications that say who they are when asked, and
//! the questions put to them.

use super::stage::{ACTORS, Actor, within};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// The port that answers who one is.
const PORT: u16 = 7_007;

/// The port that takes all it is sent.
const SINK: u16 = 7_008;

/// How long an answer may take before the packet counts as dropped. The way is
/// a few hundred microseconds long; TCP sends its first packet again after 1 s.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Starts the answering side of every device and application.
pub(super) fn start() -> anyhow::Result<()> {
    for actor in &ACTORS {
        for (netns, role) in [(actor.device(), "device"), (actor.app(), "app")] {
            let who = format!("{} {role}", actor.name);
            within(&netns, move || answer(&who))
                .join()
                .map_err(|_| anyhow::anyhow!("a player died"))??;
        }
    }
    Ok(())
}

/// Binds in the calling thread's namespace and answers from threads of its own.
fn answer(who: &str) -> anyhow::Result<()> {
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    let sink = TcpListener::bind((Ipv4Addr::UNSPECIFIED, SINK))?;
    let name = who.to_owned();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(name.as_bytes(), from);
        }
    });
    let name = who.to_owned();
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let _ = (&stream).write_all(name.as_bytes());
        }
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        for mut stream in sink.incoming().flatten() {
            let mut taken: u64 = 0;
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                taken += len as u64;
            }
            let _ = stream.write_all(&taken.to_be_bytes());
        }
    });
    Ok(())
}

/// Asks over UDP who is at `address`; `None` when nobody answers.
pub(super) fn ask_udp(address: Ipv4Addr) -> Option<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(250))).ok()?;
    let mut buffer = [0; 64];
    let began = now();
    while now().duration_since(began) < PATIENCE {
        // The first packet of a tunnel may be what brings it up.
        if socket.send_to(b"who?", (address, PORT)).is_ok()
            && let Ok((len, _)) = socket.recv_from(&mut buffer)
        {
            return Some(String::from_utf8_lossy(buffer.get(..len)?).into_owned());
        }
    }
    None
}

/// Asks over TCP.
pub(super) fn ask_tcp(address: Ipv4Addr) -> Option<String> {
    let to = SocketAddr::V4(SocketAddrV4::new(address, PORT));
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut who = String::new();
    match stream.read_to_string(&mut who) {
        Ok(_) => Some(who),
        Err(error) if error.kind() == ErrorKind::WouldBlock && !who.is_empty() => Some(who),
        Err(_) => None,
    }
}

/// Sends for `duration`, or until told to stop, to the sink at `address`; bits per
/// second that arrived.
pub(super) fn stream(
    address: Ipv4Addr,
    duration: Duration,
    is_over: &dyn Fn() -> bool,
) -> anyhow::Result<f64> {
    let to = SocketAddr::V4(SocketAddrV4::new(address, SINK));
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let block = vec![0x5a; 256 << 10];
    let began = now();
    while now().duration_since(began) < duration && !is_over() {
        stream.write_all(&block)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut taken = [0; 8];
    stream.read_exact(&mut taken)?;
    Ok(u64::from_be_bytes(taken) as f64 * 8.0 / now().duration_since(began).as_secs_f64())
}

/// One pair of the isolation matrix.
pub(super) struct Pair {
    pub(super) from: String,
    pub(super) to: Ipv4Addr,
    pub(super) expected: Option<String>,
    /// What came back, over UDP and over TCP.
    pub(super) measured: [Option<String>; 2],
}

impl Pair {
    pub(super) fn holds(&self) -> bool {
        self.measured.iter().all(|answer| *answer == self.expected)
    }
}

/// Everyone asks every address of the other side, each over UDP and TCP.
///
/// The expectation comes from who has the address in the asker's own tenant,
/// and from nothing else.
pub(super) fn matrix() -> Vec<Pair> {
    let mut asked = Vec::new();
    for Actor { name, own, .. } in &ACTORS {
        for (from, role, network) in
            [("app", "device", [192, 168, 1]), ("device", "app", [10, 136, 40])]
        {
            for host in [10, 11, 12] {
                let to = Ipv4Addr::new(network[0], network[1], network[2], host);
                let expected = (host == 10 || host == *own).then(|| format!("{name} {role}"));
                let netns = format!("{from}-{name}");
                let udp = within(&netns, move || Ok(ask_udp(to)));
                let tcp = within(&netns, move || Ok(ask_tcp(to)));
                asked.push((format!("{name} {from}"), to, expected, [udp, tcp]));
            }
            // The other customer's router, and the gateway's own uplink.
            for actor in &ACTORS {
                for address in actor.uplink.iter().filter_map(|address| address.parse().ok()) {
                    if from == "device" && actor.name == *name {
                        // Its own way into the world.
                        continue;
                    }
                    let netns = format!("{from}-{name}");
                    let udp = within(&netns, move || Ok(ask_udp(address)));
                    let tcp = within(&netns, move || Ok(ask_tcp(address)));
                    asked.push((format!("{name} {from}"), address, None, [udp, tcp]));
                }
            }
        }
    }
    asked
        .into_iter()
        .map(|(from, to, expected, [udp, tcp])| {
            let answer = |asked: thread::JoinHandle<anyhow::Result<Option<String>>>| {
                asked.join().ok().and_then(Result::ok).flatten()
            };
            Pair { from, to, expected, measured: [answer(udp), answer(tcp)] }
        })
        .collect()
}

/// The clock of the demo's stopwatches.
#[allow(clippy::disallowed_methods, reason = "the demo times what a person would")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Asks once over UDP; whether an answer came within `patience`.
pub(super) fn ask_udp_once(address: Ipv4Addr, patience: Duration) -> bool {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { return false };
    let mut buffer = [0; 64];
    socket.set_read_timeout(Some(patience)).is_ok()
        && socket.send_to(b"who?", (address, PORT)).is_ok()
        && socket.recv_from(&mut buffer).is_ok()
}
