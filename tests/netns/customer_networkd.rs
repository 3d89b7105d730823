//! systemd-networkd takes the two printed files: it makes the link of the one, and gives
//! it the addresses and routes of the other.
//!
//! Where the kernel has no WireGuard the first is read and fails in the kernel, which the
//! log tells from a mistake in it; the second is tried with a link that somebody made.

use crate::customer_stage::{Printed, kernel_has_wireguard, quick, served};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, Process, wait_until};
use crate::wireguard_router::{Engine, Router};
use crate::wireguard_stage::{FAMILIES, SITE, Stage, TENANT, V4, key, psk};
use lockgate::status::SiteState;
use std::fs;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "/lib/systemd/systemd-networkd";
const DIRECTORY: &str = "/etc/systemd/network";

/// The customer's key.
const CUSTOMER: u8 = 7;

/// Whether it is installed; says so when it is not.
#[allow(clippy::print_stdout, reason = "a skip is said")]
fn is_installed() -> bool {
    let is = Path::new(PROGRAM).exists();
    if !is {
        println!("skipped: systemd-networkd is not installed ({PROGRAM})");
    }
    is
}

/// A networkd in the namespace `router`; it ends with this.
struct Networkd {
    log: PathBuf,
    _home: tempfile::TempDir,
    _process: Process,
}

impl Networkd {
    /// Starts one with these files, which are its group's to read as they say themselves.
    fn start(lab: &Lab, files: &[(&str, String)]) -> Self {
        let outside = |words: &[&str]| drop(lab.command_output(At::Underlay, words));
        // It sees these and nothing of this machine's, and has no udev to wait for: so it
        // takes a /sys that cannot be written to.
        fs::create_dir_all(DIRECTORY).unwrap();
        outside(&["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", DIRECTORY]);
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        for (name, text) in files {
            let path = format!("{DIRECTORY}/{name}");
            fs::write(&path, text).unwrap();
            outside(&["chown", "root:systemd-network", &path]);
            outside(&["chmod", "0640", &path]);
        }
        let state = "/run/systemd/netif";
        fs::create_dir_all(state).unwrap();
        outside(&["chown", "systemd-network:systemd-network", state]);
        // It changes its user, over which it would outlive us: its namespace of processes
        // does not.
        let start = format!("mount -t sysfs -o ro sysfs /sys && {PROGRAM}; exit");
        let words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &start];
        let process = lab.spawn_command("router", &words, |command| {
            command.env("SYSTEMD_LOG_TARGET", "console").env("SYSTEMD_LOG_LEVEL", "debug");
            command.stderr(fs::File::create(&log).unwrap());
        });
        Self { log, _home: home, _process: process }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_said(&self, text: &str) {
        wait_until(&format!("networkd to say {text}"), PATIENCE, || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        });
    }

    /// It complains of no line of the files.
    fn assert_understood(&self) {
        for line in self.log().lines() {
            let complaint = line.contains(DIRECTORY) && line.contains("gnoring");
            assert!(!complaint, "{line}");
        }
    }
}

/// The gateway, and the printed files with what the customer has of its own.
fn printed<'lab>(
    lab: &'lab Lab,
    wireguard: &str,
    words: &[&str],
) -> (Stage<'lab>, Gateway<'lab>, Vec<(&'static str, String)>) {
    let (stage, gateway) = served(lab, CUSTOMER, wireguard);
    let printed = Printed::of(lab, &gateway, &[&["--format", "networkd"], words].concat());
    let files = vec![
        ("lockgate.netdev", printed.text("lockgate.netdev")),
        ("lockgate.network", printed.text("lockgate.network")),
        ("lockgate.key", key(CUSTOMER).to_base64().to_string()),
        ("lockgate.psk", psk(3).to_base64().to_string()),
    ];
    (stage, gateway, files)
}

fn check(wireguard: &'static str, words: &'static [&'static str]) {
    lab::run(move |lab| {
        if !is_installed() {
            return;
        }
        let (stage, gateway, files) = printed(lab, wireguard, words);
        let has_wireguard = kernel_has_wireguard(lab);
        let mut networkd = Networkd::start(lab, &files);
        let _router: Option<Router<'_>> = if has_wireguard {
            None
        } else {
            // Read to its end, key files and all, and refused by the kernel.
            networkd.wait_said("lockgate: netdev could not be created: Operation not supported");
            networkd.assert_understood();
            drop(networkd);
            // The link of another, without what wg-quick would put on it.
            let router = quick(lab, &gateway, Engine::any(), CUSTOMER);
            lab.ip("router", &format!("link set {} down", router.link()));
            lab.ip("router", &format!("link set {} name lockgate", router.link()));
            lab.ip("router", "address flush dev lockgate");
            networkd = Networkd::start(lab, &files[1..2]);
            Some(router)
        };
        wait_until("the gateway to answer", PATIENCE, || {
            if lab.ping("router", V4.tunnel[0]) { Ok(()) } else { Err(networkd.log()) }
        });
        networkd.assert_understood();
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
fn networkd_takes_the_files_of_a_customer_that_dials_in() {
    check("", &[]);
}

#[test]
fn networkd_takes_the_files_of_a_customer_with_a_preshared_key() {
    check("presharedKeySecretRef: {name: hq-psk, key: psk}", &[]);
}

#[test]
fn networkd_takes_a_preshared_key_that_is_written_out() {
    check("presharedKeySecretRef: {name: hq-psk, key: psk}", &["--with-psk"]);
}
