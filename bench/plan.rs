//! How long it takes to find out what to do: a thousand tenants, of which none
//! or all have changed, and what is desired of them.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a bench may fail by panicking")]

use criterion::{Criterion, criterion_group, criterion_main};
use lockgate::model::{
    Attachment, BackendChoice, Class, Config, Fabric, FabricLink, Placement, Site, SitePrefix,
    Tenant, WireGuardPeer,
};
use lockgate::net::{Mtu, PublicKey, TenantName};
use lockgate::reconcile::{KernelState, desired, plan};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

const TENANTS: usize = 1_000;
const SITES: usize = 10;

fn plans(criterion: &mut Criterion) {
    let config = config();
    let wanted = desired(&config, Placement::PerTenant);
    let equal = wanted.clone();
    let nothing = KernelState::default();
    let mut group = criterion.benchmark_group("1000 tenants");
    group.sample_size(20);
    group.bench_function("desired", |b| {
        b.iter(|| desired(black_box(&config), Placement::PerTenant));
    });
    group.bench_function("plan, equal", |b| {
        b.iter(|| plan(black_box(&wanted), black_box(&equal), Placement::PerTenant));
    });
    group.bench_function("plan, all new", |b| {
        b.iter(|| plan(black_box(&wanted), black_box(&nothing), Placement::PerTenant));
    });
    let changed = changed(&wanted);
    group.bench_function("plan, all changed", |b| {
        b.iter(|| plan(black_box(&wanted), black_box(&changed), Placement::PerTenant));
    });
    group.finish();
}

/// The same with the rules flushed, the routes gone and every setting another.
fn changed(state: &KernelState) -> KernelState {
    let mut state = state.clone();
    for namespace in state.tenants.values_mut() {
        namespace.ruleset = None;
        namespace.routes.clear();
        for value in namespace.sysctls.values_mut() {
            *value = 7;
        }
    }
    state
}

/// Every tenant with the same ten sites, as customers are.
fn config() -> Config {
    let class = Arc::new(Class {
        name: "default".to_owned(),
        advertised_host: None,
        forbidden_prefixes: Vec::new(),
        allow_default_route: false,
        maximum_prefixes: 1_000,
        vpn_reflectors: Vec::new(),
    });
    let sites: BTreeMap<_, _> =
        (0..SITES).map(site).map(|site| (site.name.clone(), site)).collect();
    let tenant = |index: usize| Tenant {
        name: TenantName::new(&format!("t{index}"), "gw").unwrap(),
        class: Arc::clone(&class),
        private_key: None,
        next_private_key: None,
        test_page: false,
        listen_port: 20_000 + u16::try_from(index).unwrap(),
        tunnel_mtu: Mtu::new(1420).unwrap(),
        backend: BackendChoice::default(),
        bounds_arp: true,
        app_prefixes: vec!["10.136.40.0/24".parse().unwrap(), "2001:db8:40::/64".parse().unwrap()],
        nmaas_domain: None,
        fabric: Fabric {
            link: FabricLink::Veth { peer: format!("app{index}").parse().unwrap() },
            addresses: vec!["172.16.130.2/24".parse().unwrap()],
            next_hops: vec!["172.16.130.1".parse().unwrap()],
            mtu: None,
            ipip: None,
            bgp: None,
        },
        sites: sites.clone(),
    };
    let tenants = (0..TENANTS).map(tenant).map(|tenant| (tenant.name.clone(), Arc::new(tenant)));
    Config { tenants: tenants.collect(), refused: Vec::new() }
}

fn site(index: usize) -> Site {
    let prefix = |text: String| SitePrefix { real: text.parse().unwrap(), alias: None };
    Site {
        name: format!("site{index}").parse().unwrap(),
        priority: 100,
        attachment: Attachment::WireGuard(WireGuardPeer {
            public_key: PublicKey::from_bytes([9; 32]).unwrap(),
            next_public_key: None,
            next_preshared_key: None,
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            tunnel_addresses: vec![format!("10.255.{index}.0/31").parse().unwrap()],
        }),
        prefixes: vec![
            prefix(format!("192.168.{index}.0/24")),
            prefix(format!("2001:db8:{index}::/48")),
        ],
        bounds: None,
        allow: None,
        probes: Vec::new(),
        bgp: None,
    }
}

criterion_group!(benches, plans);
criterion_main!(benches);
