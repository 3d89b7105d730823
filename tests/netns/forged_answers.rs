//! N2: somebody beside the kernel answers what we ask the kernel.
#![allow(clippy::disallowed_methods, reason = "a forger that leaves us some of the processor")]

use crate::lab::{self, Lab};
use crate::raised::Raised;
use crate::random_config::{site, tenant};
use lockgate::linux::{Kernel, KernelOptions};
use lockgate::model::{Config, Placement};
use lockgate::net::TenantName;
use lockgate::reconcile::{KernelState, desired, plan};
use netlink_sys::{Socket, SocketAddr, protocols};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const NETNS: &str = "lockgate.acme.gw";

/// The forger's own port, so that it does not take the one it writes to.
const FORGER: u32 = 0x7654_3210;

/// Times that the namespace is looked at meanwhile.
const LOOKS: usize = 300;

/// The end of a list, as the kernel would say it (`NLMSG_DONE`).
fn end_of_list(sequence: u32) -> Vec<u8> {
    let mut message = 20_u32.to_ne_bytes().to_vec();
    message.extend(3_u16.to_ne_bytes());
    message.extend(2_u16.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 8]);
    message
}

/// Ends each of the first lists of whoever asks here, over and over.
fn forge(forger: &Socket, stop: &AtomicBool, taken: &AtomicU64) {
    // The first socket of a process has its number (`netlink_autobind`).
    let victim = SocketAddr::new(std::process::id(), 0);
    while !stop.load(Ordering::Relaxed) {
        for sequence in 1..8 {
            // Refused while nobody asks.
            if forger.send_to(&end_of_list(sequence), &victim, 0).is_ok() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
        // A list takes some of these; more than we read would leave no room for it.
        std::thread::sleep(Duration::from_micros(50));
    }
}

#[test]
fn what_others_say_is_not_taken_for_the_kernels_answer() {
    lab::run(|lab| {
        let kernel = Kernel::new(Placement::PerTenant, KernelOptions::default()).unwrap();
        let name = TenantName::new("acme", "gw").unwrap();
        let mut config = Config::default();
        let mut acme = tenant("acme");
        acme.app_prefixes = vec!["10.136.40.0/24".parse().unwrap()];
        let hq = site("hq", &["10.255.0.0/31"], &["192.168.1.0/24"]);
        acme.sites.insert(hq.name.clone(), hq);
        config.tenants.insert(name.clone(), acme.into());
        let desired = desired(&config, Placement::PerTenant);
        let todo = |lab: &Lab| {
            let namespace = lab.block_on(kernel.observe(&name)).unwrap();
            let mut observed = KernelState::default();
            observed.tenants.extend(namespace.map(|namespace| (name.clone(), namespace)));
            let mut plan = plan(&desired, &observed, Placement::PerTenant);
            plan.tenants.remove(&name).unwrap_or_default()
        };
        let steps = todo(lab);
        let applied = lab.block_on(kernel.apply(&name, steps));
        assert!(applied.is_ok(), "{applied:?}");

        let forger = lab.within(NETNS, || {
            let mut socket = Socket::new(protocols::NETLINK_ROUTE).unwrap();
            socket.bind(&SocketAddr::new(FORGER, 0)).unwrap();
            socket
        });
        let (stop, taken) = (AtomicBool::new(false), AtomicU64::new(0));
        let wrong = std::thread::scope(|scope| {
            scope.spawn(|| forge(&forger, &stop, &taken));
            let _raised = Raised(&stop);
            (0..LOOKS).map(|_| todo(lab)).find(|steps| !steps.is_empty())
        });
        assert_eq!(wrong, None);
        let taken = taken.into_inner();
        assert!(LOOKS as u64 <= taken, "only {taken} forged answers came to a socket of ours");
    });
}
