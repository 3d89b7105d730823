//! The files of the status endpoint's certificate, key and tokens.

use crate::http::certificates::{Authority, Pair};
use lockgate::daemon::Clock;
use lockgate::daemon::credentials::{CredentialError, CredentialFiles, Exposure, Keeper, Kept};
use lockgate::http::{TlsError, token_line};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

struct Place {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), authority: Authority::new() };
        place.put(&place.authority.server(2090));
        place.write("tokens", &token_line("noc", &[], "test").unwrap());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        // As what renews certificates does it: another file in the old one's place.
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
        fs::rename(beside, path).unwrap();
    }

    fn put(&self, pair: &Pair) {
        self.write("cert.pem", &pair.certificate);
        self.write("key.pem", &pair.key);
    }

    fn files(&self) -> CredentialFiles {
        CredentialFiles {
            tls: Some((self.path("cert.pem"), self.path("key.pem"))),
            client_ca: None,
            tokens: Some(self.path("tokens")),
        }
    }
}

fn check_refused(files: &CredentialFiles, path: &Path, said: &str) {
    let error = files.read().unwrap_err();
    let text = format!("{:#}", anyhow::Error::new(error));
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains(said), "{text}");
}

#[test]
fn files_are_read_and_what_is_wrong_with_one_names_it() {
    let place = Place::new();
    let files = place.files();
    let read = files.read().unwrap();
    assert!(read.tls.is_some() && read.access.is_some() && !read.takes_certificates);

    for secret in ["key.pem", "tokens"] {
        let path = place.path(secret);
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            check_refused(&files, &path, "chmod 600");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(files.read().is_ok());
    }
    fs::set_permissions(place.path("cert.pem"), Permissions::from_mode(0o644)).unwrap();
    assert!(files.read().is_ok(), "a certificate is no secret");

    place.write("tokens", "noc everything sha256:00\n");
    check_refused(&files, &place.path("tokens"), "line 1");
    place.write("tokens", &"#".repeat((1 << 20) + 1));
    check_refused(&files, &place.path("tokens"), "at most 1 MiB");
    fs::remove_file(place.path("tokens")).unwrap();
    fs::create_dir(place.path("tokens")).unwrap();
    check_refused(&files, &place.path("tokens"), "is no file");
    fs::remove_dir(place.path("tokens")).unwrap();
    check_refused(&files, &place.path("tokens"), "cannot read");

    place.write("key.pem", &place.authority.server(2090).key);
    assert!(matches!(files.read(), Err(CredentialError::Tls(_, TlsError::Pair(_)))));
    check_refused(&files, &place.path("key.pem"), "do not belong together");
}

#[test]
fn who_listens_to_others_is_warned_or_refused() {
    let pair = Some((PathBuf::from("c"), PathBuf::from("k")));
    let tokens = Some(PathBuf::from("t"));
    let files = |tls: bool, asks: bool| CredentialFiles {
        tls: pair.clone().filter(|_| tls),
        client_ca: None,
        tokens: tokens.clone().filter(|_| asks),
    };
    let loopback = ["127.0.0.1:9586".parse().unwrap(), "[::1]:9586".parse().unwrap()];
    let every = "0.0.0.0:9586".parse().unwrap();
    let both = [loopback[0], every];
    for (tls, asks) in [(false, false), (false, true), (true, false), (true, true)] {
        assert_eq!(files(tls, asks).exposure(&loopback), None);
    }
    assert_eq!(files(false, false).exposure(&both), Some(Exposure::Everybody(every)));
    assert_eq!(files(true, false).exposure(&both), Some(Exposure::Everybody(every)));
    assert_eq!(files(false, true).exposure(&both), Some(Exposure::Plain(every)));
    assert_eq!(files(true, true).exposure(&both), None);
}

