//! What the person in front sees: a line for each act, the matrix, a verdict.

use super::cast::{Pair, now};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Prints a line. Whoever has stopped reading does not stop the demo halfway.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What the person in front sees.
pub(super) struct Story {
    color: bool,
    began: Instant,
}

/// One act: a line that is begun, and ended with its result.
pub(super) struct Act<'a> {
    story: &'a Story,
    title: String,
    began: Instant,
    ended: bool,
}

impl Story {
    pub(super) fn new() -> Self {
        let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { color, began: now() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn say(&self, text: &str) {
        line(&format!("  {text}"));
    }

    pub(super) fn title(&self, text: &str) {
        line(&format!("\n  {}\n", self.paint("1", text)));
    }

    pub(super) fn begin(&self, title: &str) -> Act<'_> {
        if self.color {
            let mut stdout = std::io::stdout();
            let _ = write!(stdout, "  … {title}");
            let _ = stdout.flush();
        }
        Act { story: self, title: title.to_owned(), began: now(), ended: false }
    }

    /// The isolation matrix: who asked, what address, who answered.
    pub(super) fn matrix(&self, pairs: &[Pair]) {
        line("");
        for pair in pairs {
            let show = |answer: &Option<String>| answer.clone().unwrap_or_else(|| "—".to_owned());
            let [udp, tcp] = pair.measured.each_ref().map(show);
            let answer = if udp == tcp { udp } else { format!("UDP {udp}, TCP {tcp}") };
            let (mark, color) = match (pair.holds(), &pair.expected) {
                (true, Some(_)) => ("answered by", "32"),
                (true, None) => ("dropped", "2"),
                (false, _) => ("WRONG:", "31;1"),
            };
            let answer =
                if pair.holds() && pair.expected.is_none() { String::new() } else { answer };
            let row = format!("{:<12} → {:<15} {mark} {answer}", pair.from, pair.to.to_string());
            line(&format!("      {}", self.paint(color, row.trim_end())));
        }
        line("");
    }

    pub(super) fn verdict(&self, good: bool) {
        let seconds = now().duration_since(self.began).as_secs_f64();
        let text = if good {
            self.paint("32;1", "every check held")
        } else {
            self.paint("31;1", "a check FAILED")
        };
        line(&format!("  {text} ({seconds:.0} s)"));
    }
}

impl Act<'_> {
    pub(super) fn done(self, result: &str) {
        self.result(true, result);
    }

    pub(super) fn result(mut self, good: bool, result: &str) {
        self.ended = true;
        let seconds = now().duration_since(self.began).as_secs_f64();
        let mark =
            if good { self.story.paint("32", "✔") } else { self.story.paint("31;1", "✖") };
        let begin = if self.story.color { "\r\x1b[K" } else { "" };
        let separator = if result.is_empty() { "" } else { ": " };
        line(&format!("{begin}  {mark} {}{separator}{result} ({seconds:.1} s)", self.title));
    }
}

impl Drop for Act<'_> {
    /// What broke it off is told on a line of its own.
    fn drop(&mut self) {
        if !self.ended && self.story.color {
            line("");
        }
    }
}
