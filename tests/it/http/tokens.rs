//! The file that says who may see what.

use super::live::Reader;
use super::server::Server;
use crate::sample::snapshot;
use lockgate::http::{Access, Credentials, Times, token_line};
use lockgate::model::limits;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// SHA-256 of `test`, by another program.
const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn flaw(text: &str) -> String {
    Access::parse(text).unwrap_err().to_string()
}

#[test]
fn a_file_is_read_with_what_people_put_into_files() {
    let text = format!(
        "# who sees what\n\n  noc\tall   sha256:{TEST}\r\n\
         acme acme/gw,acme/lab cn:Acme Portal\nprom all uri:spiffe://noc.example.net/prometheus\n"
    );
    assert!(Access::parse(&text).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_without_what_is_secret() {
    for (text, said) in [
        (String::new(), "line 1: there is no entry"),
        ("# nobody\n\n".to_owned(), "line 1: there is no entry"),
        ("noc all".to_owned(), "line 1: write a name, what it sees and what it shows"),
        (format!("\nn!c all sha256:{TEST}"), "line 2: a name has at most"),
        (format!("noc everything sha256:{TEST}"), "line 1: \"everything\" is no tenant"),
        (format!("noc acme/gw,, sha256:{TEST}"), "line 1: \"\" is no tenant"),
        (format!("noc Acme/gw sha256:{TEST}"), "line 1: \"Acme/gw\" is no tenant"),
        (format!("noc all sha256:{}", &TEST[1..]), "line 1: a SHA-256 has 64"),
        (format!("noc all sha256:+{}", &TEST[1..]), "line 1: a SHA-256 has 64"),
        ("noc all mysecrettoken".to_owned(), "line 1: write sha256:, uri:, dns: or cn:"),
        ("noc all md5:mysecrettoken".to_owned(), "line 1: write sha256:, uri:, dns: or cn:"),
        ("noc all cn:".to_owned(), "line 1: write sha256:, uri:, dns: or cn:"),
        (format!("a all sha256:{TEST}\nb b/gw sha256:{TEST}"), "line 2: line 1 has the same"),
    ] {
        let flaw = flaw(&text);
        assert!(flaw.starts_with(said), "{text:?}: {flaw}");
        assert!(!flaw.contains("mysecret"), "{flaw}");
    }
}

#[test]
fn there_are_only_so_many() {
    let lines = |count| (0..count).map(|n| format!("n{n} all cn:{n}\n")).collect::<String>();
    assert!(Access::parse(&lines(limits::HTTP_GRANTS)).is_ok());
    assert!(flaw(&lines(limits::HTTP_GRANTS + 1)).contains("more than 4096 entries"));
}

#[test]
fn a_line_that_is_made_is_one_that_is_taken() {
    let tenants = ["acme/gw".parse().unwrap(), "acme/lab".parse().unwrap()];
    assert_eq!(
        token_line("acme", &tenants, "test").unwrap(),
        format!("acme acme/gw,acme/lab sha256:{TEST}")
    );
    let line = token_line("noc", &[], "test").unwrap();
    assert_eq!(line, format!("noc all sha256:{TEST}"));
    assert!(Access::parse(&line).is_ok());
    for name in ["", "a b", "#a", "a\nb all cn:x", &"a".repeat(64)] {
        assert!(token_line(name, &[], "test").is_err(), "{name:?}");
    }
}

/// A server that knows the token `test`, which sees everything, `acme`, which sees acme,
/// and `beta`, which sees beta.
pub(super) fn server() -> Server {
    let [acme, beta] = ["acme", "beta"]
        .map(|name| token_line(name, &[format!("{name}/gw").parse().unwrap()], name).unwrap());
    let text = format!("{}\n{acme}\n{beta}\n", token_line("noc", &[], "test").unwrap());
    serving(Access::parse(&text).unwrap())
}

fn serving(access: Access) -> Server {
    changing(access).0
}

/// A server, and how it is told of others who may see something.
fn changing(access: Access) -> (Server, watch::Sender<Arc<Credentials>>) {
    let (say, credentials) = watch::channel(known(access));
    (Server::made(snapshot(), |views| views.with_credentials(credentials)), say)
}

fn known(access: Access) -> Arc<Credentials> {
    Arc::new(Credentials { access: Some(access), ..Credentials::default() })
}

fn ask(server: &Server, path: &str, fields: &str) -> super::server::Answer {
    server.send(format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"
    ))
}

#[test]
fn nothing_is_shown_to_who_shows_nothing() {
    let server = server();
    for path in [
        "/",
        "/?wall=1",
        "/tenants/acme/gw",
        "/tenants/acme/gw/sites/poznan",
        "/style.css",
        "/app.js",
        "/metrics",
        "/openapi.json",
        "/api/v1/status",
        "/api/v1/events",
        "/api/v1/tenants/acme/gw",
        "/api/v1/tenants/acme/gw/rib",
        "/api/v1/tenants/acme/gw/sites/poznan",
        "/nothing",
        "/livez/",
        "//livez",
        "/LIVEZ",
        "/livez/..%2f",
    ] {
        let answer = server.ask(path);
        assert_eq!(answer.status(), 401, "{path}");
        assert!(!answer.0.contains("acme") && !answer.0.contains("beta"), "{}", answer.0);
        let challenges: Vec<_> = answer
            .head()
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("www-authenticate:"))
            .collect();
        assert_eq!(challenges.len(), 2, "{challenges:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(server.ask_as("HEAD", path).status(), 401, "{path}");
    }
    assert_eq!(server.ask_as("POST", "/").status(), 405);
}

#[test]
fn who_keeps_the_process_asks_for_its_health_and_hears_of_no_tenant() {
    let server = server();
    assert_eq!((server.ask("/livez").status(), server.ask("/livez").body()), (200, "ok\n"));
    for path in ["/readyz", "/readyz?verbose"] {
        let answer = server.ask(path);
        assert_eq!((answer.status(), answer.body()), (200, "ok\n"), "{path}");
    }
    let mut none = snapshot();
    none.config.loaded_generation = 0;
    server.snapshots.send_replace(Arc::new(none));
    let answer = server.ask("/readyz?verbose");
    assert_eq!((answer.status(), answer.body()), (503, "failed\n"));
    let told = ask(&server, "/readyz?verbose", "Authorization: Bearer test\r\n");
    assert!(told.body().contains("[-]config-loaded failed"), "{}", told.body());
    let told = ask(&server, "/readyz?verbose", "Authorization: Bearer acme\r\n");
    assert_eq!(told.body(), "failed\n");
}

#[test]
fn a_token_is_taken_as_a_program_and_as_a_browser_shows_it() {
    let server = server();
    for (value, status) in [
        ("Bearer test", 200),
        ("bearer   test", 200),
        ("BEARER test", 200),
        // noc:test, :test and any:thing:else
        ("Basic bm9jOnRlc3Q=", 200),
        ("basic OnRlc3Q=", 200),
        ("Basic YW55OnRoaW5nOmVsc2U=", 401),
        ("Bearer tes", 401),
        ("Bearer testt", 401),
        ("Bearer TEST", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("test", 401),
        ("", 401),
        ("Basic test", 401),
        ("Basic dGVzdA==", 401),
        ("Basic //8=", 401),
        ("Digest username=\"noc\"", 401),
        // The checksum is no token.
        ("Bearer 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 401),
    ] {
        let answer = ask(&server, "/api/v1/status", &format!("Authorization: {value}\r\n"));
        assert_eq!(answer.status(), status, "{value}");
    }
    let twice = "Authorization: Bearer test\r\nAuthorization: Bearer test\r\n";
    assert_eq!(ask(&server, "/api/v1/status", twice).status(), 401);
    let in_the_query = server.ask("/api/v1/status?access_token=test");
    assert_eq!(in_the_query.status(), 401, "a token in an address ends up in logs");
}

#[test]
fn a_token_that_is_taken_back_is_taken_back_at_once() {
    let access = Access::parse(&token_line("noc", &[], "old").unwrap()).unwrap();
    let credentials = Credentials { access: Some(access), ..Credentials::default() };
    let (say, credentials) = watch::channel(Arc::new(credentials));
    let server = Server::made(snapshot(), |views| views.with_credentials(credentials));
    let old = "Authorization: Bearer old\r\n";
    assert_eq!(ask(&server, "/metrics", old).status(), 200);
    let access = Access::parse(&token_line("noc", &[], "new").unwrap()).unwrap();
    say.send_replace(Arc::new(Credentials { access: Some(access), ..Credentials::default() }));
    assert_eq!(ask(&server, "/metrics", old).status(), 401);
    assert_eq!(ask(&server, "/metrics", "Authorization: Bearer new\r\n").status(), 200);
}

#[test]
fn the_unix_socket_asks_for_no_token() {
    let server = server();
    let answer = server
        .send_unix("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["tenants"].as_array().unwrap().len(), 2);
}

#[test]
fn secrets_are_in_no_debug_text() {
    let access = Access::parse(&token_line("noc", &[], "canary").unwrap()).unwrap();
    let text = format!("{:?}", Credentials { access: Some(access), ..Credentials::default() });
    assert!(!text.contains("canary"), "{text}");
}

/// The file of tokens with these names in it; each name is the token, too.
fn tokens(names: &[&str]) -> Access {
    let lines = names.iter().map(|name| token_line(name, &[], name).unwrap() + "\n");
    Access::parse(&lines.collect::<String>()).unwrap()
}

/// It was told what happens for most of a minute more.
#[test]
fn who_lost_a_token_went_on_reading_what_happens() {
    let (server, say) = changing(tokens(&["noc", "old"]));
    let [mut noc, mut old] = ["noc", "old"].map(|token| {
        let token = format!("Authorization: Bearer {token}\r\n");
        Reader::open_as(&server, "", None, &token)
    });
    // What is read again and is the same ends nothing.
    say.send_replace(known(tokens(&["noc", "old"])));
    for _ in 0..2 {
        server.snapshots.send_replace(Arc::new(snapshot()));
        old.wait("snapshot");
        noc.wait("snapshot");
    }
    say.send_replace(known(tokens(&["noc"])));
    old.ended();
    // Who still may comes back.
    noc.ended();
    let again = |token| {
        let token = format!("Authorization: Bearer {token}\r\n");
        ask(&server, "/api/v1/status", &token).status()
    };
    assert_eq!((again("noc"), again("old")), (200, 401));
    Reader::open_as(&server, "", None, "Authorization: Bearer noc\r\n").wait("snapshot");
}

#[test]
fn a_connection_that_stands_is_let_go_when_others_may_see_something() {
    let (say, credentials) = watch::channel(known(tokens(&["noc", "old"])));
    // Nothing else ends one that is idle.
    let times = Times { head: Duration::from_secs(60), ..Times::default() };
    let server =
        Server::made(snapshot(), |views| views.with_credentials(credentials).with_times(times));
    let mut stays = server.connect();
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut answer = |say_again: bool| {
        if say_again {
            stays.write_all(request.as_bytes()).unwrap();
        }
        let mut piece = [0; 1_024];
        let count = stays.read(&mut piece).unwrap();
        String::from_utf8_lossy(&piece[..count]).into_owned()
    };
    assert!(answer(true).starts_with("HTTP/1.1 200"));
    say.send_replace(known(tokens(&["noc", "old"])));
    assert!(answer(true).starts_with("HTTP/1.1 200"), "read again is not changed");
    say.send_replace(known(tokens(&["noc"])));
    assert_eq!(answer(false), "");
}
