//! NetworkManager takes the printed keyfile: its own reader every line of it, and the
//! daemon makes the tunnel of it.
//!
//! Where the kernel has no WireGuard the daemon reads the file, and fails in the kernel.

use crate::customer_stage::{Printed, kernel_has_wireguard, served};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, Process, wait_until};
use crate::wireguard_stage::{
    FAMILIES, SITE, TENANT, V4, documents, key, psk, site_document, tenant_document,
};
use lockgate::status::SiteState;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// NetworkManager with its library, unpacked and not installed: the package wants an
/// upgrade of systemd and udev with it. Says so when it is not there.
#[allow(clippy::print_stdout, reason = "a skip is said")]
fn unpacked() -> Option<PathBuf> {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/network-manager").into();
    let found: PathBuf =
        std::env::var_os("LOCKGATE_NETWORK_MANAGER").map_or_else(default, Into::into);
    let found = found.join("usr");
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
    fs::write(&input, keyfile).unwrap();
    let mut process = lab.spawn_command(At::Underlay, &words, |command| {
        let multiarch = fs::read_dir(usr.join("lib")).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            path.join("libnm.so.0").exists().then_some(path)
        });
        command.env("LD_LIBRARY_PATH", multiarch.unwrap());
        command.stdin(Stdio::from(fs::File::open(&input).unwrap()));
        command.stdout(Stdio::from(fs::File::create(&output).unwrap()));
    });
    let status = process.child().wait().unwrap();
    status.success().then(|| fs::read_to_string(&output).unwrap())
}

/// The keyfile that is printed for these documents, without a running gateway.
fn keyfile(lab: &Lab, documents: &str, words: &[&str]) -> String {
    let gateway = Gateway::new(lab, At::Underlay);
    gateway.secret("acme", "hq-psk", "psk", psk(3).to_base64().as_str());
    gateway.write("documents.yaml", documents);
    let gateway_key = key(9).public().to_string();
    let words = [&["--gateway-key", &gateway_key], words].concat();
    printed(lab, &gateway, &words).1
}

/// The keyfile with its name, and the customer's key in it.
fn printed(lab: &Lab, gateway: &Gateway<'_>, words: &[&str]) -> (String, String) {
    let printed = Printed::of(lab, gateway, &[&["--format", "networkmanager"], words].concat());
    let own = key(CUSTOMER).to_base64();
    let mut files = fs::read_dir(printed.directory()).unwrap();
    let name = files.next().unwrap().unwrap().file_name().into_string().unwrap();
    printed.fill(&name, "<your private key>", own.as_str());
    let text = printed.text(&name);
    (name, text)
}

/// A message bus on which everybody may own every name: no other daemon is on it.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=/run/NetworkManager/bus</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
  </policy>
</busconfig>
"#;

/// It is to touch that one link, and nothing of the machine.
const SETTINGS: &str = "[main]\nplugins=keyfile\nauth-polkit=false\ndns=none\nhostname-mode=none\n\
    rc-manager=unmanaged\nno-auto-default=*\n\
    [keyfile]\nunmanaged-devices=*,except:interface-name:lockgate\n[logging]\nlevel=INFO\n";

/// A NetworkManager in the namespace `router`; it ends with this.
struct Daemon {
    log: PathBuf,
    _home: tempfile::TempDir,
    _process: Process,
}

impl Daemon {
    /// Starts one whose one connection is this keyfile.
    fn start(lab: &Lab, usr: &Path, (name, keyfile): &(String, String)) -> Self {
        let outside = |words: &[&str]| drop(lab.command_output(At::Underlay, words));
        for directory in ["/etc/NetworkManager", "/run/NetworkManager", "/var/lib/NetworkManager"] {
            fs::create_dir_all(directory).unwrap();
            outside(&["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory]);
        }
        let connections = "/etc/NetworkManager/system-connections";
        outside(&["mkdir", connections]);
        let file = format!("{connections}/{name}");
        for (path, text) in [
            (&*file, keyfile.as_str()),
            ("/etc/NetworkManager/NetworkManager.conf", SETTINGS),
            ("/etc/NetworkManager/bus.conf", BUS),
        ] {
            fs::write(path, text).unwrap();
            outside(&["chmod", "0600", path]);
        }
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        // Where /sys cannot be written to it does not wait for udev.
        let start = format!(
            "mount -t sysfs -o ro sysfs /sys && \
             dbus-daemon --config-file=/etc/NetworkManager/bus.conf --fork && \
             {}/sbin/NetworkManager --debug --config=/etc/NetworkManager/NetworkManager.conf; exit",
            usr.display()
        );
        let words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &start];
        let process = lab.spawn_command("router", &words, |command| {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/NetworkManager/bus");
            command.stderr(fs::File::create(&log).unwrap());
        });
        Self { log, _home: home, _process: process }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn makes_the_tunnel(wireguard: &'static str, words: &'static [&'static str]) {
    lab::run(move |lab| {
        let Some(usr) = unpacked() else { return };
        let (stage, gateway) = served(lab, CUSTOMER, wireguard);
        let keyfile = printed(lab, &gateway, words);
        let has_wireguard = kernel_has_wireguard(lab);
        let daemon = Daemon::start(lab, &usr, &keyfile);
        if !has_wireguard {
            // The connection was read, and is to come up by itself.
            let refused = "Failed to create WireGuard interface 'lockgate' for 'lockgate'";
            wait_until("NetworkManager to be refused by the kernel", PATIENCE, || {
                let log = daemon.log();
                if log.contains(refused) { Ok(()) } else { Err(log) }
            });
            return;
        }
        wait_until("the gateway to answer", PATIENCE, || {
            if lab.ping("router", V4.tunnel[0]) { Ok(()) } else { Err(daemon.log()) }
        });
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        let link = lab.ip("router", "link show dev lockgate");
        assert!(link.contains(" mtu 1420 "), "{link}");
        for family in FAMILIES {
            assert!(lab.ping("router", family.tunnel[0]), "the gateway answers");
            stage.assert_traffic(family);
        }
    });
}

#[test]
fn network_manager_makes_the_tunnel_of_a_customer_that_dials_in() {
    makes_the_tunnel("", &[]);
}

#[test]
fn network_manager_makes_the_tunnel_with_a_preshared_key() {
    makes_the_tunnel("presharedKeySecretRef: {name: hq-psk, key: psk}", &["--with-psk"]);
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
