//! How long documents take: 1,000 tenants of ten sites each.
//!
//! `parse` is text to documents, `validate` documents to a config; a reload
//! does both.

use criterion::{Criterion, criterion_group, criterion_main};
use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::net::PrivateKey;
use std::fmt::Write;
use std::hint::black_box;

const TENANTS: u32 = 1_000;
const SITES: u32 = 10;

/// One file for each tenant.
fn files() -> Vec<(String, String)> {
    (0..TENANTS).map(|tenant| (format!("t{tenant}.yaml"), file(tenant))).collect()
}

fn file(tenant: u32) -> String {
    let mut text = format!(
        "apiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\nmetadata: {{name: gw, namespace: t{tenant}}}\n\
         spec:\n  appPrefixes: [10.136.40.0/24]\n  fabric:\n    veth: {{peer: t{tenant}, addresses: [172.16.0.1/24]}}\n"
    );
    for site in 0..SITES {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&tenant.to_le_bytes());
        seed[4..8].copy_from_slice(&site.to_le_bytes());
        let key = PrivateKey::from_random(seed).public();
        let written = writeln!(
            text,
            "---\napiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\nmetadata: {{name: s{site}, namespace: t{tenant}}}\n\
             spec:\n  gatewayRef: {{name: gw}}\n  type: WireGuard\n  wireGuard:\n    publicKey: {key}\n    \
             persistentKeepaliveSeconds: 25\n    tunnelAddresses: [10.255.{site}.0/31]\n  prefixes:\n    \
             - {{cidr: 192.168.{site}.0/24}}\n    - {{cidr: \"2001:db8:{site}::/48\"}}\n  allow:\n    \
             - {{direction: ToSite, protocol: TCP, ports: [22, 830]}}\n  probes: [{{address: 192.168.{site}.1}}]"
        );
        assert!(written.is_ok(), "writing to a String");
    }
    text
}

fn bench(criterion: &mut Criterion) {
    let files = files();
    let parse =
        || Documents::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())));
    let documents = parse();
    let check =
        || validate(&documents, &Secrets::default(), &Allocations::new(), &Options::default());
    assert_eq!(check().errors.to_string(), "");
    let mut group = criterion.benchmark_group("1000_tenants_of_10_sites");
    group.sample_size(10);
    group.bench_function("parse", |bencher| bencher.iter(|| black_box(parse())));
    group.bench_function("validate", |bencher| bencher.iter(|| black_box(check())));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
