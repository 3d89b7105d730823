//! Plans carried out on the real kernel: what is observed afterwards is what was
//! desired, from anywhere to anywhere, also when broken off at any step; and
//! the simulated kernel, on which thousands of plans are checked elsewhere,
//! does what the real one does.

use crate::lab::{self, At, Lab};
use crate::random_config::{Lot, random_config};
use crate::reconcile_foreign::with_veth;
use crate::sim_kernel::SimKernel;
use lockgate::linux::{Kernel, KernelOptions};
use lockgate::model::{Ability, Attachment, BackendChoice, Placement, Site};
use lockgate::net::{ManagedName, TenantName};
use lockgate::reconcile::{Device, KernelState, LinkKind, Namespace, Step, desired, plan};
use std::sync::Arc;

const PLACEMENTS: [Placement; 2] = [Placement::PerTenant, Placement::Current];

fn acme() -> TenantName {
    TenantName::new("acme", "gw").unwrap()
}

/// The links the simulated kernel begins with, made in the box.
fn furnish(lab: &Lab, placement: Placement) {
    lab.add("world");
    for name in ["ens0", "ens1", "ens2", "eth0", "eth2"] {
        lab.veth((At::Underlay, name), (At::Netns("world"), name));
        // The trunk is up, as on a box: nothing that stands on it would be else.
        if placement == Placement::PerTenant && name != "eth2" {
            lab.ip(At::Underlay, &format!("link set {name} down"));
        }
    }
    if placement == Placement::Current {
        lab.ip(At::Underlay, "address add 10.42.0.7/32 dev eth0");
    }
}

fn kernel(placement: Placement) -> Kernel {
    Kernel::new(placement, KernelOptions::default()).unwrap()
}

/// Everything there is of ours.
async fn observe(kernel: &Kernel, placement: Placement) -> KernelState {
    let tenants = match placement {
        Placement::PerTenant => kernel.tenants().await.unwrap(),
        Placement::Current => vec![acme()],
    };
    let mut state = KernelState::default();
    for tenant in tenants {
        let namespace = kernel.observe(&tenant).await.unwrap().unwrap();
        state.tenants.insert(tenant, namespace);
    }
    state
}

async fn carry_out(kernel: &Kernel, desired: &KernelState, placement: Placement, what: &str) {
    let todo = plan(desired, &observe(kernel, placement).await, placement);
    for (tenant, steps) in todo.tenants {
        let applied = kernel.apply(&tenant, steps).await;
        assert!(applied.is_ok(), "{what}: {tenant}: {applied:#?}");
    }
}

/// What of an observed namespace the plan is about: settings that are desired,
/// links but the foreign ones.
fn ours(namespace: &Namespace, desired: &Namespace) -> Namespace {
    let mut ours = namespace.clone();
    ours.sysctls.retain(|sysctl, _| desired.sysctls.contains_key(sysctl));
    ours.links.retain(|device, link| {
        link.kind != LinkKind::Foreign || desired.links.contains_key(device)
    });
    for (device, link) in &mut ours.links {
        if desired.links.get(device).is_some_and(|wanted| wanted.mtu.is_none()) {
            link.mtu = None;
        }
    }
    ours
}

async fn assert_holds(kernel: &Kernel, desired: &KernelState, placement: Placement, what: &str) {
    let observed = observe(kernel, placement).await;
    let again = plan(desired, &observed, placement);
    assert_eq!(again.to_string(), "", "{what}: there is more to do");
    for (tenant, wanted) in &desired.tenants {
        let found = ours(&observed.tenants[tenant], wanted);
        assert_eq!(found.ruleset, wanted.ruleset, "{what}: {tenant}");
        assert_eq!(found.routes, wanted.routes, "{what}: {tenant}");
        assert_eq!(found.sysctls, wanted.sysctls, "{what}: {tenant}");
        let kinds = |namespace: &Namespace| -> Vec<(Device, LinkKind)> {
            let links = namespace.links.iter();
            links.map(|(device, link)| (device.clone(), link.kind.clone())).collect()
        };
        assert_eq!(kinds(&found), kinds(wanted), "{what}: {tenant}");
    }
}

fn somewhere(lot: &mut Lot, placement: Placement) -> KernelState {
    let mut config = random_config(lot, placement);
    let features = lockgate::linux::features();
    if features.wireguard != Ability::Present {
        let tenants = config.tenants.values_mut().map(Arc::make_mut);
        tenants.for_each(|it| it.backend = BackendChoice::default());
    }
    if features.ipip != Ability::Present {
        let tenants = config.tenants.values_mut().map(Arc::make_mut);
        tenants.for_each(|it| it.fabric.ipip = None);
    }
    if features.vlan != Ability::Present {
        let tunnelled = |site: &Site| matches!(site.attachment, Attachment::WireGuard(_));
        let tenants = config.tenants.values_mut().map(Arc::make_mut);
        tenants.for_each(|it| it.sites.retain(|_, site| tunnelled(site)));
    }
    desired(&config, placement)
}

