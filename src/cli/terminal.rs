//! What the output goes to: its width and its colours.

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

/// The terminal's columns and rows, when it has some.
pub(super) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns != 0 && rows != 0).then_some((columns, rows))
}

/// Writes to stdout.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
