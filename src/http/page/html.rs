//! What every page is made of: the frame, and how values are written in HTML.

use crate::net::Timestamp;
use crate::status::{Ago, BitRate, Bytes, Conditions, Count, SiteState, Snapshot, Visible};
use std::fmt::{self, Display, Write};

/// Anything as text between tags or in a quoted attribute.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Visible(&self.0.to_string()).to_string().chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            _ => f.write_char(c),
        })
    }
}

/// What is around the content of a page.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// For a screen on a wall: large, and without what one would click.
    pub(super) is_wall: bool,
}

impl Frame<'_> {
    /// Writes the page around what `content` writes.
    pub(super) fn write(
        &self,
        out: &mut String,
        content: impl FnOnce(&mut String) -> fmt::Result,
    ) -> fmt::Result {
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\"{wall}><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\
             <title>{title} · Lockgate</title>\
             <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\
             <link rel=\"stylesheet\" href=\"/style.css\">\
             <script src=\"/app.js\" defer></script></head>\n<body>\
             <a class=\"skip\" href=\"#content\">To the content</a>\
             <p id=\"stale\" class=\"alarm\" role=\"alert\" hidden></p>\
             <main id=\"content\" tabindex=\"-1\">\n",
            wall = if self.is_wall { " class=\"wall\"" } else { "" },
            title = Text(self.title),
        )?;
        content(out)?;
        out.write_str(
            "</main>\n<p id=\"said\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p>\
             <footer><nav aria-label=\"Other views\"><a href=\"/\">All tenants</a> · \
             <a href=\"/?wall=1\">Wallboard</a> · <a href=\"/api/v1/status\">JSON</a> · \
             <a href=\"/metrics\">Metrics</a> · <a href=\"/readyz?verbose\">Readiness</a></nav>\
             </footer></body></html>\n",
        )
    }
}

/// Of when the page is; loud when what it shows is old.
pub(super) fn write_moment(out: &mut String, snapshot: &Snapshot, is_alive: bool) -> fmt::Result {
    writeln!(out, "<p class=\"moment\">As of {}.</p>", time(snapshot.taken))?;
    if is_alive {
        return Ok(());
    }
    out.write_str(
        "<p class=\"alarm\" role=\"alert\"><span aria-hidden=\"true\">✖</span> The control loop \
         hangs: what you see is old, and changes are not followed.</p>\n",
    )
}

/// A site's state as a word and a sign, in its colour.
pub(super) struct State(pub(super) SiteState);

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(state) = self;
        write!(
            f,
            "<span class=\"state {state}\"><span aria-hidden=\"true\">{}</span> {state}</span>",
            state.icon()
        )
    }
}

pub(super) fn time(at: Timestamp) -> String {
    format!("<time datetime=\"{at}\">{at}</time>")
}

/// How long ago, with the moment itself beside it.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    format!("{} <small>{}</small>", Ago::between(at, now), time(at))
}

/// The same, or a dash.
pub(super) fn age_of(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "—".to_owned(), |at| age(at, now))
}

/// Bytes, with the exact number behind it.
pub(super) struct Amount(pub(super) Count);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span title=\"{} bytes\">{}</span>", self.0, Bytes(self.0.0))
    }
}

/// How fast it goes, with all there was beside it.
pub(super) fn traffic(rate: Option<u64>, all: Count) -> String {
    format!("{} <small>{}</small>", BitRate(rate), Amount(all))
}

/// Begins a table.
pub(super) fn begin_table(
    out: &mut String,
    id: &str,
    caption: &str,
    columns: &[&str],
) -> fmt::Result {
    // Wide tables scroll by themselves, also by keyboard (WCAG 2.1.1).
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}-caption\">\
         <table id=\"{id}\"><caption id=\"{id}-caption\">{caption}</caption><thead><tr>"
    )?;
    for column in columns {
        write!(out, "<th scope=\"col\">{column}</th>")?;
    }
    out.write_str("</tr></thead><tbody>\n")
}

/// Ends it.
pub(super) fn end_table(out: &mut String) -> fmt::Result {
    out.write_str("</tbody></table></div>\n")
}

/// One line of a list of facts; `value` is HTML.
pub(super) fn fact(out: &mut String, name: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "<dt>{name}</dt><dd>{value}</dd>")
}

/// Conditions, those that do not hold marked.
pub(super) fn write_conditions(
    out: &mut String,
    conditions: &Conditions,
    now: Timestamp,
) -> fmt::Result {
    use crate::status::ConditionStatus;
    if conditions.iter().next().is_none() {
        return Ok(());
    }
    begin_table(
        out,
        "conditions",
        "Conditions",
        &["Condition", "Holds", "Reason", "Message", "Since", "Judged with configuration"],
    )?;
    for condition in conditions.iter() {
        let (class, icon) = match condition.status {
            ConditionStatus::True => ("Up", '●'),
            ConditionStatus::False => ("Down", '✖'),
            ConditionStatus::Unknown => ("NeverConnected", '○'),
        };
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"state {class}\">\
             <span aria-hidden=\"true\">{icon}</span> {}</td><td>{}</td><td><bdi>{}</bdi></td>\
             <td>{}</td><td class=\"number\">{}</td></tr>",
            condition.kind,
            condition.status,
            condition.reason,
            Text(&condition.message),
            age(condition.last_transition_time, now),
            condition.observed_generation,
        )?;
    }
    end_table(out)
}
