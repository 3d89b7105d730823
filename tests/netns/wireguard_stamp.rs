//! What a customer reads in an initiation: the stamp by which it tells a new one
//! from a replay (WireGuard paper §5.1).

use lockgate::net::{PrivateKey, Timestamp};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error};

/// A resolver for who only reads, and so needs no random bytes.
struct Reader;

impl Random for Reader {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        out.fill(0);
        Ok(())
    }
}

impl CryptoResolver for Reader {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Self))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The stamp in an initiation to the customer with this key, as a moment on the
/// sender's clock.
pub(crate) fn stamp(customer: &PrivateKey, initiation: &[u8]) -> Timestamp {
    assert_eq!((initiation.len(), initiation[0]), (148, 1), "it is an initiation");
    let pattern = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
    let mut noise = Builder::with_resolver(pattern, Box::new(Reader))
        .local_private_key(customer.as_bytes())
        .and_then(|noise| noise.prologue(b"WireGuard v1 zx2c4 Jason@zx2c4.com"))
        .and_then(Builder::build_responder)
        .unwrap();
    let mut stamp = [0; 12];
    assert_eq!(noise.read_message(&initiation[8..116], &mut stamp).unwrap(), 12);
    let seconds = u64::from_be_bytes(stamp[..8].try_into().unwrap());
    let nanoseconds = u32::from_be_bytes(stamp[8..].try_into().unwrap());
    Timestamp::new(seconds - (1 << 62) - 10, nanoseconds)
}
