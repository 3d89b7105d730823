//! The Internet's table through the codec, the import policy and the RIB: how long it
//! takes, and what it takes to hold. `bench/bgp_table.sh` fetches the table and calls this.
//!
//! Networks and the systems they are of are real; who passed them on is made up: eight
//! neighbors of the one that says them, each UPDATE with up to four networks of one system.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures, and says what it measured"
)]

#[path = "bgp_scene.rs"]
mod bgp_scene;

use bgp_scene::{namespace, session, tenant};
use lockgate::bgp::proto::{MessageKind, decode_update, encode_next, next_message};
use lockgate::bgp::{
    Announcement, AsPath, AsSegment, Attributes, ImportPolicy, Multipath, NeighborName,
    NeighborSettings, Nlri, Origin, Rib, Surroundings, Update, Verdict,
};
use lockgate::model::Tenant;
use lockgate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

/// What the tenant takes: all but the default route and the largest networks.
const IMPORT: &str = "{cidr: 0.0.0.0/0, ge: 8, le: 32}";

/// Networks of one system that stand in one UPDATE, at most.
const EACH_UPDATE: usize = 4;

const ROUNDS: usize = 3;

/// The networks of each system out of lines `address,length,system`.
fn table(text: &str) -> BTreeMap<u32, BTreeSet<Prefix>> {
    let mut table: BTreeMap<u32, BTreeSet<Prefix>> = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(',');
        let (Some(address), Some(length), Some(system)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let network = format!("{address}/{length}").parse::<Prefix>();
        if let (Ok(network), Ok(system)) = (network, system.trim().parse()) {
            table.entry(system).or_default().insert(network);
        }
    }
    table
}

fn attributes(system: u32) -> Attributes {
    let neighbor = (system % 8) as u8;
    Attributes {
        origin: Origin::Igp,
        as_path: AsPath(vec![AsSegment::Sequence(vec![
            65_001,
            65_100 + u32::from(neighbor),
            system,
        ])]),
        next_hop: IpAddr::V4(Ipv4Addr::new(172, 16, 0, 10 + neighbor)),
        link_local: None,
        med: None,
        local_pref: None,
        originator_id: None,
        cluster_list: Vec::new(),
        communities: Vec::new(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        otc: None,
    }
}

/// What a neighbor writes to say all of it.
fn said(table: &BTreeMap<u32, BTreeSet<Prefix>>) -> Vec<u8> {
    let theirs = session(65_001, 64_600);
    let mut bytes = Vec::new();
    for (system, networks) in table {
        let attributes = Arc::new(attributes(*system));
        let networks: Vec<Prefix> = networks.iter().copied().collect();
        for networks in networks.chunks(EACH_UPDATE) {
            let nlri = |prefix: &Prefix| Nlri { prefix: *prefix, distinguisher: None, path_id: 0 };
            let nlri = networks.iter().map(nlri).collect();
            let announced = vec![Announcement { attributes: Arc::clone(&attributes), nlri }];
            let mut update = Update { withdrawn: Vec::new(), announced };
            while let Ok(Some(message)) = encode_next(&mut update, &theirs) {
                bytes.extend(message);
            }
        }
    }
    bytes
}

/// Each UPDATE of `bytes`, as the session's other end reads it.
fn updates(bytes: &[u8]) -> impl Iterator<Item = Update> {
    let ours = session(64_600, 65_001);
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let Ok(Some((MessageKind::Update, length))) = next_message(rest, 4_096) else {
            return None;
        };
        let (message, after) = rest.split_at_checked(length)?;
        rest = after;
        decode_update(message, &ours).ok().map(|received| received.update)
    })
}

/// Megabytes that the process has of memory.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1_024.0
}

/// Seconds for each step.
#[derive(Clone, Copy, Default)]
struct Times {
    codec: f64,
    policy: f64,
    rib: f64,
    routes: f64,
    megabytes: f64,
}

