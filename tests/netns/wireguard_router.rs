//! [`Router`]: the customer's end of a tunnel, played by a WireGuard somebody
//! else wrote, or by a second gateway.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "a tool is kept whether or not a test takes it up today; a skip is said"
)]

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, Process, wait_until};
use crate::wireguard_stage::PREFIXES;
use lockgate::net::{PresharedKey, PrivateKey, PublicKey};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

/// How long a packet may be in a stock peer's queue on a busy machine.
const IN_ITS_QUEUE: Duration = Duration::from_millis(100);

/// What plays the customer's router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// wireguard-go of 2022, as Debian has it: before its offload work.
    DebianWireguardGo,
    /// The newest wireguard-go.
    WireguardGo,
    /// boringtun-cli.
    Boringtun,
    /// A second gateway, `--netns current`.
    Lockgate,
}

impl Engine {
    const STOCK: [Self; 3] = [Self::DebianWireguardGo, Self::WireguardGo, Self::Boringtun];

    fn program(self) -> PathBuf {
        let built = |name: &str| {
            let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers").into();
            let peers: PathBuf =
                std::env::var_os("LOCKGATE_PEERS").map_or_else(default, Into::into);
            peers.join("bin").join(name)
        };
        match self {
            Self::DebianWireguardGo => "/usr/bin/wireguard-go".into(),
            Self::WireguardGo => built("wireguard-go"),
            Self::Boringtun => built("boringtun-cli"),
            Self::Lockgate => env!("CARGO_BIN_EXE_lockgate").into(),
        }
    }

    /// Those that this machine has, ours last. Says which it has not, once.
    pub(crate) fn installed() -> Vec<Self> {
        static SAID: Once = Once::new();
        let (here, missing): (Vec<_>, Vec<_>) =
            Self::STOCK.into_iter().partition(|engine| engine.program().exists());
        SAID.call_once(|| {
            for engine in missing {
                println!("skipped: {engine:?} is not installed ({})", engine.program().display());
            }
        });
        let required = std::env::var_os("REQUIRE_NETNS").is_some();
        assert!(!required || !here.is_empty(), "REQUIRE_NETNS is set; no stock WireGuard is here");
        here.into_iter().chain([Self::Lockgate]).collect()
    }

    /// Does a test with each that is installed, side by side, for most of a test
    /// is waiting; each in a lab of its own.
    pub(crate) fn each(test: impl Fn(&Lab, Self) + Copy + Send + 'static) {
        std::thread::scope(|scope| {
            for engine in Self::installed() {
                scope.spawn(move || lab::run(move |lab| test(lab, engine)));
            }
        });
    }

    /// One that takes a burst while it has no processor. The older ones lose
    /// datagrams on a busy machine, for they leave their socket's buffer small.
    pub(crate) fn patient() -> Self {
        let here = Self::installed();
        if here.contains(&Self::WireguardGo) { Self::WireguardGo } else { Self::Lockgate }
    }

    /// The newest stock one, where it is installed.
    pub(crate) fn newest() -> Self {
        let is_here = Self::installed().contains(&Self::WireguardGo);
        if is_here { Self::WireguardGo } else { Self::any() }
    }

    /// The first that this machine has.
    pub(crate) fn any() -> Self {
        Self::installed().first().copied().unwrap()
    }
}

/// How a router is configured.
#[derive(Clone)]
pub(crate) struct Customer {
    /// Who it is.
    pub(crate) key: PrivateKey,
    /// Who the gateway is to it.
    pub(crate) gateway: PublicKey,
    /// Where the gateway is; `None`: it waits to be dialled.
    pub(crate) endpoint: Option<SocketAddr>,
    /// The UDP port, when it has to be a certain one.
    pub(crate) listen_port: Option<u16>,
    /// The preshared key.
    pub(crate) psk: Option<PresharedKey>,
    /// Seconds; 0: none.
    pub(crate) keepalive: u16,
    /// What it lets in from the gateway, and sends there.
    pub(crate) allowed_ips: Vec<String>,
    /// Its addresses in the tunnel.
    pub(crate) addresses: Vec<String>,
    /// The networks behind it.
    pub(crate) lan: Vec<String>,
}

impl Customer {
    /// The usual one of [`crate::wireguard_stage`].
    pub(crate) fn new(key: PrivateKey, gateway: PublicKey) -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&it| it.to_owned()).collect();
        Self {
            key,
            gateway,
            endpoint: None,
            listen_port: None,
            psk: None,
            keepalive: 0,
            allowed_ips: texts(&[
                "10.255.30.0/32",
                "10.136.40.0/24",
                "fd00:255:30::/128",
                "2001:db8:40::/64",
            ]),
            addresses: texts(&["10.255.30.1/31", "fd00:255:30::1/127"]),
            lan: texts(&PREFIXES),
        }
    }
}

/// A running router. It ends on drop.
pub(crate) struct Router<'lab> {
    lab: &'lab Lab,
    at: &'lab str,
    engine: Engine,
    link: String,
    process: Option<Process>,
    gateway: Option<Gateway<'lab>>,
    directory: tempfile::TempDir,
}

