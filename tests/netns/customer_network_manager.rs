//! NetworkManager's own reader takes the printed keyfile, and every line of it.

use crate::customer_stage::Printed;
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab};
use crate::wireguard_stage::{SITE, documents, key, psk, site_document, tenant_document};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// `nmcli` and its library, unpacked and not installed: the package wants an upgrade of
/// systemd and udev with it. Says so when it is not there.
#[allow(clippy::print_stdout, reason = "a skip is said")]
fn unpacked() -> Option<PathBuf> {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers").into();
    let peers: PathBuf = std::env::var_os("LOCKGATE_PEERS").map_or_else(default, Into::into);
    let found = peers.join("network-manager/usr");
    if found.join("bin/nmcli").exists() {
        return Some(found);
    }
    println!("skipped: NetworkManager is not unpacked ({})", found.display());
    None
}

/// The keys of a keyfile with their sections and values.
fn lines(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut lines = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with('[') {
            section = line.to_owned();
        } else {
            lines.insert(format!("{section} {line}"));
        }
    }
    lines
}

/// What `nmcli --offline` writes again of a keyfile: what it understood. `None` when it
/// refused it.
fn understood(lab: &Lab, usr: &Path, keyfile: &str) -> Option<String> {
    let program = usr.join("bin/nmcli");
    let words = [program.to_str().unwrap(), "--offline", "connection", "modify"];
    let words = [&words[..], &["connection.stable-id", "asked"]].concat();
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    std::fs::write(&input, keyfile).unwrap();
    let mut process = lab.spawn_command(At::Underlay, &words, |command| {
        let multiarch = std::fs::read_dir(usr.join("lib")).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            path.join("libnm.so.0").exists().then_some(path)
        });
        command.env("LD_LIBRARY_PATH", multiarch.unwrap());
        command.stdin(Stdio::from(std::fs::File::open(&input).unwrap()));
        command.stdout(Stdio::from(std::fs::File::create(&output).unwrap()));
    });
    let status = process.child().wait().unwrap();
    status.success().then(|| std::fs::read_to_string(&output).unwrap())
}

fn keyfile(lab: &Lab, documents: &str, words: &[&str]) -> String {
    let gateway = Gateway::new(lab, At::Underlay);
    gateway.secret("acme", "hq-psk", "psk", psk(3).to_base64().as_str());
    gateway.write("documents.yaml", documents);
    let gateway_key = key(9).public().to_string();
    let words = [&["--format", "networkmanager", "--gateway-key", &gateway_key], words].concat();
    let printed = Printed::of(lab, &gateway, &words);
    let own = key(CUSTOMER).to_base64();
    let mut files = std::fs::read_dir(printed.directory()).unwrap();
    let name = files.next().unwrap().unwrap().file_name().into_string().unwrap();
    printed.fill(&name, "<your private key>", own.as_str());
    printed.text(&name)
}

#[test]
fn network_manager_understands_every_line_of_the_keyfile() {
    lab::run(|lab| {
        let Some(usr) = unpacked() else { return };
        let customer = key(CUSTOMER).public();
        let dialled = "presharedKeySecretRef: {name: hq-psk, key: psk}, \
                       endpoint: {host: 198.51.100.2, port: 51900}";
        let v6 = "tunnelAddresses: ['fd00:255:30::/127']";
        let v6 = site_document(SITE, customer, &["2001:db8:aa::/64"], v6, "");
        let v6 = tenant_document("") + &v6;
        for (documents, words) in [
            (documents(customer, "", ""), &[][..]),
            (documents(customer, dialled, ""), &["--with-psk", "--host", "2001:db8:f::1"]),
            (v6, &["--interface", "wg9"]),
        ] {
            let mut written = keyfile(lab, &documents, words);
            // The one thing that only the customer knows beside its key.
            written = written.replace("<an address of this machine>", "192.168.1.1");
            let again = understood(lab, &usr, &written);
            let again = again.unwrap_or_else(|| panic!("refused:\n{written}"));
            let lost: Vec<_> = lines(&written).difference(&lines(&again)).cloned().collect();
            assert!(lost.is_empty(), "not understood: {lost:?}\n{again}");
        }
        // What it does not know is lost on the way, and so would be seen above.
        let wrong = keyfile(lab, &documents(customer, "", ""), &[]);
        let wrong = wrong.replace("persistent-keepalive", "persistent-keep-alive");
        let again = understood(lab, &usr, &wrong).unwrap();
        assert!(!lines(&wrong).is_subset(&lines(&again)));
        let refused = wrong.replace("10.255.30.1/31", "nowhere");
        assert_eq!(understood(lab, &usr, &refused), None);
    });
}
