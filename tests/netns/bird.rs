//! [`Bird`]: a stock BIRD in a namespace, with a configuration and a control
//! socket of its own, and what it says about itself.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "a tool is kept whether or not a test takes it up today; a skip is said"
)]

use crate::lab::{Lab, PATIENCE, Process, wait_until};
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;

/// Where Debian puts the programs of BIRD 2.
pub(crate) const BIRD_2: &str = "/usr/sbin";

/// A running BIRD; killed when it is dropped.
pub(crate) struct Bird<'lab> {
    lab: &'lab Lab,
    at: String,
    home: tempfile::TempDir,
    /// Where its programs are.
    programs: PathBuf,
    process: Process,
}

/// BIRD 1.6 of Debian, of which Calico's is a fork, unpacked beside BIRD 2 for both
/// cannot be installed. Says so when it is not there.
pub(crate) fn bird_1() -> Option<PathBuf> {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers").into();
    let peers: PathBuf = std::env::var_os("LOCKGATE_PEERS").map_or_else(default, Into::into);
    let programs = peers.join("bird1/usr/sbin");
    if programs.join("bird").exists() {
        return Some(programs);
    }
    println!("skipped: BIRD 1.6 is not unpacked ({})", programs.display());
    None
}

impl<'lab> Bird<'lab> {
    /// Starts a BIRD 2 at `at` with this configuration.
    pub(crate) fn start(lab: &'lab Lab, at: &str, config: &str) -> Self {
        Self::start_program(lab, at, BIRD_2.into(), config)
    }

    /// Starts one in the place of one that was killed, which takes up what that one left in
    /// the kernel and says so (the R and F bits of RFC 4724), as Calico starts its own.
    pub(crate) fn start_again(lab: &'lab Lab, at: &str, programs: PathBuf, config: &str) -> Self {
        Self::start_with(lab, at, programs, config, &["-R"])
    }

    /// Starts the one of these programs.
    pub(crate) fn start_program(lab: &'lab Lab, at: &str, programs: PathBuf, config: &str) -> Self {
        Self::start_with(lab, at, programs, config, &[])
    }

    fn start_with(
        lab: &'lab Lab,
        at: &str,
        programs: PathBuf,
        config: &str,
        more: &[&str],
    ) -> Self {
        let home = tempfile::Builder::new().prefix("bird-").tempdir().unwrap();
        fs::write(home.path().join("conf"), config).unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        let (conf, control, pid) = (path("conf"), path("ctl"), path("pid"));
        let program = programs.join("bird");
        let words = [
            program.to_str().unwrap(),
            "-f",
            "-c",
            &conf,
            "-s",
            &control,
            "-P",
            &pid,
            "-D",
            &path("log"),
        ];
        let process = lab.spawn(at, &[&words[..], more].concat());
        let bird = Self { lab, at: at.to_owned(), home, programs, process };
        wait_until("BIRD to answer", PATIENCE, || {
            let said = bird.say("show status");
            if said.contains("Router ID") { Ok(()) } else { Err(said + &bird.log()) }
        });
        bird
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Says something to it, as an operator would; gives its answer.
    pub(crate) fn say(&self, words: &str) -> String {
        let control = self.path("ctl");
        let program = self.programs.join("birdc");
        let mut line = vec![program.to_str().unwrap(), "-s", control.to_str().unwrap()];
        line.extend(words.split_whitespace());
        let output = self.lab.output(self.at.as_str(), &line);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether its session `name` is up.
    pub(crate) fn is_established(&self, name: &str) -> bool {
        self.say(&format!("show protocols {name}")).contains("Established")
    }

    /// Waits until its session `name` is up, or is not.
    pub(crate) fn wait_established(&self, name: &str, is_up: bool) {
        wait_until(&format!("the session {name}: {is_up}"), PATIENCE, || {
            if self.is_established(name) == is_up {
                return Ok(());
            }
            Err(format!("{}\n{}", self.say(&format!("show protocols all {name}")), self.log()))
        });
    }

    /// The networks that its session `name` was told.
    pub(crate) fn told(&self, name: &str) -> Vec<String> {
        let text = self.say(&format!("show route protocol {name}"));
        let words = text.lines().filter_map(|line| line.split_whitespace().next());
        let mut networks: Vec<String> =
            words.filter(|word| word.contains('/')).map(str::to_owned).collect();
        networks.sort();
        networks.dedup();
        networks
    }

    /// Waits until its session `name` was told these networks and no others.
    pub(crate) fn wait_told(&self, name: &str, networks: &[&str]) {
        wait_until(&format!("BIRD to hear {networks:?}"), PATIENCE, || {
            let told = self.told(name);
            if told == networks { Ok(()) } else { Err(told) }
        });
    }

    /// Waits until its session `name` was told this network, among others.
    pub(crate) fn wait_told_of(&self, name: &str, network: &str) {
        wait_until(&format!("BIRD to hear {network}"), PATIENCE, || {
            let told = self.told(name);
            if told.iter().any(|it| it == network) { Ok(()) } else { Err(told) }
        });
    }

    /// It does nothing any more, and its sockets stay.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Ends it without a word.
    pub(crate) fn kill(self) {
        self.process.signal(Signal::KILL);
    }
}
