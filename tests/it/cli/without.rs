//! Verbs that need no gateway.

use super::program::{command, run};
use std::process::Stdio;

#[test]
fn completions_name_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        for verb in ["status", "show", "keys", "customer-config", "demo"] {
            assert!(ended.stdout.contains(verb), "{shell} does not know {verb}");
        }
    }
}

#[test]
fn help_and_version_are_good() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("Exit codes"));
    let version = run(&["--version"]);
    assert_eq!(version.stdout, format!("lockgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
