//! What the program does with a terminal: its width, its colours, its screen.

use super::program::command;
use crate::http::server::Server;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command};

/// A terminal: our end, and what was read from it.
struct Terminal {
    ours: File,
    seen: String,
}

/// Runs a program on a terminal of `columns` and `rows`.
fn on_terminal(mut command: Command, columns: u16, rows: u16) -> (Child, Terminal) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let child = command.env("TERM", "xterm").stdout(theirs).spawn().unwrap();
    // The command holds the other end; while it does, there is no end to read.
    drop(command);
    (child, Terminal { ours: File::from(ours), seen: String::new() })
}

impl Terminal {
    /// Reads until `done` with what was seen, or until the program has ended.
    fn read_until(&mut self, done: impl Fn(&str) -> bool) {
        let mut buffer = [0; 4_096];
        while !done(&self.seen) {
            // Linux answers EIO when nobody is left at the other end.
            match self.ours.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => self.seen += &String::from_utf8_lossy(&buffer[..read]),
            }
        }
    }

    fn read_all(mut self) -> String {
        self.read_until(|_| false);
        self.seen
    }
}

fn status(server: &Server, arguments: &[&str]) -> Command {
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

#[test]
fn watching_draws_over_itself_and_leaves_the_terminal_as_it_was() {
    let server = Server::start();
    let (mut child, mut terminal) = on_terminal(status(&server, &["-w"]), 120, 12);
    terminal.read_until(|seen| seen.matches("running since").count() >= 2);
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let seen = terminal.read_all();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(seen.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[H"), "{seen:?}");
    assert!(seen.ends_with("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"), "{seen:?}");
    assert!(!seen.contains("\u{1b}[2J"), "it clears the screen, which flickers");
    let pictures: Vec<&str> = seen.split("\u{1b}[H").skip(1).collect();
    for picture in pictures {
        assert!(picture.matches('\n').count() < 12, "it scrolls: {picture:?}");
    }
}

#[test]
fn watching_waits_for_a_gateway_that_is_not_there() {
    let mut server = Server::start();
    let (mut child, mut terminal) = on_terminal(status(&server, &["-w"]), 120, 50);
    terminal.read_until(|seen| seen.contains("running since"));
    server.stop();
    terminal.read_until(|seen| seen.contains("is `lockgate run` running"));
    let kill = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert!(terminal.read_all().ends_with("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"));
    assert!(child.wait().unwrap().code().is_some());
}
