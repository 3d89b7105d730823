//! [`Gateway`]: the built binary, running in a [`Lab`] with directories of its
//! own, and what it says about itself.
//!
//! It is seen from outside only: documents and signals go in, the status comes
//! out of its socket. Nothing here reaches into it.
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::lab::{At, Lab, PATIENCE, Process, wait_until};
use lockgate::net::PublicKey;
use lockgate::status::{
    ConditionType, DropPlace, ReloadOutcome, SiteSnapshot, SiteState, Snapshot, TenantSnapshot,
};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

/// How long a gateway may take to end when asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// The class of tenants that name none.
const CLASS: &str = "apiVersion: lockgate.dev/v1alpha1
kind: ConnectivityClass
metadata: {name: default}
spec: {backend: Userspace}
";

/// A gateway: its directories, and the process while it runs.
pub(crate) struct Gateway<'lab> {
    lab: &'lab Lab,
    at: At<'lab>,
    home: tempfile::TempDir,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl<'lab> Gateway<'lab> {
    /// One that has its directories and does not run yet.
    pub(crate) fn new(lab: &'lab Lab, at: impl Into<At<'lab>>) -> Self {
        let home = tempfile::Builder::new().prefix("lg-").tempdir().unwrap();
        for name in ["config", "secrets", "run", "state", "new"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        // One thread: the machine has few processors and tests share them.
        let arguments = ["--threads", "1"].map(str::to_owned).to_vec();
        Self { lab, at: at.into(), home, arguments, process: None }
    }

    /// One that runs `documents`, programmed in full.
    pub(crate) fn start(lab: &'lab Lab, at: impl Into<At<'lab>>, documents: &str) -> Self {
        let mut gateway = Self::new(lab, at);
        gateway.write("documents.yaml", documents);
        gateway.spawn();
        gateway.wait_programmed();
        gateway
    }

    /// Adds words to the command line of the next [`Gateway::spawn`].
    pub(crate) fn argument(&mut self, words: &[&str]) {
        self.arguments.extend(words.iter().map(|&word| word.to_owned()));
    }

    /// Puts a file of documents in place, in one stroke. A running gateway sees
    /// it by itself; [`Gateway::apply`] also waits for that.
    pub(crate) fn write(&self, file: &str, text: &str) {
        // Made elsewhere, so that its making is not itself a change.
        let new = self.path("new").join(file);
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path("config").join(file)).unwrap();
    }

    /// Puts a secret in place.
    pub(crate) fn secret(&self, namespace: &str, name: &str, key: &str, text: &str) {
        let directory = self.path("secrets").join(namespace).join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(key), text).unwrap();
    }

    /// Puts the private key of a tenant where the gateway keeps those it makes.
    pub(crate) fn private_key(&self, tenant: &str, base64: &str) {
        let keys = self.path("state").join("keys");
        fs::create_dir_all(&keys).unwrap();
        let file = keys.join(format!("{}.key", tenant.replace('/', ".")));
        fs::write(&file, base64).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Starts the process; its log is appended to the one before.
    pub(crate) fn spawn(&mut self) {
        self.spawn_by(&[env!("CARGO_BIN_EXE_lockgate")]);
    }

    /// Starts it as a user who is not root and may do nothing but CAP_NET_ADMIN.
    pub(crate) fn spawn_with_net_admin_alone(&mut self) {
        let nobody = "65534";
        let home = self.home.path().to_str().unwrap();
        let outside = |words: &[&str]| drop(self.lab.command_output(At::Underlay, words));
        outside(&["chown", "-R", nobody, home]);
        // Where everyone may reach it, whoever may reach what it is a mount of.
        fs::write("/run/lockgate", "").unwrap();
        outside(&["mount", "--bind", env!("CARGO_BIN_EXE_lockgate"), "/run/lockgate"]);
        // As container runtimes hand it out.
        outside(&["mknod", "-m", "666", "/run/tun", "c", "10", "200"]);
        outside(&["mount", "--bind", "/run/tun", "/dev/net/tun"]);
        self.spawn_by(&[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all,+net_admin",
            "--ambient-caps=-all,+net_admin",
            "--bounding-set=-all,+net_admin",
            "--no-new-privs",
            // The change of user takes away the one it was started with.
            "--pdeathsig=KILL",
            "/run/lockgate",
        ]);
    }

    /// Documents that say nothing of a class are for this process's own WireGuard,
    /// whatever the kernel of this machine has.
    fn write_class(&self) {
        let files = fs::read_dir(self.path("config")).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        if !texts.into_iter().any(|text| text.contains("kind: ConnectivityClass")) {
            self.write("class.yaml", CLASS);
        }
    }

    /// Starts the process with the documents as they are, or are not.
    pub(crate) fn spawn_as_it_is(&mut self) {
        self.run_program(&[env!("CARGO_BIN_EXE_lockgate")]);
    }

    fn spawn_by(&mut self, program: &[&str]) {
        self.write_class();
        self.run_program(program);
    }

    fn run_program(&mut self, program: &[&str]) {
        assert!(self.process.is_none(), "it runs already");
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut words: Vec<String> = program.iter().map(|&word| word.to_owned()).collect();
        words.extend(["--runtime-dir".to_owned(), text(self.path("run"))]);
        words.extend(["--state-dir".to_owned(), text(self.path("state"))]);
        words.extend(["run", "-f"].map(str::to_owned));
        words.push(text(self.path("config")));
        words.extend(["--secrets".to_owned(), text(self.path("secrets"))]);
        words.extend(self.arguments.iter().cloned());
        if !self.arguments.iter().any(|word| word == "--status") {
            words.push("--no-status".to_owned());
        }
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.process = Some(self.lab.spawn_command(self.at, &words, |command| {
            command.stderr(log);
        }));
    }

    /// Runs a verb of the program that reads documents, with these documents.
    pub(crate) fn lockgate<'a>(&self, at: impl Into<At<'a>>, words: &[&str]) -> Output {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let mut line = vec![env!("CARGO_BIN_EXE_lockgate").to_owned()];
        line.extend(words.iter().map(|&word| word.to_owned()));
        line.extend(["-f".to_owned(), path("config"), "--secrets".to_owned(), path("secrets")]);
        self.lab.output(at, &line)
    }

    /// What `lockgate show` prints of it, on a wide screen.
    pub(crate) fn show(&self, words: &[&str]) -> String {
        let run = self.path("run").to_str().unwrap().to_owned();
        let mut line = vec![env!("CARGO_BIN_EXE_lockgate"), "--runtime-dir", &run, "show"];
        line.extend(words);
        line.extend(["-o", "wide"]);
        self.lab.command_output(At::Underlay, &line)
    }

    /// Replaces the documents and waits until they are in force in full.
    pub(crate) fn apply(&self, documents: &str) -> Snapshot {
        self.write("documents.yaml", documents);
        // The first generation to come may be of what was being read just before.
        for _ in 0..2 {
            let before = self.snapshot().config.loaded_generation;
            self.signal(Signal::HUP);
            self.wait("the new documents to be accepted", |snapshot| {
                before < snapshot.config.loaded_generation
            });
        }
        self.wait_programmed()
    }

    /// Replaces the documents by a set that must be refused; returns the errors.
    pub(crate) fn apply_refused(&self, documents: &str) -> Vec<String> {
        let before = self.snapshot().config.last_reload;
        // It sees the file by itself, once: a signal would have it read twice, and
        // the second answer could be taken for that to the next documents.
        self.write("documents.yaml", documents);
        let snapshot = self.wait("the new documents to be refused", |snapshot| {
            let reload = &snapshot.config.last_reload;
            *reload != before
                && reload.as_ref().is_some_and(|it| it.outcome == ReloadOutcome::Refused)
        });
        snapshot.config.last_reload.unwrap().errors
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it does not run").signal(signal);
    }

    /// SIGKILL; what it made stays as it is.
    pub(crate) fn kill(&mut self) {
        drop(self.process.take().expect("it does not run"));
    }

    /// SIGTERM, and its exit status once it has cleaned up.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut process = self.process.take().expect("it does not run");
        wait_until("the gateway to end", ENDS_WITHIN, || process.ended().ok_or("still running"))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().expect("it does not run").id()
    }

    /// Panics with the log when the process has ended, or is another than `id`.
    pub(crate) fn assert_alive(&mut self, id: u32) {
        assert_eq!(self.id(), id);
        let ended = self.process.as_mut().and_then(Process::ended);
        assert!(ended.is_none(), "the gateway ended with {ended:?}:\n{}", self.log());
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The lab it runs in.
    pub(crate) const fn lab(&self) -> &'lab Lab {
        self.lab
    }

    /// A directory or file of its home: `config`, `secrets`, `run`, `state`, `log`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Its status; `None` while it does not answer.
    pub(crate) fn status(&self) -> Option<Snapshot> {
        let answer = ask(&self.path("run").join("lockgate.sock"), "/api/v1/status").ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Some(serde_json::from_str(body).unwrap())
    }

    /// What it answers to a GET of `path`.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = ask(&self.path("run").join("lockgate.sock"), path).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        body.to_owned()
    }

    /// Its status, which it must give.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.status().unwrap_or_else(|| panic!("no status; the log:\n{}", self.log()))
    }

    /// Waits until `reached`, and gives the status of then.
    pub(crate) fn wait(&self, what: &str, reached: impl Fn(&Snapshot) -> bool) -> Snapshot {
        self.wait_for(what, PATIENCE, reached)
    }

    /// As [`Gateway::wait`], with a bound of its own.
    pub(crate) fn wait_for(
        &self,
        what: &str,
        bound: Duration,
        reached: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        wait_until(what, bound, || match self.status() {
            Some(snapshot) if reached(&snapshot) => Ok(snapshot),
            Some(snapshot) => {
                Err(format!("{}\n{}", serde_json::to_string_pretty(&snapshot).unwrap(), self.log()))
            }
            None => Err(format!("no status\n{}", self.log())),
        })
    }

    /// Waits until every tenant is programmed from the last documents.
    pub(crate) fn wait_programmed(&self) -> Snapshot {
        self.wait("every tenant to be programmed", |snapshot| {
            snapshot.config.loaded_generation != 0
                && snapshot.config.applied_generation == snapshot.config.loaded_generation
                && snapshot.tenants.iter().all(|tenant| {
                    tenant.conditions.holds(ConditionType::Programmed)
                        && tenant.conditions.holds(ConditionType::Isolated)
                })
        })
    }

    /// Waits until the site is in this state.
    pub(crate) fn wait_state(&self, tenant: &str, site: &str, state: SiteState) -> SiteSnapshot {
        let what = format!("{tenant} {site} to be {state}");
        let is = |snapshot: &Snapshot| {
            site_of(snapshot, tenant, site).is_some_and(|found| found.state == state)
        };
        site_of(&self.wait(&what, is), tenant, site).unwrap()
    }

    /// How a tenant is.
    pub(crate) fn tenant(&self, tenant: &str) -> TenantSnapshot {
        let snapshot = self.snapshot();
        let found = snapshot.tenants.into_iter().find(|it| it.name.to_string() == tenant);
        found.unwrap_or_else(|| panic!("no tenant {tenant}"))
    }

    /// How a site is.
    pub(crate) fn site(&self, tenant: &str, site: &str) -> SiteSnapshot {
        site_of(&self.snapshot(), tenant, site).unwrap_or_else(|| panic!("no site {site}"))
    }

    /// Who the gateway is to a tenant's customers.
    pub(crate) fn public_key(&self, tenant: &str) -> PublicKey {
        self.tenant(tenant).public_key.expect("no key")
    }

    /// How many packets a tenant's device dropped for `reason`.
    pub(crate) fn device_drops(&self, tenant: &str, reason: &str) -> u64 {
        drops(&self.tenant(tenant), DropPlace::Datapath, reason)
    }

    /// How many packets a tenant's rules dropped for `reason`.
    pub(crate) fn firewall_drops(&self, tenant: &str, reason: &str) -> u64 {
        drops(&self.tenant(tenant), DropPlace::Firewall, reason)
    }

    /// Waits until the device has dropped at least `count` for `reason`.
    pub(crate) fn wait_device_drops(&self, tenant: &str, reason: &str, count: u64) {
        self.wait(&format!("{count} dropped for {reason}"), |snapshot| {
            tenant_of(snapshot, tenant)
                .is_some_and(|it| drops(it, DropPlace::Datapath, reason) >= count)
        });
    }

    /// Waits until the rules have dropped at least `count` for `reason`.
    pub(crate) fn wait_firewall_drops(&self, tenant: &str, reason: &str, count: u64) {
        self.wait(&format!("{count} dropped for {reason}"), |snapshot| {
            tenant_of(snapshot, tenant)
                .is_some_and(|it| drops(it, DropPlace::Firewall, reason) >= count)
        });
    }
}

fn tenant_of<'a>(snapshot: &'a Snapshot, tenant: &str) -> Option<&'a TenantSnapshot> {
    snapshot.tenants.iter().find(|it| it.name.to_string() == tenant)
}

/// A site of a status.
pub(crate) fn site_of(snapshot: &Snapshot, tenant: &str, site: &str) -> Option<SiteSnapshot> {
    tenant_of(snapshot, tenant)?.sites.iter().find(|it| it.name.to_string() == site).cloned()
}

/// Packets dropped, in a status.
pub(crate) fn drops(tenant: &TenantSnapshot, place: DropPlace, reason: &str) -> u64 {
    let found = tenant.drops.iter().find(|it| it.place == place && it.reason == reason);
    found.map_or(0, |it| it.packets.0)
}

/// One GET over the unix socket; the whole answer.
fn ask(socket: &Path, path: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
