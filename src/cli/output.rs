//! The forms a verb's output can have, and how tables and numbers look.

use super::terminal::Style;
use crate::status::{SiteState, Visible};
use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table,
};
use serde::Serialize;

/// Blanks between two columns.
const GAP: usize = 2;

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with a wide screen.
    Wide,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// `value` as JSON or YAML, ending in a newline.
pub(super) fn serialize<T: Serialize>(value: &T, format: Format) -> anyhow::Result<String> {
    if format == Format::Yaml {
        let text = serde_saphyr::to_string(value).context("cannot write YAML")?;
        return Ok(format!("{}\n", text.trim_end()));
    }
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    Ok(text + "\n")
}

/// A table without lines, as `kubectl` and `ip` draw them.
pub(super) fn table(style: Style, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.iter().map(text));
    }
    if style.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    match style.width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

/// A table as text: no blanks at the ends of lines, a newline at its end.
pub(super) fn draw(table: &mut Table) -> String {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 0 } else { 1 }, 1));
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Hides columns, the first of `dispensable` first, until a line of the table
/// fits a line of the terminal: a row in one piece is read faster than a full one
/// in three. Where that is not enough, cells are folded.
pub(super) fn fit(table: &mut Table, style: Style, dispensable: &[usize]) {
    let Some(width) = style.width else { return };
    let mut widths = table.column_max_content_widths();
    for at in dispensable {
        let needed: usize = widths.iter().map(|width| usize::from(*width) + GAP).sum();
        if needed <= usize::from(width) + GAP {
            return;
        }
        if let (Some(column), Some(freed)) = (table.column_mut(*at), widths.get_mut(*at)) {
            column.set_constraint(ColumnConstraint::Hidden);
            *freed = 0;
        }
    }
}

/// A cell of any text.
pub(super) fn text(value: impl ToString) -> Cell {
    Cell::new(Visible(&value.to_string()))
}

/// A cell of a number, to the right.
pub(super) fn number(value: impl ToString) -> Cell {
    text(value).set_alignment(CellAlignment::Right)
}

/// A cell of a state: icon, word, colour.
pub(super) fn state(state: SiteState) -> Cell {
    let cell = Cell::new(format!("{} {state}", state.icon()));
    match state {
        SiteState::Up => cell.fg(Color::Green),
        SiteState::Stale => cell.fg(Color::Yellow),
        SiteState::NeverConnected => cell.fg(Color::Cyan),
        SiteState::Blackholed | SiteState::Down => {
            cell.fg(Color::Red).add_attribute(Attribute::Bold)
        }
    }
}
