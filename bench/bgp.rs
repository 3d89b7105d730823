//! How long a tenant's routes take: UPDATEs written and read, the choice among paths, the
//! import policy, and a hundred thousand routes into an empty table and out again.

#[path = "bgp_scene.rs"]
mod bgp_scene;

use bgp_scene::{namespace, session, tenant};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lockgate::bgp::proto::{decode_update, encode_next};
use lockgate::bgp::{
    Announcement, AsPath, AsSegment, Attributes, Candidate, ImportPolicy, Multipath, NeighborName,
    NeighborSettings, Nlri, Origin, Rib, Surroundings, Update, select,
};
use lockgate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const ROUTES: u32 = 100_000;

/// What the tenant takes.
const IMPORT: &str = "{cidr: 11.0.0.0/8, ge: 24, le: 32}";

fn attributes(node: u8) -> Attributes {
    Attributes {
        origin: Origin::Igp,
        as_path: AsPath(vec![AsSegment::Sequence(vec![64_512, 65_000 + u32::from(node)])]),
        next_hop: IpAddr::V4(Ipv4Addr::new(172, 16, 0, node)),
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

/// Messages of five hundred routes each, of a hundred nodes.
fn updates() -> Vec<Update> {
    let prefix = |index: u32| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + index * 64));
        Prefix::containing_address(address, 26).ok()
    };
    let numbers: Vec<u32> = (0..ROUTES).collect();
    let message = |chunk: &[u32]| {
        let node = chunk.first().map_or(10, |first| 10 + (first / 500 % 100) as u8);
        let prefixes = chunk.iter().filter_map(|index| prefix(*index));
        let nlri = prefixes.map(|prefix| Nlri { prefix, distinguisher: None, path_id: 0 });
        let attributes = Arc::new(attributes(node));
        let announced = vec![Announcement { attributes, nlri: nlri.collect() }];
        Update { withdrawn: Vec::new(), announced }
    };
    numbers.chunks(500).map(message).collect()
}

fn bench(criterion: &mut Criterion) {
    let Some(tenant) = tenant(64_512, IMPORT) else { return };
    let Some(bgp) = &tenant.fabric.bgp else { return };
    let Some(neighbor) = bgp.neighbors.first() else { return };
    let policy = ImportPolicy::fabric(&tenant, bgp, neighbor);
    let name = NeighborName::Fabric(neighbor.name.clone());
    let empty = || {
        let mut rib = Rib::new(Multipath::default());
        let surroundings = Surroundings::fabric(&tenant, &namespace());
        rib.set_surroundings(surroundings, BTreeMap::new());
        let settings = NeighborSettings {
            address: neighbor.network().address(),
            policy: policy.clone(),
            maximum_prefixes: bgp.import.maximum_prefixes,
        };
        rib.set_neighbor(name.clone(), settings);
        rib.neighbor_up(&name, Ipv4Addr::new(1, 1, 1, 1), &BTreeSet::new());
        rib
    };
    let said = updates();
    let fill = |mut rib: Rib| {
        for update in &said {
            assert_eq!(rib.update(&name, update), None);
        }
        rib
    };
    let full = fill(empty());
    assert_eq!(full.size().0, ROUTES as usize);
    assert_eq!(full.clone().routes().len(), ROUTES as usize);

    let mut group = criterion.benchmark_group("bgp");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(ROUTES)));
    group.bench_function("insert_100k", |bencher| {
        bencher.iter_batched(&empty, &fill, BatchSize::PerIteration);
    });
    group.bench_function("routes_of_100k", |bencher| {
        bencher.iter_batched(
            || full.clone(),
            |mut rib| {
                while rib.poll_route().is_some() {}
                rib
            },
            BatchSize::PerIteration,
        );
    });
    let (theirs, ours) = (session(64_512, 64_600), session(64_600, 64_512));
    let pack = |updates: Vec<Update>| {
        let mut messages = Vec::new();
        for mut update in updates {
            while let Ok(Some(message)) = encode_next(&mut update, &theirs) {
                messages.push(message);
            }
        }
        messages
    };
    let messages = pack(said.clone());
    assert_eq!(messages.len(), said.len(), "five hundred networks fit a message");
    group.bench_function("pack_100k", |bencher| {
        bencher.iter_batched(|| said.clone(), &pack, BatchSize::PerIteration);
    });
    group.bench_function("read_100k", |bencher| {
        bencher.iter(|| {
            let read = messages.iter().map(|message| decode_update(black_box(message), &ours));
            read.filter(Result::is_ok).count()
        });
    });
    group.throughput(Throughput::Elements(1));
    let one = attributes(7);
    let nlri = Nlri {
        prefix: Prefix::host(IpAddr::V4(Ipv4Addr::new(11, 1, 2, 3))),
        distinguisher: None,
        path_id: 0,
    };
    group.bench_function("policy", |bencher| {
        bencher.iter(|| policy.judge(black_box(&nlri), black_box(&one)));
    });
    let all: Vec<Attributes> = (10..18).map(attributes).collect();
    let candidates: Vec<Candidate<'_>> = all
        .iter()
        .zip(0..)
        .map(|(attributes, index)| Candidate {
            attributes,
            external: true,
            router_id: Ipv4Addr::new(1, 1, 1, 1),
            address: attributes.next_hop,
            cost: 0,
            long_lived: false,
            identity: (index, 0),
        })
        .collect();
    group.bench_function("best_of_8", |bencher| {
        bencher.iter(|| select(black_box(&candidates), Multipath::default()));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