#[test]
fn from_anywhere_to_anywhere_one_apply_is_enough() {
    lab::run(|lab| {
        furnish(lab, Placement::PerTenant);
        converge(lab, Placement::PerTenant, 12);
    });
    lab::run(|lab| {
        furnish(lab, Placement::Current);
        converge(lab, Placement::Current, 12);
    });
}

fn converge(lab: &Lab, placement: Placement, rounds: u64) {
    let kernel = kernel(placement);
    for seed in 0..rounds {
        let mut lot = Lot(seed);
        let what = format!("{placement:?}, seed {seed}");
        let desired = somewhere(&mut lot, placement);
        lab.block_on(async {
            carry_out(&kernel, &desired, placement, &what).await;
            assert_holds(&kernel, &desired, placement, &what).await;
        });
    }
}

#[test]
fn broken_off_at_any_step_it_is_taken_up_again() {
    lab::run(|lab| {
        let placement = Placement::PerTenant;
        furnish(lab, placement);
        let kernel = kernel(placement);
        let (mut lot, nothing) = (Lot(3), KernelState::default());
        let desired = somewhere(&mut lot, placement);
        let whole = plan(&desired, &nothing, placement);
        assert!(!whole.is_empty());
        for (tenant, steps) in &whole.tenants {
            // Every third: each costs a namespace and a few runs of nft.
            for done in (0..steps.len()).step_by(3) {
                let what = format!("{tenant} broken off after {done} of {}", steps.len());
                lab.block_on(async {
                    let applied = kernel.apply(tenant, steps[..done].to_vec()).await;
                    assert!(applied.is_ok(), "{what}: {applied:#?}");
                    carry_out(&kernel, &desired, placement, &what).await;
                    assert_holds(&kernel, &desired, placement, &what).await;
                    carry_out(&kernel, &nothing, placement, &what).await;
                    assert_eq!(kernel.tenants().await.unwrap(), [], "{what}");
                });
            }
        }
    });
}

#[test]
fn every_step_may_be_repeated() {
    lab::run(|lab| {
        let placement = Placement::PerTenant;
        furnish(lab, placement);
        let kernel = kernel(placement);
        let nothing = KernelState::default();
        for seed in 0..3 {
            let desired = somewhere(&mut Lot(seed), placement);
            let there = plan(&desired, &nothing, placement);
            let back = plan(&nothing, &desired, placement);
            for (tenant, steps) in there.tenants.iter().chain(&back.tenants) {
                for step in steps {
                    for _ in 0..2 {
                        let applied = lab.block_on(kernel.apply(tenant, vec![step.clone()]));
                        // In a namespace that is gone there is nothing to do.
                        assert!(applied.is_ok(), "seed {seed}: {step}: {applied:#?}");
                    }
                }
            }
        }
    });
}

#[test]
fn the_simulated_kernel_does_what_the_real_one_does() {
    for placement in PLACEMENTS {
        lab::run(move |lab| {
            furnish(lab, placement);
            let kernel = kernel(placement);
            let mut sim = SimKernel::new(placement);
            for seed in 20..26 {
                let desired = somewhere(&mut Lot(seed), placement);
                let todo = plan(&desired, &sim.state, placement);
                for (tenant, steps) in &todo.tenants {
                    for (number, step) in steps.iter().enumerate() {
                        sim.step(tenant, step);
                        let applied = lab.block_on(kernel.apply(tenant, vec![step.clone()]));
                        assert!(applied.is_ok(), "seed {seed}: {step}: {applied:#?}");
                        // Looking is dear; what matters is what goes along.
                        let drops = matches!(
                            step,
                            Step::DeleteLink(_)
                                | Step::ReturnLink(_)
                                | Step::RemoveAddress(..)
                                | Step::SetUp(_)
                                | Step::TakeLink(_)
                        );
                        if drops || number + 1 == steps.len() {
                            let found = lab.block_on(kernel.observe(tenant)).unwrap();
                            let simulated = sim.state.tenants.get(tenant);
                            let what = format!("{placement:?}, seed {seed}, after {step}");
                            let at_end = number + 1 == steps.len();
                            compare(simulated, found.as_ref(), at_end, &what);
                        }
                    }
                }
            }
        });
    }
}

