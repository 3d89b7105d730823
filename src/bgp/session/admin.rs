//! A session that is started, stopped, or found dead from outside.

use super::{DownReason, Session, StopReason, Wanted};
use crate::bgp::Family;
use crate::bgp::proto::Notification;
use crate::net::Instant;
use std::sync::Arc;

impl Session {
    /// It is to be up. Whoever calls this has seen to what was wrong, so it is
    /// tried at once, also while it waits after an error.
    pub fn start(&mut self, now: Instant) {
        if self.wanted != Wanted::Up || self.idle_until.take().is_some() {
            self.wanted = Wanted::Up;
            self.retry_at = None;
            self.backoff.forget();
            self.dial(now);
        }
        self.note_state(now);
    }

    /// Ends it, for `reason`; whether and when it comes back hangs on that.
    pub fn stop(&mut self, reason: &StopReason, now: Instant) {
        let (notification, is_final) = notification(reason);
        if is_final {
            let after = if let StopReason::MaximumPrefixes { restart_after, .. } = reason {
                *restart_after
            } else {
                None
            };
            let until = after.map(|after| now + after);
            let is_restart = *reason == StopReason::Release;
            self.wanted = Wanted::Down { until, is_restart };
            self.retry_at = None;
            self.idle_until = None;
        }
        self.give_up_dial();
        let ids: Vec<_> = self.connections.iter().map(|link| link.id).collect();
        for id in ids {
            match &notification {
                Some(notification) => {
                    let wrapped = self.wrapped(notification.clone(), is_final);
                    self.fail(id, wrapped, now);
                }
                None => self.end(id, DownReason::Released, Vec::new(), now),
            }
        }
        // Its connection may be gone by now, with a reason of its own that says nothing of
        // why it does not come back.
        if let StopReason::MaximumPrefixes { maximum, restart_after, .. } = reason {
            let until = restart_after.map_or_else(
                || "until it is started".to_owned(),
                |after| format!("for {} s", after.as_secs()),
            );
            self.error(format!("said more than {maximum} networks, and is left down {until}"), now);
        }
        if !is_final && self.wanted == Wanted::Up {
            if *reason == StopReason::OutOfResources {
                // Without a connection nobody has begun to wait yet.
                if self.idle_until.is_none() {
                    let wait = self.backoff.wait();
                    self.idle_until = Some(now + self.jitter.around(wait));
                }
            } else {
                self.idle_until = None;
                self.backoff.forget();
                self.retry_at = Some(now + self.jitter.around(self.config.connect_retry));
            }
        }
        self.note_state(now);
    }

    /// Whether it is to be up, nothing stands and nothing is waited for: only the other
    /// end can begin something.
    pub fn is_idle(&self) -> bool {
        let is_bare = self.connections.is_empty() && self.dial.is_none();
        self.wanted == Wanted::Up && is_bare && self.idle_until.is_none()
    }

    /// BFD says that the neighbor cannot be reached (RFC 5882 §4.3, RFC 9384).
    ///
    /// `control_plane_independent` is the C bit of its BFD (RFC 5880 §4.1): then
    /// its forwarding is gone, and its routes go too, whatever graceful restart
    /// says. Without it BFD may have died with the process that restarts, and they
    /// may be kept. The session tries to come back by itself.
    pub fn bfd_down(&mut self, control_plane_independent: bool, now: Instant) {
        let ids: Vec<_> = self.connections.iter().map(|link| link.id).collect();
        for id in ids {
            let notification = self.wrapped(Notification::cease(10), control_plane_independent);
            let last = self.last_words(id, &notification);
            self.end(id, DownReason::Bfd { control_plane_independent }, last, now);
        }
        self.note_state(now);
    }

    /// We restarted, or did not: the R bit and the F bits of the next OPEN
    /// (RFC 4724 §3). The R bit is said until a session is up.
    pub fn set_restart(&mut self, restarting: bool, forwarding_preserved: &[Family]) {
        if let Some(restart) = &mut Arc::make_mut(&mut self.offer).restart {
            restart.restarting = restarting;
            restart.forwarding_preserved = forwarding_preserved.to_vec();
        }
    }

    /// What is to make the neighbor forget our routes has to say so, where it would
    /// keep them over a NOTIFICATION (RFC 8538 §3.1).
    fn wrapped(&self, notification: Notification, forget: bool) -> Notification {
        let restart = self.negotiated().and_then(|agreed| agreed.restart.as_ref());
        if forget && restart.is_some_and(|restart| restart.notification) {
            notification.into_hard_reset()
        } else {
            notification
        }
    }
}

/// What is said, and whether it stays down (RFC 4486).
fn notification(reason: &StopReason) -> (Option<Notification>, bool) {
    match reason {
        StopReason::Shutdown { text } => (Some(Notification::cease_with_text(2, text)), true),
        StopReason::Reset { text } => (Some(Notification::cease_with_text(4, text)), false),
        StopReason::Deconfigured => (Some(Notification::cease(3)), true),
        StopReason::ConfigurationChange => (Some(Notification::cease(6)), false),
        StopReason::MaximumPrefixes { family, maximum, .. } => {
            (Some(Notification::maximum_prefixes(*family, *maximum)), true)
        }
        StopReason::OutOfResources => (Some(Notification::cease(8)), false),
        StopReason::Release => (None, true),
    }
}
