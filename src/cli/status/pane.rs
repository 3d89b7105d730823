//! The part of a picture that fits a terminal: what stays at the top, the rows that are
//! scrolled, searched and chosen from, and a line at the bottom that says where one is and
//! which keys there are.

use super::line::{bare, cut, marked};
use crate::cli::keyboard::Key;
use crate::net::{SiteName, TenantName};

/// Lines below which the summary is left out, so that there is room for rows.
const LOW: usize = 12;

/// Letters of the longest filter.
const FILTER: usize = 64;

/// Columns at the left of rows that can be chosen, for the mark of the one that is.
pub(super) const MARGIN: u16 = 2;

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) tenant: TenantName,
    /// `None` for the tenant as a whole.
    pub(super) site: Option<SiteName>,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) text: String,
    /// What can be opened there.
    pub(super) about: Option<Spot>,
}

/// All there is to show.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// What is said of the whole.
    pub(super) head: Vec<String>,
    /// The names of the columns.
    pub(super) columns: Vec<String>,
    /// The rows, which a filter chooses from.
    pub(super) rows: Vec<Row>,
    /// What follows the rows.
    pub(super) tail: Vec<String>,
}

impl Picture {
    /// A text, line by line.
    pub(super) fn of(text: &str) -> Self {
        let rows = text.lines().map(|line| Row { text: line.to_owned(), about: None });
        Self { rows: rows.collect(), ..Self::default() }
    }

    /// All of it, below `lines`.
    pub(super) fn below(&self, mut lines: Vec<String>) -> Vec<String> {
        lines.extend_from_slice(&self.head);
        lines.extend_from_slice(&self.columns);
        lines.extend(self.rows.iter().map(|row| row.text.clone()));
        lines.extend_from_slice(&self.tail);
        lines
    }
}

/// What it is drawn on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surface {
    /// Columns and lines.
    pub(super) size: (usize, usize),
    /// Whether there are keys to be named.
    pub(super) has_keys: bool,
    pub(super) color: bool,
    /// Whether Esc leads somewhere.
    pub(super) has_way_back: bool,
}

/// Where one is in it.
#[derive(Debug, Default)]
pub(super) struct Pane {
    offset: usize,
    /// Of the rows that the filter leaves, the one that is chosen.
    cursor: usize,
    /// What that is about, once somebody chose it: another picture has it elsewhere.
    chosen: Option<Spot>,
    /// Whether a key has moved the cursor since it was drawn.
    has_moved: bool,
    filter: String,
    is_typing: bool,
    /// Lines that were shown last.
    page: usize,
    /// Rows that could be chosen then.
    choices: usize,
}

/// What a key asks for beyond the pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To draw it.
    Draw,
    /// To draw all again, whatever stands there.
    Redraw,
    /// To see more of what is chosen.
    Open,
    /// To see its tenant.
    Tenant,
    /// To go back.
    Back,
    /// To leave.
    Quit,
}

impl Pane {
    /// What the cursor stands on.
    pub(super) const fn chosen(&self) -> Option<&Spot> {
        self.chosen.as_ref()
    }

    /// A key was pressed.
    pub(super) fn handle(&mut self, key: Key) -> Wish {
        if self.is_typing && self.type_filter(key) {
            return Wish::Draw;
        }
        match key {
            Key::Up | Key::Letter('k') => self.up(),
            Key::Down | Key::Letter('j') => self.down(),
            Key::PageUp | Key::Letter('b') => self.page(usize::saturating_sub),
            Key::PageDown | Key::Letter(' ') => self.page(usize::saturating_add),
            Key::Home | Key::Letter('g') => self.to(0),
            // Laying out brings it back to the last page.
            Key::End | Key::Letter('G') => self.to(usize::MAX),
            Key::Letter('/') => self.is_typing = true,
            Key::Enter => return Wish::Open,
            Key::Letter('t') => return Wish::Tenant,
            Key::Escape if self.filter.is_empty() => return Wish::Back,
            Key::Escape => self.filter.clear(),
            Key::Letter('q') => return Wish::Quit,
            Key::Redraw => return Wish::Redraw,
            Key::Backspace | Key::Letter(_) => {}
        }
        Wish::Draw
    }

    /// To the row above; where none can be chosen, or one has gone on below the last, to
    /// the line above.
    fn up(&mut self) {
        if self.choices == 0 || self.cursor < self.offset {
            self.offset = self.offset.saturating_sub(1);
        } else {
            self.cursor = self.cursor.saturating_sub(1);
            self.has_moved = true;
        }
    }

    fn down(&mut self) {
        if self.cursor + 1 < self.choices {
            self.cursor += 1;
            self.has_moved = true;
        } else {
            self.offset = self.offset.saturating_add(1);
        }
    }

    fn page(&mut self, go: fn(usize, usize) -> usize) {
        let page = self.page.max(1);
        (self.offset, self.cursor) = (go(self.offset, page), go(self.cursor, page));
        self.has_moved = true;
    }

    fn to(&mut self, at: usize) {
        (self.offset, self.cursor) = (at, at);
        self.has_moved = true;
    }

