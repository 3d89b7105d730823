//! What the output goes to: its width, its colours, and a screen to redraw.

use clap::ValueEnum;
use std::io::{self, IsTerminal, Write};

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether to use colour.
    pub(super) color: bool,
    /// Columns there are; `None` has no end.
    pub(super) width: Option<u16>,
}

impl Style {
    /// Without an end to lines, for who asked for all there is: columns of three
    /// letters say less than lines the terminal breaks.
    pub(super) const fn endless(self) -> Self {
        Self { width: None, ..self }
    }

    /// For what stdout is now.
    pub(super) fn of_stdout(choice: ColorChoice) -> Self {
        let is_terminal = io::stdout().is_terminal();
        // https://no-color.org: set and not empty.
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match choice {
            ColorChoice::Auto => is_terminal && !is_refused && !is_dumb,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Self { color, width: if is_terminal { columns() } else { None } }
    }
}

/// The terminal's width, when it has one.
fn columns() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col != 0).then_some(size.ws_col)
}

/// The terminal's height, when it has one.
fn rows() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row != 0).then_some(usize::from(size.ws_row))
}

/// Writes to stdout.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// A picture that is drawn again and again.
///
/// On a terminal it has a screen of its own (the alternate one), is overwritten
/// line by line so that nothing flickers, and is gone without a trace when
/// dropped. Elsewhere each picture follows the one before.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
}

impl Screen {
    /// Takes the screen.
    pub(super) fn take() -> anyhow::Result<Self> {
        let screen = Self { is_terminal: io::stdout().is_terminal() };
        if screen.is_terminal {
            // Alternate screen, cursor hidden, long lines cut and not wrapped, for
            // a wrapped line is one that scrolls (xterm's DEC private modes).
            print("\x1b[?1049h\x1b[?25l\x1b[?7l")?;
        }
        Ok(screen)
    }

    /// Shows `picture` in place of the one before. What does not fit below is
    /// left out, for a picture that scrolls cannot be overwritten.
    pub(super) fn draw(&self, picture: &str) -> anyhow::Result<()> {
        if !self.is_terminal {
            return print(&format!("{picture}\n"));
        }
        let rows = rows().unwrap_or(usize::MAX);
        // Home; each line cleared to its end after it; then everything below.
        let lines: Vec<&str> = picture.lines().take(rows).collect();
        print(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            // Nothing can be done for a terminal that is gone.
            drop(print("\x1b[?7h\x1b[?25h\x1b[?1049l"));
        }
    }
}
