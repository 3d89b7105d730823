//! [`Printed`]: what the running gateway prints for its customer, as files; and the
//! tunnel that is built of it.

use crate::gateway::Gateway;
use crate::lab::{At, Lab};
use crate::wireguard_router::{Engine, Router};
use crate::wireguard_stage::{SITE, key};
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
