//! [`Frr`]: the bgpd of a stock FRR in a namespace, and what it says about itself.
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::lab::{Lab, PATIENCE, Process, wait_until};
use std::fs;
use std::path::Path;

const BGPD: &str = "/usr/lib/frr/bgpd";
const ZEBRA: &str = "/usr/lib/frr/zebra";

/// Whether it is installed; says so when it is not.
#[allow(clippy::print_stdout, reason = "a skip is said")]
pub(crate) fn is_installed() -> bool {
    let is = Path::new(BGPD).exists();
    if !is {
        println!("skipped: FRR is not installed ({BGPD})");
    }
    is
}

/// An FRR; it ends with this.
pub(crate) struct Frr<'lab> {
    lab: &'lab Lab,
    at: String,
    home: tempfile::TempDir,
    /// How its bgpd is started.
    words: Vec<String>,
    bgpd: Option<Process>,
    _zebra: Option<Process>,
}

impl<'lab> Frr<'lab> {
    /// Starts one at `at` with this configuration, and waits until it answers.
    pub(crate) fn start(lab: &'lab Lab, at: &str, config: &str) -> Self {
        let home = tempfile::Builder::new().prefix("frr-").tempdir().unwrap();
        Self::start_in(lab, at, config, home, (None, &["-n", "-Z"]))
    }

    /// Starts one that knows the kernel's links and routes.
    pub(crate) fn start_with_zebra(lab: &'lab Lab, at: &str, config: &str) -> Self {
        Self::start_beside_zebra(lab, at, config, &["-n"])
    }

    /// Starts one that puts what it learns in the kernel.
    pub(crate) fn start_routing(lab: &'lab Lab, at: &str, config: &str) -> Self {
        Self::start_beside_zebra(lab, at, config, &[])
    }

    fn start_beside_zebra(lab: &'lab Lab, at: &str, config: &str, more: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("frr-").tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("zebra.conf"), format!("log file {}\n", path("zebra.log"))).unwrap();
        let (conf, pid, sockets) = (path("zebra.conf"), path("zebra.pid"), path(""));
        let words = [ZEBRA, "-f", &conf, "-i", &pid, "--vty_socket", &sockets];
        let socket = path("zebra");
        let words = [&words[..], &["-z", &socket, "-P", "0"]].concat();
        // It gives up being root, and has no word against that.
        let home_path = home.path().to_str().unwrap();
        lab.command_output(at, &["chown", "-R", "frr:frr", home_path]);
        let zebra = lab.spawn(at, &words);
        wait_until("zebra to answer", PATIENCE, || {
            if home.path().join("zebra").exists() { Ok(()) } else { Err(path("zebra")) }
        });
        Self::start_in(lab, at, config, home, (Some(zebra), more))
    }

    fn start_in(
        lab: &'lab Lab,
        at: &str,
        config: &str,
        home: tempfile::TempDir,
        (zebra, more): (Option<Process>, &[&str]),
    ) -> Self {
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("conf"), format!("log file {}\n{config}", path("log"))).unwrap();
        let (conf, pid, sockets) = (path("conf"), path("pid"), path(""));
        let words = [BGPD, "-f", &conf, "-i", &pid, "--vty_socket", &sockets, "-z", &path("zebra")];
        let words = [&words[..], &["-S", "-P", "0"], more].concat();
        let words = words.into_iter().map(str::to_owned).collect();
        let mut frr = Self { lab, at: at.to_owned(), home, words, bgpd: None, _zebra: zebra };
        frr.spawn();
        frr
    }

    /// Starts its bgpd, and waits until it answers.
    pub(crate) fn spawn(&mut self) {
        self.bgpd = Some(self.lab.spawn(self.at.as_str(), &self.words));
        wait_until("FRR to answer", PATIENCE, || {
            let said = self.say("show bgp summary");
            if said.contains("router identifier") { Ok(()) } else { Err(said + &self.log()) }
        });
    }

    /// Kills its bgpd alone.
    pub(crate) fn kill(&mut self) {
        let bgpd = self.bgpd.take().unwrap();
        bgpd.signal(rustix::process::Signal::KILL);
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Says something to it, as an operator would; gives its answer.
    pub(crate) fn say(&self, words: &str) -> String {
        let sockets = self.home.path().join("");
        let line = ["vtysh", "--vty_socket", sockets.to_str().unwrap(), "-d", "bgpd", "-c", words];
        let output = self.lab.output(self.at.as_str(), &line);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        text(output.stdout) + &text(output.stderr)
    }

    /// Waits until its answer to `words` contains `text`.
    pub(crate) fn wait_said(&self, words: &str, text: &str) -> String {
        wait_until(&format!("FRR to say {text}"), PATIENCE, || {
            let said = self.say(words);
            if said.contains(text) { Ok(said) } else { Err(said + &self.log()) }
        })
    }
}
