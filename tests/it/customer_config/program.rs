//! `lockgate customer-config` as it is typed.

use super::scene::{GATEWAY, PSK, SITES};
use crate::cli::program::{Ended, run, run_with};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A customer's key pair.
const PRIVATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHl8=";

/// The documents with a secret beside them, and a directory to write to.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SITES);
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(directory.path().join("sites.yaml"), text).unwrap();
        let secret = directory.path().join("secrets/pionier/gdansk-psk");
        std::fs::create_dir_all(&secret).unwrap();
        std::fs::write(secret.join("psk"), PSK).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, site: &str, words: &[&str]) -> Ended {
        run(&self.words(site, words).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn words(&self, site: &str, words: &[&str]) -> Vec<String> {
        let (file, secrets) = (self.path("sites.yaml"), self.path("secrets"));
        let mut all = ["customer-config", site, "-f", &file, "--secrets", &secrets].to_vec();
        all.extend(["--gateway-key", GATEWAY]);
        all.extend(words);
        all.into_iter().map(str::to_owned).collect()
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }
}

#[test]
fn several_files_are_printed_with_their_names_and_written_with_their_modes() {
    let home = Home::new();
    let printed = home.run("gdansk", &["--format", "networkd", "--with-psk"]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(printed.stdout.starts_with("# ---- lockgate.netdev ----\n# WireGuard for site gdansk"));
    assert!(printed.stdout.contains("\n\n# ---- lockgate.network ----\n# What is on that link."));

    let out = home.path("out");
    let words = ["--format", "networkd", "--with-psk", "--out", &out];
    let written = home.run("gdansk", &words);
    assert_eq!(written.code, 0, "{}", written.stderr);
    assert_eq!(written.stdout, format!("{out}/lockgate.netdev\n{out}/lockgate.network\n"));
    assert_eq!(home.mode("out/lockgate.netdev"), 0o600);
    assert_eq!(home.mode("out/lockgate.network"), 0o644);
    let netdev = std::fs::read_to_string(home.path("out/lockgate.netdev")).unwrap();
    assert!(netdev.contains(&format!("PresharedKey={PSK}\n")));

    let again = home.run("gdansk", &words);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("never overwritten"), "{}", again.stderr);
}

#[test]
fn a_vlan_site_needs_no_key_and_says_its_formats() {
    let home = Home::new();
    let wrong = home.run("sopot", &[]);
    assert_eq!(wrong.code, 2);
    assert_eq!(
        wrong.stderr,
        "lockgate: cannot write site sopot as wg-quick: wg-quick is for a WireGuard site; the \
         formats for this one are iosxe, junos, eos\n"
    );
    let file = home.path("sites.yaml");
    let words = ["customer-config", "sopot", "-f", &file, "--format", "eos"];
    let printed = run(&[&words[..], &["--interface", "Ethernet7"]].concat());
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(printed.stdout.contains("\ninterface Ethernet7.30\n"), "{}", printed.stdout);
}

#[test]
fn every_format_is_in_the_help_and_nmcli_is_one() {
    let help = run(&["customer-config", "--help"]).stdout;
    for dialect in lockgate::customer::Dialect::ALL {
        assert!(help.contains(dialect.name()), "{dialect} is not in\n{help}");
        assert!(help.contains(dialect.summary()), "{dialect} is not in\n{help}");
    }
    let printed = Home::new().run("poznan", &["--format", "nmcli"]);
    assert!(printed.stdout.contains("\ntype=wireguard\n"), "{}", printed.stderr);
}

#[test]
fn a_picture_is_written_as_its_name_says() {
    let home = Home::new();
    for (name, begins) in [("code.png", &b"\x89PNG\r\n"[..]), ("code.svg", b"<svg ")] {
        let path = home.path(name);
        let ended = home.run("gdansk", &["--format", "qr", "--with-psk", "--out", &path]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.starts_with(&format!("{path}\n# WireGuard for site gdansk")));
        assert!(std::fs::read(&path).unwrap().starts_with(begins));
        assert_eq!(home.mode(name), 0o600);
    }
    let ended = home.run("gdansk", &["--format", "qr", "--out", &home.path("code.jpg")]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.ends_with("ends neither in .png nor in .svg\n"), "{}", ended.stderr);
    let shown = home.run("gdansk", &["--format", "qr", "--color", "never"]);
    assert!(shown.stdout.contains('█') && !shown.stdout.contains('\x1b'));
    let shown = home.run("gdansk", &["--format", "qr", "--color", "always"]);
    assert!(shown.stdout.contains("\x1b[40;97m"));
}

#[test]
fn a_private_key_is_taken_only_if_it_is_the_sites() {
    let home = Home::new();
    let text = std::fs::read_to_string(home.path("sites.yaml")).unwrap();
    let public = run_with(&["keys", "public"], PRIVATE).stdout;
    let changed = text.replace("maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=", public.trim());
    std::fs::write(home.path("sites.yaml"), changed).unwrap();
    std::fs::write(home.path("key"), format!("{PRIVATE}\n")).unwrap();
    let key = home.path("key");
    for dialect in
        ["wg-quick", "networkd", "nmcli", "routeros", "vyos", "openwrt", "opnsense", "pfsense"]
    {
        let filled = home.run("poznan", &["--format", dialect, "--private-key", &key]);
        assert_eq!(filled.code, 0, "{}", filled.stderr);
        assert!(filled.stdout.contains(PRIVATE), "{dialect}: {}", filled.stdout);
        assert!(!filled.stdout.contains("<your private key>"), "{dialect}: {}", filled.stdout);
    }
    let words = home.words("poznan", &["--private-key", "-"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert!(run_with(&words, PRIVATE).stdout.contains(&format!("\nPrivateKey = {PRIVATE}\n")));

    let other = home.run("gdansk", &["--private-key", &key]);
    assert_eq!(other.code, 2);
    assert!(!other.stderr.contains(PRIVATE));
    assert!(other.stderr.contains(&format!("belongs to {}; the site's is KUq", public.trim())));
    let vlan = home.run("sopot", &["--format", "eos", "--private-key", &key]);
    assert_eq!(vlan.stderr, "lockgate: site sopot is on a VLAN, which has no private key\n");
}

#[test]
fn who_asks_for_no_site_is_told_which_there_are_and_without_a_key_where_it_would_come_from() {
    let home = Home::new();
    let nobody = home.run("warszawa", &[]);
    assert_eq!(nobody.code, 2);
    let there =
        "have no site \"warszawa\" without errors (see `lockgate check`); there are such as";
    assert!(nobody.stderr.contains(there), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("pionier/gdansk"), "{}", nobody.stderr);

    let (file, state, socket) = (home.path("sites.yaml"), home.path("state"), home.path("run"));
    let secrets = home.path("secrets");
    let words = ["customer-config", "gdansk", "-f", &file, "--secrets", &secrets];
    let words = [&words[..], &["--state-dir", &state, "--runtime-dir", &socket]].concat();
    let unknown = run(&words);
    assert_eq!(unknown.code, 3, "{}", unknown.stderr);
    let why = format!("none is kept in {state}, and no gateway answers that would have made one");
    assert!(unknown.stderr.contains(&why), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("is `lockgate run` running"), "{}", unknown.stderr);
}
