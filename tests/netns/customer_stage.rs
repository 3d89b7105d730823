//! A gateway with one customer, [`Printed`]: what it prints for that customer, as files;
//! and the tunnel that is built of it.

use crate::gateway::Gateway;
use crate::lab::{At, Lab};
use crate::wireguard_router::{Engine, Router};
use crate::wireguard_stage::{SITE, Stage, V4, documents, key, psk};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of one dialect.
pub(crate) struct Printed {
    directory: tempfile::TempDir,
}

impl Printed {
    /// Has `lockgate customer-config` write them; `words` are added to it.
    pub(crate) fn of(lab: &Lab, gateway: &Gateway<'_>, words: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| gateway.path(name).to_str().unwrap().to_owned();
        let mut all = vec![env!("CARGO_BIN_EXE_lockgate").to_owned()];
        all.extend(["--runtime-dir".to_owned(), path("run")]);
        all.extend(["customer-config", SITE, "-f"].map(str::to_owned));
        all.extend([path("config"), "--secrets".to_owned(), path("secrets")]);
        all.extend(["--out".to_owned(), directory.path().to_str().unwrap().to_owned()]);
        all.extend(words.iter().map(|&word| word.to_owned()));
        lab.command_output(At::Underlay, &all);
        Self { directory }
    }

    /// Where they are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where one of them is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What is in one of them.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// Puts something else in the place of what the customer alone knows.
    pub(crate) fn fill(&self, name: &str, placeholder: &str, value: &str) {
        let text = self.text(name);
        assert!(text.contains(placeholder), "no {placeholder} in\n{text}");
        fs::write(self.file(name), text.replace(placeholder, value)).unwrap();
    }
}

/// A gateway that serves the customer with this key, as `wireguard` adds to its document.
pub(crate) fn served<'lab>(
    lab: &'lab Lab,
    customer: u8,
    wireguard: &str,
) -> (Stage<'lab>, Gateway<'lab>) {
    let stage = Stage::new(lab);
    let mut gateway = Gateway::new(lab, At::Underlay);
    gateway.secret("acme", "hq-psk", "psk", psk(3).to_base64().as_str());
    let documents = documents(key(customer).public(), wireguard, "");
    gateway.write("documents.yaml", &documents.replace("vpn.example.net", V4.gateway));
    gateway.spawn();
    gateway.wait_programmed();
    stage.attach_app();
    (stage, gateway)
}

/// Whether this kernel makes a WireGuard link.
pub(crate) fn kernel_has_wireguard(lab: &Lab) -> bool {
    let words = ["ip", "link", "add", "probe", "type", "wireguard"];
    let has = lab.output("router", &words).status.success();
    if has {
        lab.ip("router", "link delete probe");
    }
    has
}

/// The customer's tunnel as wg-quick(8) has it from the printed file.
pub(crate) fn quick<'lab>(
    lab: &'lab Lab,
    gateway: &Gateway<'_>,
    engine: Engine,
    customer: u8,
) -> Router<'lab> {
    let printed = Printed::of(lab, gateway, &["--format", "wg-quick", "--with-psk"]);
    printed.fill("lockgate.conf", "<your private key>", key(customer).to_base64().as_str());
    Router::start_quick(lab, "router", engine, &printed.file("lockgate.conf"))
}
