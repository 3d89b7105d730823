//! `lockgate status -w`, as a person sees it: on a terminal that understands just what it
//! is to be sent.

use super::terminal::{Terminal, on_terminal, status};
use crate::http::server::Server;
use crate::sample::{NOW, site, snapshot};
use lockgate::status::{SiteReason, SiteState, Snapshot};
use std::process::{Child, Command};
use std::time::Duration;

const TAKE: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const GIVE_BACK: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// What stands on a screen of `columns` and `rows` after all of `seen`. It fails on what would
/// scroll, or clear more than is drawn anew.
fn screen(seen: &str, columns: usize, rows: usize) -> Vec<String> {
    let mut cells = vec![vec![' '; columns]; rows];
    let (mut row, mut column) = (0, 0);
    let mut rest = seen;
    while let Some(letter) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
            let end = sequence.find(|it: char| it.is_ascii_alphabetic()).unwrap_or(0);
            let (parameters, last) = (&sequence[..end], &sequence[end..=end]);
            match last {
                "H" => {
                    let (to, _) = parameters.split_once(';').unwrap_or((parameters, ""));
                    (row, column) = (to.parse::<usize>().unwrap() - 1, 0);
                }
                "K" => cells[row][column..].fill(' '),
                "J" => cells[row..].iter_mut().for_each(|line| line.fill(' ')),
                "h" | "l" | "m" => {}
                other => panic!("a sequence that ends with {other}"),
            }
            rest = &sequence[end + 1..];
            continue;
        }
        assert!(!letter.is_control(), "{letter:?} moves the cursor");
        assert!(column < columns && row < rows, "line {row} is too long: {}", rest.len());
        cells[row][column] = letter;
        column += 1;
        rest = &rest[letter.len_utf8()..];
    }
    cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
}

/// A watcher on a terminal.
struct Watcher {
    child: Child,
    terminal: Terminal,
    size: (u16, u16),
}

impl Watcher {
    fn start(server: &Server, size: (u16, u16), words: &[&str]) -> Self {
        let words = [&["-w", "--color", "never"][..], words].concat();
        let (child, terminal) = on_terminal(status(server, &words), size.0, size.1);
        Self { child, terminal, size }
    }

    /// Waits until `done` with the screen, and gives it.
    fn until(&mut self, done: impl Fn(&[String]) -> bool) -> Vec<String> {
        let (columns, rows) = (usize::from(self.size.0), usize::from(self.size.1));
        let whole = |seen: &str| {
            let at = seen.rfind(END).map_or(0, |at| at + END.len());
            screen(&seen[..at], columns, rows)
        };
        self.terminal.read_until(|seen| seen.contains(END) && done(&whole(seen)));
        whole(self.terminal.seen())
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Its exit code, and all that it ever wrote.
    fn end(mut self) -> (Option<i32>, String) {
        let seen = self.terminal.read_all();
        (self.child.wait().unwrap().code(), seen)
    }
}

fn has(lines: &[String], words: &str) -> bool {
    lines.iter().any(|line| line.contains(words))
}

/// Many sites of one tenant, all up but the last.
fn many(count: usize) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.refused.clear();
    snapshot.config.last_reload = None;
    snapshot.tenants.truncate(1);
    snapshot.tenants[0].sites = (0..count)
        .map(|at| {
            let is_last = at + 1 == count;
            let (state, reason) = if is_last {
                (SiteState::Down, SiteReason::HandshakeTimeout)
            } else {
                (SiteState::Up, SiteReason::SessionAlive)
            };
            site(&format!("site-{at}"), state, reason)
        })
        .collect();
    snapshot
}

#[test]
fn only_what_changes_is_drawn_and_the_terminal_is_left_as_it_was() {
    let server = Server::start();
    let mut watcher = Watcher::start(&server, (120, 24), &[]);
    let before = watcher.terminal.modes_before();
    watcher.until(|lines| has(lines, "running since") && has(lines, "q quit"));
    assert_ne!(watcher.terminal.modes(), before, "keys are echoed");
    let drawn = watcher.terminal.seen().len();
    server.snapshots.send_modify(|it| {
        let mut changed = Snapshot::clone(it);
        changed.version = "0.1.1".to_owned();
        *it = changed.into();
    });
    watcher.until(|lines| has(lines, "lockgate 0.1.1"));
    let more = &watcher.terminal.seen()[drawn..];
    assert!(!more.contains("STATE"), "what did not change is drawn again: {more:?}");
    watcher.signal("INT");
    let terminal = watcher.terminal.keep();
    let (code, seen) = watcher.end();
    assert_eq!(code, Some(1));
    assert!(seen.starts_with(TAKE) && seen.ends_with(GIVE_BACK), "{seen:?}");
    assert!(!seen.contains("\u{1b}[2J"), "it clears the screen, which flickers");
    let inside = seen[TAKE.len()..seen.len() - GIVE_BACK.len()].split(END);
    assert!(inside.into_iter().all(|frame| frame.is_empty() || frame.starts_with(BEGIN)));
    assert_eq!(Terminal::modes_of(&terminal), before);
}