impl<'lab> Router<'lab> {
    /// Starts one in the namespace `at`, routes and all.
    pub(crate) fn start(
        lab: &'lab Lab,
        at: &'lab str,
        engine: Engine,
        customer: &Customer,
    ) -> Self {
        let link = if engine == Engine::Lockgate { "lg-wg".to_owned() } else { format!("wg-{at}") };
        let directory = tempfile::tempdir().unwrap();
        let mut router = Self { lab, at, engine, link, process: None, gateway: None, directory };
        if engine == Engine::Lockgate {
            let mut gateway = Gateway::new(lab, at);
            gateway.argument(&["--netns", "current"]);
            router.gateway = Some(gateway);
            router.configure_gateway(customer);
            let gateway = router.gateway.as_mut().unwrap();
            gateway.spawn();
            gateway.wait_programmed();
            return router;
        }
        router.spawn();
        wait_until("the router's WireGuard", PATIENCE, || router.try_configure(customer));
        router.connect(&customer.addresses, 1_420, &customer.allowed_ips);
        router
    }

    /// Starts a stock one as wg-quick(8) does from a file that has everything in
    /// it; it is to be called `*.conf`.
    pub(crate) fn start_quick(lab: &'lab Lab, at: &'lab str, engine: Engine, file: &Path) -> Self {
        let (link, directory) = (format!("wg-{at}"), tempfile::tempdir().unwrap());
        let mut router = Self { lab, at, engine, link, process: None, gateway: None, directory };
        router.spawn();
        let stripped = lab.command_output(at, &["wg-quick", "strip", file.to_str().unwrap()]);
        wait_until("the router's WireGuard", PATIENCE, || router.try_set(&stripped));
        let text = std::fs::read_to_string(file).unwrap();
        let values = |name: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.split_once(" = "));
            let found = lines.filter(|(key, _)| *key == name).flat_map(|(_, it)| it.split(", "));
            found.map(str::to_owned).collect()
        };
        let mtu = values("MTU")[0].parse().unwrap();
        router.connect(&values("Address"), mtu, &values("AllowedIPs"));
        router
    }

    /// Starts a stock one's process.
    fn spawn(&mut self) {
        let program = self.engine.program().to_str().unwrap().to_owned();
        let mut words = vec![program, "--foreground".to_owned()];
        if self.engine == Engine::Boringtun {
            words.extend(["--disable-drop-privileges", "--threads", "1"].map(str::to_owned));
        }
        words.push(self.link.clone());
        // The kernel's own WireGuard, where there is one, is no reason to stay away.
        let change = |command: &mut Command| {
            command.env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1");
        };
        self.process = Some(self.lab.spawn_command(self.at, &words, change));
    }

    /// Gives a stock one's link its addresses and routes.
    fn connect(&self, addresses: &[String], mtu: u16, allowed_ips: &[String]) {
        let Self { lab, at, link, .. } = self;
        for address in addresses {
            lab.address(*at, link, address);
        }
        lab.ip(*at, &format!("link set {link} mtu {mtu} up"));
        for prefix in allowed_ips {
            let family = if prefix.contains(':') { "-6" } else { "-4" };
            lab.ip(*at, &format!("{family} route replace {prefix} dev {link}"));
        }
    }

    /// Gives a running router another configuration; routes stay. A stock one
    /// forgets its sessions over it.
    pub(crate) fn configure(&mut self, customer: &Customer) {
        if let Some(gateway) = &self.gateway {
            write_secrets(gateway, customer);
            gateway.apply(&gateway_documents(customer));
        } else {
            self.try_configure(customer).unwrap();
        }
    }

    /// Has a running router dial elsewhere, in the session it has. One that
    /// cannot change a peer begins anew.
    pub(crate) fn redirect(&mut self, customer: &Customer) {
        match self.engine {
            Engine::Boringtun | Engine::Lockgate => self.configure(customer),
            Engine::DebianWireguardGo | Engine::WireguardGo => {
                let (peer, endpoint) = (customer.gateway.to_string(), customer.endpoint.unwrap());
                let endpoint = endpoint.to_string();
                let words = ["wg", "set", &self.link, "peer", &peer, "endpoint", &endpoint];
                self.lab.command_output(self.at, &words);
            }
        }
    }

    /// Gives a running stock one another private key, and nothing else.
    pub(crate) fn set_key(&self, key: &PrivateKey) {
        let file = self.secret_file(key.to_base64().as_str());
        self.set(&["private-key", &file]);
    }

    /// Gives a running stock one another preshared key, and nothing else.
    pub(crate) fn set_psk(&self, customer: &Customer, key: &PresharedKey) {
        let file = self.secret_file(key.to_base64().as_str());
        self.set(&["peer", &customer.gateway.to_string(), "preshared-key", &file]);
    }

    /// Has a running stock one know the gateway by another key, as somebody does who wants
    /// to lose nothing. wireguard-go drops what comes between its reading of a new peer's
    /// networks and that peer's start, and what a peer that is removed has in its queue: so
    /// the new one is there before it gets networks, and the old one for a moment longer.
    #[allow(clippy::disallowed_methods, reason = "its queue cannot be looked into")]
    pub(crate) fn change_gateway(&self, old: PublicKey, customer: &Customer) {
        let (new, old) = (customer.gateway.to_string(), old.to_string());
        let endpoint = customer.endpoint.unwrap().to_string();
        let (keepalive, networks) =
            (customer.keepalive.to_string(), customer.allowed_ips.join(","));
        self.set(&["peer", &new]);
        let how = ["endpoint", &endpoint, "persistent-keepalive", &keepalive];
        self.set(&[["peer", &new].as_slice(), &how, &["allowed-ips", &networks]].concat());
        std::thread::sleep(IN_ITS_QUEUE);
        self.set(&["peer", &old, "remove"]);
    }

    /// `wg set` with these words.
    fn set(&self, words: &[&str]) {
        let words = [&["wg", "set", &self.link], words].concat();
        self.lab.command_output(self.at, &words);
    }

    fn secret_file(&self, text: &str) -> String {
        let file = self.directory.path().join("secret");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Whether a changed endpoint leaves it its session.
    pub(crate) fn keeps_session(&self) -> bool {
        self.engine != Engine::Boringtun
    }

    fn configure_gateway(&mut self, customer: &Customer) {
        let gateway = self.gateway.as_ref().unwrap();
        write_secrets(gateway, customer);
        gateway.write("documents.yaml", &gateway_documents(customer));
    }

    fn try_configure(&self, customer: &Customer) -> Result<(), String> {
        let mut text = format!("[Interface]\nPrivateKey = {}\n", customer.key.to_base64().as_str());
        if let Some(port) = customer.listen_port {
            text += &format!("ListenPort = {port}\n");
        }
        text += &format!("[Peer]\nPublicKey = {}\n", customer.gateway);
        text += &format!("AllowedIPs = {}\n", customer.allowed_ips.join(", "));
        if let Some(endpoint) = customer.endpoint {
            text += &format!("Endpoint = {endpoint}\n");
        }
        if let Some(psk) = &customer.psk {
            text += &format!("PresharedKey = {}\n", psk.to_base64().as_str());
        }
        if customer.keepalive != 0 {
            text += &format!("PersistentKeepalive = {}\n", customer.keepalive);
        }
        self.try_set(&text)
    }

    /// `wg setconf` with this text.
    fn try_set(&self, text: &str) -> Result<(), String> {
        let file = self.directory.path().join("wg.conf");
        std::fs::write(&file, text).unwrap();
        let words = ["wg", "setconf", &self.link, file.to_str().unwrap()];
        let output = self.lab.output(self.at, &words);
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What plays it.
    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    /// Its WireGuard link.
    pub(crate) fn link(&self) -> &str {
        &self.link
    }

    /// Where it is.
    pub(crate) const fn at(&self) -> At<'lab> {
        At::Netns(self.at)
    }
}

