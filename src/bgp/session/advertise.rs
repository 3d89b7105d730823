//! What is said to the neighbor, as fast as it takes it.

use super::Session;
use crate::bgp::proto::{
    EncodeError, MessageKind, Refresh, encode_end_of_rib, encode_next, encode_refresh,
    encode_targets,
};
use crate::bgp::{Family, Update};
use crate::model::limits::BGP_OUT_QUEUE_BYTES;
use crate::net::{Instant, RouteTarget};

/// Below this much there is room again: half of all, so that each round is worth
/// its while.
pub(super) const ROOMY_BYTES: usize = BGP_OUT_QUEUE_BYTES / 2;

/// How much of an update was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// All of it.
    All,
    /// As much as there was room for; the rest is left, to be given again after
    /// [`super::Event::Writable`].
    Partly,
}

/// Why something was not advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvertiseError {
    /// The session is not up.
    #[error("the session is not up")]
    Down,
    /// It cannot be said on this session. It was taken off, so the rest can be
    /// given again.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Session {
    /// Puts what `update` says on its way, many networks to a message, and takes it
    /// off: as much as leaves less than [`BGP_OUT_QUEUE_BYTES`] and one message
    /// waiting. Which attributes are written how, see
    /// [`crate::bgp::proto::encode_next`].
    ///
    /// # Errors
    /// [`AdvertiseError`].
    pub fn advertise(
        &mut self,
        update: &mut Update,
        now: Instant,
    ) -> Result<Advertised, AdvertiseError> {
        let Some(link) = self.established() else { return Err(AdvertiseError::Down) };
        let Some(agreed) = link.negotiated.clone() else { return Err(AdvertiseError::Down) };
        let id = link.id;
        loop {
            let Some(link) = self.link(id) else { return Err(AdvertiseError::Down) };
            if BGP_OUT_QUEUE_BYTES <= link.out.unsent().len() {
                link.owes_writable = true;
                return Ok(Advertised::Partly);
            }
            match encode_next(update, &agreed) {
                Ok(Some(message)) => self.send(id, MessageKind::Update, &message, now),
                Ok(None) => return Ok(Advertised::All),
                Err(error) => {
                    self.counters.unsayable += 1;
                    return Err(error.into());
                }
            }
        }
    }

    /// Says that VPN routes of these targets are wanted, or not any more (RFC 4684). To who
    /// does not carry [`Family::RouteTargets`] nothing is said.
    ///
    /// # Errors
    /// [`AdvertiseError`].
    pub fn advertise_targets(
        &mut self,
        targets: &[RouteTarget],
        wanted: bool,
        now: Instant,
    ) -> Result<(), AdvertiseError> {
        let Some(link) = self.established() else { return Err(AdvertiseError::Down) };
        let Some(agreed) = link.negotiated.clone() else { return Err(AdvertiseError::Down) };
        if targets.is_empty() || !agreed.families.contains(&Family::RouteTargets) {
            return Ok(());
        }
        let id = link.id;
        let message = encode_targets(targets, wanted, &agreed)?;
        self.send(id, MessageKind::Update, &message, now);
        Ok(())
    }

    /// Says that this was all of `family` (RFC 4724 §2).
    ///
    /// # Errors
    /// [`AdvertiseError::Down`], and [`EncodeError::Family`] when it is not carried.
    pub fn end_of_rib(&mut self, family: Family, now: Instant) -> Result<(), AdvertiseError> {
        self.say(MessageKind::Update, family, |_| Some(encode_end_of_rib(family)), now)
    }

    /// Asks the neighbor to say all of `family` again (RFC 2918). Says nothing to one
    /// that does not know how.
    ///
    /// # Errors
    /// Like [`Session::end_of_rib`].
    pub fn ask_refresh(&mut self, family: Family, now: Instant) -> Result<(), AdvertiseError> {
        self.mark(Refresh::Ask, family, now)
    }

    /// All of `family` is said again from here on (RFC 7313). Says nothing to a
    /// neighbor that does not know the mark.
    ///
    /// # Errors
    /// Like [`Session::end_of_rib`].
    pub fn begin_refresh(&mut self, family: Family, now: Instant) -> Result<(), AdvertiseError> {
        self.mark(Refresh::Begin, family, now)
    }

    /// That was all of `family` again.
    ///
    /// # Errors
    /// Like [`Session::end_of_rib`].
    pub fn end_refresh(&mut self, family: Family, now: Instant) -> Result<(), AdvertiseError> {
        self.mark(Refresh::End, family, now)
    }

    fn mark(
        &mut self,
        refresh: Refresh,
        family: Family,
        now: Instant,
    ) -> Result<(), AdvertiseError> {
        let message = |(plain, enhanced)| {
            let is_known = if refresh == Refresh::Ask { plain } else { enhanced };
            Some(encode_refresh(refresh, family)).filter(|_| is_known)
        };
        self.say(MessageKind::RouteRefresh, family, message, now)
    }

    /// Sends a message of one family, if the neighbor knows such: `message` is asked
    /// with whether it knows refreshes, and their marks.
    fn say(
        &mut self,
        kind: MessageKind,
        family: Family,
        message: impl FnOnce((bool, bool)) -> Option<Vec<u8>>,
        now: Instant,
    ) -> Result<(), AdvertiseError> {
        let Some(link) = self.established() else { return Err(AdvertiseError::Down) };
        let Some(agreed) = &link.negotiated else { return Err(AdvertiseError::Down) };
        if !agreed.families.contains(&family) {
            return Err(EncodeError::Family(family).into());
        }
        let id = link.id;
        if let Some(message) = message((agreed.route_refresh, agreed.enhanced_refresh)) {
            self.send(id, kind, &message, now);
        }
        Ok(())
    }
}