#[test]
fn many_sites_are_scrolled_and_filtered() {
    let server = Server::with(many(200), Duration::from_secs(60));
    let mut watcher = Watcher::start(&server, (80, 24), &[]);
    let first = watcher.until(|lines| has(lines, "lines 1–"));
    assert_eq!(first.len(), 24);
    let worst = first.iter().position(|line| line.starts_with("✖ Down")).unwrap();
    assert!(first[worst - 1].starts_with("STATE"), "{first:#?}");
    watcher.terminal.write(b"\x1b[6~");
    let next = watcher.until(|lines| !has(lines, "✖ Down"));
    assert!(next[worst - 1].starts_with("STATE"), "the names of the columns went: {next:#?}");
    watcher.terminal.write(b"G");
    watcher.until(|lines| has(lines, "site-198 ") && has(lines, "of 200"));
    watcher.terminal.write(b"/SITE-19");
    let some = watcher.until(|lines| has(lines, "filter: SITE-19▏ (11 of 200)"));
    assert!(has(&some, "site-19 ") && has(&some, "site-199 ") && !has(&some, "site-18 "));
    watcher.terminal.write(b"\rq");
    assert_eq!(watcher.end().0, Some(1));
}

#[test]
fn a_terminal_of_few_lines_has_the_worst_site_on_it() {
    let server = Server::with(many(200), Duration::from_secs(60));
    for rows in [6, 11, 3] {
        let mut watcher = Watcher::start(&server, (60, rows), &[]);
        let lines = watcher.until(|lines| has(lines, "q quit"));
        assert_eq!(lines.len(), usize::from(rows));
        assert_eq!(has(&lines, "✖ Down"), 3 < rows, "{lines:#?}");
        watcher.signal("TERM");
        watcher.end();
    }
}

/// The screen was one error, and what was known of the sites was gone from it.
#[test]
fn a_gateway_that_goes_is_waited_for_with_the_last_picture_and_a_loud_word() {
    let mut server = Server::start();
    let mut watcher = Watcher::start(&server, (120, 40), &[]);
    watcher.until(|lines| has(lines, "running since"));
    server.stop();
    let lines = watcher.until(|lines| has(lines, "NOT REACHED since"));
    assert!(lines[0].starts_with("✖ NOT REACHED since 20"), "{lines:#?}");
    assert!(has(&lines, "is `lockgate run` running"));
    assert!(has(&lines, "✖ Down            krakow"), "{lines:#?}");
    watcher.signal("TERM");
    assert!(watcher.end().1.ends_with(GIVE_BACK));
}

#[test]
fn a_picture_that_is_old_says_so() {
    let server = Server::start();
    let mut watcher = Watcher::start(&server, (120, 40), &[]);
    let stale = format!("✖ STALE: what follows is of {NOW}");
    let lines = watcher.until(|lines| has(lines, "running since"));
    assert!(lines[0].starts_with(&stale), "{lines:#?}");
    watcher.signal("TERM");
    watcher.end();
}

/// The shell had a hidden cursor and the other screen.
#[test]
fn a_stopped_watcher_gives_the_terminal_back_until_it_goes_on() {
    let server = Server::start();
    let mut watcher = Watcher::start(&server, (120, 40), &[]);
    watcher.until(|lines| has(lines, "running since"));
    let before = watcher.terminal.modes_before();
    watcher.signal("TSTP");
    watcher.terminal.read_until(|seen| seen.ends_with(GIVE_BACK));
    assert_eq!(watcher.terminal.modes(), before);
    watcher.signal("CONT");
    watcher.terminal.read_until(|seen| {
        let after = seen.rsplit(GIVE_BACK).next().unwrap_or_default();
        after.starts_with(TAKE) && after.contains("running since")
    });
    watcher.signal("TERM");
    assert!(watcher.end().1.ends_with(GIVE_BACK));
}
