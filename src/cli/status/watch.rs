//! `lockgate status --watch`: the same picture again and again, until somebody leaves.
//!
//! A gateway that goes is waited for: the last picture stays, and above it stands loudly
//! how old it is.

use super::browser::{Browser, Change};
use super::pane::{Picture, Spot, Surface};
use super::{Place, StatusArguments, detail, needs_a_look, overview, render, tenant};
use crate::cli::client::{self, Answer, ClientError};
use crate::cli::keyboard::Keyboard;
use crate::cli::output::Format;
use crate::cli::screen::Screen;
use crate::cli::terminal::{self, ColorChoice, Style};
use crate::cli::verdict::{Failure, Verdict};
use crate::daemon::Clock;
use crate::net::Timestamp;
use crate::status::{Ago, Snapshot, Visible};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How old a picture may be before it is called stale: a gateway makes one every second.
const FRESH: Duration = Duration::from_secs(5);

/// What is known of the gateway.
#[derive(Debug, Default)]
struct Known {
    snapshot: Option<Snapshot>,
    is_hung: bool,
    /// Since when it could not be asked, and why.
    trouble: Option<(Timestamp, String)>,
    /// Whether there ever was a picture.
    was_shown: bool,
}

/// Draws until interrupted.
pub(super) async fn watch(
    arguments: &StatusArguments,
    socket: &Path,
    color: ColorChoice,
) -> Result<Verdict, Failure> {
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut resize = on(SignalKind::window_change())?;
    let mut stop = on(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
    let clock = Clock::start();
    let (send, mut answers) = mpsc::channel(1);
    tokio::spawn(ask(socket.to_owned(), Duration::from_secs(arguments.interval), send));
    let mut known = Known::default();
    let mut verdict = Verdict::Good;
    let mut browser = Browser::default();
    let mut screen = Screen::take()?;
    let (mut keyboard, mut keys) = Keyboard::take();
    let mut picture = Picture::default();
    loop {
        let mut is_new = true;
        tokio::select! {
            _ = interrupt.recv() => return Ok(verdict),
            _ = terminate.recv() => return Ok(verdict),
            _ = resize.recv() => screen.forget(),
            _ = stop.recv() => {
                keyboard.suspend();
                screen.suspend()?;
                // Here it stands still until somebody lets it go on.
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::STOP)
                    .context("cannot stop")?;
                screen.resume()?;
                keyboard.resume();
            }
            Some(key) = keys.recv() => {
                is_new = false;
                // All that were pressed, for drawing takes longer than pressing.
                let mut next = Some(key);
                while let Some(key) = next {
                    match browser.handle(key) {
                        Change::Same => {}
                        Change::Other => is_new = true,
                        Change::Redraw => screen.forget(),
                        Change::Quit => return Ok(verdict),
                    }
                    next = keys.try_recv().ok();
                }
            }
            Some(answer) = answers.recv() => known.take(answer, clock.now().wall)?,
        }
        let style = Style::of_stdout(color);
        if let Some(snapshot) = known.snapshot.as_ref().filter(|_| is_new) {
            picture = match draw(snapshot, arguments, browser.opened(), style) {
                Ok((picture, found)) => {
                    verdict = found;
                    known.was_shown = true;
                    picture
                }
                // A site that is gone may come back.
                Err(Failure::Other(error) | Failure::Unreachable(error)) if known.was_shown => {
                    Picture { head: vec![format!("✖ {error}")], ..Picture::default() }
                }
                Err(failure) => return Err(failure),
            };
        }
        let banner = known.banner(clock.now().wall, arguments.interval, style);
        let lines = match terminal::size().filter(|_| screen.is_terminal()) {
            Some(size) => {
                let (has_keys, color) = (keyboard.is_there(), style.color);
                let surface = Surface { size, has_keys, color, has_way_back: false };
                browser.lay_out(banner, &picture, surface)
            }
            None => picture.below(banner),
        };
        screen.draw(lines)?;
    }
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    let found = signal(kind).context("cannot watch for signals");
    found.map_err(Failure::Other)
}

