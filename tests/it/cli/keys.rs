//! `lockgate keys`: keys that fit, in files nobody else can read.

use super::program::{command, run, run_with};
use lockgate::net::{PresharedKey, PrivateKey, PublicKey};
use std::os::unix::fs::PermissionsExt;

/// A key of RFC 7748 §6.1 (Alice's) and its public key.
const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

#[test]
fn new_keys_are_keys_and_never_the_same() {
    let (one, two) = (run(&["keys", "new"]), run(&["keys", "new"]));
    assert!(one.stdout.trim().parse::<PrivateKey>().is_ok());
    assert_ne!(one.stdout, two.stdout);
    assert_eq!((one.code, one.stderr.as_str()), (0, ""));
    let (one, two) = (run(&["keys", "psk"]), run(&["keys", "psk"]));
    assert!(one.stdout.trim().parse::<PresharedKey>().is_ok());
    assert_ne!(one.stdout, two.stdout);
}

#[test]
fn the_public_key_belongs_to_the_private_one() {
    for input in [PRIVATE.to_owned(), format!("{PRIVATE}\n"), format!("  {PRIVATE}\r\n\n")] {
        let ended = run_with(&["keys", "public"], &input);
        assert_eq!((ended.code, ended.stdout), (0, format!("{PUBLIC}\n")));
    }
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    for input in ["", "secretsecret", &PRIVATE[1..], &PRIVATE.repeat(1_000), "\u{0}\u{1b}"] {
        let ended = run_with(&["keys", "public"], input);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
        let shown: String = input.chars().take(8).collect();
        assert!(shown.is_empty() || !ended.stderr.contains(&shown), "{}", ended.stderr);
    }
    let ended = {
        use std::io::Write;
        let mut child = command(&["keys", "public"])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&[0xff; 44]).unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(ended.status.code(), Some(2));
}

#[test]
fn a_key_file_is_its_owners_alone_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    for verb in ["new", "psk"] {
        let path = directory.path().join(verb);
        let arguments = ["keys", verb, "--out", path.to_str().unwrap()];
        // Whatever the umask: even one that takes nothing.
        let script = format!("umask 0; exec \"$0\" keys {verb} --out {}", path.display());
        let output = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_lockgate")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(&path).unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(!stdout.contains(secret.trim()), "the secret went to stdout too");
        if verb == "new" {
            let key: PrivateKey = secret.trim().parse().unwrap();
            assert_eq!(stdout.trim().parse::<PublicKey>().unwrap(), key.public());
        }
        let again = run(&arguments);
        assert_eq!(again.code, 2);
        assert!(again.stderr.contains("never overwritten"), "{}", again.stderr);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), secret);
    }
}

#[test]
fn a_secret_into_a_file_others_can_read_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let file = std::fs::File::create(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = command(&["keys", "new"]).stdout(file).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("others can read"));
}

#[test]
fn a_secret_whose_directory_was_not_there_could_not_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("secrets/acme/hq-psk");
    let file = made.join("psk");
    let ended = run(&["keys", "psk", "--out", file.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!((mode(&made) & 0o777, mode(&file) & 0o777), (0o700, 0o600));
}
