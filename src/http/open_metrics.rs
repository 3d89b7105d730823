//! The same metrics in OpenMetrics 1.0, for who asks for it by `Accept`.
//!
//! The two text formats differ, of what is written here, in three things: a counter's
//! family has the name without `_total`, an information is a gauge of 1 either way, and
//! the end is said (OpenMetrics 1.0, "Overall Structure").

use axum::http::{HeaderMap, header};

/// The media type of what [`from_text`] gives.
pub const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes metrics in the text format as OpenMetrics.
pub fn from_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    // The HELP line of a family comes before the TYPE line that says what it is.
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let of_counter = is_counter(line)
            || (line.starts_with("# HELP ") && lines.peek().is_some_and(|next| is_counter(next)));
        match line.split_once("_total ") {
            Some((name, rest)) if of_counter && !name.contains(['{', '"']) => {
                out.push_str(name);
                out.push(' ');
                out.push_str(rest);
            }
            Some(_) | None => out.push_str(line),
        }
        out.push('\n');
    }
    out.push_str("# EOF\n");
    out
}

/// Whether OpenMetrics is what the reader would rather have (RFC 9110 §12.5.1). The
/// plain text where it would as soon have that, or says nothing that can be read.
pub(super) fn is_preferred(headers: &HeaderMap) -> bool {
    let (mut open, mut plain) = (0, 0);
    for range in headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
        for range in range.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality =
                parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1_000), thousandths);
            let Some(quality) = quality else { continue };
            match media.as_str() {
                "application/openmetrics-text" => open = open.max(quality),
                "text/plain" | "text/*" | "*/*" => plain = plain.max(quality),
                _ => {}
            }
        }
    }
    plain < open
}

/// A quality as it is written: 0 to 1 with at most three decimals.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_written = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let whole = if is_written { whole.parse::<u32>().ok()? } else { return None };
    let decimals = format!("{decimals:0<3}").parse::<u32>().ok()?;
    let quality = whole.checked_mul(1_000)?.checked_add(decimals)?;
    (quality <= 1_000).then_some(quality)
}
