//! `lockgate check-site`: one site for a monitoring system, in the manner of Nagios'
//! plugins (Monitoring Plugins Development Guidelines, "Plugin Output for Nagios" and
//! "Plugin Return Codes").
//!
//! One line and an exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Unlike every other
//! verb it says on stdout, and with 3, that it could not find out: that is where such a
//! system looks.

use super::args::Directories;
use super::client::{self, ClientError};
use super::status::{self, Place};
use super::terminal;
use super::verdict::Failure;
use crate::net::Timestamp;
use crate::status::{ConditionStatus, ConditionType, SiteState, Visible};
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::process::ExitCode;

/// Arguments of `check-site`.
#[derive(Debug, Args)]
pub struct CheckSiteArguments {
    /// The site: its name, NAMESPACE/NAME or NAMESPACE/GATEWAY/NAME
    site: String,
    /// What it is to be called while it is Stale: quiet for longer than a session lives,
    /// or with a next hop that was not heard lately
    #[arg(long, value_enum, default_value_t = Level::Warning, value_name = "LEVEL")]
    stale: Level,
    /// What it is to be called while it was never connected
    #[arg(long, value_enum, default_value_t = Level::Warning, value_name = "LEVEL")]
    never_connected: Level,
}

/// What a monitoring system is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Level {
    /// It is as it should be.
    Ok,
    /// Somebody should look.
    Warning,
    /// Somebody must look.
    Critical,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// It could not be found out, or not be asked as it was.
pub(super) const UNKNOWN: u8 = 3;

pub(super) fn run(arguments: &CheckSiteArguments, directories: &Directories) -> ExitCode {
    let (line, code) = match find_out(arguments, directories) {
        Ok((level, line)) => (format!("LOCKGATE {} - {line}", level.name()), level as u8),
        Err(why) => (format!("LOCKGATE UNKNOWN - {why}"), UNKNOWN),
    };
    // What there is after a bar is read as numbers.
    match terminal::print(&format!("{line}\n")) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(UNKNOWN),
    }
}

fn find_out(
    arguments: &CheckSiteArguments,
    directories: &Directories,
) -> Result<(Level, String), String> {
    let answer =
        client::ask(&directories.socket()).map_err(|error: ClientError| error.to_string())?;
    let now = answer.snapshot.taken;
    if !answer.is_alive {
        return Err(format!("the gateway's control loop hangs; its status is of {now}"));
    }
    let place =
        status::find(&answer.snapshot, &arguments.site).map_err(|failure| match failure {
            Failure::Unreachable(error) | Failure::Other(error) => error.to_string(),
        })?;
    Ok(judge(arguments, place, now))
}

/// What the site is called, and the line that says why.
fn judge(arguments: &CheckSiteArguments, place: Place<'_>, now: Timestamp) -> (Level, String) {
    let Place { tenant, site } = place;
    let mut level = match site.state {
        SiteState::Up => Level::Ok,
        SiteState::Stale => arguments.stale,
        SiteState::NeverConnected => arguments.never_connected,
        SiteState::Blackholed | SiteState::Down => Level::Critical,
    };
    let mut line = format!("{}/{} is {} ({})", tenant.name, site.name, site.state, site.reason);
    for condition in tenant.conditions.iter().chain(site.conditions.iter()) {
        let is_told = condition.status == ConditionStatus::False
            && !matches!(condition.kind, ConditionType::Ready | ConditionType::Connected)
            && !condition.waits_for_sites();
        if is_told {
            level = level.max(Level::Warning);
            let _ = write!(line, "; {} is False: {}", condition.kind, condition.reason);
            if condition.kind == ConditionType::Reachable {
                let _ = write!(line, " ({})", condition.message);
            }
        }
    }
    if level != Level::Ok {
        let _ = write!(line, ": {}", site.message);
    }
    // Only what there is after the bar may have one.
    let mut line = Visible(&line).to_string().replace('|', "¦");
    let _ = write!(
        line,
        " | state_age={}s received={}c sent={}c handshakes={}c handshake_timeouts={}c",
        now.since(site.since).as_secs(),
        site.received_bytes,
        site.sent_bytes,
        site.handshakes,
        site.handshake_timeouts,
    );
    if let Some(at) = site.last_handshake_time {
        let _ = write!(line, " handshake_age={}s", now.since(at).as_secs());
    }
    if let Some(at) = site.last_received_time {
        let _ = write!(line, " heard_age={}s", now.since(at).as_secs());
    }
    for probe in &site.probes {
        let target = probe.target();
        if let Some(micros) = probe.last_micros {
            let _ = write!(line, " 'rtt {target}'={micros}us");
        }
        if let Some(percent) = probe.recent.loss_percent() {
            let _ = write!(line, " 'loss {target}'={percent}%");
        }
    }
    (level, line)
}
