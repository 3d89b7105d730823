//! A site's probes, with a plot of the last answers of each.
//!
//! The plot is made here and needs no script: a dot for each answer, as high as it took
//! long, and a bar from top to bottom for each loss. What it shows is said in words, too.

use super::html::{Text, age_of, begin_table, end_table};
use crate::model::limits::PROBE_READINGS;
use crate::net::Timestamp;
use crate::status::{Latency, ProbeSnapshot, ProbeState, ProbeWindow};
use std::fmt::{self, Display, Write};

/// What one shot takes of the plot's width, and the plot's height, in its own units.
const STEP: u32 = 4;
const HEIGHT: u32 = 40;

/// The room above the longest answer and below the shortest.
const MARGIN: u32 = 4;

pub(super) fn write(out: &mut String, probes: &[ProbeSnapshot], now: Timestamp) -> fmt::Result {
    if probes.is_empty() {
        return Ok(());
    }
    let columns = [
        "Device",
        "State",
        "Last answers",
        "Loss",
        "Last",
        "Shortest",
        "Mean",
        "99 of 100",
        "Answered",
        "Last loss",
    ];
    begin_table(
        out,
        "probes",
        "Probes, asked from our address in the tunnel or on the VLAN",
        &columns,
    )?;
    for probe in probes {
        let recent = &probe.recent;
        let how = if probe.tcp_port.is_some() { "TCP" } else { "ping" };
        write!(
            out,
            "<tr><th scope=\"row\">{} <small>{how}, every {} s</small></th><td>{}</td><td>{}</td>\
             <td class=\"number\">{}</td>",
            probe.target(),
            probe.interval_seconds,
            State(probe.state),
            Plot(recent),
            Loss(recent),
        )?;
        for micros in
            [probe.last_micros, recent.minimum_micros, recent.mean_micros, recent.p99_micros]
        {
            write!(out, "<td class=\"number\">{}</td>", Latency(micros))?;
        }
        write!(out, "<td>{}</td><td>", age_of(probe.last_answer_time, now))?;
        match &probe.last_failure_message {
            Some(message) => write!(
                out,
                "<bdi>{}</bdi> {}",
                Text(message),
                age_of(probe.last_failure_time, now)
            )?,
            None => out.write_str("—")?,
        }
        out.write_str("</td></tr>\n")?;
    }
    end_table(out)
}

/// How many of the last were lost.
struct Loss<'a>(&'a ProbeWindow);

impl Display for Loss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(recent) = self;
        match recent.loss_percent() {
            Some(percent) => write!(f, "{percent} % <small>of {}</small>", recent.micros.len()),
            None => f.write_str("—"),
        }
    }
}

/// A probe's state as a word and a sign, in a colour.
struct State(ProbeState);

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(state) = self;
        let class = match state {
            ProbeState::Answered => "Up",
            ProbeState::Pending | ProbeState::StandingBy => "NeverConnected",
            ProbeState::Refused => "Stale",
            ProbeState::Lost => "Down",
        };
        write!(
            f,
            "<span class=\"state {class}\"><span aria-hidden=\"true\">{}</span> {state}</span>",
            state.icon()
        )
    }
}

/// The last answers and losses, the newest to the right.
struct Plot<'a>(&'a ProbeWindow);

impl Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(recent) = self;
        let all = recent.micros.len();
        if all == 0 {
            return f.write_str("none yet");
        }
        let width = STEP * u32::try_from(PROBE_READINGS).unwrap_or(u32::MAX / STEP);
        let longest = recent.micros.iter().flatten().copied().max();
        write!(
            f,
            "<svg class=\"plot\" role=\"img\" viewBox=\"0 0 {width} {HEIGHT}\" \
             aria-label=\"Of the last {all}, {} lost; answers took {} to {}\">",
            recent.lost,
            Latency(recent.minimum_micros),
            Latency(longest),
        )?;
        let top = f64::from(longest.unwrap_or(1).max(1));
        // The newest is always at the right edge.
        let first = width.saturating_sub(STEP * u32::try_from(all).unwrap_or(0));
        for (micros, at) in recent.micros.iter().zip((first..).step_by(STEP as usize)) {
            match micros {
                None => write!(f, "<path class=\"loss\" d=\"M{} 0v{HEIGHT}\"/>", at + STEP / 2)?,
                Some(micros) => {
                    let room = f64::from(HEIGHT - 2 * MARGIN);
                    let y = f64::from(HEIGHT - MARGIN) - room * f64::from(*micros) / top;
                    write!(f, "<circle cx=\"{}\" cy=\"{y:.1}\" r=\"2\"/>", at + STEP / 2)?;
                }
            }
        }
        f.write_str("</svg>")
    }
}