fn compare(simulated: Option<&Namespace>, found: Option<&Namespace>, at_end: bool, what: &str) {
    assert_eq!(simulated.is_some(), found.is_some(), "{what}");
    let (Some(simulated), Some(found)) = (simulated, found) else { return };
    // On the way the simulated one drops more routes than Linux, on purpose.
    for (key, route) in &simulated.routes {
        assert_eq!(found.routes.get(key), Some(route), "{what}: {key}");
    }
    assert!(!at_end || found.routes == simulated.routes, "{what}: {:?}", found.routes);
    assert_eq!(found.ruleset, simulated.ruleset, "{what}");
    assert_eq!(found.loopback_up, simulated.loopback_up, "{what}");
    // In a pod the other ends of our pairs are here too; the simulated kernel
    // keeps them apart.
    let names = |namespace: &Namespace| -> Vec<Device> {
        let names = namespace.links.keys().cloned();
        names.filter(|device| !device.as_str().starts_with("app-")).collect()
    };
    assert_eq!(names(found), names(simulated), "{what}");
    for (device, link) in &simulated.links {
        let real = &found.links[device];
        assert_eq!(real.kind, link.kind, "{what}: {device}");
        assert_eq!(real.up, link.up, "{what}: {device}");
        assert_eq!(real.addresses, link.addresses, "{what}: {device}");
    }
}

#[test]
fn learned_routes_are_held_as_they_are_asked_for() {
    let wanted = |routes: &str| -> KernelState {
        let text = format!(
            "netns acme/gw
               loopback up
               link lg-fabric veth app-0 mtu 1500 up 10.1.0.20/24 2001:db8::20/64
               {routes}"
        );
        text.parse().unwrap()
    };
    let all = [
        wanted(""),
        wanted(
            "route 192.168.3.3/32 metric 32 multipath dev lg-fabric via 10.1.0.6 dev lg-fabric via 10.1.0.7
             route 192.168.4.0/26 metric 32 blackhole
             route 192.168.5.0/26 metric 32 dev lg-fabric via fe80::8
             route 192.168.6.0/26 metric 32 multipath dev lg-fabric via 10.1.0.6 dev lg-fabric via 2001:db8::8
             route 192.168.7.0/26 metric 32 dev lg-fabric via 10.77.0.8
             route 2001:db8:9::/64 metric 32 multipath dev lg-fabric via 2001:db8::6 dev lg-fabric via 2001:db8::7
             route 2001:db8:a::/64 metric 32 blackhole",
        ),
        wanted(
            "route 192.168.3.3/32 metric 32 dev lg-fabric via 10.1.0.6
             route 192.168.4.0/26 metric 32 multipath dev lg-fabric via 10.1.0.6 dev lg-fabric via 10.1.0.7
             route 192.168.6.0/26 metric 32 blackhole
             route 2001:db8:9::/64 metric 32 blackhole
             route 2001:db8:a::/64 metric 32 multipath dev lg-fabric via 2001:db8::6 dev lg-fabric via 2001:db8::9",
        ),
        wanted(
            "route 192.168.3.3/32 metric 32 multipath dev lg-fabric via 10.1.0.6 dev lg-fabric via 10.1.0.9
             route 2001:db8:9::/64 metric 32 dev lg-fabric via 2001:db8::6
             route 2001:db8:a::/64 metric 32 multipath dev lg-fabric via 2001:db8::6 dev lg-fabric via 2001:db8::7 dev lg-fabric via 2001:db8::9",
        ),
    ];
    lab::run(move |lab| {
        let kernel = kernel(Placement::PerTenant);
        for (at, state) in all.iter().chain(all.iter().rev()).enumerate() {
            let what = format!("state {at}");
            lab.block_on(async {
                carry_out(&kernel, state, Placement::PerTenant, &what).await;
                assert_holds(&kernel, state, Placement::PerTenant, &what).await;
            });
        }
    });
}

/// The kernel took the second along when the first went (`promote_secondaries`).
#[test]
fn an_address_that_was_the_second_of_its_network_stays() {
    lab::run(|lab| {
        let placement = Placement::PerTenant;
        let kernel = kernel(placement);
        let fabric = Device::Managed(ManagedName::fabric());
        for addresses in [&["172.16.130.2/24", "172.16.130.3/24"][..], &["172.16.130.3/24"]] {
            let mut wanted = with_veth();
            let namespace = wanted.tenants.values_mut().next().unwrap();
            let link = namespace.links.get_mut(&fabric).unwrap();
            link.addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
            lab.block_on(async {
                carry_out(&kernel, &wanted, placement, "addresses").await;
                let left = plan(&wanted, &observe(&kernel, placement).await, placement);
                assert_eq!(left.to_string(), "", "{addresses:?}");
            });
        }
    });
}
