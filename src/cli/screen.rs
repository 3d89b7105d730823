//! A picture that is drawn again and again.

use super::terminal::print;
use std::fmt::Write;
use std::io::{self, IsTerminal};

/// The screen.
///
/// On a terminal it is one of its own (the alternate one), of which only the lines that have
/// changed are written, all of them at one time, so that nothing flickers; it is gone without
/// a trace when dropped. Elsewhere each picture follows the one before.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
    /// What stands there; `None` when that is not known.
    shown: Option<Vec<String>>,
}

/// Alternate screen, cursor hidden, long lines cut and not wrapped, for a wrapped line is
/// one that scrolls (xterm's DEC private modes).
const TAKE: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// The contrary.
const GIVE_BACK: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What is between these two is shown at one time, by terminals that can (mode 2026); the
/// others take no notice.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

impl Screen {
    /// Takes the screen.
    pub(super) fn take() -> anyhow::Result<Self> {
        let mut screen = Self { is_terminal: io::stdout().is_terminal(), shown: None };
        screen.resume()?;
        Ok(screen)
    }

    /// Whether there is a screen that pictures are drawn on in place.
    pub(super) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Gives the terminal back for a while.
    pub(super) fn suspend(&mut self) -> anyhow::Result<()> {
        if self.is_terminal { print(GIVE_BACK) } else { Ok(()) }
    }

    /// Takes it again.
    pub(super) fn resume(&mut self) -> anyhow::Result<()> {
        self.shown = None;
        if self.is_terminal { print(TAKE) } else { Ok(()) }
    }

    /// What stands there is not what was drawn: it is drawn whole the next time.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// Shows `lines` in place of those before.
    pub(super) fn draw(&mut self, lines: Vec<String>) -> anyhow::Result<()> {
        if !self.is_terminal {
            return print(&format!("{}\n\n", lines.join("\n")));
        }
        let mut out = String::new();
        let before = self.shown.as_deref();
        if before.is_none() {
            out.push_str("\x1b[1;1H\x1b[J");
        }
        for (at, line) in lines.iter().enumerate() {
            if before.and_then(|before| before.get(at)) != Some(line) {
                // To its place; after it the rest of the line is cleared. Writing to a
                // `String` cannot fail.
                let _ = write!(out, "\x1b[{};1H{line}\x1b[K", at + 1);
            }
        }
        // Where there are as many lines as the terminal has, there is nothing below.
        if before.is_some_and(|before| lines.len() < before.len()) {
            let _ = write!(out, "\x1b[{};1H\x1b[J", lines.len() + 1);
        }
        self.shown = Some(lines);
        if out.is_empty() { Ok(()) } else { print(&format!("{BEGIN}{out}{END}")) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that is gone.
        drop(self.suspend());
    }
}
