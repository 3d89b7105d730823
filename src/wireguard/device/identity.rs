//! Who we are: one key, or two while customers change over to our next one.
//!
//! Whoever writes to us shows by its first MAC which of the two it means (WireGuard
//! paper §5.4.4), at the price of one more hash for what means neither.

use crate::net::{PrivateKey, PublicKey};
use crate::wireguard::cookie::Checker;
use crate::wireguard::session::MadeWith;
use crate::wireguard::x25519::OwnKey;

/// One of our keys, and what checks messages that are meant for it.
pub(super) struct Own {
    pub(super) key: OwnKey,
    pub(super) checker: Checker,
}

impl Own {
    fn new(private: PrivateKey) -> Self {
        let key = OwnKey::new(private);
        Self { checker: Checker::new(&key.public), key }
    }
}

/// Our keys.
pub(super) struct Identities {
    current: Own,
    next: Option<Box<Own>>,
}

/// Where keys of before are found now.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    current: Option<bool>,
    next: Option<bool>,
}

impl Moved {
    /// What was made with the current key, or the next one, in today's words; `None`
    /// when that key is gone.
    pub(super) fn of(self, by_next_key: bool) -> Option<bool> {
        if by_next_key { self.next } else { self.current }
    }

    /// The same of a handshake.
    pub(super) fn made_with(self, made_with: MadeWith) -> Option<MadeWith> {
        Some(MadeWith { next_key: self.of(made_with.next_key)?, ..made_with })
    }
}

impl Identities {
    pub(super) fn new(current: PrivateKey, next: Option<PrivateKey>) -> Self {
        // Twice the same key is one.
        let next = next.filter(|next| *next != current).map(|next| Box::new(Own::new(next)));
        Self { current: Own::new(current), next }
    }

    /// Takes other keys; tells where the ones of before are then. `None` when they
    /// are the same ones.
    pub(super) fn change(
        &mut self,
        current: PrivateKey,
        next: Option<PrivateKey>,
    ) -> Option<Moved> {
        let next = next.filter(|next| *next != current);
        let old_next = self.next.as_ref().map(|own| &own.key.private);
        if self.current.key.private == current && old_next == next.as_ref() {
            return None;
        }
        let place = |key: Option<&PrivateKey>| match key {
            Some(key) if *key == current => Some(false),
            Some(key) if next.as_ref() == Some(key) => Some(true),
            Some(_) | None => None,
        };
        let moved =
            Moved { current: place(Some(&self.current.key.private)), next: place(old_next) };
        *self = Self::new(current, next);
        Some(moved)
    }

    /// The next key, where it is asked for and there is one; else the current one.
    pub(super) fn get(&self, by_next_key: bool) -> &Own {
        self.next.as_deref().filter(|_| by_next_key).unwrap_or(&self.current)
    }

    /// As [`Self::get`].
    pub(super) fn get_mut(&mut self, by_next_key: bool) -> &mut Own {
        match self.next.as_deref_mut().filter(|_| by_next_key) {
            Some(next) => next,
            None => &mut self.current,
        }
    }

    /// Which key a handshake message is meant for: `true` for the next one, `None`
    /// for neither.
    pub(super) fn meant(&self, message: &[u8]) -> Option<bool> {
        if self.current.checker.is_mac1_right(message) {
            return Some(false);
        }
        self.next.as_ref().filter(|next| next.checker.is_mac1_right(message)).map(|_| true)
    }

    /// Whether there is a next key.
    pub(super) const fn are_two(&self) -> bool {
        self.next.is_some()
    }

    /// Who we are to who has not changed over.
    pub(super) const fn public(&self) -> PublicKey {
        self.current.key.public
    }

    /// Our public keys.
    pub(super) fn publics(&self) -> impl Iterator<Item = PublicKey> + use<'_> {
        [Some(&self.current), self.next.as_deref()].into_iter().flatten().map(|own| own.key.public)
    }
}
