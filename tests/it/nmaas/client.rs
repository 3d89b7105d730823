//! The request to NMaaS: what is sent, whom it is sent to, and what each answer means.

use super::server::{Act, Nmaas, OK};
use lockgate::model::DomainId;
use lockgate::nmaas::{BaseUrl, Client, ClientError, Tls, TlsError, Token, TokenError, UrlError};
use std::time::Duration;

const TOKEN: &str = "eyJhbGciOiJIUzUxMiJ9.canary.signature";

fn tell(client: &Client, is_configured: bool) -> Result<(), ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = Token::new(TOKEN).unwrap();
    runtime.block_on(client.tell(DomainId::new(42).unwrap(), is_configured, &token))
}

fn client(nmaas: &Nmaas) -> Client {
    let base = BaseUrl::new(&nmaas.url(), "/api", false).unwrap();
    let tls = nmaas.ca_file.as_deref().map(|path| Tls::new(Some(path)).unwrap());
    Client::new(base, tls)
}

/// What is told the world of an error, its causes included.
fn chain(error: ClientError) -> String {
    format!("{:#} {:?}", anyhow::Error::new(error), "")
}

#[test]
fn the_request_is_the_one_that_nmaas_has() {
    for nmaas in [Nmaas::start(vec![OK]), Nmaas::start_tls(vec![OK])] {
        tell(&client(&nmaas), true).unwrap();
        tell(&client(&nmaas), false).unwrap();
        assert_eq!(
            nmaas.lines(),
            [
                "PATCH /api/domains/42/dcn?configured=true HTTP/1.1",
                "PATCH /api/domains/42/dcn?configured=false HTTP/1.1",
            ]
        );
        let head = nmaas.asked()[0].to_ascii_lowercase();
        let bearer = format!("\r\nauthorization: Bearer {TOKEN}\r\n").to_ascii_lowercase();
        assert!(head.contains(&bearer), "{head}");
        let (_, authority) =
            nmaas.url().split_once("//").map(|it| (it.0.to_owned(), it.1.to_owned())).unwrap();
        assert!(head.contains(&format!("\r\nhost: {authority}\r\n")), "{head}");
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    }
}

#[test]
fn each_answer_that_is_no_success_is_an_error_with_its_code_and_first_line() {
    for (answer, words, is_passing) in [
        (
            "401 Unauthorized\r\nContent-Length: 12\r\n\r\n\r\nexpired it\r\n",
            "401 Unauthorized: the token has expired or has not the role of an operator, saying: expired it",
            false,
        ),
        ("403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403 Forbidden: the token", false),
        ("404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found: it has no domain 42", false),
        (
            "302 Found\r\nLocation: https://evil.example.org/\r\nContent-Length: 0\r\n\r\n",
            "302 Found, to ask https://evil.example.org/",
            false,
        ),
        (
            "406 Not Acceptable\r\nContent-Length: 3\r\n\r\nno!",
            "406 Not Acceptable, saying: no!",
            false,
        ),
        (
            "500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
            "500 Internal Server Error",
            true,
        ),
        ("503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "503 Service Unavailable", true),
    ] {
        let text: &'static str = Box::leak(format!("HTTP/1.1 {answer}").into_boxed_str());
        let nmaas = Nmaas::start(vec![Act::Answer(text)]);
        let error = tell(&client(&nmaas), true).unwrap_err();
        assert_eq!(error.is_passing(), is_passing, "{error}");
        let said = chain(error);
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("canary"), "{said}");
        assert_eq!(nmaas.asked().len(), 1, "a redirect was followed, or it was asked again");
    }
}

#[test]
fn silence_and_hanging_up_are_passing_errors() {
    let nmaas = Nmaas::start(vec![Act::Hang]);
    let error = tell(&client(&nmaas), true).unwrap_err();
    assert!(matches!(error, ClientError::Exchange { .. }) && error.is_passing(), "{error:?}");
    let nmaas = Nmaas::start(vec![Act::Silence]);
    let hasty = client(&nmaas).with_timeout(Duration::from_millis(300));
    let error = tell(&hasty, true).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }) && error.is_passing(), "{error:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base = BaseUrl::new(&format!("http://{nobody}"), "/api", false).unwrap();
    let error = tell(&Client::new(base, None), true).unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }) && error.is_passing(), "{error:?}");
}

