//! Readers that do not read, and too many of them (threats H1, H5): they are let go in
//! time, nothing is kept for them, and others are answered meanwhile.

use super::server::Server;
use crate::sample::{NOW, snapshot};
use lockgate::http::Times;
use lockgate::model::limits;
use lockgate::status::{Count, Event, EventReason};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

fn pause(milliseconds: u64) {
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
    let _ = never.recv_timeout(Duration::from_millis(milliseconds));
}

/// A connection whose receiver takes as little as the kernel allows.
fn narrow(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1_024).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sixteen megabytes of events: more than all buffers between two ends hold.
fn flood(server: &Server) {
    happen(server, 16_000);
}

/// A thousand events of so many bytes each.
fn happen(server: &Server, bytes: usize) {
    let mut now = snapshot();
    let events = &mut now.tenants[0].events;
    let next = events.last().map_or(0, |last| last.id.0 + 1);
    events.extend((next..next + 1_000).map(|id| Event {
        id: Count(id),
        first: NOW,
        last: NOW,
        count: Count(1),
        site: None,
        reason: EventReason::SiteStateChanged,
        message: "x".repeat(bytes),
    }));
    server.snapshots.send_replace(Arc::new(now));
}

#[test]
fn a_reader_that_stays_and_does_not_read_is_let_go_and_nothing_kept_for_it() {
    let times = Times {
        message: Duration::from_millis(300),
        connection: Duration::from_secs(3),
        ..Times::default()
    };
    let server = Server::made(snapshot(), |views| views.with_times(times));
    let mut slow = narrow(&server);
    slow.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 15];
    slow.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    flood(&server);
    // While it does not read, others are answered.
    for _ in 0..8 {
        pause(500);
        assert_eq!(server.ask("/livez").status(), 200);
    }
    let mut rest = Vec::new();
    let ended = slow.read_to_end(&mut rest);
    assert!(rest.len() < 12_000_000, "{} bytes were kept for it", rest.len());
    // Cut off: an end without the last chunk, or a reset.
    assert!(ended.is_err() || !rest.ends_with(b"0\r\n\r\n"));
}

/// Their connections last as long as any, and their places are others' before that.
#[test]
fn readers_that_do_not_read_held_the_places_of_those_who_do() {
    let times = Times { message: Duration::from_millis(300), ..Times::default() };
    let server = Server::made(snapshot(), |views| views.with_times(times));
    let subscribe = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let begin = |stream: &mut TcpStream| {
        let mut head = [0; 12];
        stream.write_all(subscribe).unwrap();
        stream.read_exact(&mut head).unwrap();
        head
    };
    let mut readers: Vec<TcpStream> =
        (0..limits::HTTP_LOOPBACK_STREAMS).map(|_| narrow(&server)).collect();
    for reader in &mut readers {
        assert_eq!(&begin(reader), b"HTTP/1.1 200");
    }
    assert_eq!(&begin(&mut server.connect()), b"HTTP/1.1 503");
    happen(&server, 1_500);
    let mut tries = (0..40).map(|_| {
        pause(200);
        server.snapshots.send_replace(Arc::new(snapshot()));
        begin(&mut server.connect())
    });
    assert!(tries.any(|head| &head == b"HTTP/1.1 200"), "nobody made room");
}

#[test]
fn a_stream_and_a_connection_end_when_their_time_is_over() {
    let times = Times { stream: Duration::from_millis(300), ..Times::default() };
    let server = Server::made(snapshot(), |views| views.with_times(times));
    let mut reader = server.connect();
    reader
        .write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut all = String::new();
    reader.read_to_string(&mut all).unwrap();
    assert!(all.ends_with("0\r\n\r\n"), "it ends as a stream does: {all}");

    let times = Times { connection: Duration::from_millis(300), ..Times::default() };
    let server = Server::made(snapshot(), |views| views.with_times(times));
    let mut idle = server.connect();
    // Below the five seconds that a head may take.
    idle.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_page_that_nobody_reads_does_not_hold_its_place() {
    let times = Times { connection: Duration::from_secs(1), ..Times::default() };
    let mut large = snapshot();
    large.tenants[0].sites[0].message = "x".repeat(16_000_000);
    let server = Server::made(large, |views| views.with_times(times));
    let mut slow = narrow(&server);
    slow.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    pause(2_000);
    let mut rest = Vec::new();
    drop(slow.read_to_end(&mut rest));
    assert!(rest.len() < 12_000_000, "{} bytes were sent to nobody", rest.len());
}

#[test]
fn of_a_thousand_subscribers_some_are_served_and_all_others_told_or_dropped() {
    let server = Server::start();
    let mut streams: Vec<TcpStream> = (0..1_000)
        .map(|_| {
            let mut stream = server.connect();
            drop(stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            stream
        })
        .collect();
    let (mut served, mut told, mut dropped) = (0, 0, 0);
    for stream in &mut streams {
        let mut head = [0; 12];
        match stream.read_exact(&mut head) {
            Ok(()) if &head == b"HTTP/1.1 200" => served += 1,
            Ok(()) if &head == b"HTTP/1.1 503" => told += 1,
            Ok(()) => panic!("{}", String::from_utf8_lossy(&head)),
            Err(_) => dropped += 1,
        }
    }
    assert_eq!(served, limits::HTTP_LOOPBACK_STREAMS);
    assert!(told <= limits::HTTP_CONNECTIONS - limits::HTTP_LOOPBACK_STREAMS, "{told}");
    assert_eq!(served + told + dropped, 1_000);
    drop(streams);
    let mut tries = (0..200).map(|_| {
        pause(20);
        server.ask("/api/v1/status").status()
    });
    assert!(tries.any(|status| status == 200), "it does not come back");
}

#[test]
fn a_crowd_from_the_network_left_no_room_for_who_is_on_the_machine() {
    let server = Server::start();
    let idle: Vec<_> = (0..limits::HTTP_CONNECTIONS + 10).map(|_| server.connect()).collect();
    // Well before the first of them has to go.
    let answer = server
        .send_unix("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status(), 200);
    drop(idle);
}