/// Waits until `what` holds of what is kept, for at most ten seconds.
async fn wait(kept: &mut Kept, what: impl Fn(&Kept) -> bool) {
    let mut left = 200;
    while !what(kept) {
        assert_ne!(left, 0, "{:?}", *kept.endpoint.borrow());
        left -= 1;
        drop(tokio::time::timeout(Duration::from_millis(50), kept.endpoint.changed()).await);
    }
}

fn expires(kept: &Kept) -> String {
    kept.endpoint.borrow().certificate_expires.map(|at| at.to_string()).unwrap_or_default()
}

fn problems(kept: &Kept) -> Vec<String> {
    kept.endpoint.borrow().problems.clone()
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_broken_one_leaves_the_one_before() {
    let place = Place::new();
    let (keeper, mut kept) = Keeper::start(place.files(), Clock::start()).unwrap();
    let running = tokio::spawn(keeper.run());
    assert_eq!((expires(&kept).as_str(), problems(&kept).len()), ("2090-01-02T00:00:00Z", 0));

    // The watch begins when the task does.
    tokio::time::sleep(Duration::from_millis(100)).await;
    place.put(&place.authority.server(2091));
    wait(&mut kept, |kept| expires(kept).starts_with("2091")).await;
    assert_eq!(problems(&kept), Vec::<String>::new(), "two files are one change");

    place.write("key.pem", &place.authority.server(2092).key);
    wait(&mut kept, |kept| !problems(kept).is_empty()).await;
    assert!(
        problems(&kept)[0].contains("what was in force stays in force"),
        "{:?}",
        problems(&kept)
    );
    assert!(expires(&kept).starts_with("2091"));
    assert!(kept.credentials.borrow().tls.is_some());

    // Tokens are taken all the same.
    place.write("tokens", "# broken\n");
    wait(&mut kept, |kept| problems(kept).len() == 2).await;
    assert!(kept.credentials.borrow().access.is_some(), "nobody is asked for anything");
    place.write("tokens", &token_line("noc", &[], "other").unwrap());
    wait(&mut kept, |kept| problems(kept).len() == 1).await;

    place.put(&place.authority.server(2020));
    wait(&mut kept, |kept| expires(kept).starts_with("2020")).await;
    assert!(problems(&kept)[0].contains("expired at 2020-01-02"), "{:?}", problems(&kept));
    place.put(&place.authority.server(2093));
    wait(&mut kept, |kept| expires(kept).starts_with("2093") && problems(kept).is_empty()).await;
    running.abort();
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_followed_as_kubernetes_renews() {
    let place = Place::new();
    let volume = place.path("volume");
    let fill = |version: &str, pair: &Pair| {
        let directory = volume.join(version);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [("tls.crt", &pair.certificate), ("tls.key", &pair.key)] {
            fs::write(directory.join(name), text).unwrap();
            fs::set_permissions(directory.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        std::os::unix::fs::symlink(version, volume.join("..tmp")).unwrap();
        fs::rename(volume.join("..tmp"), volume.join("..data")).unwrap();
    };
    fill("..1", &place.authority.server(2090));
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), volume.join(name)).unwrap();
    }
    let files = CredentialFiles {
        tls: Some((volume.join("tls.crt"), volume.join("tls.key"))),
        ..CredentialFiles::default()
    };
    let (keeper, mut kept) = Keeper::start(files, Clock::start()).unwrap();
    let running = tokio::spawn(keeper.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    fill("..2", &place.authority.server(2095));
    wait(&mut kept, |kept| expires(kept).starts_with("2095")).await;
    running.abort();
}

#[test]
fn what_cannot_be_used_at_the_start_is_an_error_and_expired_is_none() {
    let place = Place::new();
    place.put(&place.authority.server(2020));
    let (_, kept) = Keeper::start(place.files(), Clock::start()).unwrap();
    assert!(problems(&kept)[0].contains("expired"));
    fs::remove_file(place.path("key.pem")).unwrap();
    assert!(Keeper::start(place.files(), Clock::start()).is_err());
}
