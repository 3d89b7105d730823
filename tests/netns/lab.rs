//! [`Lab`]: a whole box for one test, made of namespaces and gone with it.
//!
//! [`run`] gives the test a thread with its own mount and network namespace,
//! and with a `/run` of its own. Whatever the test makes there (links, tables,
//! named namespaces, sockets in the runtime directory) is in no other test and
//! in no one's way, so tests run side by side.
//! The thread's namespace is the box's *underlay*; more are added by name and
//! work with `ip netns` too.
//!
//! All of it ends with the thread, also when the test panics or the process is
//! killed: children die with the thread that spawned them, namespaces with
//! their last descriptor.
#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code,
    reason = "unshare and pre_exec; polling for a state needs a clock; \
              a skip is said; a tool is kept whether or not a test takes it up today"
)]

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine of two cores; a state that is not reached
/// by then is not reached.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How many times that long it is waited where everything takes longer, as on an
/// emulated processor: `LOCKGATE_TEST_SLOWNESS`.
pub(crate) fn slowness() -> u32 {
    std::env::var("LOCKGATE_TEST_SLOWNESS").map_or(1, |times| times.parse().unwrap())
}

/// Runs `test` in a box of its own.
///
/// Without root the test is skipped with a line, or fails when
/// `REQUIRE_NETNS=1` is set.
pub(crate) fn run(test: impl FnOnce(&Lab) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("REQUIRE_NETNS").is_none(), "REQUIRE_NETNS is set; not root");
        println!("skipped: network namespaces need root");
        return;
    }
    let thread = thread::current();
    let thread = thread::Builder::new().name(thread.name().unwrap_or("lab").to_owned());
    let outcome = thread.spawn(move || test(&Lab::enter())).unwrap().join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A box. It belongs to the thread [`run`] made.
pub(crate) struct Lab {
    /// The namespace the thread began in.
    underlay: OwnedFd,
}

/// Where something is to happen: in the underlay, or in a namespace by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At<'a> {
    /// The box's own namespace.
    Underlay,
    /// One added with [`Lab::add`], or made by the gateway under test.
    Netns(&'a str),
}

impl<'a> From<&'a str> for At<'a> {
    fn from(name: &'a str) -> Self {
        At::Netns(name)
    }
}

impl<'a> From<&'a String> for At<'a> {
    fn from(name: &'a String) -> Self {
        At::Netns(name)
    }
}

fn open_netns(path: &str) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .unwrap_or_else(|errno| panic!("{path}: {errno}"))
}

fn enter(netns: impl AsFd) {
    move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Brings the thread back, also when a closure panicked.
struct Back<'a>(&'a OwnedFd);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        enter(self.0);
    }
}

