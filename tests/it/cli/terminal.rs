//! What the program does with a terminal: its width, its colours, its screen.

use super::program::command;
use crate::http::server::Server;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};

/// How long what is waited for may take, on a machine that is busy with other tests.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A terminal: our end, what was read from it, and how it was set at first.
pub(super) struct Terminal {
    ours: File,
    seen: String,
    /// Bytes of a letter of which not all have come.
    torn: Vec<u8>,
    before: String,
}

/// Runs a program on a terminal of `columns` and `rows`.
pub(super) fn on_terminal(mut command: Command, columns: u16, rows: u16) -> (Child, Terminal) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    command.stdin(theirs.try_clone().unwrap()).stdout(theirs);
    let ours = File::from(ours);
    let before = Terminal::modes_of(&ours);
    let child = command.env("TERM", "xterm").spawn().unwrap();
    // The command holds the other end; while it does, there is no end to read.
    drop(command);
    (child, Terminal { ours, seen: String::new(), torn: Vec::new(), before })
}

impl Terminal {
    /// Reads until `done` with what was seen, or until the program has ended.
    #[allow(clippy::disallowed_methods, reason = "a test that waits for nothing is to end")]
    pub(super) fn read_until(&mut self, done: impl Fn(&str) -> bool) {
        let mut buffer = [0; 4_096];
        let begun = std::time::Instant::now();
        while !done(&self.seen) {
            assert!(begun.elapsed().as_secs() < 60, "not drawn: {:?}", self.seen);
            let mut wanted = [PollFd::new(&self.ours, PollFlags::IN)];
            let ready = poll(&mut wanted, Some(&PATIENCE)).unwrap();
            assert_ne!(ready, 0, "nothing more was drawn: {:?}", self.seen);
            // Linux answers EIO when nobody is left at the other end.
            match self.ours.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => self.torn.extend(&buffer[..read]),
            }
            let whole = match std::str::from_utf8(&self.torn) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let torn = self.torn.split_off(whole);
            self.seen += std::str::from_utf8(&self.torn).unwrap();
            self.torn = torn;
        }
    }

    pub(super) fn read_all(mut self) -> String {
        self.read_until(|_| false);
        self.seen
    }

    pub(super) fn seen(&self) -> &str {
        &self.seen
    }

    /// Presses keys.
    pub(super) fn write(&mut self, keys: &[u8]) {
        self.ours.write_all(keys).unwrap();
    }

    /// How it is set: echo, lines, special characters.
    pub(super) fn modes(&self) -> String {
        Self::modes_of(&self.ours)
    }

    /// How it was set before the program began.
    pub(super) fn modes_before(&self) -> String {
        self.before.clone()
    }

    pub(super) fn modes_of(terminal: &File) -> String {
        let modes = tcgetattr(terminal).unwrap();
        format!("{:?} {:?}", modes.local_modes, modes.input_modes)
    }

    /// Our end once more, to ask how it is set after all was read.
    pub(super) fn keep(&self) -> File {
        self.ours.try_clone().unwrap()
    }
}

pub(super) fn status(server: &Server, arguments: &[&str]) -> Command {
    let directory = server.socket.parent().unwrap().to_str().unwrap();
    command(&[&["--runtime-dir", directory, "status"], arguments].concat())
}

#[test]
fn a_table_fits_its_terminal() {
    let server = Server::start();
    for columns in [200, 103, 102, 100, 80] {
        let (mut child, terminal) =
            on_terminal(status(&server, &["--color", "never"]), columns, 50);
        let seen = terminal.read_all();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let table = seen.lines().skip_while(|line| !line.starts_with("STATE"));
        let table: Vec<&str> = table.take_while(|line| !line.is_empty()).collect();
        assert_eq!(table.len(), 7, "a row is folded: {seen}");
        for line in table {
            assert!(line.chars().count() <= usize::from(columns), "{columns} columns: {line:?}");
        }
    }
}

/// Twelve columns of three letters each were no table any more.
#[test]
fn a_wide_table_is_not_squeezed_into_a_narrow_terminal() {
    let server = Server::start();
    let arguments = ["--color", "never", "-o", "wide"];
    let (mut child, terminal) = on_terminal(status(&server, &arguments), 60, 50);
    let narrow = terminal.read_all();
    child.wait().unwrap();
    let (mut child, terminal) = on_terminal(status(&server, &arguments), 300, 50);
    let wide = terminal.read_all();
    child.wait().unwrap();
    let table = |seen: &str| {
        let table = seen.lines().skip_while(|line| !line.starts_with("STATE"));
        table.take_while(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(table(&narrow).len(), 7, "{narrow}");
    assert!(table(&narrow)[0].ends_with("PREFIXES"), "{narrow}");
    assert_eq!(table(&narrow)[0], table(&wide)[0]);
}

#[test]
fn colour_is_for_terminals_whose_owner_wants_it() {
    let server = Server::start();
    let colored = |no_color: Option<&str>| {
        let mut command = status(&server, &[]);
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let (mut child, terminal) = on_terminal(command, 120, 50);
        let seen = terminal.read_all();
        child.wait().unwrap();
        seen.contains('\u{1b}')
    };
    assert!(colored(None));
    assert!(!colored(Some("1")));
    assert!(colored(Some("")));
}
