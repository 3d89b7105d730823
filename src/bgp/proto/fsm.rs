//! The states of one connection (RFC 4271 §8.2), from the moment it stands.
//!
//! The bought machine knows one connection and counts no time. Dialing, two
//! connections at once and what comes between sessions are
//! [`crate::bgp::session`]'s, which makes a machine of its own for each
//! connection and throws it away with it.

use super::open::{as_offered, decode_open, negotiated, peer_config};
use super::{MessageKind, Negotiated, Notification, Offer};
use rustbgpd_fsm::{Action as FsmAction, Event, Session, SessionState, TimerType};
use rustbgpd_wire::{Afi, Message, NotificationCode, NotificationMessage, Safi};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The states a connection that stands can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bgp) enum FsmState {
    /// It is over.
    Idle,
    /// Our OPEN is sent.
    OpenSent,
    /// The neighbor's OPEN is accepted.
    OpenConfirm,
    /// Both are.
    Established,
}

/// What can happen on a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::bgp) enum Input<'a> {
    /// A whole OPEN came.
    Open(&'a [u8]),
    /// Another message came whose content is not the machine's to judge.
    Message(MessageKind),
    /// Nothing came for the hold time.
    HoldExpired,
    /// It is time to say that we are still here.
    KeepaliveDue,
}

/// What is to be done on it.
#[derive(Clone, Debug)]
pub(in crate::bgp) enum Action {
    /// Send this.
    Send(MessageKind, Vec<u8>),
    /// Send this; a [`Action::Close`] follows.
    Notify(Notification),
    /// The connection is over.
    Close,
    /// Nothing may be heard for this long at most; `None` for ever.
    Hold(Option<Duration>),
    /// Say after this long that we are still here; `None` for never.
    Keepalive(Option<Duration>),
    /// The neighbor's OPEN is accepted.
    Opened(Arc<Negotiated>),
    /// The session is up.
    Established,
}

/// The machine of one connection.
#[derive(Debug)]
pub(in crate::bgp) struct Fsm {
    inner: Session,
    offer: Arc<Offer>,
    local_address: IpAddr,
    remote_address: IpAddr,
}

impl Fsm {
    /// For a connection that stands between these addresses; gives what is to be
    /// done first, which is to send our OPEN.
    pub(in crate::bgp) fn new(
        offer: Arc<Offer>,
        local_address: IpAddr,
        remote_address: IpAddr,
    ) -> (Self, Vec<Action>) {
        let inner = Session::new(peer_config(&offer));
        let mut fsm = Self { inner, offer, local_address, remote_address };
        fsm.inner.handle_event(Event::ManualStart);
        let actions = fsm.event(Event::TcpConnectionConfirmed);
        (fsm, actions)
    }

    pub(in crate::bgp) fn state(&self) -> FsmState {
        match self.inner.state() {
            SessionState::OpenSent => FsmState::OpenSent,
            SessionState::OpenConfirm => FsmState::OpenConfirm,
            SessionState::Established => FsmState::Established,
            SessionState::Idle | SessionState::Connect | SessionState::Active => FsmState::Idle,
        }
    }

    pub(in crate::bgp) fn handle(&mut self, input: Input<'_>) -> Vec<Action> {
        let event = match input {
            Input::Open(message) => match self.state() {
                FsmState::OpenSent => match decode_open(message, &self.offer) {
                    Ok(open) => Event::OpenReceived(open),
                    Err(notification) => return vec![Action::Notify(notification), Action::Close],
                },
                // It comes too late to be looked into.
                FsmState::Idle | FsmState::OpenConfirm | FsmState::Established => {
                    return self.unexpected();
                }
            },
            Input::Message(MessageKind::Open) => return self.unexpected(),
            Input::Message(MessageKind::Update) => Event::UpdateReceived,
            Input::Message(MessageKind::Keepalive) => Event::KeepaliveReceived,
            // Which family it asks for makes no difference to the machine.
            Input::Message(MessageKind::RouteRefresh) => {
                Event::RouteRefreshReceived { afi: Afi::Ipv4, safi: Safi::Unicast }
            }
            Input::Message(MessageKind::Notification) => {
                let code = NotificationCode::Cease;
                Event::NotificationReceived(NotificationMessage::new(code, 0, Vec::new().into()))
            }
            Input::HoldExpired => Event::HoldTimerExpires,
            Input::KeepaliveDue => Event::KeepaliveTimerExpires,
        };
        self.event(event)
    }

    /// A message that has no place in this state (RFC 6608 §3).
    fn unexpected(&self) -> Vec<Action> {
        vec![Action::Notify(self.fsm_error()), Action::Close]
    }

    fn fsm_error(&self) -> Notification {
        let subcode = match self.state() {
            FsmState::Idle => 0,
            FsmState::OpenSent => 1,
            FsmState::OpenConfirm => 2,
            FsmState::Established => 3,
        };
        Notification::new(5, subcode, Vec::new())
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        let fsm_error = self.fsm_error();
        let before = self.state();
        let actions = self.inner.handle_event(event);
        let mut ours: Vec<Action> =
            actions.into_iter().filter_map(|action| self.translate(action, &fsm_error)).collect();
        if before == FsmState::OpenSent && self.state() == FsmState::OpenConfirm {
            // Before the KEEPALIVE: were it sent on a connection that loses to
            // another, the neighbor would take it as the winner.
            if let Some(theirs) = self.inner.negotiated() {
                let (local, remote) = (self.local_address, self.remote_address);
                let opened = Arc::new(negotiated(theirs, &self.offer, local, remote));
                ours.insert(0, Action::Opened(opened));
            }
        }
        ours
    }

    fn translate(&self, action: FsmAction, fsm_error: &Notification) -> Option<Action> {
        let seconds = |seconds: u32| Some(Duration::from_secs(seconds.into()));
        #[allow(clippy::wildcard_enum_match_arm, reason = "the machine's enum may grow")]
        match action {
            FsmAction::SendOpen(open) => {
                let mut message = Vec::new();
                // What is offered fits by far: at most four families.
                as_offered(open, &self.offer).encode(&mut message).ok()?;
                Some(Action::Send(MessageKind::Open, message))
            }
            FsmAction::SendKeepalive => {
                let message = Message::Keepalive;
                let message = rustbgpd_wire::encode_message(&message).ok()?;
                Some(Action::Send(MessageKind::Keepalive, message.to_vec()))
            }
            FsmAction::SendNotification(notification) => {
                let notification = Notification::of_message(&notification);
                // The machine says 5/0 whatever the state.
                let is_fsm_error = notification.code == fsm_error.code;
                Some(Action::Notify(if is_fsm_error { fsm_error.clone() } else { notification }))
            }
            FsmAction::StartTimer(TimerType::Hold, time) => Some(Action::Hold(seconds(time))),
            FsmAction::StopTimer(TimerType::Hold) => Some(Action::Hold(None)),
            FsmAction::StartTimer(TimerType::Keepalive, time) => {
                Some(Action::Keepalive(seconds(time)))
            }
            FsmAction::StopTimer(TimerType::Keepalive) => Some(Action::Keepalive(None)),
            FsmAction::CloseTcpConnection => Some(Action::Close),
            FsmAction::SessionEstablished(_) => Some(Action::Established),
            // Dialing and its timer are not the connection's; the rest says
            // what the caller sees by itself.
            _ => None,
        }
    }
}
