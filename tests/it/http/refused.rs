//! The whole table of requests nobody means well with (threats H1, H11), over plain TCP
//! and over TLS: each is refused at once, and the next one answered.

use super::certificates::{Authority, Client, credentials};
use super::secure::serve;
use super::server::{Answer, Server, exchange};

const HOST: &str = "Host: localhost\r\nConnection: close\r\n";

/// What is sent, by name.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let get = |rest: &str| format!("GET / HTTP/1.1\r\n{HOST}{rest}").into_bytes();
    let line = |line: &str| format!("{line}\r\n{HOST}\r\n").into_bytes();
    let bomb = {
        let mut request = get("Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n");
        request.extend(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".iter().chain([0; 99_990].iter()));
        request
    };
    vec![
        ("a header of a mebibyte", get(&format!("X: {}\r\n\r\n", "a".repeat(1 << 20)))),
        ("a field name of a mebibyte", get(&format!("{}: x\r\n\r\n", "a".repeat(1 << 20)))),
        ("100,000 parameters", line(&format!("GET /?{} HTTP/1.1", "a=b&".repeat(100_000)))),
        ("a hundred fields", get(&format!("{}\r\n", "X: y\r\n".repeat(100)))),
        ("a line folded", get("X: a\r\n b\r\n\r\n")),
        ("a blank before the colon", get("X : a\r\n\r\n")),
        ("a control character", get("X: \u{1}\r\n\r\n")),
        ("NUL in a field", get("X: \0\r\n\r\n")),
        ("NUL in the path", line("GET /\0 HTTP/1.1")),
        ("a lone CR in a field", get("X: a\rY: b\r\n\r\n")),
        ("no host", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec()),
        ("two hosts", get("Host: localhost\r\n\r\n")),
        ("two lengths", get("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello")),
        ("the same length twice", get("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")),
        ("a negative length", get("Content-Length: -1\r\n\r\n")),
        ("a length with a sign", get("Content-Length: +5\r\n\r\nhello")),
        ("a length beyond all", get("Content-Length: 99999999999999999999\r\n\r\n")),
        (
            "length and chunks",
            get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("chunks", get("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")),
        (
            "a chunk beyond all",
            get("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n"),
        ),
        ("a coding hidden", get("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("a gzip bomb", bomb),
        ("a whole address", line("GET http://localhost/ HTTP/1.1")),
        ("another's address", line("GET http://evil.example/ HTTP/1.1")),
        ("an asterisk", line("GET * HTTP/1.1")),
        ("a path that climbs", line("GET //..%2f HTTP/1.1")),
        ("a path that climbs far", line("GET /../../../../etc/passwd HTTP/1.1")),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec()),
        ("HTTP/2 beforehand", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/3.7", line("GET / HTTP/3.7")),
        ("CONNECT", line("CONNECT localhost:80 HTTP/1.1")),
        ("TRACE", line("TRACE / HTTP/1.1")),
        ("no method", line("BREW /pot HTTP/1.1")),
        ("OPTIONS", line("OPTIONS * HTTP/1.1")),
        ("blanks", line("GET  /  HTTP/1.1")),
        ("noise", (0..=255).cycle().take(4_000).collect()),
        ("nothing but ends of lines", b"\r\n".repeat(20_000)),
    ]
}

fn check(request: &str, answer: &Answer) {
    assert!(matches!(answer.status(), 0 | 400..=499), "{request}: {:?}", answer.head());
    assert!(!answer.0.contains("acme/gw"), "{request}: it told about a tenant");
    assert!(answer.0.matches("HTTP/1.1 ").count() <= 1, "{request}: {}", answer.0);
}

#[test]
fn each_is_refused_over_plain_tcp() {
    let server = Server::start();
    for (name, request) in requests() {
        check(name, &server.send(request));
        assert_eq!(server.ask("/livez").status(), 200, "after {name}");
    }
}

#[test]
fn each_is_refused_over_tls() {
    let authority = Authority::new();
    let (server, _say) = serve(credentials(&authority.server(2090), None));
    let client = Client::new(&authority);
    let send =
        |request: &[u8]| exchange(client.shake(server.connect(), "localhost").unwrap(), request);
    for (name, request) in requests() {
        check(name, &send(&request));
    }
    let health = format!("GET /livez HTTP/1.1\r\n{HOST}\r\n");
    assert_eq!(send(health.as_bytes()).status(), 200);
}

#[test]
fn bare_line_feeds_make_no_second_request_of_a_field() {
    // RFC 9112 §2.2 lets a recipient take a lone LF for the end of a line. What must not
    // be is that two of us take it differently: whatever is after it is a field here.
    let server = Server::start();
    let answer = server.send("GET /livez HTTP/1.1\nHost: localhost\nConnection: close\n\n");
    assert_eq!(answer.status(), 200);
    let hidden = "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\nHost: evil.example\r\n\r\n";
    assert_eq!(server.send(hidden).status(), 400, "two hosts are two hosts");
}
