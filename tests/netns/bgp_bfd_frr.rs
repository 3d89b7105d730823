//! BFD with a stock FRR, whose BFD is a daemon of its own: that one alone stands still,
//! is shut on purpose, or is not spoken with any more.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a skip is said, and how long it took is said and bounded"
)]

use crate::bgp_stage::{Ask, BIRD, GATEWAY, NETNS, attach, tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, Process, slowness, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::{BfdState, NeighborSnapshot, NeighborState};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const PROGRAMS: &str = "/usr/lib/frr";

/// The daemons of one FRR in a namespace, each with what it is told.
struct Frr<'lab> {
    lab: &'lab Lab,
    at: String,
    home: tempfile::TempDir,
    bfdd: Process,
    _others: [Process; 2],
}

impl<'lab> Frr<'lab> {
    fn start(lab: &'lab Lab, at: &str, bgpd: &str) -> Self {
        let home = tempfile::Builder::new().prefix("frr-").tempdir().unwrap();
        // Its daemons stay root, so that they are killed with the lab: for that root has
        // to be in a group of theirs, here and nowhere else.
        let groups = fs::read_to_string("/etc/group").unwrap();
        let joined = |line: &str| match line.strip_prefix("frrvty:") {
            Some(_) if line.ends_with(':') => format!("{line}root\n"),
            Some(_) => format!("{line},root\n"),
            None => format!("{line}\n"),
        };
        let group = home.path().join("group");
        fs::write(&group, groups.lines().map(joined).collect::<String>()).unwrap();
        lab.command_output(
            At::Underlay,
            &["mount", "--bind", group.to_str().unwrap(), "/etc/group"],
        );
        let start = |name: &str, config: &str, more: &[&str]| {
            let path = |end: &str| home.path().join(end).to_str().unwrap().to_owned();
            let (conf, pid, log) =
                (path(&format!("{name}.conf")), path(&format!("{name}.pid")), path(name));
            fs::write(&conf, format!("log file {log}\n{config}")).unwrap();
            let (sockets, zebra) = (path(""), path("zserv"));
            let program = format!("{PROGRAMS}/{name}");
            let words = [&program, "-f", &conf, "-i", &pid, "--vty_socket", &sockets, "-z", &zebra];
            lab.spawn(at, &[&words[..], &["-P", "0", "-u", "root", "-g", "root"], more].concat())
        };
        let zebra = start("zebra", "", &[]);
        wait_until("zebra to listen", PATIENCE, || {
            if home.path().join("zserv").exists() { Ok(()) } else { Err(()) }
        });
        let control = home.path().join("bfdctl").to_str().unwrap().to_owned();
        let bfdd = start("bfdd", "", &["--bfdctl", &control]);
        let bgpd = start("bgpd", bgpd, &[]);
        Self { lab, at: at.to_owned(), home, bfdd, _others: [zebra, bgpd] }
    }

    /// Says something to one of its daemons, as an operator would; gives the answer.
    fn say(&self, daemon: &str, words: &str) -> String {
        let sockets = self.home.path().to_str().unwrap();
        let line = ["vtysh", "--vty_socket", sockets, "-d", daemon, "-c", words];
        let output = self.lab.output(self.at.as_str(), &line);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        text(output.stdout) + &text(output.stderr)
    }

    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        ["zebra", "bfdd", "bgpd"].map(read).concat()
    }
}

fn neighbor(gateway: &Gateway<'_>) -> NeighborSnapshot {
    gateway.tenant("acme/gw").bgp.unwrap().neighbors.remove(0)
}

fn wait_bfd(gateway: &Gateway<'_>, frr: &Frr<'_>, state: Option<BfdState>, theirs: &str) {
    wait_until(&format!("BFD to be {state:?} and {theirs}"), PATIENCE, || {
        let ours = neighbor(gateway).bfd;
        let peers = frr.say("bfdd", "show bfd peers");
        if ours.as_ref().map(|it| it.state) == state && peers.contains(theirs) {
            return Ok(());
        }
        Err(format!("{ours:#?} {peers} {}", frr.log()))
    });
}

#[test]
fn frr_is_watched_and_watches() {
    if !Path::new(PROGRAMS).join("bfdd").exists() {
        println!("skipped: FRR is not installed ({PROGRAMS})");
        return;
    }
    lab::run(|lab| {
        let documents =
            |neighbor| class_document() + &tenant_document(&Ask { neighbor, ..Ask::default() });
        let gateway = Gateway::start(lab, At::Underlay, &documents(", bfd: true"));
        let at = attach(lab, "acme");
        let config = format!(
            "router bgp 65001
 bgp router-id {BIRD}
 no bgp network import-check
 neighbor {GATEWAY} remote-as 64600
 neighbor {GATEWAY} bfd
 neighbor {GATEWAY} timers connect 1
 address-family ipv4 unicast
  network 10.140.1.0/24
  neighbor {GATEWAY} route-map all in
  neighbor {GATEWAY} route-map all out
 exit-address-family
route-map all permit 10
"
        );
        let frr = Frr::start(lab, &at, &config);
        wait_bfd(&gateway, &frr, Some(BfdState::Up), "Status: up");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);

        // Its BFD alone is silent: that is all there is to know.
        frr.bfdd.signal(Signal::STOP);
        let frozen = Instant::now();
        wait_learned(lab, NETNS, &[]);
        println!("routes gone {:?} after FRR's bfdd stood still", frozen.elapsed());
        assert!(frozen.elapsed() < Duration::from_millis(1_500) * slowness());
        frr.bfdd.signal(Signal::CONT);
        wait_bfd(&gateway, &frr, Some(BfdState::Up), "Status: up");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        gateway.wait("the session to be shown", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].state == NeighborState::Established)
        });
        let since = neighbor(&gateway).since;

        // Shut there on purpose, it says nothing about the path (RFC 5882 §3.2).
        let peer = format!("configure terminal\nbfd\npeer {GATEWAY} local-address {BIRD}");
        frr.say("bfdd", &format!("{peer}\nshutdown"));
        wait_bfd(&gateway, &frr, Some(BfdState::Down), "shutdown");
        let found = neighbor(&gateway);
        assert_eq!((found.state, found.since), (NeighborState::Established, since));
        frr.say("bfdd", &format!("{peer}\nno shutdown"));
        wait_bfd(&gateway, &frr, Some(BfdState::Up), "Status: up");

        // FRR 8.4, as BIRD 2.0.12, takes that for a failure when it is the other end that
        // was shut; BGP comes back by itself, and is not watched.
        gateway.write("documents.yaml", &documents(""));
        wait_bfd(&gateway, &frr, None, "Status: down");
        gateway.wait("the session to be there", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].state == NeighborState::Established)
        });
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
    });
}
