//! The part of a picture that fits a terminal: what stays at the top, the rows that are
//! scrolled and searched, and a line at the bottom that says where one is.

use crate::cli::keyboard::Key;

/// Lines below which the summary is left out, so that there is room for rows.
const LOW: usize = 12;

/// Letters of the longest filter.
const FILTER: usize = 64;

/// All there is to show.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// What is said of the whole.
    pub(super) head: Vec<String>,
    /// The names of the columns.
    pub(super) columns: Vec<String>,
    /// The rows, which a filter chooses from.
    pub(super) rows: Vec<String>,
    /// What follows the rows.
    pub(super) tail: Vec<String>,
}

/// Where one is in it.
#[derive(Debug, Default)]
pub(super) struct Pane {
    offset: usize,
    filter: String,
    is_typing: bool,
    /// Lines that were shown last.
    page: usize,
}

/// What a key asks for beyond the pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To draw it.
    Draw,
    /// To draw all again, whatever stands there.
    Redraw,
    /// To leave.
    Quit,
}

impl Pane {
    /// A key was pressed.
    pub(super) fn handle(&mut self, key: Key) -> Wish {
        if self.is_typing && self.type_filter(key) {
            return Wish::Draw;
        }
        let page = self.page.max(1);
        match key {
            Key::Up | Key::Letter('k') => self.offset = self.offset.saturating_sub(1),
            Key::Down | Key::Letter('j') => self.offset = self.offset.saturating_add(1),
            Key::PageUp | Key::Letter('b') => self.offset = self.offset.saturating_sub(page),
            Key::PageDown | Key::Letter(' ') => self.offset = self.offset.saturating_add(page),
            Key::Home | Key::Letter('g') => self.offset = 0,
            // Laying out brings it back to the last page.
            Key::End | Key::Letter('G') => self.offset = usize::MAX,
            Key::Letter('/') => self.is_typing = true,
            Key::Escape => self.filter.clear(),
            Key::Letter('q') => return Wish::Quit,
            Key::Redraw => return Wish::Redraw,
            Key::Enter | Key::Backspace | Key::Letter(_) => {}
        }
        Wish::Draw
    }

    /// A key while a filter is typed; whether it was one for that.
    fn type_filter(&mut self, key: Key) -> bool {
        match key {
            Key::Letter(letter) if self.filter.len() < FILTER => self.filter.push(letter),
            Key::Letter(_) => {}
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.filter.clear();
                self.is_typing = false;
            }
            Key::Up
            | Key::Down
            | Key::PageUp
            | Key::PageDown
            | Key::Home
            | Key::End
            | Key::Redraw => return false,
        }
        self.offset = 0;
        true
    }

    /// The lines of a screen of `width` and `height`, `banner` at the top. Keys are named
    /// where there are some.
    pub(super) fn lay_out(
        &mut self,
        banner: Vec<String>,
        picture: &Picture,
        (width, height): (usize, usize),
        has_keys: bool,
    ) -> Vec<String> {
        let mut lines = banner;
        if LOW <= height {
            lines.extend(picture.head.iter().cloned());
        }
        lines.extend(picture.columns.iter().cloned());
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &&String| bare(row).to_lowercase().contains(&wanted);
        let rows: Vec<&String> = picture.rows.iter().filter(is_wanted).collect();
        let body: Vec<&String> = rows.iter().copied().chain(&picture.tail).collect();
        // The last line is the footer's.
        self.page = height.saturating_sub(lines.len() + 1).max(1);
        self.offset = self.offset.min(body.len().saturating_sub(self.page));
        let shown = body.iter().skip(self.offset).take(self.page);
        lines.extend(shown.map(|line| (*line).clone()));
        let last = (self.offset + self.page).min(body.len());
        let footer = self.footer(rows.len(), picture.rows.len(), (last, body.len()), has_keys);
        lines.truncate(height.saturating_sub(1));
        while lines.len() + 1 < height {
            lines.push(String::new());
        }
        lines.push(footer);
        lines.iter().map(|line| cut(line, width)).collect()
    }

    fn footer(
        &self,
        rows: usize,
        of: usize,
        (last, all): (usize, usize),
        has_keys: bool,
    ) -> String {
        let mut parts = Vec::new();
        if self.offset != 0 || last < all {
            parts.push(format!("lines {}–{last} of {all}", self.offset + 1));
        }
        if self.is_typing || !self.filter.is_empty() {
            let cursor = if self.is_typing { "▏" } else { "" };
            parts.push(format!("filter: {}{cursor} ({rows} of {of})", self.filter));
        }
        if self.is_typing {
            parts.push("Enter keeps it, Esc clears it".to_owned());
        } else if has_keys {
            let overflows = self.offset != 0 || last < all;
            let (scroll, filter) = match (overflows, self.filter.is_empty()) {
                (true, true) => ("↑ ↓ PgUp PgDn scroll, ", "/ filter"),
                // There has to be room for the filter itself.
                (true, false) => ("↑ ↓, ", "Esc clears it"),
                (false, true) => ("", "/ filter"),
                (false, false) => ("", "Esc clears it"),
            };
            parts.push(format!("{scroll}{filter}, q quit"));
        }
        parts.join(" · ")
    }
}

/// A line without its colours.
fn bare(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    walk(line, |piece| {
        if let Piece::Letter(letter) = piece {
            text.push(letter);
        }
    });
    text
}

/// The part of `line` that has room in `width` columns, with all of its colours, so that
/// none goes on behind it.
fn cut(line: &str, width: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let mut columns = 0;
    walk(line, |piece| match piece {
        Piece::Letter(letter) if columns < width => {
            columns += 1;
            text.push(letter);
        }
        Piece::Letter(_) => {}
        Piece::Color(sequence) => text.push_str(sequence),
    });
    text
}

/// A piece of a line.
enum Piece<'a> {
    /// What takes a column.
    Letter(char),
    /// A sequence that takes none (ECMA-48 §8.3.117, SGR).
    Color(&'a str),
}

fn walk(line: &str, mut each: impl FnMut(Piece<'_>)) {
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let length = match (letter, rest.find('m')) {
            ('\x1b', Some(end)) => end + 1,
            _ => letter.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        let piece = if letter == '\x1b' { Piece::Color(piece) } else { Piece::Letter(letter) };
        each(piece);
        rest = after;
    }
}
