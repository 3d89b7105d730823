//! The stage: a box of namespaces that is this process's own, so that whatever
//! happens to the demo, nothing of it is left on the machine.
//!
//! ```text
//!             customer's side            gateway           platform's side
//!   device-acme ── router-acme ──┐                  ┌── app-acme
//!   192.168.1.10   WireGuard     ├─ (underlay) lockgate ─┤   10.136.40.10
//!   device-bolt ── router-bolt ──┘                  └── app-bolt
//!   192.168.1.10   WireGuard                            10.136.40.10
//! ```
//! Both tenants have the same addresses everywhere.

use anyhow::{Context, bail};
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// One tenant's names and what tells it from the other.
pub(super) struct Actor {
    /// The tenant.
    pub(super) name: &'static str,
    /// The last byte of the addresses only it has.
    pub(super) own: u8,
    /// The UDP port its customer dials.
    pub(super) port: u16,
    /// The gateway's address on its uplink, and the customer's.
    pub(super) uplink: [&'static str; 2],
}

/// The two of them.
pub(super) const ACTORS: [Actor; 2] = [
    Actor { name: "acme", own: 11, port: 51_821, uplink: ["198.51.100.1", "198.51.100.2"] },
    Actor { name: "bolt", own: 12, port: 51_822, uplink: ["198.51.100.5", "198.51.100.6"] },
];

impl Actor {
    /// The namespace of its customer's device.
    pub(super) fn device(&self) -> String {
        format!("device-{}", self.name)
    }

    /// The namespace of its customer's router.
    pub(super) fn router(&self) -> String {
        format!("router-{}", self.name)
    }

    /// The namespace of its application.
    pub(super) fn app(&self) -> String {
        format!("app-{}", self.name)
    }
}

/// Runs `ip` with the words of `line`.
pub(super) fn ip(line: &str) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        // A group of its own: Ctrl-C is for us to hear, who then end all others.
        .process_group(0)
        .output()
        .context("cannot run `ip` (Debian: apt-get install iproute2)")?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Builds the customers' side and the uplinks.
pub(super) fn build_customers() -> anyhow::Result<()> {
    ip("link set lo up")?;
    for actor in &ACTORS {
        let Actor { name, own, uplink: [near, far], .. } = actor;
        let (router, device) = (actor.router(), actor.device());
        for netns in [&router, &device] {
            ip(&format!("netns add {netns}"))?;
            ip(&format!("-n {netns} link set lo up"))?;
        }
        ip(&format!("link add up-{name} type veth peer name uplink netns {router}"))?;
        ip(&format!("address add {near}/30 dev up-{name}"))?;
        ip(&format!("link set up-{name} up"))?;
        ip(&format!("-n {router} address add {far}/30 dev uplink"))?;
        ip(&format!("-n {router} link set uplink up"))?;
        ip(&format!("-n {router} link add eth0 type veth peer name eth0 netns {device}"))?;
        ip(&format!("-n {router} address add 192.168.1.1/24 dev eth0"))?;
        ip(&format!("-n {router} link set eth0 up"))?;
        for host in [10, *own] {
            ip(&format!("-n {device} address add 192.168.1.{host}/24 dev eth0"))?;
        }
        ip(&format!("-n {device} link set eth0 up"))?;
        ip(&format!("-n {device} route add default via 192.168.1.1"))?;
    }
    Ok(())
}

/// Puts each tenant's application where the gateway's veth pair ends.
pub(super) fn build_apps() -> anyhow::Result<()> {
    for actor in &ACTORS {
        let (app, own) = (actor.app(), actor.own);
        ip(&format!("netns add {app}"))?;
        ip(&format!("link set {app} netns {app}"))?;
        ip(&format!("-n {app} link set lo up"))?;
        for host in [10, own] {
            ip(&format!("-n {app} address add 10.136.40.{host}/32 dev lo"))?;
        }
        ip(&format!("-n {app} address add 172.16.130.1/24 dev {app}"))?;
        ip(&format!("-n {app} link set {app} up"))?;
        ip(&format!("-n {app} route add default via 172.16.130.2 src 10.136.40.10"))?;
    }
    Ok(())
}

/// The documents both tenants are described by.
pub(super) fn documents(public_keys: [&str; 2]) -> String {
    let mut text = String::from(
        "apiVersion: lockgate.dev/v1alpha1\nkind: ConnectivityClass\nmetadata: {name: default}\n\
         spec: {advertisedHost: vpn.example.net}\n",
    );
    for (Actor { name, port, .. }, public_key) in ACTORS.iter().zip(public_keys) {
        text += &format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  listenPort: {port}
  appPrefixes: [10.136.40.0/24]
  fabric:
    veth: {{peer: app-{name}, addresses: [172.16.130.2/24], nextHops: [172.16.130.1]}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: {name}}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    publicKey: {public_key}
    tunnelAddresses: [10.255.30.0/31]
  prefixes: [{{cidr: 192.168.1.0/24}}]
"
        );
    }
    text
}

/// Does `work` on a thread inside a namespace; what it opens stays there.
pub(super) fn within<T: Send + 'static>(
    netns: &str,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> JoinHandle<anyhow::Result<T>> {
    let netns = netns.to_owned();
    thread::spawn(move || {
        let path = format!("/run/netns/{netns}");
        let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.with_context(|| format!("cannot open {path}"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("cannot enter {netns}"))?;
        work()
    })
}

/// Runs its arguments, unless the first of them is not its parent.
const ORPHANS_END: &str = r#"[ "$PPID" = "$0" ] && exec "$@""#;

/// A process of the demo's; it ends with the demo, however that ends.
pub(super) struct Player(Child);

impl Player {
    /// Starts `words` inside `netns`, or in the underlay.
    pub(super) fn start(netns: Option<&str>, words: &[&str], log: Stdio) -> anyhow::Result<Self> {
        // `setpriv` has the kernel end it with us, even if we are killed: from then on.
        // Had we been killed before, it would have another parent by now.
        let us = std::process::id().to_string();
        let bound = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", ORPHANS_END, &us];
        let within = netns.map(|netns| ["ip", "netns", "exec", netns]);
        let line: Vec<&str> = within.iter().flatten().chain(&bound).chain(words).copied().collect();
        let (program, arguments) = line.split_first().context("an empty command")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self(child))
    }

    /// Asks it to end and waits until it has.
    pub(super) fn stop(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        Ok(self.0.wait()?)
    }

    /// What it ended with, if it has.
    pub(super) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().ok().flatten()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
