//! `/api/v1/events`: what happens, as it happens.

use super::server::Server;
use crate::sample::{HOSTILE, NOW, snapshot};
use lockgate::model::limits;
use lockgate::net::Timestamp;
use lockgate::status::{Count, Event, EventReason, Snapshot};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// A reader of the stream.
pub(super) struct Reader {
    lines: BufReader<std::net::TcpStream>,
}

/// One message of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    event: String,
    id: Option<String>,
    data: String,
}

impl Reader {
    /// Opens the stream; `last` is the id of the message heard last.
    fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        Self::open_as(server, query, last, "")
    }

    /// The same, with more header fields.
    pub(super) fn open_as(server: &Server, query: &str, last: Option<&str>, more: &str) -> Self {
        let mut stream = server.connect();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{last}{more}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "it ended after {head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        Self { lines }
    }

    /// The next message. The chunks' own lines (RFC 9112 §7.1) have no colon.
    fn next(&mut self) -> Message {
        let mut message = Message::default();
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("event", event)) => message.event = event.to_owned(),
                Some(("id", id)) => message.id = Some(id.to_owned()),
                Some(("data", data)) => message.data = data.to_owned(),
                _ if line == "\n" && !message.event.is_empty() => return message,
                _ => {}
            }
        }
    }

    /// Reads on until the stream ends, which it does well before its time is over.
    pub(super) fn ended(mut self) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("0\r\n\r\n"), "it ends as a stream does: {rest}");
    }

    /// The next that is called `event`.
    pub(super) fn wait(&mut self, event: &str) -> Message {
        (0..100).map(|_| self.next()).find(|message| message.event == event).unwrap()
    }
}

fn happen(snapshot: &mut Snapshot, tenant: usize, message: &str) {
    let events = &mut snapshot.tenants[tenant].events;
    let id = events.last().map_or(0, |last| last.id.0 + 1);
    events.push(Event {
        id: Count(id),
        first: NOW,
        last: NOW,
        count: Count(1),
        site: Some("poznan".parse().unwrap()),
        reason: EventReason::SiteStateChanged,
        message: message.to_owned(),
    });
}

#[test]
fn a_reader_is_told_what_happens_and_not_what_happened_before() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "", None);
    assert_eq!(reader.next().event, "snapshot");
    let mut now = snapshot();
    happen(&mut now, 0, "Up → Down");
    server.snapshots.send_replace(Arc::new(now));
    let change = reader.wait("change");
    let said: serde_json::Value = serde_json::from_str(&change.data).unwrap();
    assert_eq!(
        (&said["tenant"], &said["site"], &said["message"], &said["reason"]),
        (&"acme/gw".into(), &"poznan".into(), &"Up → Down".into(), &"site_state_changed".into())
    );
}

#[test]
fn a_hostile_text_does_not_end_its_message_or_begin_another() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    let text = format!("{HOSTILE}\r\n\r\nid: 1\nevent: gap\rdata: forged\n\n\u{2028}");
    happen(&mut now, 0, &text);
    server.snapshots.send_replace(Arc::new(now));
    let change = reader.next();
    assert_eq!(change.event, "change", "{change:?}");
    let said: serde_json::Value = serde_json::from_str(&change.data).unwrap();
    assert_eq!(said["message"], text);
    assert_eq!(reader.next().event, "snapshot");
}

#[test]
fn the_same_thing_again_is_told_again() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    now.tenants[1].events.last_mut().unwrap().count = Count(2);
    server.snapshots.send_replace(Arc::new(now));
    let said: serde_json::Value = serde_json::from_str(&reader.wait("change").data).unwrap();
    assert_eq!((&said["tenant"], &said["count"]), (&"beta/gw".into(), &"2".into()));
}

#[test]
fn a_reader_of_one_tenant_hears_nothing_of_another() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "?tenant=beta/gw", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    happen(&mut now, 0, "of acme");
    happen(&mut now, 1, "of beta");
    server.snapshots.send_replace(Arc::new(now));
    assert!(reader.wait("change").data.contains("of beta"));
    assert_eq!(server.ask("/api/v1/events?tenant=nonsense").status(), 400);
}

#[test]
fn a_reader_that_comes_back_goes_on_where_it_was() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    happen(&mut now, 0, "first");
    server.snapshots.send_replace(Arc::new(now.clone()));
    let first = reader.wait("change").id.unwrap();
    drop(reader);
    happen(&mut now, 0, "second");
    server.snapshots.send_replace(Arc::new(now));
    let mut again = Reader::open(&server, "", Some(&first));
    let second = again.wait("change");
    assert!(second.data.contains("second"), "{second:?}");
    assert_ne!(second.id, Some(first));
}

