//! `lockgate demo` as a person runs it: to its end, and broken off.

use crate::lab::{self, At, Lab, PATIENCE, Process, wait_until};
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Everything it starts has this in its environment.
const MARK: &str = "LOCKGATE_DEMO_UNDER_TEST";

/// Builds, waits 15 s for a site to be a black hole, and takes down.
const WHOLE: Duration = Duration::from_secs(90);

fn start(lab: &Lab, mark: &str, more: &[&str], path: Option<&Path>) -> Process {
    let words = [&[env!("CARGO_BIN_EXE_lockgate"), "demo", "--status", "127.0.0.1:0"][..], more];
    lab.spawn_command(At::Underlay, &words.concat(), |command| {
        command.env(MARK, mark).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A terminal's Ctrl-C goes to all that are in the group.
        command.process_group(0);
        if let Some(path) = path {
            command.env("PATH", path);
        }
    })
}

fn end(mut process: Process, within: Duration) -> (Option<i32>, String) {
    let status = wait_until("the demo to end", within, || process.ended().ok_or("it plays"));
    let mut text = String::new();
    let child = process.child();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (status.code(), text)
}

/// The programs still running that the marked demo has started.
fn left(mark: &str) -> Vec<String> {
    let mark = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let marked = processes.filter(|process| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
    });
    let line = |process: std::path::PathBuf| fs::read(process.join("cmdline")).unwrap_or_default();
    marked.map(|process| String::from_utf8_lossy(&line(process)).replace('\0', " ")).collect()
}

fn assert_nothing_left(mark: &str) {
    wait_until("all that was started to end", PATIENCE, || match left(mark) {
        left if left.is_empty() => Ok(()),
        left => Err(left),
    });
    // The box's own, which nothing else on this machine writes to.
    let names = |path: &Path| -> Vec<_> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(Path::new("/run")), ["netns"]);
    assert!(names(Path::new("/run/netns")).is_empty());
}

/// A directory of links to every program of this machine but these.
fn programs_without(hidden: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for source in ["/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
        for entry in fs::read_dir(source).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let link = directory.path().join(&name);
            if !hidden.iter().any(|it| name == *it) && link.symlink_metadata().is_err() {
                std::os::unix::fs::symlink(entry.path(), link).unwrap();
            }
        }
    }
    directory
}

#[test]
fn it_plays_to_the_end_without_any_stock_wireguard() {
    lab::run(|lab| {
        let programs = programs_without(&["wg", "wireguard-go", "boringtun-cli"]);
        let demo = start(lab, "whole", &["--once"], Some(programs.path()));
        let (code, said) = end(demo, WHOLE);
        assert_eq!(code, Some(0), "{said}");
        for part in [
            "a second lockgate (no stock WireGuard is installed)",
            "24 of 24 pairs as they should be, over UDP and TCP",
            "acme app     → 192.168.1.12    dropped",
            "Gb/s to the site",
            "as Blackholed (no_reply)",
            "bolt lost 0 of",
            "every check held",
            "nothing is left behind",
        ] {
            assert!(said.contains(part), "no {part:?} in:\n{said}");
        }
        assert_nothing_left("whole");
    });
}

/// Whether the program has said what is to be done on SIGINT; before, it just dies of it.
fn heeds_interrupts(process: &Process) -> Result<(), String> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    if caught & (1 << (Signal::INT.as_raw() - 1)) == 0 { Err(status) } else { Ok(()) }
}

/// Ctrl-C reached the gateway and the routers before the demo, which then waited
/// for them and told of their deaths.
#[test]
fn broken_off_it_says_so_at_once_and_leaves_nothing() {
    lab::run(|lab| {
        for (at, milliseconds) in [50, 400, 900, 1_500].into_iter().enumerate() {
            let mark = format!("broken-{at}");
            let demo = start(lab, &mark, &[], None);
            wait_until("it to heed signals", PATIENCE, || heeds_interrupts(&demo));
            // Whatever it is doing then: each act has to end well.
            std::thread::park_timeout(Duration::from_millis(milliseconds));
            let group = Pid::from_raw(i32::try_from(demo.id()).unwrap()).unwrap();
            rustix::process::kill_process_group(group, Signal::INT).unwrap();
            let (code, said) = end(demo, Duration::from_secs(15));
            assert_eq!(code, Some(2), "{said}");
            assert!(said.ends_with("lockgate: interrupted\n"), "{said}");
            assert!(said.contains("nothing is left behind"), "{said}");
            assert_nothing_left(&mark);
        }
    });
}

#[test]
fn killed_it_leaves_nothing_either() {
    lab::run(|lab| {
        let demo = start(lab, "killed", &[], None);
        wait_until("the gateway to run", PATIENCE, || {
            let left = left("killed");
            if left.iter().any(|line| line.contains(" run -f ")) { Ok(()) } else { Err(left) }
        });
        demo.signal(Signal::KILL);
        end(demo, PATIENCE);
        assert_nothing_left("killed");
    });
}

#[test]
fn a_step_that_fails_is_told_with_its_reason_once() {
    lab::run(|lab| {
        let programs = programs_without(&["nft"]);
        let demo = start(lab, "failing", &["--once"], Some(programs.path()));
        let (code, said) = end(demo, PATIENCE);
        assert_eq!(code, Some(2), "{said}");
        assert_eq!(said.matches("the program `nft` is missing").count(), 1, "{said}");
        assert_nothing_left("failing");
    });
}