fn round(bytes: &[u8], tenant: &Tenant) -> Option<(Times, usize, usize)> {
    let bgp = tenant.fabric.bgp.as_ref()?;
    let neighbor = bgp.neighbors.first()?;
    let policy = ImportPolicy::fabric(tenant, bgp, neighbor);
    let name = NeighborName::Fabric(neighbor.name.clone());
    let mut times = Times::default();

    let begun = Instant::now();
    let heard: usize =
        updates(bytes).map(|it| it.announced.iter().map(|one| one.nlri.len()).sum::<usize>()).sum();
    times.codec = begun.elapsed().as_secs_f64();

    let mut taken = 0;
    for update in updates(bytes) {
        let begun = Instant::now();
        for said in &update.announced {
            let judged = said.nlri.iter().map(|nlri| policy.judge(nlri, &said.attributes));
            taken += judged.filter(|verdict| *verdict == Verdict::Accept).count();
        }
        times.policy += begun.elapsed().as_secs_f64();
    }

    let before = resident();
    let mut rib = Rib::new(Multipath::default());
    rib.set_surroundings(Surroundings::fabric(tenant, &namespace()), BTreeMap::new());
    let settings = NeighborSettings {
        address: neighbor.network().address(),
        policy,
        maximum_prefixes: bgp.import.maximum_prefixes,
    };
    rib.set_neighbor(name.clone(), settings);
    rib.neighbor_up(&name, Ipv4Addr::new(1, 1, 1, 1), &BTreeSet::new());
    let begun = Instant::now();
    for update in updates(bytes) {
        // The table is near the maximum that the document names; what went over it would
        // be missed below.
        let _ = rib.update(&name, &update);
    }
    times.rib = begun.elapsed().as_secs_f64() - times.codec;
    let begun = Instant::now();
    let mut routes = 0;
    while let Some((_, route)) = rib.poll_route() {
        routes += usize::from(route.is_some());
    }
    times.routes = begun.elapsed().as_secs_f64();
    times.megabytes = resident() - before;
    // Some networks are in the table twice, and held once.
    let held = rib.size().0;
    assert!(held <= heard && held - routes == heard - taken, "{held}, {routes}; {heard}, {taken}");
    Some((times, heard, taken))
}

/// One round, and in one line what it took: for the process that began this one.
fn one_round(bytes: &[u8], tenant: &Tenant) {
    if let Some((times, heard, taken)) = round(bytes, tenant) {
        let Times { codec, policy, rib, routes, megabytes } = times;
        println!("{codec} {policy} {rib} {routes} {megabytes} {heard} {taken}");
    }
}

/// A round in a process of its own: what one has let go stays with its process, and the
/// next would be said to need nothing.
fn round_apart() -> Option<(Times, usize, usize)> {
    let mut child = std::process::Command::new(std::env::current_exe().ok()?);
    let output = child.env(ROUND, "1").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    let [codec, policy, rib, routes, megabytes, heard, taken] = numbers[..] else { return None };
    let times = Times { codec, policy, rib, routes, megabytes };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was written as a whole number"
    )]
    Some((times, heard as usize, taken as usize))
}

/// Set where one round is to be done.
const ROUND: &str = "LOCKGATE_BGP_TABLE_ROUND";

fn main() {
    let Some(path) = std::env::var_os("LOCKGATE_BGP_TABLE") else {
        println!("left out: bench/bgp_table.sh says where the table is");
        return;
    };
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("cannot read {}", path.display());
        return;
    };
    let (Some(tenant), table) = (tenant(65_001, IMPORT), table(&text)) else { return };
    let bytes = said(&table);
    drop(text);
    if std::env::var_os(ROUND).is_some() {
        return one_round(&bytes, &tenant);
    }
    let messages = updates(&bytes).count();
    let mut rounds: Vec<Times> = Vec::new();
    for _ in 0..ROUNDS {
        let Some((times, heard, taken)) = round_apart() else {
            println!("a round ended without its numbers");
            return;
        };
        if rounds.is_empty() {
            println!(
                "{heard} networks of {} systems in {messages} UPDATEs, {:.1} MB; {taken} of them \
                 taken\n",
                table.len(),
                bytes.len() as f64 / 1e6
            );
        }
        rounds.push(times);
    }
    println!("| of all of them | median | minimum–maximum of {ROUNDS} |\n|---|---|---|");
    let row = |label: &str, of: &dyn Fn(&Times) -> f64, decimals: usize| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        if let (Some(low), Some(middle), Some(high)) =
            (values.first(), values.get(ROUNDS / 2), values.last())
        {
            println!("| {label} | {middle:.decimals$} | {low:.decimals$}–{high:.decimals$} |");
        }
    };
    row("codec, s", &|it| it.codec, 2);
    row("import policy, s", &|it| it.policy, 2);
    row("RIB with policy and best path, s", &|it| it.rib, 2);
    row("routes out of it, s", &|it| it.routes, 2);
    row("memory of the RIB, MB", &|it| it.megabytes, 0);
}
