//! How amounts are written for people: three digits and a unit.

use std::fmt;

/// Bytes, in binary units: `999 B`, `1.21 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&scaled(self.0, 1_024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]))
    }
}

/// Bits in a second, in decimal units as links have them: `12.5 Mbit/s`; a dash where
/// it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRate(pub Option<u64>);

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rate) = self.0 else { return f.pad("—") };
        let units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"];
        f.pad(&scaled(rate, 1_000.0, units))
    }
}

fn scaled(count: u64, step: f64, units: [&str; 7]) -> String {
    let [whole, scaled @ ..] = units;
    if count < 1_000 {
        return format!("{count} {whole}");
    }
    let mut value = count as f64 / step;
    let mut unit = 0;
    // Up to 999.5, so that no number has four digits.
    while value >= 999.5 && unit + 1 < scaled.len() {
        value /= step;
        unit += 1;
    }
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {}", scaled.get(unit).unwrap_or(&whole))
}
