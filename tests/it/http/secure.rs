//! The endpoint by TLS (threats H10): which versions and names, a certificate that is
//! renewed or expired, clients' certificates, and how long a handshake may take.

use super::certificates::{Authority, Client, Pair, Secured, credentials};
use super::server::{Answer, Server, exchange};
use crate::sample::snapshot;
use lockgate::http::{Access, Authorities, Credentials, Times, Tls, TlsError};
use lockgate::model::limits;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const ASK: &str = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const KEEP: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

pub(super) fn serve(credentials: Credentials) -> (Server, watch::Sender<Arc<Credentials>>) {
    let (say, credentials) = watch::channel(Arc::new(credentials));
    (Server::made(snapshot(), |views| views.with_credentials(credentials)), say)
}

fn ask(server: &Server, client: &Client) -> std::io::Result<Answer> {
    Ok(exchange(client.shake(server.connect(), "localhost")?, ASK.as_bytes()))
}

#[test]
fn it_is_answered_by_tls_1_2_and_1_3_with_and_without_a_name() {
    let authority = Authority::new();
    let (server, _say) = serve(credentials(&authority.server(2090), None));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for name in ["localhost", "127.0.0.1"] {
            let stream =
                Client::new(&authority).only(version).shake(server.connect(), name).unwrap();
            assert_eq!(stream.conn.protocol_version(), Some(version.version));
            assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()), "not h2");
            let answer = exchange(stream, ASK.as_bytes());
            assert_eq!(
                (answer.status(), &answer.json()["schema"]),
                (200, &"lockgate.dev/status/v1".into())
            );
        }
    }
}

/// What comes back for raw bytes until the other end closes.
fn raw(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = server.connect();
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    answer
}

/// A ClientHello of at most `version` (RFC 5246 §7.4.1.2) with one cipher suite that
/// every TLS since 1.0 knew.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let mut message = vec![1, 0, 0, body.len() as u8];
    message.extend(body);
    let mut record = vec![22, 3, 1, 0, message.len() as u8];
    record.extend(message);
    record
}

#[test]
fn tls_1_1_and_older_and_what_is_no_tls_are_refused() {
    let authority = Authority::new();
    let (server, _say) = serve(credentials(&authority.server(2090), None));
    for version in [[3, 2], [3, 1], [3, 0]] {
        let answer = raw(&server, &hello(version));
        // An alert: fatal, protocol_version or handshake_failure (RFC 8446 §6.2).
        assert!(
            matches!(answer.as_slice(), [21, 3, _, 0, 2, 2, 70 | 40]),
            "{version:?}: {answer:?}"
        );
    }
    for bytes in [
        ASK.as_bytes(),
        b"\0".repeat(300).as_slice(),
        b"\x16\x03\x01\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(&server, bytes);
        assert!(!answer.starts_with(b"HTTP/"), "it was answered without TLS");
        assert!(answer.len() < 100, "{answer:?}");
    }
    assert_eq!(ask(&server, &Client::new(&authority)).unwrap().status(), 200);
}

#[test]
fn a_renewed_certificate_is_shown_to_who_comes_and_kept_for_who_is_there() {
    let authority = Authority::new();
    let (old, new) = (authority.server(2090), authority.server(2091));
    let (server, say) = serve(credentials(&old, None));
    let client = Client::new(&authority);
    let mut before = client.shake(server.connect(), "localhost").unwrap();
    let answered = |stream: &mut Secured| {
        stream.write_all(KEEP.as_bytes()).unwrap();
        let mut piece = [0; 1_024];
        let mut answer = String::new();
        while !answer.ends_with("ok\n") {
            let count = stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "it ended after {answer}");
            answer += &String::from_utf8_lossy(&piece[..count]);
        }
    };
    answered(&mut before);
    say.send_replace(Arc::new(credentials(&new, None)));
    answered(&mut before);
    let mut after = client.shake(server.connect(), "localhost").unwrap();
    answered(&mut after);
    answered(&mut before);
    let shown = |stream: &Secured| stream.conn.peer_certificates().unwrap()[0].to_vec();
    assert_ne!(shown(&before), shown(&after));
}

/// A connection is of whom the authorities vouched for when it began.
#[test]
fn a_connection_outlived_the_authority_that_vouched_for_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = authority.server(2090);
    let (say, taken) = watch::channel(Arc::new(credentials(&pair, Some(&authority))));
    let times = Times { head: Duration::from_secs(60), ..Times::default() };
    let server = Server::made(snapshot(), |views| views.with_credentials(taken).with_times(times));
    let socket = server.connect();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut stream = Client::new(&authority).shake(socket, "localhost").unwrap();
    stream.write_all(KEEP.as_bytes()).unwrap();
    let mut piece = [0; 1_024];
    assert_ne!(stream.read(&mut piece).unwrap(), 0);
    // As many authorities as before, and not the same.
    say.send_replace(Arc::new(credentials(&pair, Some(&other))));
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    let kind = ended.as_ref().err().map(std::io::Error::kind);
    assert!(matches!(kind, None | Some(ErrorKind::UnexpectedEof)), "{ended:?}");
}