impl Lab {
    fn enter() -> Self {
        // SAFETY: descriptors stay shared; only namespaces are left.
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET).unwrap();
        }
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        rustix::mount::mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).unwrap();
        std::fs::create_dir("/run/netns").unwrap();
        let underlay = open_netns("/proc/thread-self/ns/net");
        let lab = Self { underlay };
        lab.ip(At::Underlay, "link set lo up");
        lab
    }

    /// Adds a namespace with its loopback up.
    pub(crate) fn add(&self, name: &str) {
        self.ip(At::Underlay, &format!("netns add {name}"));
        self.ip(At::Netns(name), "link set lo up");
    }

    /// Removes a namespace; what runs in it keeps it alive.
    pub(crate) fn remove(&self, name: &str) {
        self.ip(At::Underlay, &format!("netns delete {name}"));
    }

    /// Does `work` at `at`. Sockets opened there stay there.
    pub(crate) fn within<'a, T>(&self, at: impl Into<At<'a>>, work: impl FnOnce() -> T) -> T {
        match at.into() {
            At::Underlay => work(),
            At::Netns(name) => {
                let netns = open_netns(&format!("/run/netns/{name}"));
                let _back = Back(&self.underlay);
                enter(&netns);
                work()
            }
        }
    }

    /// A command that will run at `at`, and be killed with the lab's thread.
    fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        // SAFETY: prctl is async-signal-safe and touches nothing of ours.
        unsafe {
            command.pre_exec(|| {
                let kill = Some(Signal::KILL);
                Ok(rustix::process::set_parent_process_death_signal(kill)?)
            });
        }
        command
    }

    /// Runs `words` at `at` to its end, whatever that is.
    pub(crate) fn output<'a, S: AsRef<OsStr>>(&self, at: impl Into<At<'a>>, words: &[S]) -> Output {
        let mut command = self.command(words);
        self.within(at, || command.stdin(Stdio::null()).output())
            .unwrap_or_else(|error| panic!("{:?}: {error}", words[0].as_ref()))
    }

    /// Runs `words` at `at` and returns what it printed. Panics when it fails.
    pub(crate) fn command_output<'a, S: AsRef<OsStr>>(
        &self,
        at: impl Into<At<'a>>,
        words: &[S],
    ) -> String {
        let output = self.output(at, words);
        let said = String::from_utf8_lossy(&output.stderr);
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        assert!(output.status.success(), "{words:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `ip` with the words of `line` at `at`, as in `ip(At::Underlay, "link set lo up")`.
    pub(crate) fn ip<'a>(&self, at: impl Into<At<'a>>, line: &str) -> String {
        let words: Vec<&str> = ["ip"].into_iter().chain(line.split_whitespace()).collect();
        self.command_output(at, &words)
    }

    /// Runs `nft -f -` at `at` with `text`.
    pub(crate) fn nft<'a>(&self, at: impl Into<At<'a>>, text: &str) {
        let mut command = self.command(&["nft", "-f", "-"]);
        let command = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.within(at, || command.spawn()).unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes a veth pair, both ends up: (where, name) and (where, name).
    pub(crate) fn veth(&self, one: (At<'_>, &str), other: (At<'_>, &str)) {
        let (at, name) = one;
        let (far, peer) = other;
        let to = match far {
            At::Underlay => String::new(),
            At::Netns(far) => format!("netns {far}"),
        };
        match (at, far) {
            (At::Netns(_), At::Underlay) => return self.veth(other, one),
            _ => self.ip(at, &format!("link add {name} type veth peer name {peer} {to}")),
        };
        self.ip(at, &format!("link set {name} up"));
        self.ip(far, &format!("link set {peer} up"));
    }

    /// Runs a future of the code under test on this thread.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(future)
    }

    /// Adds an address such as `10.0.0.1/24`, usable at once.
    pub(crate) fn address<'a>(&self, at: impl Into<At<'a>>, link: &str, address: &str) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.ip(at, &format!("address add {address} dev {link} {nodad}"));
    }

    /// Adds a route to `prefix` through `next_hop`.
    pub(crate) fn route<'a>(&self, at: impl Into<At<'a>>, prefix: &str, next_hop: &str) {
        self.ip(at, &format!("route add {prefix} via {next_hop}"));
    }

    /// Starts `words` at `at`; it is killed when the value is dropped.
    pub(crate) fn spawn<'a, S: AsRef<OsStr>>(&self, at: impl Into<At<'a>>, words: &[S]) -> Process {
        self.spawn_command(at, words, |_| {})
    }

    /// As [`Lab::spawn`], with the command changed first (environment, output).
    pub(crate) fn spawn_command<'a, S: AsRef<OsStr>>(
        &self,
        at: impl Into<At<'a>>,
        words: &[S],
        change: impl FnOnce(&mut Command),
    ) -> Process {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        change(&mut command);
        let child = self
            .within(at, || command.spawn())
            .unwrap_or_else(|error| panic!("{:?}: {error}", words[0].as_ref()));
        Process { child }
    }

    /// Whether one of three echo requests from `at` to `to` is answered.
    pub(crate) fn ping<'a>(&self, at: impl Into<At<'a>> + Copy, to: &str) -> bool {
        (0..3).any(|_| self.output(at, &["ping", "-c1", "-W1", to]).status.success())
    }

    /// Answers every datagram at `at` to `address` with the same, until dropped.
    pub(crate) fn udp_echo<'a>(&self, at: impl Into<At<'a>>, address: SocketAddr) -> UdpEcho {
        let socket = self.udp(at, address);
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                // An error is silence, or the ICMP error of an earlier answer.
                if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..len], from);
                }
            }
        });
        UdpEcho { address, stop }
    }

    /// A UDP socket bound at `at`; receiving gives up after a second.
    pub(crate) fn udp<'a>(&self, at: impl Into<At<'a>>, address: SocketAddr) -> UdpSocket {
        let socket = self.within(at, || UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket
    }

    /// Sends `payload` from `socket` to `to` until an answer comes, at most
    /// three times, and returns the answer.
    pub(crate) fn udp_ask(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        let mut buffer = [0; 65_536];
        (0..3).find_map(|_| {
            socket.send_to(payload, to).ok()?;
            let (len, _) = socket.recv_from(&mut buffer).ok()?;
            Some(buffer[..len].to_vec())
        })
    }
}

/// Calls `look` until it says `Ok`, and panics after `bound`, or [`slowness`] times
/// that, with what it last saw: no test sleeps for a time it hopes is enough.
pub(crate) fn wait_until<T, Seen: Debug>(
    what: &str,
    bound: Duration,
    mut look: impl FnMut() -> Result<T, Seen>,
) -> T {
    let bound = bound * slowness();
    let end = Instant::now() + bound;
    loop {
        let looked = Instant::now();
        match look() {
            Ok(value) => return value,
            Err(seen) if end < Instant::now() => {
                panic!("not reached in {bound:?}: {what}; seen last: {seen:#?}")
            }
            // What is dear to look at is looked at half of the time.
            Err(_) => thread::sleep(looked.elapsed().max(Duration::from_millis(10))),
        }
    }
}

/// A running program; killed and waited for on drop.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Its exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Kills it and returns what it wrote to a piped standard output.
    pub(crate) fn into_stdout(mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut text).unwrap();
        }
        text
    }

    /// The child itself, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An echo of datagrams; ends on drop.
pub(crate) struct UdpEcho {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
