//! `lockgate gather`: everything that helps, and no secret.

use super::program::{ask, run};
use crate::http::server::Server;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The files of an archive.
fn unpack(path: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name, text)
    });
    entries.collect()
}

const CANARY: &str = "Q0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZQ0E=";
const PASSWORD: &str = "correct-horse";

#[test]
fn what_is_gathered_has_no_secret_wherever_it_stood() {
    let server = Server::start();
    let home = tempfile::tempdir().unwrap();
    let documents = home.path().join("documents");
    let secret = documents.join("secrets/acme/hq-psk");
    let keys = home.path().join("state/keys/acme");
    fs::create_dir_all(&secret).unwrap();
    fs::create_dir_all(&keys).unwrap();
    fs::write(secret.join("psk"), format!("{CANARY}\n")).unwrap();
    fs::write(keys.join("gw"), format!("{PASSWORD}\n")).unwrap();
    let document = format!(
        "# somebody's note: {CANARY}\nspec:\n  presharedKey: hand-written\n  publicKey: public-one\n  \
         flow: {{psk: hand-written, port: 51820, \"privateKey\":\"hand-written\", last: 1}}\n  \
         presharedKeySecretRef: {{name: hq-psk, key: psk}}\n"
    );
    fs::write(documents.join("acme.yaml"), document).unwrap();
    let log = home.path().join("log");
    fs::write(
        &log,
        format!(
            "said {PASSWORD} aloud\nPrivateKey = hand-written\n\
         level=info pre_shared_key=hand-written peer=1\npassword: \'hand-written too\'\npassword: hand-written, hand-written\n"
        ),
    )
    .unwrap();
    let out = home.path().join("bundle.tar");
    let state = home.path().join("state");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (out_text, documents, log, state) =
        (text(&out), text(&documents), text(&log), text(&state));
    let arguments =
        ["--state-dir", &state, "gather", "--out", &out_text, "-f", &documents, "--log", &log];
    let ended = ask(&server.socket, &arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("2 tenants"), "{}", ended.stdout);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);

    let files = unpack(&out);
    for (name, text) in &files {
        for secret in [CANARY, PASSWORD, "hand-written"] {
            assert!(!text.contains(secret), "{name} holds a secret: {text}");
        }
    }
    let document = &files["lockgate/documents/acme.yaml.txt"];
    assert!(document.contains("publicKey: public-one"), "{document}");
    assert!(document.contains("presharedKeySecretRef: {name: hq-psk, key: psk}"), "{document}");
    let flow =
        "flow: {psk: [secret left out], port: 51820, \"privateKey\":[secret left out], last: 1}";
    assert!(document.contains(flow), "{document}");
    let log = &files["lockgate/logs/0.txt"];
    assert!(log.contains("level=info pre_shared_key=[secret left out] peer=1\n"), "{log}");
    assert!(files["lockgate/status.json.txt"].contains("\"acme/gw\""));
    assert!(files["lockgate/metrics.txt"].contains("lockgate_site_up"));
    assert!(files["lockgate/machine/uname.txt"].contains("Linux"));
    assert!(files.contains_key("lockgate/tenants/acme/gw/ruleset.txt"));
    assert!(!files.keys().any(|name| name.contains("secrets")));

    let again = ask(&server.socket, &arguments);
    assert_eq!(again.code, 2, "what was there is not written over");
}

#[test]
fn without_a_gateway_the_machine_is_gathered_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("bundle.tar");
    let directory = home.path().to_str().unwrap();
    let ended = run(&["--runtime-dir", directory, "gather", "--out", out.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let files = unpack(&out);
    assert!(files["lockgate/no-gateway.txt"].contains("cannot reach the gateway"));
    assert!(files.contains_key("lockgate/machine/links.txt"));
}