#[test]
fn an_expired_certificate_is_shown_for_the_client_to_judge() {
    let authority = Authority::new();
    let pair = authority.server(2020);
    let made = credentials(&pair, None);
    assert_eq!(made.tls.as_ref().unwrap().expires().to_string(), "2020-01-02T00:00:00Z");
    let (server, _say) = serve(made);
    let refused = ask(&server, &Client::new(&authority)).unwrap_err().to_string();
    assert!(refused.contains("xpired"), "{refused}");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let authority = Authority::new();
    let (one, other) = (authority.server(2090), authority.server(2090));
    let made = |certificate: &str, key: &str| {
        Tls::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap_err()
    };
    assert!(matches!(made(&one.certificate, &other.key), TlsError::Pair(_)));
    assert!(matches!(made("", &one.key), TlsError::NoCertificate));
    assert!(matches!(made(&one.key, &one.key), TlsError::NoCertificate));
    assert!(matches!(made(&one.certificate, ""), TlsError::NoKey));
    assert!(matches!(made(&one.certificate, &one.certificate), TlsError::NoKey));
    let encrypted = one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert!(matches!(made(&one.certificate, &encrypted), TlsError::NoKey));
    let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(made(rubbish, &one.key), TlsError::Certificate(1)));
    let half = &one.certificate[..one.certificate.len() / 2];
    assert!(matches!(made(half, &one.key), TlsError::NoCertificate));
    assert!(matches!(Authorities::from_pem(rubbish.as_bytes()), Err(TlsError::Certificate(1))));
    assert!(matches!(Authorities::from_pem(b""), Err(TlsError::NoCertificate)));
}

#[test]
fn keys_are_in_no_debug_text() {
    let pair = Authority::new().server(2090);
    let text = format!("{:?}", credentials(&pair, None));
    let secret: String = pair.key.lines().nth(1).unwrap().chars().take(16).collect();
    assert!(!text.contains(&secret) && text.len() < 300, "{text}");
}

const URI: &str = "spiffe://noc.example.net/prometheus";

/// Who asks with `shown` for the status, and sees so many tenants; or the status code.
fn seen(server: &Server, authority: &Authority, shown: Option<&Pair>) -> Result<usize, u16> {
    let mut client = Client::new(authority);
    if let Some(pair) = shown {
        client = client.showing(pair);
    }
    // In TLS 1.3 a client hears after its handshake that its certificate is refused.
    let answer = ask(server, &client).map_err(|_| 0_u16)?;
    match answer.status() {
        200 => Ok(answer.json()["tenants"].as_array().unwrap().len()),
        status => Err(status),
    }
}

#[test]
fn a_clients_certificate_is_as_good_as_a_token() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, say) = serve(credentials(&authority.server(2090), Some(&clients)));
    let prometheus = clients.client("prometheus", Some(URI));
    let acme = clients.client("Acme Portal", None);
    assert_eq!(seen(&server, &authority, Some(&acme)), Ok(2), "all may see all");
    assert_eq!(seen(&server, &authority, None), Err(401));
    let stranger = Authority::new().client("prometheus", Some(URI));
    assert_eq!(seen(&server, &authority, Some(&stranger)), Err(0));

    let text = format!("prom all uri:{URI}\nacme acme/gw cn:Acme Portal\nlab none/gw dns:x\n");
    let access = Some(Access::parse(&text).unwrap());
    say.send_replace(Arc::new(Credentials {
        access,
        ..credentials(&authority.server(2090), Some(&clients))
    }));
    assert_eq!(seen(&server, &authority, Some(&prometheus)), Ok(2));
    assert_eq!(seen(&server, &authority, Some(&acme)), Ok(1));
    // A common name is not taken for a URI, nor the other way round.
    let posing = clients.client(URI, None);
    assert_eq!(seen(&server, &authority, Some(&posing)), Err(401));
    let posing = clients.client("someone", Some("Acme Portal"));
    assert_eq!(seen(&server, &authority, Some(&posing)), Err(401));
    assert_eq!(seen(&server, &authority, Some(&stranger)), Err(0));
    assert_eq!(seen(&server, &authority, None), Err(401));
}

#[test]
fn who_is_no_client_is_asked_for_none_and_its_health_is_open() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, _say) = serve(credentials(&authority.server(2090), Some(&clients)));
    let stream = Client::new(&authority).shake(server.connect(), "localhost").unwrap();
    let health = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(stream, health.as_bytes()).status(), 200);
}

#[test]
fn a_handshake_that_never_ends_is_cut_off_and_leaves_room() {
    let authority = Authority::new();
    let (_say, credentials) = watch::channel(Arc::new(credentials(&authority.server(2090), None)));
    let times = Times { head: Duration::from_millis(500), ..Times::default() };
    let server =
        Server::made(snapshot(), |views| views.with_credentials(credentials).with_times(times));
    let mut idle: Vec<_> = (0..limits::HTTP_CONNECTIONS).map(|_| server.connect()).collect();
    idle[0].write_all(&hello([3, 3])[..20]).unwrap();
    // They are cut off in the order they came, without a word.
    for stream in &mut idle {
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(!ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "one is kept");
        assert!(answer.is_empty(), "{answer:?}");
    }
    assert_eq!(ask(&server, &Client::new(&authority)).unwrap().status(), 200);
}
