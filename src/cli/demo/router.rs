//! The customers' routers: whatever stock WireGuard this machine has, else a
//! second lockgate in the router's place.

use super::stage::{Actor, Player, ip};
use crate::net::{PrivateKey, PublicKey};
use anyhow::{Context, bail};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What plays a customer's router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// The kernel's WireGuard.
    Kernel,
    /// A userspace implementation, by the name of its program.
    Program(&'static str),
    /// Ours.
    Lockgate,
}

impl Engine {
    /// The first that this machine has.
    pub(super) fn find() -> Self {
        if !has("wg") {
            return Self::Lockgate;
        }
        if ip("link add lg-try type wireguard").is_ok() {
            let _ = ip("link delete lg-try");
            return Self::Kernel;
        }
        let programs = ["wireguard-go", "boringtun-cli"];
        programs.into_iter().find(|name| has(name)).map_or(Self::Lockgate, Self::Program)
    }

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "the kernel's WireGuard",
            Self::Program(name) => name,
            Self::Lockgate => "a second lockgate (no stock WireGuard is installed)",
        }
    }
}

fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// Brings the router of `actor` up. What it returns has to be kept alive.
pub(super) fn start(
    engine: Engine,
    actor: &Actor,
    key: &PrivateKey,
    gateway: PublicKey,
    directory: &Path,
) -> anyhow::Result<Option<Player>> {
    let router = actor.router();
    ip_forward(&router)?;
    if engine == Engine::Lockgate {
        return start_lockgate(actor, key, gateway, directory).map(Some);
    }
    let link = format!("wg-{}", actor.name);
    let mut player = None;
    match engine {
        Engine::Kernel => ip(&format!("-n {router} link add {link} type wireguard"))?,
        Engine::Program("boringtun-cli") => {
            let words = ["boringtun-cli", "--foreground", "--disable-drop-privileges", &link];
            player = Some(Player::start(Some(&router), &words, Stdio::null())?);
        }
        Engine::Program(program) => {
            player = Some(Player::start(
                Some(&router),
                &[program, "--foreground", &link],
                Stdio::null(),
            )?);
        }
        Engine::Lockgate => {}
    }
    let file = directory.join(format!("{link}.conf"));
    let [endpoint, _] = actor.uplink;
    let text = format!(
        "[Interface]\nPrivateKey = {}\n[Peer]\nPublicKey = {gateway}\nEndpoint = {endpoint}:{}\n\
         AllowedIPs = 10.255.30.0/32, 10.136.40.0/24\nPersistentKeepalive = 5\n",
        key.to_base64().as_str(),
        actor.port,
    );
    fs::write(&file, text)?;
    configure(&router, &link, &file)?;
    ip(&format!("-n {router} address add 10.255.30.1/31 dev {link}"))?;
    ip(&format!("-n {router} link set {link} mtu 1420 up"))?;
    ip(&format!("-n {router} route add 10.136.40.0/24 dev {link}"))?;
    Ok(player)
}

/// Gives the link its keys, as soon as there is a link.
fn configure(router: &str, link: &str, file: &Path) -> anyhow::Result<()> {
    let file = file.to_str().context("the temporary directory has an odd name")?;
    let mut said = String::new();
    for _ in 0..50 {
        let output = Command::new("ip")
            .args(["netns", "exec", router, "wg", "setconf", link, file])
            .process_group(0)
            .output()
            .context("cannot run `wg`")?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        super::pause(std::time::Duration::from_millis(100));
    }
    bail!("the router's WireGuard does not come up: {said}")
}

fn ip_forward(router: &str) -> anyhow::Result<()> {
    super::stage::within(router, || Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))
        .join()
        .map_err(|_| anyhow::anyhow!("a thread died"))?
}

fn start_lockgate(
    actor: &Actor,
    key: &PrivateKey,
    gateway: PublicKey,
    directory: &Path,
) -> anyhow::Result<Player> {
    let home = directory.join(actor.router());
    let secret = home.join("config/secrets/home/router-key");
    fs::create_dir_all(&secret)?;
    fs::write(secret.join("key"), key.to_base64().as_bytes())?;
    let [endpoint, _] = actor.uplink;
    let port = actor.port;
    let text = format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: router, namespace: home}}
spec:
  appPrefixes: [192.168.1.0/24]
  privateKeySecretRef: {{name: router-key, key: key}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: uplink, namespace: home}}
spec:
  gatewayRef: {{name: router}}
  type: WireGuard
  wireGuard:
    publicKey: {gateway}
    endpoint: {{host: {endpoint}, port: {port}}}
    tunnelAddresses: [10.255.30.1/31]
    persistentKeepaliveSeconds: 5
  prefixes: [{{cidr: 10.136.40.0/24}}]
"
    );
    fs::write(home.join("config/router.yaml"), text)?;
    let program = std::env::current_exe()?;
    let path = |below: &str| home.join(below).to_string_lossy().into_owned();
    let (program, config) = (program.to_string_lossy().into_owned(), path("config"));
    let (runtime, state) = (path("run"), path("state"));
    let words = [
        &program,
        "--runtime-dir",
        &runtime,
        "--state-dir",
        &state,
        "run",
        "-f",
        &config,
        "--netns",
        "current",
        "--no-status",
    ];
    let log = fs::File::create(home.join("log"))?;
    Player::start(Some(&actor.router()), &words, log.into())
}
