//! `lockgate token`: a token once, and a line that lets its bearer in.

use super::program::run;
use lockgate::http::Access;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_token_is_told_once_and_its_line_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    let file = path.to_str().unwrap();
    let mut tokens = Vec::new();
    for name in ["noc", "noc2"] {
        let ended = run(&["token", "new", name, "--add-to", file]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        let token = ended.stdout.trim().to_owned();
        assert!(token.starts_with("lockgate_") && token.len() == 52, "{token}");
        tokens.push(token);
    }
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(tokens.iter().all(|token| !text.contains(token.as_str())));
    assert!(Access::parse(&text).is_ok());
}

#[test]
fn a_line_goes_to_stderr_where_there_is_no_file() {
    let ended = run(&["token", "new", "acme", "--tenant", "acme/gw", "--tenant", "acme/lab"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 1));
    let line = ended.stderr.lines().last().unwrap();
    assert!(line.starts_with("acme acme/gw,acme/lab sha256:"), "{line}");
    assert!(Access::parse(line).is_ok());
}

#[test]
fn a_line_is_never_put_behind_another_or_into_what_others_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    std::fs::write(&path, "# without an end").unwrap();
    let file = path.to_str().unwrap();
    let refused = run(&["token", "new", "noc", "--add-to", file]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
    assert!(refused.stderr.contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run(&["token", "new", "noc", "--add-to", file]).code, 0);
    assert!(Access::parse(&std::fs::read_to_string(&path).unwrap()).is_ok());
}

#[test]
fn what_is_no_name_or_tenant_is_refused_before_a_token_is_told() {
    for arguments in [
        ["token", "new", "a b"].as_slice(),
        &["token", "new", "#noc"],
        &["token", "new", "noc", "--tenant", "acme"],
        &["token", "new", "noc", "--tenant", "all"],
    ] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}
