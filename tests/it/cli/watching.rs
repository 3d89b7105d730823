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
    let worst = first.iter().position(|line| line.starts_with("▸ ✖ Down")).unwrap();
    assert!(first[worst - 1].starts_with("  STATE"), "{first:#?}");
    watcher.terminal.write(b"\x1b[6~");
    let next = watcher.until(|lines| !has(lines, "✖ Down"));
    assert!(next[worst - 1].starts_with("  STATE"), "the names of the columns went: {next:#?}");
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

/// The line that is chosen.
fn chosen(lines: &[String]) -> Option<&str> {
    lines.iter().find_map(|line| line.strip_prefix("▸ "))
}

const DOWN: &[u8] = b"\x1b[B";
const UP: &[u8] = b"\x1b[A";
const ESCAPE: &[u8] = b"\x1b";

#[test]
fn a_site_and_its_tenant_are_opened_and_left_by_keys() {
    let server = Server::start();
    let mut watcher = Watcher::start(&server, (80, 24), &[]);
    let all = watcher.until(|lines| chosen(lines).is_some());
    assert!(chosen(&all).unwrap().starts_with("✖ Down            krakow"), "{all:#?}");
    let keys = all.last().unwrap();
    assert!(keys.contains("↑ ↓ Enter opens, t tenant, / filter, q quit"), "{keys}");

    watcher.terminal.write(DOWN);
    let second = watcher.until(|lines| chosen(lines).is_some_and(|line| !line.contains("krakow")));
    let name = chosen(&second).unwrap().split_whitespace().nth(2).unwrap().to_owned();
    watcher.terminal.write(b"\r");
    let site = watcher.until(|lines| has(lines, "handshakes"));
    let says = |lines: &[String], what: &str, value: &str| {
        lines.iter().any(|line| {
            line.strip_prefix(what).is_some_and(|rest| rest.trim_start().starts_with(value))
        })
    };
    assert!(says(&site, "site", &format!("acme/{name}")), "{name}: {site:#?}");
    assert!(site.last().unwrap().ends_with("↑ ↓ PgUp PgDn scroll, / filter, Esc back, q quit"));
    // The same as is printed.
    let printed = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args(["--runtime-dir", server.socket.parent().unwrap().to_str().unwrap()])
        .args(["status", &format!("acme/{name}"), "--color", "never"])
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.lines().next().unwrap().starts_with(site[1].as_str()), "{printed}");

    watcher.terminal.write(b"t");
    let tenant = watcher.until(|lines| says(lines, "namespace", "lockgate.acme.gw"));
    assert!(says(&tenant, "sites", "") && !says(&tenant, "site ", "acme"), "{tenant:#?}");
    watcher.terminal.write(b"G");
    watcher.until(|lines| has(lines, "WHEN") || has(lines, "EVENT"));
    watcher.terminal.write(ESCAPE);
    let back = watcher.until(|lines| chosen(lines).is_some());
    assert_eq!(chosen(&back), chosen(&second), "it is where one was");
    watcher.terminal.write(b"q");
    assert_eq!(watcher.end().0, Some(1));
}

/// A row that became urgent pushed another one under the finger.
#[test]
fn what_is_chosen_stays_chosen_when_rows_change_places() {
    let server = Server::with(many(30), Duration::from_secs(60));
    let mut watcher = Watcher::start(&server, (80, 24), &[]);
    watcher.until(|lines| chosen(lines).is_some_and(|line| line.contains("site-29 ")));
    watcher.terminal.write(&DOWN.repeat(5));
    watcher.until(|lines| chosen(lines).is_some_and(|line| line.contains("site-4 ")));
    server.snapshots.send_modify(|it| {
        let mut changed = Snapshot::clone(it);
        for at in [10, 11, 12] {
            changed.tenants[0].sites[at].state = SiteState::Down;
        }
        *it = changed.into();
    });
    let lines = watcher.until(|lines| has(lines, "4 Down"));
    assert!(chosen(&lines).unwrap().contains("site-4 "), "{lines:#?}");
    // Up to the top, whose place is kept for what is most urgent.
    watcher.terminal.write(&UP.repeat(40));
    watcher.until(|lines| chosen(lines).is_some_and(|line| line.contains("Down")));
    watcher.terminal.write(b"/site-4");
    watcher.until(|lines| has(lines, "filter: site-4▏ (1 of 30)"));
    watcher.terminal.write(b"\r\r");
    watcher.until(|lines| has(lines, "acme/site-4") && has(lines, "Esc back"));
    // What is gone is said, and comes back.
    server.snapshots.send_modify(|it| {
        let mut changed = Snapshot::clone(it);
        changed.tenants[0].sites.remove(4);
        *it = changed.into();
    });
    watcher.until(|lines| has(lines, "✖ acme/gw has no site site-4 any more"));
    watcher.terminal.write(ESCAPE);
    watcher.until(|lines| has(lines, "filter: site-4 (0 of 29)"));
    watcher.terminal.write(b"q");
    watcher.end();
}

/// Folded rows of long names pushed others off the screen.
#[test]
fn a_row_is_a_line_however_long_its_names_are() {
    let mut long = many(30);
    for (at, site) in long.tenants[0].sites.iter_mut().enumerate() {
        site.name = format!("a-site-with-a-name-of-sixty-letters-as-documents-may-have-{at}")
            .parse()
            .unwrap();
    }
    let server = Server::with(long, Duration::from_secs(60));
    let mut watcher = Watcher::start(&server, (80, 24), &[]);
    let lines = watcher.until(|lines| chosen(lines).is_some());
    let rows = lines.iter().filter(|line| line.contains("Up ") || line.contains("Down "));
    assert_eq!(rows.count(), 17, "{lines:#?}");
    // What there is no room for is found.
    watcher.terminal.write(b"/may-have-17");
    watcher.until(|lines| has(lines, "(1 of 30)"));
    watcher.signal("TERM");
    watcher.end();
}

#[test]
fn the_chosen_row_stands_out_in_colour_to_its_end() {
    let server = Server::start();
    let (mut child, mut terminal) =
        on_terminal(status(&server, &["-w", "--color", "always"]), 100, 24);
    terminal.read_until(|seen| seen.contains("▸"));
    terminal.read_until(|seen| seen.contains("q quit"));
    let seen = terminal.seen();
    let row = seen.split("\u{1b}[K").find(|line| line.contains("▸")).unwrap();
    let row = &row[row.find("\u{1b}[7m").unwrap()..];
    assert!(row.ends_with("\u{1b}[0m"), "{row:?}");
    for piece in row.split("\u{1b}[0m").skip(1) {
        assert!(piece.is_empty() || piece.starts_with("\u{1b}[7m"), "{row:?}");
    }
    terminal.write(b"q");
    child.wait().unwrap();
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
