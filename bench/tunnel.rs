//! One WireGuard device of one peer on the packet threads, nothing around it:
//! what `throughput.sh` measures.
//!
//! Runs in the namespace it is started in until it is told to end (SIGTERM);
//! SIGUSR1 is answered with a sample on its standard error.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a bench may fail by panicking")]

use clap::Parser;
use lockgate::datapath::{Attach, Datapath, Options, Tun};
use lockgate::linux::{Kernel, KernelOptions, Offload};
use lockgate::model::Placement;
use lockgate::net::{Mtu, Prefix, PublicKey, TenantName, Timestamp};
use lockgate::wireguard::{DeviceConfig, PeerConfig};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Arguments {
    /// Cargo hands this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// A file with the private key, in base64.
    #[arg(long)]
    key_file: PathBuf,
    #[arg(long)]
    port: u16,
    #[arg(long, default_value = "1420")]
    mtu: u32,
    /// The peer's public key.
    #[arg(long)]
    peer: PublicKey,
    #[arg(long)]
    endpoint: Option<SocketAddr>,
    #[arg(long)]
    allowed: Vec<Prefix>,
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    #[arg(long)]
    pin: bool,
    #[arg(long)]
    no_tun_offload: bool,
    #[arg(long)]
    no_uso: bool,
    #[arg(long)]
    no_udp_gso: bool,
    #[arg(long)]
    no_udp_gro: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let key = std::fs::read_to_string(&arguments.key_file).unwrap();
    let options = Options {
        threads: Some(arguments.threads),
        pin: arguments.pin,
        tun_offload: !arguments.no_tun_offload,
        uso: !arguments.no_uso,
        udp_gso: !arguments.no_udp_gso,
        udp_gro: !arguments.no_udp_gro,
    };
    let wanted = Offload { tcp: options.tun_offload, ecn: options.tun_offload, udp: options.uso };
    let offload = if options.tun_offload { wanted } else { Offload::NONE };
    let tenant = TenantName::new("bench", "tunnel").unwrap();
    let kernel = Kernel::new(Placement::Current, KernelOptions { offload }).unwrap();
    let tun = kernel.open_tun(&tenant).await.unwrap();
    let (datapath, _events) = Datapath::start(options).unwrap();
    let peer = PeerConfig {
        endpoint: arguments.endpoint,
        allowed_ips: arguments.allowed,
        ..PeerConfig::default()
    };
    let config = DeviceConfig {
        private_key: key.trim().parse().unwrap(),
        listen_port: arguments.port,
        mtu: Mtu::new(arguments.mtu).unwrap(),
        peers: BTreeMap::from([(arguments.peer, peer)]),
    };
    let tun = Tun { fd: tun.fd, tso: tun.offload.tcp, uso: tun.offload.udp };
    datapath.attach(Attach { tenant, tun, config, last_initiation: Timestamp::default() }).unwrap();
    let mut asked = signal(SignalKind::user_defined1()).unwrap();
    let mut ended = signal(SignalKind::terminate()).unwrap();
    loop {
        tokio::select! {
            _ = asked.recv() => eprintln!("{:#?}", datapath.sample_all().unwrap()),
            _ = ended.recv() => return,
        }
    }
}
