//! The last act, for whoever stays: a key pulls a customer's cable and plugs it in
//! again, and the gateway's own words about it follow.

use super::cast::{self, now};
use super::stage::{self, ACTORS};
use super::story::Story;
use super::{Interrupt, pause, snapshot};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use std::io::{self, IsTerminal, Read};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often applications ask their devices meanwhile.
const ASKING: Duration = Duration::from_millis(500);

/// How often the gateway is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Plays until Ctrl-C, or `q`. Without a terminal there are no keys, and it only waits.
pub(super) fn play(story: &Story, client: &Path, interrupted: &Interrupt) -> anyhow::Result<()> {
    let Some(mut keys) = Keys::take() else {
        while !interrupted.is_set() {
            pause(LOOK);
        }
        return Ok(());
    };
    story.say("a or b pulls the cable of acme or bolt, and plugs it in again; q ends");
    let stop = Arc::new(AtomicBool::new(false));
    let askers = ACTORS.each_ref().map(|actor| {
        let stop = Arc::clone(&stop);
        stage::within(&actor.app(), move || {
            while !stop.load(Ordering::Relaxed) {
                cast::ask_udp_once(Ipv4Addr::new(192, 168, 1, 10), Duration::from_millis(250));
                pause(ASKING);
            }
            Ok(())
        })
    });
    let played = follow(story, client, interrupted, &mut keys);
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        let _ = asker.join();
    }
    played
}

/// One customer's cable, and what the gateway says of the site behind it.
struct Cable {
    is_pulled: bool,
    touched: Instant,
    said: String,
}

fn follow(
    story: &Story,
    client: &Path,
    interrupted: &Interrupt,
    keys: &mut Keys,
) -> anyhow::Result<()> {
    let mut cables = ACTORS.each_ref().map(|_| Cable {
        is_pulled: false,
        touched: now(),
        said: "Up".to_owned(),
    });
    while !interrupted.is_set() {
        let pressed = keys.pressed();
        if pressed == Some(b'q') {
            return Ok(());
        }
        for (cable, (actor, key)) in cables.iter_mut().zip(ACTORS.iter().zip(*b"ab")) {
            if pressed == Some(key) {
                cable.is_pulled = !cable.is_pulled;
                cable.touched = now();
                let (way, what) =
                    if cable.is_pulled { ("down", "pulled") } else { ("up", "plugged in") };
                stage::ip(&format!("link set up-{} {way}", actor.name))?;
                story.say(&format!("{}'s cable is {what}", actor.name));
            }
        }
        let Some(snapshot) = snapshot(client) else { continue };
        for (cable, actor) in cables.iter_mut().zip(&ACTORS) {
            let tenant = snapshot.tenants.iter().find(|it| it.name.namespace() == actor.name);
            let Some(site) = tenant.and_then(|tenant| tenant.sites.first()) else { continue };
            let said = site.state.name();
            if cable.said != said {
                said.clone_into(&mut cable.said);
                story.say(&format!(
                    "  {}: {} {said} ({}) after {:.1} s",
                    actor.name,
                    site.state.icon(),
                    site.reason,
                    now().duration_since(cable.touched).as_secs_f64()
                ));
            }
        }
    }
    Ok(())
}

/// The terminal's keys, each as it is pressed; as it was before once dropped.
struct Keys {
    before: Termios,
}

impl Keys {
    /// `None` when there is no terminal to press keys on.
    fn take() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read gives what there is, and waits for it no longer than a look takes.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 2;
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }

    fn pressed(&mut self) -> Option<u8> {
        let mut key = [0];
        match io::stdin().lock().read(&mut key) {
            Ok(1) => Some(key[0].to_ascii_lowercase()),
            Ok(_) | Err(_) => {
                // With its input gone, a read would not wait.
                pause(Duration::from_millis(20));
                None
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