#[test]
fn a_reader_that_missed_something_is_told_so() {
    let server = Server::start();
    let started = snapshot().started.seconds();
    for last in [
        "garbage".to_owned(),
        "1-1".to_owned(),
        String::new(),
        format!("{started}-18446744073709551615"),
        format!("{started}-77"),
        "\u{fffd}".repeat(100),
    ] {
        assert_eq!(Reader::open(&server, "", Some(&last)).next().event, "gap", "{last}");
    }
    // More than is kept.
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    happen(&mut now, 0, "known");
    server.snapshots.send_replace(Arc::new(now.clone()));
    let known = reader.wait("change").id.unwrap();
    for n in 0..2_000 {
        happen(&mut now, 0, &n.to_string());
    }
    server.snapshots.send_replace(Arc::new(now));
    reader.wait("gap");
    assert_eq!(Reader::open(&server, "", Some(&known)).next().event, "gap");
}

#[test]
fn what_a_history_lost_between_two_snapshots_is_a_gap() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    for n in 0..100 {
        happen(&mut now, 0, &n.to_string());
    }
    now.tenants[0].events.drain(..50);
    server.snapshots.send_replace(Arc::new(now.clone()));
    // Told of the gap, it goes on with what happens then.
    let told = std::iter::from_fn(|| Some(reader.next())).find(|it| it.event != "snapshot");
    assert_eq!(told.unwrap().event, "gap");
    happen(&mut now, 0, "after");
    server.snapshots.send_replace(Arc::new(now));
    assert!(reader.wait("change").data.contains("after"));
}

#[test]
fn a_tenant_that_came_again_was_not_told_of_until_it_had_as_many_events_as_before() {
    let server = Server::start();
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    now.tenants[0].events.clear();
    happen(&mut now, 0, "made anew");
    server.snapshots.send_replace(Arc::new(now));
    assert!(reader.wait("change").data.contains("made anew"));
}

#[test]
fn a_new_process_does_not_take_numbers_of_another_for_its_own() {
    let mut other = snapshot();
    other.started = Timestamp::new(other.started.seconds() - 1_000, 0);
    let server = Server::with(other.clone(), Duration::from_secs(60));
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    happen(&mut other, 0, "there");
    server.snapshots.send_replace(Arc::new(other));
    let id = reader.wait("change").id.unwrap();
    let server = Server::start();
    // It has as many of its own, so that only whose they are tells them apart.
    let mut reader = Reader::open(&server, "", None);
    reader.wait("snapshot");
    let mut now = snapshot();
    happen(&mut now, 0, "here");
    server.snapshots.send_replace(Arc::new(now));
    let own = reader.wait("change").id.unwrap();
    let number = |id: &str| id.split_once('-').unwrap().1.to_owned();
    assert_eq!(number(&own), number(&id));
    assert_eq!(Reader::open(&server, "", Some(&own)).next().event, "snapshot");
    assert_eq!(Reader::open(&server, "", Some(&id)).next().event, "gap");
}

/// A snapshot from before the loop came to a stand is no news: who is told of one takes
/// what it shows for what is.
#[test]
fn who_came_to_a_loop_that_stands_still_was_told_of_a_snapshot() {
    let server = Server::with(snapshot(), Duration::from_millis(50));
    let _ = std::sync::mpsc::sync_channel::<()>(0).1.recv_timeout(Duration::from_millis(300));
    assert_eq!(server.ask("/livez").status(), 503);
    let mut reader = Reader::open(&server, "", None);
    let mut line = String::new();
    while !line.starts_with("retry: ") {
        line.clear();
        assert_ne!(reader.lines.read_line(&mut line).unwrap(), 0, "the stream ended");
    }
    let mut now = snapshot();
    happen(&mut now, 0, "all the same");
    server.snapshots.send_replace(Arc::new(now));
    assert_eq!(reader.next().event, "change");
}

#[test]
fn readers_leave_room_for_others_and_make_room_once_they_are_gone() {
    let server = Server::start();
    let readers: Vec<_> =
        (0..limits::HTTP_LOOPBACK_STREAMS).map(|_| Reader::open(&server, "", None)).collect();
    let refused = server.ask("/api/v1/events");
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("10")));
    assert_eq!(server.ask("/api/v1/status").status(), 200);
    drop(readers);
    for _ in 0..300 {
        // A reader that is gone is found out when it is told something.
        server.snapshots.send_replace(Arc::new(snapshot()));
        let mut stream = server.connect();
        let request = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        if head == *b"HTTP/1.1 200" {
            return;
        }
        std::sync::mpsc::sync_channel::<()>(0).1.recv_timeout(Duration::from_millis(50)).ok();
    }
    panic!("no place became free");
}
