//! Curve25519 as `snow` asks for it, and what of it every handshake has in common:
//! our own public key, and the secret that the two static keys share. Each takes a
//! multiplication on the curve to find, and those are what a handshake costs.

use crate::net::{PrivateKey, PublicKey};
use snow::Error;
use snow::types::{Dh, Random};
use std::sync::Arc;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The secret that our static key and a peer's share.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct StaticSecretShared {
    #[zeroize(skip)]
    ours: PublicKey,
    #[zeroize(skip)]
    theirs: PublicKey,
    secret: [u8; 32],
}

impl StaticSecretShared {
    /// That of these keys; `None` when it would be zero.
    pub(super) fn new(ours: &OwnKey, theirs: &PublicKey) -> Option<Self> {
        let own = StaticSecret::from(*ours.private.as_bytes());
        let secret = diffie_hellman(&own, *theirs.as_bytes()).ok()?;
        Some(Self { ours: ours.public, theirs: *theirs, secret: *secret })
    }

    /// Whether it is that of these two.
    pub(super) fn is_of(&self, ours: &OwnKey, theirs: &PublicKey) -> bool {
        self.ours == ours.public && self.theirs == *theirs
    }
}

/// Our static key, both halves.
#[derive(Clone)]
pub(super) struct OwnKey {
    pub(super) private: PrivateKey,
    pub(super) public: PublicKey,
}

impl OwnKey {
    pub(super) fn new(private: PrivateKey) -> Self {
        let public = private.public();
        Self { private, public }
    }
}

/// What is known before a handshake begins.
pub(super) struct Known {
    pub(super) own: OwnKey,
    /// What our static key shares with that of the one peer there is to be.
    pub(super) shared: Option<StaticSecretShared>,
}

/// Curve25519 that wipes its key and refuses a shared secret of zero, which
/// every point of small order gives (RFC 7748 §6.1). `snow`'s own does neither.
pub(super) struct X25519 {
    known: Arc<Known>,
    secret: StaticSecret,
    public: [u8; 32],
    is_own: bool,
}

impl X25519 {
    /// One without a key yet.
    pub(super) fn new(known: Arc<Known>) -> Self {
        Self { known, secret: StaticSecret::from([0; 32]), public: [0; 32], is_own: false }
    }
}

fn diffie_hellman(ours: &StaticSecret, theirs: [u8; 32]) -> Result<Zeroizing<[u8; 32]>, Error> {
    let shared = ours.diffie_hellman(&x25519_dalek::PublicKey::from(theirs));
    if !shared.was_contributory() {
        return Err(Error::Dh);
    }
    Ok(Zeroizing::new(shared.to_bytes()))
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        let Ok(secret) = <[u8; 32]>::try_from(secret).map(Zeroizing::new) else { return };
        self.secret = StaticSecret::from(*secret);
        self.is_own = *secret == *self.known.own.private.as_bytes();
        self.public = if self.is_own {
            *self.known.own.public.as_bytes()
        } else {
            x25519_dalek::PublicKey::from(&self.secret).to_bytes()
        };
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut *secret)?;
        // Never compared with our own: how long that takes would hang on both.
        self.secret = StaticSecret::from(*secret);
        self.public = x25519_dalek::PublicKey::from(&self.secret).to_bytes();
        self.is_own = false;
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    fn dh(&self, theirs: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs: [u8; 32] =
            theirs.get(..32).unwrap_or_default().try_into().map_err(|_| Error::Dh)?;
        let out = out.get_mut(..32).ok_or(Error::Dh)?;
        let known = self.known.shared.as_ref().filter(|it| {
            self.is_own && it.ours == self.known.own.public && *it.theirs.as_bytes() == theirs
        });
        match known {
            Some(known) => out.copy_from_slice(&known.secret),
            None => out.copy_from_slice(&*diffie_hellman(&self.secret, theirs)?),
        }
        Ok(())
    }
}
