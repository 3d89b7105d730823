//! Text in the making, and the file it becomes.

use std::fmt::{self, Write};
use zeroize::Zeroizing;

/// Adds a line to a page, as `println!` writes it.
macro_rules! line {
    ($page:expr, $($arguments:tt)*) => { $page.line(format_args!($($arguments)*)) };
}

/// Adds a comment to a page, as `println!` writes it.
macro_rules! note {
    ($page:expr) => { $page.note(format_args!("")) };
    ($page:expr, $($arguments:tt)*) => { $page.note(format_args!($($arguments)*)) };
}

pub(super) use {line, note};

/// Bytes a page has room for at once: a text that outgrows its place leaves its bytes
/// behind, and there may be a key among them.
const ROOM: usize = 16_384;

/// One file of a configuration.
pub struct ConfigFile {
    /// What it is to be called.
    pub name: String,
    /// What is in it.
    pub text: Zeroizing<String>,
    /// What its comments begin with.
    pub comment: &'static str,
    /// Whether it holds a key that nobody else may see.
    pub is_secret: bool,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigFile({}, {} bytes)", self.name, self.text.len())
    }
}

/// A text in the making, written line by line.
pub(super) struct Page {
    text: Zeroizing<String>,
    comment: &'static str,
}

impl Page {
    /// An empty one whose comments begin with `comment`.
    pub(super) fn new(comment: &'static str) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(ROOM)), comment }
    }

    /// Adds a line; [`line!`] writes the arguments.
    pub(super) fn line(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.text, "{arguments}");
    }

    /// Adds a comment; [`note!`] writes the arguments.
    pub(super) fn note(&mut self, arguments: fmt::Arguments<'_>) {
        let comment = self.comment;
        let _ = match arguments.as_str() {
            Some("") => writeln!(self.text, "{comment}"),
            Some(_) | None if comment.is_empty() => writeln!(self.text, "{arguments}"),
            Some(_) | None => writeln!(self.text, "{comment} {arguments}"),
        };
    }

    /// Adds a field of a form and what to enter there.
    pub(super) fn field(&mut self, label: &str, value: impl fmt::Display) {
        line!(self, "   {label:<25} {value}");
    }

    /// Adds an empty line.
    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// The file that it is, called `name`.
    pub(super) fn file(self, name: impl Into<String>, is_secret: bool) -> ConfigFile {
        ConfigFile { name: name.into(), text: self.text, comment: self.comment, is_secret }
    }
}

/// Things with `separator` between.
pub(super) fn joined<T: fmt::Display>(
    things: impl IntoIterator<Item = T>,
    separator: &str,
) -> String {
    let mut text = String::new();
    for (at, thing) in things.into_iter().enumerate() {
        if at != 0 {
            text.push_str(separator);
        }
        let _ = write!(text, "{thing}");
    }
    text
}