/// The secrets of [`gateway_documents`].
fn write_secrets(gateway: &Gateway<'_>, customer: &Customer) {
    gateway.secret("home", "own", "key", customer.key.to_base64().as_str());
    if let Some(psk) = &customer.psk {
        gateway.secret("home", "psk", "psk", psk.to_base64().as_str());
    }
}

/// A customer's router as our own documents.
fn gateway_documents(customer: &Customer) -> String {
    let own = |prefix: &&String| !prefix.ends_with("/32") && !prefix.ends_with("/128");
    let prefixes: Vec<String> =
        customer.allowed_ips.iter().filter(own).map(|it| format!("{{cidr: '{it}'}}")).collect();
    let lan: Vec<String> = customer.lan.iter().map(|it| format!("'{it}'")).collect();
    let addresses: Vec<String> = customer.addresses.iter().map(|it| format!("'{it}'")).collect();
    let mut wireguard = format!(
        "publicKey: {}, tunnelAddresses: [{}], persistentKeepaliveSeconds: {}",
        customer.gateway,
        addresses.join(", "),
        customer.keepalive
    );
    if let Some(endpoint) = customer.endpoint {
        let (host, port) = (endpoint.ip(), endpoint.port());
        wireguard += &format!(", endpoint: {{host: '{host}', port: {port}}}");
    }
    if customer.psk.is_some() {
        wireguard += ", presharedKeySecretRef: {name: psk, key: psk}";
    }
    let port = customer.listen_port.map(|port| format!("  listenPort: {port}\n"));
    format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: router, namespace: home}}
spec:
  appPrefixes: [{}]
  privateKeySecretRef: {{name: own, key: key}}
{}---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: uplink, namespace: home}}
spec:
  gatewayRef: {{name: router}}
  type: WireGuard
  wireGuard: {{{wireguard}}}
  prefixes: [{}]
",
        lan.join(", "),
        port.unwrap_or_default(),
        prefixes.join(", "),
    )
}