    /// A key while a filter is typed; whether it was one for that.
    fn type_filter(&mut self, key: Key) -> bool {
        match key {
            Key::Letter(letter) if self.filter.len() < FILTER => self.filter.push(letter),
            Key::Letter(_) => {}
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => {
                self.is_typing = false;
                return true;
            }
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
        self.to(0);
        true
    }

    /// The lines of a screen, `banner` at the top.
    pub(super) fn lay_out(
        &mut self,
        banner: Vec<String>,
        picture: &Picture,
        surface: Surface,
    ) -> Vec<String> {
        let (width, height) = surface.size;
        let mut lines = banner;
        if LOW <= height {
            lines.extend(picture.head.iter().cloned());
        }
        let rows: Vec<&Row> = picture.rows.iter().filter(|row| self.lets_through(row)).collect();
        self.find_cursor(&rows);
        let has_margin = surface.has_keys && picture.rows.iter().any(|row| row.about.is_some());
        let margin = if has_margin { "  " } else { "" };
        lines.extend(picture.columns.iter().map(|line| format!("{margin}{line}")));
        // The last line is the footer's.
        self.page = height.saturating_sub(lines.len() + 1).max(1);
        let all = rows.len() + picture.tail.len();
        self.scroll(rows.len(), all);
        let text = |(at, row): (usize, &&Row)| match (has_margin, at == self.cursor) {
            (true, true) => marked(&format!("▸ {}", row.text), surface.color),
            (true, false) | (false, _) => format!("{margin}{}", row.text),
        };
        let body = rows.iter().enumerate().map(text).chain(picture.tail.iter().cloned());
        lines.extend(body.skip(self.offset).take(self.page));
        let last = (self.offset + self.page).min(all);
        let footer = self.footer((rows.len(), picture.rows.len()), (last, all), surface);
        lines.truncate(height.saturating_sub(1));
        while lines.len() + 1 < height {
            lines.push(String::new());
        }
        lines.push(footer);
        lines.iter().map(|line| cut(line, width)).collect()
    }

    fn lets_through(&self, row: &Row) -> bool {
        // Names whole, whatever there was room for.
        let name = row.about.as_ref().map_or_else(String::new, |spot| match &spot.site {
            Some(site) => format!(" {}/{site}", spot.tenant),
            None => format!(" {}", spot.tenant),
        });
        let words = bare(&row.text).to_lowercase() + &name;
        words.contains(&self.filter.to_lowercase())
    }

    /// Puts the cursor onto a row: the one it was moved to, or what somebody chose before,
    /// wherever that stands now. Left at the top it stays there, with the most urgent.
    fn find_cursor(&mut self, rows: &[&Row]) {
        self.choices = rows.iter().filter(|row| row.about.is_some()).count();
        if !self.has_moved
            && self.cursor != 0
            && let Some(chosen) = &self.chosen
            && let Some(at) = rows.iter().position(|row| row.about.as_ref() == Some(chosen))
        {
            self.cursor = at;
        }
        self.cursor = self.cursor.min(self.choices.saturating_sub(1));
        self.has_moved = false;
        self.chosen = rows.get(self.cursor).and_then(|row| row.about.clone());
    }

    /// Shows the row that is chosen, unless it is the last and one has gone on below it.
    fn scroll(&mut self, rows: usize, all: usize) {
        self.offset = self.offset.min(all.saturating_sub(self.page));
        if self.choices == 0 {
            return;
        }
        if self.cursor + 1 < rows {
            self.offset = self.offset.min(self.cursor);
        }
        self.offset = self.offset.max((self.cursor + 1).saturating_sub(self.page));
    }

    fn footer(
        &self,
        (rows, of): (usize, usize),
        (last, all): (usize, usize),
        surface: Surface,
    ) -> String {
        let mut parts = Vec::new();
        let overflows = self.offset != 0 || last < all;
        if overflows {
            parts.push(format!("lines {}–{last} of {all}", self.offset + 1));
        }
        if self.is_typing || !self.filter.is_empty() {
            let cursor = if self.is_typing { "▏" } else { "" };
            parts.push(format!("filter: {}{cursor} ({rows} of {of})", self.filter));
        }
        if self.is_typing {
            parts.push("Enter keeps it, Esc clears it".to_owned());
        } else if surface.has_keys {
            let is_filtered = !self.filter.is_empty();
            let keys = [
                (self.choices != 0 && !is_filtered, "↑ ↓ Enter opens"),
                // There has to be room for the filter itself.
                (self.choices != 0 && is_filtered, "Enter opens"),
                (self.choices != 0 && !is_filtered, "t tenant"),
                (self.choices == 0 && overflows, "↑ ↓ PgUp PgDn scroll"),
                (!is_filtered, "/ filter"),
                (is_filtered, "Esc clears it"),
                (!is_filtered && surface.has_way_back, "Esc back"),
                (true, "q quit"),
            ];
            let mut keys: Vec<&str> =
                keys.into_iter().filter_map(|(is_so, key)| is_so.then_some(key)).collect();
            let length = |text: &str| text.chars().count();
            let before: usize = parts.iter().map(|part| length(part) + length(" · ")).sum();
            // Where there is no room for all of them, the way out is the last to go.
            while 1 < keys.len() && surface.size.0 < before + length(&keys.join(", ")) {
                keys.remove(0);
            }
            parts.push(keys.join(", "));
        }
        parts.join(" · ")
    }
}
