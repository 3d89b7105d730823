//! `lockgate keys rotate` and `retire`: what they refuse, what they say, and what they
//! leave in the state directory. No gateway runs here, or one that only shows a snapshot.

use super::program::{Ended, ask, run};
use crate::http::server::Server;
use crate::sample::{ago, snapshot};
use lockgate::daemon::keys;
use lockgate::net::{PrivateKey, PublicKey, SiteName, TenantName};
use lockgate::status::{Backend, KeyRole, KeySnapshot, SiteSnapshot, Snapshot};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What the tenant's files in the state directory are called.
const KEY: &str = "acme.gw.key";
const NEXT: &str = "acme.gw.next.key";
const RETIRED: &str = "acme.gw.retired.key";

fn tenant() -> TenantName {
    "acme/gw".parse().unwrap()
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

/// A directory with a gateway's state, which has one key, and nobody who answers.
struct Kept(TempDir);

impl Kept {
    fn new() -> Self {
        let kept = Self(TempDir::new().unwrap());
        fs::create_dir(kept.0.path().join("keys")).unwrap();
        keys::load_or_create(kept.0.path(), &tenant(), [1; 32]).unwrap();
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("keys").join(name)
    }

    fn keys(&self, words: &[&str]) -> Ended {
        let directory = self.0.path().to_str().unwrap();
        let before = ["--state-dir", directory, "--runtime-dir", directory, "keys"];
        let ended = run(&[&before, words].concat());
        for text in self.files().values() {
            let secret = text.trim();
            let said = [ended.stdout.as_str(), &ended.stderr].concat();
            assert!(secret.is_empty() || !said.contains(secret), "a secret was shown: {said}");
        }
        ended
    }

    /// What the files hold.
    fn files(&self) -> BTreeMap<String, String> {
        let files = fs::read_dir(self.0.path().join("keys")).unwrap();
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
    }

    fn public(&self, name: &str) -> PublicKey {
        keys::load(&self.path(name)).unwrap().unwrap().public()
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_gateways_key_is_changed_in_two_strokes_while_no_gateway_runs() {
    let kept = Kept::new();
    let ended = kept.keys(&["retire", "acme/gw"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "acme/gw has no next key: there is nothing to retire.\n")
    );
    let ended = kept.keys(&["rotate", "acme/gw"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let (old, new) = (key(1).public(), kept.public(NEXT));
    let mode = fs::metadata(kept.path(NEXT)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let said = |made: &str| {
        format!(
            "The next key of acme/gw {made}: {}
  now   {old}
  next  {new}
No gateway that runs here serves this tenant; both are good when one does.

Each customer changes over in its own time: it replaces the gateway's public key by the
next one, and nothing else (`lockgate customer-config SITE` prints it from now on).
Then `lockgate keys retire acme/gw`, which names the sites that have not, if there are any.
",
            kept.path(NEXT).display()
        )
    };
    assert_eq!(ended.stdout, said("is made"));
    // The same again: a customer may have it by now.
    let both = kept.files();
    let ended = kept.keys(&["rotate", "acme/gw"]);
    assert_eq!((ended.code, ended.stdout), (0, said("was made before")));
    assert_eq!(kept.files(), both);

    let ended = kept.keys(&["retire", "acme/gw"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    assert!(ended.stdout.contains("is not retired, for it is still needed"), "{}", ended.stdout);
    assert!(ended.stdout.contains("nobody knows which sites use it"), "{}", ended.stdout);
    assert_eq!(kept.files(), both, "nothing has changed");
    let ended = kept.keys(&["retire", "acme/gw", "--force"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(
        ended.stdout,
        format!(
            "The old key of acme/gw is retired:
  was  {old}
  now  {new}
It is kept as {}, for nobody's use: delete it when you are sure.
",
            kept.path(RETIRED).display()
        )
    );
    assert_eq!((kept.public(KEY), kept.public(RETIRED)), (new, old));
    assert_eq!(kept.files().len(), 2);
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_made() {
    let kept = Kept::new();
    let before = kept.files();
    let public = key(9).public().to_string();
    for (words, why) in [
        (&["rotate"][..], "<TENANT>"),
        (&["retire"], "<TENANT>"),
        (&["rotate", "acme"], "acme"),
        (&["rotate", "acme/gw/hq"], "acme/gw/hq"),
        (&["rotate", "Acme/gw"], "Acme/gw"),
        (&["rotate", "../gw"], "../gw"),
        (&["retire", "acme/"], "acme/"),
        (&["retire", "acme/gw", "--site", "../hq"], "../hq"),
        (&["rotate", "acme/gw", "--public-key", &public], "--site"),
        (&["rotate", "acme/gw", "--site", "hq", "--public-key", "short"], "--public-key"),
        (&["rotate", "acme/gw", "--force"], "--force"),
        // Nobody has ever served these.
        (&["rotate", "bolt/gw"], "tenant bolt/gw has no key in "),
        (&["rotate", "acme/other"], "the gateway makes one when it first serves the tenant"),
    ] {
        let ended = kept.keys(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{words:?}");
        assert!(ended.stderr.contains(why), "{words:?}: {}", ended.stderr);
        assert_eq!(kept.files(), before, "{words:?}");
    }
    let ended = kept.keys(&["retire", "bolt/gw"]);
    assert_eq!((ended.code, kept.files()), (0, before), "there is nothing to retire");
}

/// What cannot be used stays as it is, and is named with what to do.
#[test]
fn a_key_file_that_cannot_be_used_is_left_alone() {
    let whole = format!("{}\n", *key(2).to_base64());
    for (name, text, mode, verbs, why) in [
        (KEY, whole.as_str(), 0o644, &["rotate"][..], "may be read by others; `chmod 600` it"),
        (KEY, "half of", 0o600, &["rotate"], "holds no private key; restore it from a backup"),
        (NEXT, &whole, 0o640, &["rotate", "retire"], "may be read by others; `chmod 600` it"),
        (NEXT, "half of", 0o600, &["rotate", "retire"], "holds no private key"),
        (NEXT, "", 0o600, &["rotate", "retire"], "holds no private key"),
    ] {
        for verb in verbs {
            let kept = Kept::new();
            kept.write(name, text, mode);
            let before = kept.files();
            let force = if *verb == "retire" { &["--force"][..] } else { &[] };
            let ended = kept.keys(&[&[*verb, "acme/gw"], force].concat());
            assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{verb} with {name} {text:?}");
            let file = kept.path(name).display().to_string();
            assert!(
                ended.stderr.contains(&file) && ended.stderr.contains(why),
                "{verb}: {}",
                ended.stderr
            );
            assert_eq!(kept.files(), before, "{verb} with {name} {text:?}");
        }
    }
}

/// The place for the old key is taken by something that is no file.
#[test]
fn an_old_key_that_cannot_be_kept_is_not_given_up() {
    let kept = Kept::new();
    kept.keys(&["rotate", "acme/gw"]);
    fs::create_dir(kept.path(RETIRED)).unwrap();
    let before = kept.files();
    let ended = kept.keys(&["retire", "acme/gw", "--force"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    let said = format!("cannot keep the old key as {}", kept.path(RETIRED).display());
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing has changed"), "{}", ended.stderr);
    let public = |name: &str| kept.public(name);
    assert_eq!(public(KEY), key(1).public());
    assert_eq!(kept.files().get(NEXT), before.get(NEXT));
    // Once there is room it goes on where it stopped.
    fs::remove_dir(kept.path(RETIRED)).unwrap();
    let next = public(NEXT);
    assert_eq!(kept.keys(&["retire", "acme/gw", "--force"]).code, 0);
    assert_eq!((public(KEY), public(RETIRED)), (next, key(1).public()));
    let mut names: Vec<_> = kept.files().into_keys().collect();
    names.sort();
    assert_eq!(names, [KEY, RETIRED]);
}

#[test]
fn the_help_says_what_a_change_of_keys_does() {
    for (verb, said) in [
        ("rotate", &["both are good from then on", "--site <NAME>", "--public-key <KEY>"][..]),
        ("retire", &["the old one is good no more", "--site <NAME>", "--force", "Exit 1"]),
    ] {
        let ended = run(&["keys", verb, "--help"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        for said in said {
            assert!(ended.stdout.contains(said), "{verb}: {}", ended.stdout);
        }
    }
}

#[test]
fn a_customers_key_is_asked_of_the_gateway_that_serves_it() {
    let kept = Kept::new();
    for verb in ["rotate", "retire"] {
        let ended = kept.keys(&[verb, "acme/gw", "--site", "hq"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
        assert!(ended.stderr.contains("is `lockgate run` running"), "{}", ended.stderr);
    }
}

/// A gateway that shows a snapshot, `change`d.
fn showing(change: impl FnOnce(&mut Snapshot)) -> Server {
    let mut snapshot = snapshot();
    change(&mut snapshot);
    Server::with(snapshot, Duration::from_secs(5))
}

fn site<'a>(snapshot: &'a mut Snapshot, name: &str) -> &'a mut SiteSnapshot {
    let name: SiteName = name.parse().unwrap();
    let sites = &mut snapshot.tenants[0].sites;
    sites.iter_mut().find(|site| site.name == name).unwrap()
}

/// The site has a next key, of which this is so.
fn with_next(site: &mut SiteSnapshot, next: PublicKey, is_used: bool) {
    let key = KeySnapshot { role: KeyRole::CustomerNext, public_key: next, since: ago(9), is_used };
    site.keys.push(key);
    if is_used {
        site.public_key = Some(next);
    }
}

#[test]
fn what_to_write_into_a_sites_document_is_printed() {
    let (current, next) = ("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", key(9).public());
    let text = next.to_string();
    let rotate = ["keys", "rotate", "acme/gw", "--site", "poznan", "--public-key", &text];
    let retire = ["keys", "retire", "acme/gw", "--site", "poznan"];
    let server = showing(|_| {});
    let ended = ask(&server.socket, &rotate);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let lines = format!("  wireGuard:\n    publicKey: {current}\n    nextPublicKey: {next}\n");
    assert!(ended.stdout.contains(&lines), "{}", ended.stdout);
    assert!(!ended.stdout.contains("kernel"), "{}", ended.stdout);
    let ended = ask(&server.socket, &rotate[..5]);
    assert!(ended.stdout.contains("nextPublicKey: <the customer's next public key>"));
    let ended = ask(&server.socket, &retire);
    assert_eq!(ended.code, 0);
    assert!(ended.stdout.contains("nothing to retire"), "{}", ended.stdout);
    for (words, why) in [
        (["rotate", "acme/gw", "nowhere"], "tenant acme/gw has no site nowhere"),
        (["rotate", "acme/other", "poznan"], "serves no tenant acme/other"),
        (["retire", "acme/gw", "nowhere"], "tenant acme/gw has no site nowhere"),
    ] {
        let [verb, tenant, site] = words;
        let ended = ask(&server.socket, &["keys", verb, tenant, "--site", site]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{words:?}");
        assert!(ended.stderr.contains(why), "{words:?}: {}", ended.stderr);
    }
    let own = [&rotate[..6], &[current]].concat();
    let ended = ask(&server.socket, &own);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("is the key that site poznan has"), "{}", ended.stderr);

    // Where the kernel carries the tunnels, what that costs.
    let server = showing(|snapshot| snapshot.tenants[0].backend = Backend::Kernel);
    let ended = ask(&server.socket, &rotate);
    assert!(ended.stdout.contains("up to a\nsecond"), "{}", ended.stdout);
    assert!(ended.stdout.contains("at its second attempt"), "{}", ended.stdout);
}

#[test]
fn a_sites_old_key_is_retired_once_it_is_not_in_use() {
    let (next, text) = (key(9).public(), key(9).public().to_string());
    let retire = ["keys", "retire", "acme/gw", "--site", "poznan"];
    for (is_used, force, code, said) in [
        (false, false, 1, "Site poznan still uses its old key, last handshake 12 s ago"),
        (false, true, 0, "and write\n    publicKey: "),
        (true, false, 0, "and write\n    publicKey: "),
    ] {
        let server = showing(|snapshot| with_next(site(snapshot, "poznan"), next, is_used));
        let force = if force { &["--force"][..] } else { &[] };
        let ended = ask(&server.socket, &[&retire, force].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""), "{}", ended.stdout);
        assert!(ended.stdout.contains(said), "{}", ended.stdout);
        assert_eq!(ended.stdout.contains(&text), code == 0, "{}", ended.stdout);
        // Another change does not begin meanwhile.
        let other = key(8).public().to_string();
        let words = ["keys", "rotate", "acme/gw", "--site", "poznan", "--public-key", &other];
        let ended = ask(&server.socket, &words);
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains("end that first"), "{}", ended.stderr);
        let ended = ask(&server.socket, &words[..5]);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("changes over already"), "{}", ended.stdout);
    }
}

/// The kernel's WireGuard has one private key: where the documents insist on it none is
/// made, and where the choice is ours the tunnels are carried by the other meanwhile.
#[test]
fn a_next_key_that_would_not_be_used_is_not_made() {
    let kept = Kept::new();
    let server = showing(|snapshot| {
        let tenant = &mut snapshot.tenants[0];
        tenant.backend = Backend::Kernel;
        tenant.backend_reason = "asked for".to_owned();
        (tenant.public_key, tenant.next_public_key) = (Some(key(1).public()), None);
    });
    let state = kept.0.path().to_str().unwrap();
    let ended = ask(&server.socket, &["--state-dir", state, "keys", "rotate", "acme/gw"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("set `backend: Auto` or `Userspace`"), "{}", ended.stderr);
    assert!(!kept.path(NEXT).exists());

    // It is not the gateway's own that is served.
    let server = showing(|snapshot| snapshot.tenants[0].next_public_key = None);
    let ended = ask(&server.socket, &["--state-dir", state, "keys", "rotate", "acme/gw"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("nextPrivateKeySecretRef"), "{}", ended.stderr);
    assert!(!kept.path(NEXT).exists());
}

/// Sites that have not changed over are named, each with what is known of it.
#[test]
fn who_would_be_cut_off_is_named() {
    let kept = Kept::new();
    kept.keys(&["rotate", "acme/gw"]);
    let before = kept.files();
    let next = kept.public(NEXT);
    let server = showing(|snapshot| {
        snapshot.tenants[0].next_public_key = Some(next);
        for name in ["gdansk", "lodz"] {
            site(snapshot, name).gateway_public_key = Some(next);
        }
        site(snapshot, "poznan").gateway_public_key = Some(key(1).public());
    });
    let state = kept.0.path().to_str().unwrap();
    let ended = ask(&server.socket, &["--state-dir", state, "keys", "retire", "acme/gw"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    for line in [
        "  site poznan uses the old key, last handshake 12 s ago\n",
        "  site krakow may have the old key, last handshake 4 d 8 h ago\n",
        "  site wroclaw may have the old key, no handshake since the gateway started\n",
    ] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("site gdansk") && !ended.stdout.contains("site lodz"));
    assert_eq!(kept.files(), before);
}