/// Asks every `interval`, as long as somebody takes the answers.
async fn ask(socket: PathBuf, interval: Duration, to: mpsc::Sender<Result<Answer, ClientError>>) {
    while to.send(client::ask_now(&socket).await).await.is_ok() {
        tokio::time::sleep(interval).await;
    }
}

fn draw(
    snapshot: &Snapshot,
    arguments: &StatusArguments,
    opened: Option<&Spot>,
    style: Style,
) -> Result<(Picture, Verdict), Failure> {
    if let Some(spot) = opened {
        let verdict = Verdict::finding_if(needs_a_look(snapshot));
        return Ok((draw_opened(snapshot, spot, style), verdict));
    }
    let overview = |style, is_wide| {
        let verdict = Verdict::finding_if(needs_a_look(snapshot));
        Ok((overview::picture(snapshot, style, is_wide), verdict))
    };
    match (&arguments.site, arguments.output) {
        (None, Format::Table) => overview(style, false),
        (None, Format::Wide) => overview(style.endless(), true),
        (None, Format::Json | Format::Yaml) | (Some(_), _) => {
            let (text, verdict) = render(snapshot, arguments, style)?;
            Ok((Picture::of(&text), verdict))
        }
    }
}

/// What was opened out of all sites. What is gone may come back.
fn draw_opened(snapshot: &Snapshot, spot: &Spot, style: Style) -> Picture {
    let now = snapshot.taken;
    let found = snapshot.tenant(&spot.tenant).and_then(|tenant| match &spot.site {
        None => Some(tenant::draw(tenant, now, style)),
        Some(site) => {
            tenant.site(site).map(|site| detail::draw(Place { tenant, site }, now, style))
        }
    });
    Picture::of(&found.unwrap_or_else(|| match &spot.site {
        Some(site) => format!("✖ {} has no site {site} any more", spot.tenant),
        None => format!("✖ there is no tenant {} any more", spot.tenant),
    }))
}

impl Known {
    /// Takes in an answer.
    ///
    /// # Errors
    /// When the gateway was understood never, which waiting will not change.
    fn take(&mut self, answer: Result<Answer, ClientError>, now: Timestamp) -> Result<(), Failure> {
        match answer {
            Ok(Answer { snapshot, is_alive }) => {
                *self = Self {
                    snapshot: Some(snapshot),
                    is_hung: !is_alive,
                    trouble: None,
                    was_shown: self.was_shown,
                };
            }
            Err(error) if error.is_unreachable() || self.was_shown => {
                let since = self.trouble.as_ref().map_or(now, |(since, _)| *since);
                self.trouble = Some((since, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// How old it is what stands below.
    fn banner(&self, now: Timestamp, interval: u64, style: Style) -> Vec<String> {
        let taken = self.snapshot.as_ref().map(|snapshot| snapshot.taken);
        let is_old = |at: Timestamp| FRESH + Duration::from_secs(interval) < now.since(at);
        let text = match (&self.trouble, taken) {
            (None, None) => return vec!["asking the gateway…".to_owned()],
            (Some((since, error)), taken) => {
                let below =
                    taken.map(|at| format!(" What follows is of {at}.")).unwrap_or_default();
                let ago = Ago::between(*since, now);
                format!("✖ NOT REACHED since {since} ({ago}).{below} {error}")
            }
            (None, Some(at)) if self.is_hung => {
                let ago = Ago::between(at, now);
                format!(
                    "✖ STALE: the gateway's control loop hangs. What follows is of {at} ({ago})."
                )
            }
            (None, Some(at)) if is_old(at) => {
                format!("✖ STALE: what follows is of {at} ({}).", Ago::between(at, now))
            }
            (None, Some(at)) => return vec![format!("as of {at}, {}", Ago::between(at, now))],
        };
        let width = style.width.map_or(usize::MAX, usize::from);
        let mut lines = wrap(&Visible(&text).to_string(), width);
        if style.color {
            // White on red, to the end of the line.
            let fill = if width == usize::MAX { 0 } else { width };
            lines.iter_mut().for_each(|line| *line = format!("\x1b[1;97;41m{line:<fill$}\x1b[0m"));
        }
        lines
    }
}

/// Lines of at most `width` columns, broken between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
