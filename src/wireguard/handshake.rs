//! The handshake of two keys, `Noise_IKpsk2` (WireGuard paper §5.4.2–5.4.4):
//! what stands in the Noise part of an initiation and a response.
//!
//! `snow` runs the pattern. This file gives it what it must not take by itself:
//! random bytes, and a Diffie–Hellman that refuses points of small order. MACs,
//! indices and stamps' meaning are others' matter.

use super::DropReason;
use super::x25519::{Known, OwnKey, StaticSecretShared, X25519};
use crate::net::{PresharedKey, PublicKey};
use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifier, HandshakeModifierList,
    HandshakePattern, HashChoice, NoiseParams,
};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
/// Where in the pattern the preshared key is mixed in.
const PSK_POSITION: u8 = 2;
/// Mixed in when there is no preshared key (paper §5.2).
const NO_PSK: [u8; 32] = [0; 32];

/// Bytes of a TAI64N stamp.
pub(super) const STAMP_LEN: usize = 12;

/// The two keys of a session.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Keys {
    /// Seals what we send.
    pub(super) send: [u8; 32],
    /// Opens what we receive.
    pub(super) receive: [u8; 32],
}

/// A handshake we began and wait for the answer of.
pub(super) struct Initiator(Box<HandshakeState>);

impl Initiator {
    /// Writes the Noise part of an initiation into `out`. `shared` is what the two
    /// static keys share, where that is known.
    pub(super) fn start(
        ours: &OwnKey,
        theirs: &PublicKey,
        shared: Option<&StaticSecretShared>,
        stamp: &[u8; STAMP_LEN],
        random: Zeroizing<[u8; 32]>,
        out: &mut [u8],
    ) -> Result<Self, DropReason> {
        let start = || -> Result<HandshakeState, Error> {
            let mut state = builder(ours, shared, random)
                .local_private_key(ours.private.as_bytes())?
                .remote_public_key(theirs.as_bytes())?
                .prologue(PROLOGUE)?
                .build_initiator()?;
            state.write_message(stamp, out)?;
            Ok(state)
        };
        start().map(|state| Self(Box::new(state))).map_err(|_| DropReason::Handshake)
    }

    /// Reads the Noise part of a response that was made with this preshared key.
    /// After a forged one, or one made with another key, the true one is still taken.
    pub(super) fn finish(
        &mut self,
        noise: &[u8],
        psk: Option<&PresharedKey>,
    ) -> Result<Keys, DropReason> {
        let psk = psk.map_or(&NO_PSK, PresharedKey::as_bytes);
        let mut finish = || -> Result<Keys, Error> {
            self.0.set_psk(usize::from(PSK_POSITION), psk)?;
            self.0.read_message(noise, &mut [])?;
            let (send, receive) = self.0.dangerously_get_raw_split();
            Ok(Keys { send, receive })
        };
        finish().map_err(|_| DropReason::Handshake)
    }
}

/// A handshake another one began.
pub(super) struct Responder {
    state: HandshakeState,
    /// Who claims, and has shown, to have begun it.
    pub(super) theirs: [u8; 32],
    /// Its stamp.
    pub(super) stamp: [u8; STAMP_LEN],
}

impl Responder {
    /// Reads the Noise part of an initiation.
    pub(super) fn read(
        ours: &OwnKey,
        noise: &[u8],
        random: Zeroizing<[u8; 32]>,
    ) -> Result<Self, DropReason> {
        let read = || -> Result<Self, Error> {
            let mut state = builder(ours, None, random)
                .local_private_key(ours.private.as_bytes())?
                .prologue(PROLOGUE)?
                .build_responder()?;
            let mut stamp = [0; STAMP_LEN];
            let length = state.read_message(noise, &mut stamp)?;
            let theirs = state.get_remote_static().and_then(|key| <[u8; 32]>::try_from(key).ok());
            match theirs {
                Some(theirs) if length == STAMP_LEN => Ok(Self { state, theirs, stamp }),
                Some(_) | None => Err(Error::Input),
            }
        };
        read().map_err(|_| DropReason::Handshake)
    }

    /// Writes the Noise part of the response into `out`.
    pub(super) fn answer(
        mut self,
        psk: Option<&PresharedKey>,
        out: &mut [u8],
    ) -> Result<Keys, DropReason> {
        let psk = psk.map_or(&NO_PSK, PresharedKey::as_bytes);
        let mut answer = || -> Result<Keys, Error> {
            self.state.set_psk(usize::from(PSK_POSITION), psk)?;
            self.state.write_message(&[], out)?;
            let (receive, send) = self.state.dangerously_get_raw_split();
            Ok(Keys { send, receive })
        };
        answer().map_err(|_| DropReason::Handshake)
    }
}

fn builder<'a>(
    ours: &OwnKey,
    shared: Option<&StaticSecretShared>,
    random: Zeroizing<[u8; 32]>,
) -> Builder<'a> {
    let params = NoiseParams::new(
        PATTERN.to_owned(),
        BaseChoice::Noise,
        HandshakeChoice {
            pattern: HandshakePattern::IK,
            modifiers: HandshakeModifierList { list: vec![HandshakeModifier::Psk(PSK_POSITION)] },
        },
        DHChoice::Curve25519,
        CipherChoice::ChaChaPoly,
        HashChoice::Blake2s,
    );
    let known = Arc::new(Known { own: ours.clone(), shared: shared.cloned() });
    Builder::with_resolver(params, Box::new(Resolver { known, random }))
}

/// Gives `snow` its primitives.
struct Resolver {
    known: Arc<Known>,
    random: Zeroizing<[u8; 32]>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.random.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519::new(Arc::clone(&self.known)))),
            DHChoice::Curve448 => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The bytes of the one ephemeral key a handshake makes. A second draw fails
/// instead of repeating them.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        match self.0.take() {
            Some(bytes) if out.len() == bytes.len() => {
                out.copy_from_slice(&*bytes);
                Ok(())
            }
            Some(_) | None => Err(Error::Rng),
        }
    }
}
