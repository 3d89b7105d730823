//! [`GoBgp`]: a stock GoBGP in a namespace, and what it says about itself. Its
//! configuration has neighbors; its networks are told to it once it runs.

use crate::lab::{Lab, PATIENCE, Process, wait_until};
use rustix::process::Signal;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

const PROGRAM: &str = "/usr/bin/gobgpd";

/// Whether it is installed; says so when it is not.
#[allow(clippy::print_stdout, reason = "a skip is said")]
pub(crate) fn is_installed() -> bool {
    let is = Path::new(PROGRAM).exists();
    if !is {
        println!("skipped: GoBGP is not installed ({PROGRAM})");
    }
    is
}

/// A GoBGP: its directory, and the process while it runs.
pub(crate) struct GoBgp<'lab> {
    lab: &'lab Lab,
    at: String,
    home: tempfile::TempDir,
    process: Option<Process>,
}

impl<'lab> GoBgp<'lab> {
    /// Starts one at `at` with this configuration (TOML).
    pub(crate) fn start(lab: &'lab Lab, at: &str, config: &str) -> Self {
        let home = tempfile::Builder::new().prefix("gobgp-").tempdir().unwrap();
        fs::write(home.path().join("conf"), config).unwrap();
        let mut gobgp = Self { lab, at: at.to_owned(), home, process: None };
        gobgp.spawn(&[]);
        gobgp
    }

    /// Starts it, with these words on its command line, and waits until it answers.
    pub(crate) fn spawn(&mut self, words: &[&str]) {
        let path = |name: &str| self.home.path().join(name).to_str().unwrap().to_owned();
        let log = OpenOptions::new().create(true).append(true).open(path("log")).unwrap();
        let (conf, api) = (path("conf"), "127.0.0.1:50051");
        let line = [PROGRAM, "-f", &conf, "--api-hosts", api, "--pprof-disable", "-p"];
        let line = [&line[..], words].concat();
        let process = self.lab.spawn_command(self.at.as_str(), &line, |command| {
            let errors: File = log.try_clone().unwrap();
            command.stdout(log).stderr(errors);
        });
        self.process = Some(process);
        wait_until("GoBGP to answer", PATIENCE, || {
            // Its neighbors are there when its configuration was read.
            let said = self.ask(&["neighbor"]);
            if 2 <= said.lines().count() { Ok(()) } else { Err(said + &self.log()) }
        });
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().signal(Signal::KILL);
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = self.lab.output(self.at.as_str(), &[&["gobgp"], words].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// Tells it something, as an operator would; gives its answer.
    pub(crate) fn say(&self, line: &str) -> String {
        self.ask(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Adds a network to its table; `words` say what is to be said of it.
    #[track_caller]
    pub(crate) fn add(&self, words: &str) {
        assert_eq!(self.say(&format!("global rib add {words}")), "");
    }

    /// Takes it off again.
    #[track_caller]
    pub(crate) fn delete(&self, words: &str) {
        assert_eq!(self.say(&format!("global rib del {words}")), "");
    }

    /// Waits until it was told these networks and no others.
    pub(crate) fn wait_told(&self, neighbor: &str, networks: &[&str]) {
        wait_until(&format!("GoBGP to hear {networks:?}"), PATIENCE, || {
            let text = self.say(&format!("neighbor {neighbor} adj-in"));
            let words = text
                .lines()
                .flat_map(|line| line.split_whitespace().find(|word| word.contains('/')));
            let told: Vec<&str> = words.collect();
            if told == networks { Ok(()) } else { Err(text.clone() + &self.log()) }
        });
    }
}
