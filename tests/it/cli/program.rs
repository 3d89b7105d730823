//! Runs the built program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with nothing of this environment that could change its output.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.args(arguments);
    for name in ["NO_COLOR", "LOCKGATE_RUNTIME_DIR", "LOCKGATE_STATE_DIR"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_with(arguments, "")
}

pub(crate) fn run_with(arguments: &[&str], stdin: &str) -> Ended {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same, asking the gateway whose socket is at `socket`.
pub(crate) fn ask(socket: &Path, arguments: &[&str]) -> Ended {
    let directory = socket.parent().unwrap().to_str().unwrap();
    run(&[&["--runtime-dir", directory], arguments].concat())
}
