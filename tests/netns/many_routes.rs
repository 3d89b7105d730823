//! N13: so many routes in one tenant that lists of them are long, and lists that
//! change while they are read.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "what it took is measured, and said; who changes a list has a pace"
)]

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, wait_until};
use crate::raised::Raised;
use crate::wireguard_stage::{key, site_document, tenant_document};
use lockgate::linux::{Kernel, KernelOptions};
use lockgate::model::Placement;
use lockgate::net::{Prefix, TenantName};
use lockgate::reconcile::{Device, Route, RouteKey, RouteTarget, Step};
use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NETNS: &str = "lockgate.acme.gw";

/// Networks of one site: as many as a class allows by itself.
const NETWORKS: u32 = 1_000;

/// How many sites there are: `LOCKGATE_TEST_SITES`, as 100 for the hundred thousand
/// routes of N13, with which an optimized program is through in a minute. One that is
/// not would take most of what the whole suite may take.
fn sites() -> u32 {
    std::env::var("LOCKGATE_TEST_SITES").map_or(20, |text| text.parse().unwrap())
}

/// The most that may be taken, of time by a program that is not optimized, and of
/// memory: four times what the documents and the kernel's answers are as text.
const WITHIN: Duration = Duration::from_secs(150);
const MEMORY_KIB: u64 = 1_500_000;

/// No two of them are neighbours that one network could stand for.
fn network(number: u32) -> String {
    format!("{}/28", Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number * 32))
}

fn documents() -> String {
    let mut text = tenant_document("");
    for site in 0..sites() {
        let networks: Vec<String> = (site * NETWORKS..(site + 1) * NETWORKS).map(network).collect();
        let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
        let key = key(10 + site as u8).public();
        text += &site_document(&format!("s{site}"), key, &networks, "", "");
    }
    text
}

fn routes(lab: &Lab) -> usize {
    lab.ip(NETNS, "-4 route show proto 76 dev lg-wg").lines().count()
}

/// The most memory a gateway has had.
fn peak_kib(gateway: &Gateway<'_>) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits until a config was put in place in full for the `nth` time.
fn wait_applied(gateway: &Gateway<'_>, nth: usize) -> Duration {
    let begun = Instant::now();
    wait_until("all routes to be in place", WITHIN, || {
        let log = gateway.log();
        if log.matches(" config_applied ").count() == nth { Ok(()) } else { Err(log) }
    });
    begun.elapsed()
}

#[test]
fn tens_of_thousands_of_routes_are_made_kept_through_a_crash_and_removed() {
    lab::run(|lab| {
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &documents());
        gateway.spawn();
        let made = wait_applied(&gateway, 1);
        let all = (sites() * NETWORKS) as usize;
        assert_eq!(routes(lab), all);
        let peak = peak_kib(&gateway);
        assert!(peak < MEMORY_KIB, "{peak} KiB");

        // Nothing is taken away and made again by the next process.
        gateway.kill();
        assert_eq!(routes(lab), all);
        let changes = gateway.path("changes");
        let _monitor = lab.spawn_command(NETNS, &["ip", "-4", "monitor", "route"], |command| {
            command.stdout(fs::File::create(&changes).unwrap());
        });
        gateway.spawn();
        let taken_up = wait_applied(&gateway, 2);
        assert_eq!(routes(lab), all);
        let seen = fs::read_to_string(&changes).unwrap();
        let first: Vec<&str> = seen.lines().take(3).collect();
        assert!(first.is_empty(), "{} changes: {first:?}", seen.lines().count());

        // One that is lost is made again, and no other is touched.
        let lost = network(NETWORKS + 234);
        let one = lab.ip(NETNS, &format!("-4 route show {lost}"));
        lab.ip(NETNS, &format!("-4 route delete {lost}"));
        wait_until("the route to be there again", WITHIN, || {
            let now = lab.ip(NETNS, &format!("-4 route show {lost}"));
            if now == one { Ok(()) } else { Err(now) }
        });
        let seen = fs::read_to_string(&changes).unwrap();
        assert_eq!(seen.lines().count(), 2, "{seen}");

        let begun = Instant::now();
        assert!(gateway.terminate().success());
        println!(
            "{all} routes: made in {made:?}, taken up in {taken_up:?}, removed in {:?}; {peak} KiB",
            begun.elapsed()
        );
    });
}

/// Addresses that stay, and those before them that go one by one: with each that goes
/// the others move up in the kernel's list, of which it gives some hundreds at a time.
const STAY: u32 = 3_000;
const GO: u32 = 100;

