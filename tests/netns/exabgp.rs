//! [`ExaBgp`]: a stock ExaBGP in a namespace. It has no table of its own: it says
//! what it is told to say, as odd as that is.

use crate::lab::{Lab, PATIENCE, Process, wait_until};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

const PROGRAM: &str = "/usr/sbin/exabgp";

/// Whether it is installed; says so when it is not.
#[allow(clippy::print_stdout, reason = "a skip is said")]
pub(crate) fn is_installed() -> bool {
    let is = Path::new(PROGRAM).exists();
    if !is {
        println!("skipped: ExaBGP is not installed ({PROGRAM})");
    }
    is
}

/// A running ExaBGP; killed when it is dropped.
pub(crate) struct ExaBgp {
    home: tempfile::TempDir,
    _process: Process,
}

impl ExaBgp {
    /// Starts one at `at` with one neighbor, whose section is `neighbor`.
    pub(crate) fn start(lab: &Lab, at: &str, neighbor: &str) -> Self {
        let home = tempfile::Builder::new().prefix("exabgp-").tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("say"), "").unwrap();
        let (head, rest) = neighbor.split_once('{').unwrap();
        // What is appended to the file is said.
        let config = format!(
            "process say {{ run /usr/bin/tail -n +1 -f {}; encoder text; }}
{head} {{ api {{ processes [ say ]; }} {rest}
",
            path("say"),
        );
        fs::write(path("conf"), config).unwrap();
        let log = File::create(path("log")).unwrap();
        let process = lab.spawn_command(at, &[PROGRAM, &path("conf")], |command| {
            for (name, value) in [
                ("daemon_user", "root"),
                ("daemon_drop", "false"),
                ("api_cli", "false"),
                ("api_ack", "false"),
                ("log_destination", "stdout"),
                ("log_level", "DEBUG"),
                ("log_all", "true"),
            ] {
                command.env(format!("exabgp_{name}"), value);
            }
            command.stdout(log.try_clone().unwrap()).stderr(log);
        });
        Self { home, _process: process }
    }

    /// Says something, in its own words: `announce route …`.
    pub(crate) fn say(&self, words: &str) {
        let mut file = OpenOptions::new().append(true).open(self.home.path().join("say")).unwrap();
        writeln!(file, "{words}").unwrap();
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Waits until it wrote that it was told this network.
    pub(crate) fn wait_told(&self, network: &str) {
        wait_until(&format!("ExaBGP to hear {network}"), PATIENCE, || {
            let log = self.log();
            let mut lines = log.lines();
            let is_told =
                lines.any(|line| line.contains("announced NLRI") && line.contains(network));
            if is_told { Ok(()) } else { Err(log.clone()) }
        });
    }
}
