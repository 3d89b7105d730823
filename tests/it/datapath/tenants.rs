//! Several tenants on the threads: they come, change, are sampled and go, and none
//! harms another.

use super::packets::{tcp_like, udp};
use super::stage::{
    End, HERE, Inside, PATIENCE, THERE, attach, config, connect, end, key, one_thread, pair, tenant,
};
use lockgate::datapath::{Attach, Datapath, DatapathError, Event, Options, Tun};
use lockgate::net::Timestamp;
use lockgate::wireguard::DeviceConfig;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;

/// N11.
#[test]
fn a_lost_tun_is_told_and_harms_no_other_tenant() {
    let (here, there) = pair(one_thread(), one_thread());
    let (broken, tun) = Inside::new();
    attach(&here.datapath, &tenant("broken"), tun, config(3, &[]));
    drop(broken);
    match here.events.recv_timeout(PATIENCE).unwrap() {
        Event::TunLost { tenant: lost, .. } => assert_eq!(lost, tenant("broken")),
        event @ (Event::ThreadLost { .. } | Event::UdpGsoOff { .. }) => panic!("{event:?}"),
    }
    connect(&here, &there);
    assert!(here.datapath.sample(&tenant("broken")).unwrap().path.tun_lost);
    assert!(!here.datapath.sample(&here.tenant).unwrap().path.tun_lost);
    here.datapath.detach(&tenant("broken")).unwrap();
}

/// The flood never ends: of random bytes there are always more.
#[test]
fn a_flood_of_one_tenant_does_not_starve_another() {
    let (here, there) = pair(one_thread(), one_thread());
    // A thread that comes to no end would be waited for without one.
    let here = std::mem::ManuallyDrop::new(here);
    connect(&here, &there);
    let fd = OwnedFd::from(std::fs::File::open("/dev/random").unwrap());
    let flooded = tenant("flooded");
    attach(&here.datapath, &flooded, Tun { fd, tso: true, uso: true }, config(3, &[]));
    for mark in 0..50 {
        let packet = tcp_like(100, mark);
        here.inside.write([0; 10], &packet);
        assert_eq!(there.inside.read().1, packet);
    }
    let drops = here.datapath.sample(&flooded).unwrap().device.drops;
    let read: u64 = drops.values().sum();
    assert!(50 < read, "{drops:?}: that is no flood");
    drop(std::mem::ManuallyDrop::into_inner(here));
}

#[test]
fn a_port_in_use_is_named_and_detaching_frees_it() {
    let one = end(one_thread(), config(1, &[]));
    let (_inside, tun) = Inside::new();
    let wanted = DeviceConfig { listen_port: one.port, ..config(2, &[]) };
    let name = tenant("late");
    let attach_late = |tun| {
        one.datapath.attach(Attach {
            tenant: name.clone(),
            tun,
            config: wanted.clone(),
            last_initiation: Timestamp::default(),
        })
    };
    match attach_late(tun) {
        Err(DatapathError::Bind { port, .. }) => assert_eq!(port, one.port),
        result => panic!("{result:?}"),
    }
    one.datapath.detach(&one.tenant).unwrap();
    let (_inside, tun) = Inside::new();
    assert_eq!(attach_late(tun).unwrap(), one.port);
    assert!(matches!(
        one.datapath.sample(&one.tenant),
        Err(DatapathError::NotAttached(name)) if name == one.tenant
    ));
}

#[test]
fn a_tenant_is_attached_once() {
    let one = end(one_thread(), config(1, &[]));
    let (_inside, tun) = Inside::new();
    let again = Attach {
        tenant: one.tenant.clone(),
        tun,
        config: config(2, &[]),
        last_initiation: Timestamp::default(),
    };
    assert!(matches!(one.datapath.attach(again), Err(DatapathError::Attached(_))));
    assert_eq!(one.datapath.sample(&one.tenant).unwrap().path.port, one.port);
}

#[test]
fn a_new_port_is_listened_on_at_once() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let free = std::net::UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let moved = DeviceConfig { listen_port: free, ..config(2, &[(1, HERE, None)]) };
    assert_eq!(there.datapath.configure(&there.tenant, moved).unwrap(), free);
    // The session goes on: `here` learns the new port from the next packet.
    let answer = udp(THERE, HERE, b"from the new port");
    there.inside.write([0; 10], &answer);
    assert_eq!(here.inside.read().1, answer);
    connect(&here, &there);
}

#[test]
fn a_port_that_cannot_be_had_leaves_the_device_as_it_was() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let moved = DeviceConfig { listen_port: here.port, ..config(2, &[]) };
    let refused = there.datapath.configure(&there.tenant, moved);
    assert!(matches!(refused, Err(DatapathError::Bind { port, .. }) if port == here.port));
    connect(&here, &there);
}

#[test]
fn a_sample_says_what_passed_and_how() {
    let (here, there) = pair(one_thread(), Options { udp_gso: false, ..one_thread() });
    connect(&here, &there);
    let sample = here.datapath.sample(&here.tenant).unwrap();
    let peer = sample.device.peers[&key(2).public()];
    assert_eq!((peer.sent_packets, peer.handshakes), (Some(1), 1));
    assert_eq!(peer.endpoint, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, there.port))));
    assert_eq!(sample.path.port, here.port);
    assert!(sample.path.udp_gso && sample.path.tso);
    let sample = there.datapath.sample(&there.tenant).unwrap();
    assert_eq!(sample.device.peers[&key(1).public()].received_packets, Some(1));
    assert!(!sample.path.udp_gso);
}

#[test]
fn every_tenant_is_sampled_and_they_are_spread_over_the_threads() {
    let options = Options { threads: NonZeroUsize::new(3), ..Options::default() };
    let (datapath, _events) = Datapath::start(options).unwrap();
    let mut insides = Vec::new();
    for number in 0..100 {
        let (inside, tun) = Inside::new();
        insides.push(inside);
        attach(&datapath, &tenant(&format!("t{number}")), tun, config(1, &[]));
    }
    let samples = datapath.sample_all().unwrap();
    assert_eq!(samples.len(), 100);
    for thread in 0..3 {
        let count = samples.values().filter(|sample| sample.path.thread == thread).count();
        assert!((33..=34).contains(&count), "thread {thread} has {count}");
    }
}

#[test]
fn a_defect_in_one_thread_ended_the_packets_of_its_tenants_for_good() {
    let there = end(one_thread(), config(2, &[(1, HERE, None)]));
    let options = Options { threads: NonZeroUsize::new(2), ..Options::default() };
    let here = end(options, config(1, &[(2, THERE, Some(there.port))]));
    let bystander = tenant("bystander");
    let (_inside, tun) = Inside::new();
    attach(&here.datapath, &bystander, tun, config(3, &[]));
    connect(&here, &there);

    let thread = here.datapath.sample(&here.tenant).unwrap().path.thread;
    here.datapath.break_off(thread).unwrap();
    let lost = here.events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(lost, Event::ThreadLost { thread: lost } if lost == thread), "{lost:?}");
    assert!(matches!(here.datapath.sample(&here.tenant), Err(DatapathError::ThreadEnded(_))));
    here.datapath.sample(&bystander).unwrap();

    assert_eq!(here.datapath.restart(thread).unwrap(), std::slice::from_ref(&here.tenant));
    let (inside, tun) = Inside::new();
    attach(&here.datapath, &here.tenant, tun, config(1, &[(2, THERE, Some(there.port))]));
    let here = End { inside, ..here };
    assert_eq!(here.datapath.sample(&here.tenant).unwrap().path.thread, thread);
    connect(&here, &there);
}