/// Whoever is not believed gets no token.
#[test]
fn a_certificate_of_another_authority_or_name_gets_no_token() {
    let nmaas = Nmaas::start_tls(vec![OK]);
    let other = Nmaas::start_tls(vec![OK]);
    let base = || BaseUrl::new(&nmaas.url(), "/api", false).unwrap();
    let others = Tls::new(other.ca_file.as_deref()).unwrap();
    let error = tell(&Client::new(base(), Some(others)), true).unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
    assert!(!error.is_passing());
    let url = format!("https://{}", nmaas.address);
    let by_address = BaseUrl::new(&url, "/api", false).unwrap();
    let own = Tls::new(nmaas.ca_file.as_deref()).unwrap();
    let error = tell(&Client::new(by_address, Some(own)), true).unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
    assert!(nmaas.asked().is_empty());
}

#[test]
fn a_file_without_an_authority_is_said_and_not_believed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca.pem");
    std::fs::write(&path, "nothing").unwrap();
    assert!(matches!(Tls::new(Some(&path)), Err(TlsError::Empty(_))));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    assert!(matches!(Tls::new(Some(&path)), Err(TlsError::Read { .. })));
    let none = Tls::new(Some(&home.path().join("none.pem"))).unwrap_err();
    assert!(none.to_string().contains("none.pem"), "{none}");
}

#[test]
fn a_url_is_taken_with_its_port_and_path() {
    let new = |url: &str, prefix: &str| BaseUrl::new(url, prefix, false);
    for (url, prefix, shown, port) in [
        ("https://nmaas.example.org", "/api", "https://nmaas.example.org/api", 443),
        ("https://nmaas.example.org/", "api/", "https://nmaas.example.org/api", 443),
        (
            "https://nmaas.example.org:8443/nmaas/",
            "/api",
            "https://nmaas.example.org:8443/nmaas/api",
            8443,
        ),
        ("https://nmaas.example.org", "/", "https://nmaas.example.org", 443),
        ("http://[::1]:9000", "/api", "http://[::1]:9000/api", 9000),
        ("http://localhost", "/api", "http://localhost/api", 80),
    ] {
        let base = new(url, prefix).unwrap();
        assert_eq!((base.to_string().as_str(), base.port()), (shown, port));
    }
    for (url, prefix, error) in [
        ("nmaas.example.org", "/api", UrlError::Scheme),
        ("ftp://nmaas.example.org", "/api", UrlError::Scheme),
        ("https://", "/api", UrlError::Malformed),
        ("https://a:99999", "/api", UrlError::Malformed),
        ("https://user:word@nmaas.example.org", "/api", UrlError::UserInfo),
        ("https://nmaas.example.org/?a=b", "/api", UrlError::Query),
        ("https://nmaas.example.org", "/api?x", UrlError::Path),
        ("http://nmaas.example.org", "/api", UrlError::PlainText),
        ("http://192.0.2.1", "/api", UrlError::PlainText),
    ] {
        assert_eq!(new(url, prefix), Err(error), "{url}");
    }
    assert!(BaseUrl::new("http://nmaas-platform:9000", "/api", true).is_ok());
}

#[test]
fn a_token_is_one_word_and_shown_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let token = Token::read(&path).unwrap();
    assert_eq!(format!("{token:?}"), "Token(redacted)");
    for wrong in ["", "  \n", "two words", "line\nbreak", "\u{7f}", &"x".repeat(9_000)] {
        std::fs::write(&path, wrong).unwrap();
        let error = Token::read(&path).unwrap_err();
        assert!(matches!(error, TokenError::Malformed(_)), "{wrong:?}: {error:?}");
    }
    assert!(matches!(Token::read(&home.path().join("none")), Err(TokenError::Read(..))));
}
