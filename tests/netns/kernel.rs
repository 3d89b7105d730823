//! Namespaces, TUNs, and the threads that go into them and come back.

use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use lockgate::linux::{EnterError, Kernel, KernelOptions, Offload, OpenTunError, TunError};
use lockgate::model::Placement;
use lockgate::net::TenantName;
use lockgate::reconcile::Step;
use std::fs;

fn tenant(name: &str) -> TenantName {
    TenantName::new("default", name).unwrap()
}

fn kernel() -> Kernel {
    Kernel::new(Placement::PerTenant, KernelOptions::default()).unwrap()
}

async fn create(kernel: &Kernel, name: &str) {
    let applied = kernel.apply(&tenant(name), vec![Step::CreateNetns]).await;
    assert!(applied.is_ok(), "{applied:?}");
}

async fn delete(kernel: &Kernel, name: &str) {
    let applied = kernel.apply(&tenant(name), vec![Step::DeleteNetns]).await;
    assert!(applied.is_ok(), "{applied:?}");
}

/// What `ip netns` shows.
fn shown(lab: &Lab) -> Vec<String> {
    let text = lab.ip(At::Underlay, "netns list");
    let mut names: Vec<String> =
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_the_kernel_is_said_to_do_comes_of_trying() {
    lab::run(|lab| {
        use lockgate::model::Ability;
        lab.add("far");
        lab.veth((At::Underlay, "trunk"), (At::Netns("far"), "trunk"));
        let features = lockgate::linux::features();
        for (ability, link) in [
            (features.vlan, "tried link trunk type vlan id 5"),
            (features.wireguard, "tried type wireguard"),
        ] {
            let words = format!("ip link add {link}");
            let words: Vec<&str> = words.split(' ').collect();
            let can = lab.output(At::Underlay, &words).status.success();
            if can {
                lab.ip(At::Underlay, "link delete tried");
            }
            let wrong = if can { Ability::Missing } else { Ability::Present };
            assert_ne!(ability, wrong, "{link}: it could {can}");
        }
        assert_ne!(features.vlan, Ability::Unknown, "as root the kernel itself is asked");
    });
}

#[test]
fn the_uplink_is_what_default_routes_leave_by() {
    lab::run(|lab| {
        let mtu = || lockgate::linux::uplink_mtu().map(lockgate::net::Mtu::bytes);
        lab.add("far");
        for (name, bytes) in [("dsl", 1_492), ("eth", 1_500), ("other", 1_400)] {
            lab.veth((At::Underlay, name), (At::Netns("far"), &format!("far-{name}")));
            lab.ip(At::Underlay, &format!("link set {name} mtu {bytes}"));
        }
        assert_eq!(mtu(), None);
        lab.ip(At::Underlay, "route add 192.0.2.0/24 dev other");
        // A tenant's default route, in a namespace it shares with its uplink.
        lab.ip(At::Underlay, "route add default dev other proto 76 metric 5");
        lab.ip(At::Underlay, "-6 route add default dev eth metric 10");
        assert_eq!(mtu(), Some(1_500));
        lab.ip(At::Underlay, "route add default nexthop dev dsl nexthop dev eth");
        assert_eq!(mtu(), Some(1_492));
    });
}

#[test]
fn namespaces_are_those_of_ip_netns() {
    lab::run(|lab| {
        let kernel = kernel();
        lab.add("somebody-elses");
        lab.block_on(async {
            assert_eq!(kernel.tenants().await.unwrap(), []);
            create(&kernel, "b").await;
            create(&kernel, "a").await;
            create(&kernel, "a").await;
            assert_eq!(kernel.tenants().await.unwrap(), [tenant("a"), tenant("b")]);
        });
        assert_eq!(shown(lab), ["lockgate.default.a", "lockgate.default.b", "somebody-elses"]);
        assert!(lab.ip("lockgate.default.a", "link show lo").contains("lo:"));

        // Another process of the same machine may remove one, or make one.
        lab.remove("lockgate.default.a");
        lab.add("lockgate.default.c");
        lab.block_on(async {
            assert_eq!(kernel.tenants().await.unwrap(), [tenant("b"), tenant("c")]);
            delete(&kernel, "b").await;
            delete(&kernel, "b").await;
            delete(&kernel, "c").await;
        });
        assert_eq!(shown(lab), ["somebody-elses"]);
    });
}

#[test]
fn a_name_without_a_namespace_is_taken_over() {
    // What a process leaves that was killed between the name and the mount.
    lab::run(|lab| {
        let kernel = kernel();
        fs::write("/run/netns/lockgate.default.a", "").unwrap();
        lab.block_on(async {
            assert_eq!(kernel.tenants().await.unwrap(), []);
            create(&kernel, "a").await;
            assert_eq!(kernel.tenants().await.unwrap(), [tenant("a")]);
        });
        assert!(lab.ip("lockgate.default.a", "link show lo").contains("lo:"));
    });
}

#[test]
fn work_runs_where_it_is_asked_to_and_the_thread_comes_back() {
    lab::run(|lab| {
        let kernel = kernel();
        let here = || fs::read_link("/proc/thread-self/ns/net").unwrap();
        let home = here();
        lab.block_on(async {
            let (a, b) = (tenant("a"), tenant("b"));
            create(&kernel, "a").await;
            create(&kernel, "b").await;
            let in_a = kernel.in_tenant(&a, here).await.unwrap();
            let in_b = kernel.in_tenant(&b, here).await.unwrap();
            assert_ne!(in_a, home);
            assert_ne!(in_b, home);
            assert_ne!(in_a, in_b);
            for _ in 0..20 {
                assert_eq!(kernel.in_underlay(here).await.unwrap(), home);
                assert_eq!(kernel.in_tenant(&a, here).await.unwrap(), in_a);
            }
            let broken = kernel.in_tenant(&a, || panic!("on purpose")).await;
            assert!(matches!(broken, Err(EnterError::Work(_))), "{broken:?}");
            for _ in 0..20 {
                assert_eq!(kernel.in_underlay(here).await.unwrap(), home);
            }
            let missing = kernel.in_tenant(&tenant("c"), here).await;
            assert!(matches!(missing, Err(EnterError::Missing(_))), "{missing:?}");
        });
    });
}

#[test]
fn a_deleted_namespace_is_gone_from_the_kernel() {
    lab::run(|lab| {
        let kernel = kernel();
        lab.block_on(create(&kernel, "a"));
        // A veth end vanishes with the namespace its other end is in.
        lab.veth((At::Underlay, "seen"), (At::Netns("lockgate.default.a"), "unseen"));
        lab.block_on(delete(&kernel, "a"));
        wait_until("the namespace's end of the veth pair is gone", PATIENCE, || {
            let links = lab.ip(At::Underlay, "-br link");
            if links.contains("seen") { Err(links) } else { Ok(()) }
        });
    });
}

/// What this kernel has of `wanted`: a TUN takes trains of UDP since Linux 6.2.
fn had_here(wanted: Offload) -> Offload {
    let kernel = rustix::system::uname();
    let mut numbers = kernel.release().to_str().unwrap().split(['.', '-']);
    let mut number = || numbers.next().unwrap().parse::<u32>().unwrap();
    Offload { udp: wanted.udp && [6, 2] <= [number(), number()], ..wanted }
}

#[test]
fn a_tun_stays_when_its_reader_goes() {
    lab::run(|lab| {
        let kernel = kernel();
        lab.block_on(async {
            create(&kernel, "a").await;
            let tun = kernel.open_tun(&tenant("a")).await.unwrap();
            assert_eq!(tun.offload, had_here(Offload::ALL));
            let second = kernel.open_tun(&tenant("a")).await;
            assert!(matches!(second, Err(OpenTunError::Tun(TunError::Busy(_)))), "{second:?}");
        });
        assert!(lab.ip("lockgate.default.a", "-d link show lg-wg").contains("persist on"));
        let tun = lab.block_on(kernel.open_tun(&tenant("a"))).unwrap();
        assert_eq!(tun.offload, had_here(Offload::ALL));
    });
}

#[test]
fn offloads_can_be_switched_off_one_by_one() {
    lab::run(|lab| {
        lab.block_on(create(&kernel(), "a"));
        for offload in [Offload::ALL, Offload { udp: false, ..Offload::ALL }, Offload::NONE] {
            let options = KernelOptions { offload };
            let kernel = Kernel::new(Placement::PerTenant, options).unwrap();
            let tun = lab.block_on(kernel.open_tun(&tenant("a"))).unwrap();
            assert_eq!(tun.offload, had_here(offload));
            let features = lab.command_output("lockgate.default.a", &["ethtool", "-k", "lg-wg"]);
            for (name, is_on) in [
                ("tcp-segmentation-offload", tun.offload.tcp),
                ("tx-udp-segmentation", tun.offload.udp),
            ] {
                let line = format!("{name}: {}", if is_on { "on" } else { "off" });
                assert!(features.contains(&line), "{offload:?}: no `{line}` in {features}");
            }
        }
    });
}

#[test]
fn a_foreign_link_in_our_name_is_refused_and_stays() {
    lab::run(|lab| {
        let kernel = kernel();
        lab.block_on(create(&kernel, "a"));
        lab.ip("lockgate.default.a", "link add lg-wg type bridge");
        let refused = lab.block_on(kernel.open_tun(&tenant("a")));
        assert!(matches!(refused, Err(OpenTunError::Tun(TunError::Foreign(_)))), "{refused:?}");
        assert!(lab.ip("lockgate.default.a", "-d link show lg-wg").contains("bridge"));
    });
}

#[test]
fn in_the_current_namespace_no_other_is_entered() {
    lab::run(|lab| {
        let kernel = Kernel::new(Placement::Current, KernelOptions::default()).unwrap();
        let _tun = lab.block_on(kernel.open_tun(&tenant("a"))).unwrap();
        assert!(lab.ip(At::Underlay, "-d link show lg-wg").contains("persist on"));
    });
}

#[test]
fn the_lab_carries_traffic_and_records_it() {
    lab::run(|lab| {
        lab.add("left");
        lab.add("right");
        lab.veth((At::Netns("left"), "l0"), (At::Netns("right"), "r0"));
        lab.address("left", "l0", "10.0.0.1/24");
        lab.address("right", "r0", "10.0.0.2/24");
        let capture = lab.capture("right", "r0");
        assert!(lab.ping("left", "10.0.0.2"));
        assert!(!lab.ping("left", "10.0.0.3"));
        let echo = lab.udp_echo("right", "10.0.0.2:7".parse().unwrap());
        let socket = lab.udp("left", "10.0.0.1:0".parse().unwrap());
        let answer = lab.udp_ask(&socket, echo.address, b"canary");
        assert_eq!(answer.as_deref(), Some(&b"canary"[..]));
        let seen = capture.frames().iter().filter(|frame| frame.ends_with(b"canary")).count();
        assert_eq!(seen, 2);
    });
}