#[test]
fn a_list_that_changed_while_it_was_read_lacked_what_had_been_there_all_the_time() {
    lab::run(|lab| {
        let kernel = Kernel::new(Placement::PerTenant, KernelOptions::default()).unwrap();
        let tenant = TenantName::new("acme", "gw").unwrap();
        lab.block_on(async {
            let applied = kernel.apply(&tenant, vec![Step::CreateNetns]).await;
            assert!(applied.is_ok(), "{applied:?}");
        });
        lab.add("far");
        lab.veth((At::Netns(NETNS), "here"), (At::Netns("far"), "there"));
        let host = |number| Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + 4 * number);
        let batch = |lines: Vec<String>| {
            let path = format!("/run/batch-{}", lines.len());
            fs::write(&path, lines.join("\n") + "\n").unwrap();
            lab.ip(NETNS, &format!("-batch {path}"));
        };
        batch((0..GO + STAY).map(|n| format!("address add {}/30 dev here", host(n))).collect());
        let over = AtomicBool::new(false);
        let observed = std::thread::scope(|scope| {
            scope.spawn(|| {
                let _raised = Raised(&over);
                for number in 0..GO {
                    lab.ip(NETNS, &format!("address delete {}/30 dev here", host(number)));
                    // Else no look would find it at rest between two.
                    std::thread::sleep(Duration::from_millis(60));
                }
            });
            let mut observed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                match lab.block_on(kernel.observe(&tenant)) {
                    Ok(namespace) => observed.push(namespace.unwrap()),
                    // On a busy machine it may change in each attempt there is; that is said.
                    Err(error) => assert!(format!("{error:?}").contains("Unsteady"), "{error:?}"),
                }
            }
            observed
        });
        assert!(10 < observed.len(), "{} looks", observed.len());
        for (look, namespace) in observed.iter().enumerate() {
            let link = namespace.links.values().find(|link| !link.addresses.is_empty()).unwrap();
            let there = |number: &u32| {
                let address = format!("{}/30", host(*number)).parse().unwrap();
                link.addresses.contains(&address)
            };
            let lacking: Vec<u32> = (GO..GO + STAY).filter(|number| !there(number)).collect();
            assert!(lacking.is_empty(), "look {look} of {}: {lacking:?}", observed.len());
        }
    });
}

/// Of those that are asked for in one go the last alone is acknowledged; the kernel says
/// of each other whether it is refused.
#[test]
fn each_route_of_many_that_is_refused_is_named_and_the_others_are_made() {
    lab::run(|lab| {
        let kernel = Kernel::new(Placement::PerTenant, KernelOptions::default()).unwrap();
        let acme = TenantName::new("acme", "gw").unwrap();
        let apply = |steps| lab.block_on(kernel.apply(&acme, steps));
        assert!(apply(vec![Step::CreateNetns]).is_ok());
        for link in ["one", "two"] {
            lab.ip(NETNS, &format!("link add {link} type bridge"));
        }
        // The other is down, and no route can be made to it.
        lab.ip(NETNS, "link set one up");
        let key = |number| RouteKey::learned(network(number).parse::<Prefix>().unwrap());
        let step = |number: u32, link: &str| {
            let device = link.parse::<Device>().unwrap();
            let target = RouteTarget::Link { device, via: None, source: None };
            Step::ReplaceRoute(key(number), Route { target })
        };
        // The first and the last of one call (256) and of all, and some between.
        let refused = [0, 1, 255, 256, 300, 699];
        let link = |number| if refused.contains(&number) { "two" } else { "one" };
        let steps: Vec<Step> = (0..700).map(|number| step(number, link(number))).collect();
        let failed = apply(steps.clone()).failed;
        let named: Vec<&Step> = failed.iter().map(|(step, _)| step).collect();
        assert_eq!(named, refused.map(|number| &steps[number as usize]));
        for (_, error) in &failed {
            let cause = std::error::Error::source(error).unwrap().to_string();
            assert!(cause.starts_with("the kernel refused"), "{cause}");
        }
        let made = lab.ip(NETNS, "-4 route show proto 76 dev one").lines().count();
        assert_eq!(made, steps.len() - refused.len());
        // What is not there need not be removed, and is no failure among those that are.
        let removed = apply((0..700).map(|number| Step::RemoveRoute(key(number))).collect());
        assert!(removed.is_ok(), "{removed:?}");
        assert_eq!(lab.ip(NETNS, "-4 route show proto 76"), "");
    });
}
