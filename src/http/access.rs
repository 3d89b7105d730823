//! Who may see what, as it is written down for people who keep it in a file.
//!
//! ```text
//! # name       sees               shows
//! noc          all                sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! acme         acme/gw,acme/lab   sha256:…
//! prometheus   all                uri:spiffe://noc.example.net/prometheus
//! ```
//! A token is told to nobody but who has it: what is written is its SHA-256, which is
//! enough for a random text of 256 bits and too little for a password.
//! Names of a client's certificate are those that its issuer vouched for: a URI or a DNS
//! name (RFC 5280 §4.2.1.6), or the subject's common name.
//!
//! Pure: text in, a [`Scope`] out.

use super::Scope;
use crate::model::limits;
use crate::net::TenantName;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Characters of the longest name of an entry.
const MAX_NAME: usize = 63;

/// What an entry is shown by, other than a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// A URI of the certificate.
    Uri(String),
    /// A DNS name of it.
    Dns(String),
    /// The common name of its subject.
    CommonName(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(name) => write!(f, "uri:{name}"),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::CommonName(name) => write!(f, "cn:{name}"),
        }
    }
}

/// What shows who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// A token of this checksum.
    Token([u8; 32]),
    /// A certificate of this name.
    Certificate(Identity),
}

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessFlaw {
    /// Not all three words are there.
    #[error("write a name, what it sees and what it shows: `noc all sha256:…`")]
    Incomplete,
    /// The name is none.
    #[error("a name has at most {MAX_NAME} letters, digits, `.`, `_` and `-`")]
    Name,
    /// What it sees is neither everything nor tenants.
    #[error("{0:?} is no tenant: write `all`, or tenants as namespace/name with commas between")]
    Scope(String),
    /// What it shows is of no kind that is known.
    #[error("write sha256:, uri:, dns: or cn: and what follows it; `lockgate token new` makes one")]
    Proof,
    /// It is no checksum.
    #[error("a SHA-256 has 64 hexadecimal digits")]
    Digest,
    /// Another line has the same token or certificate.
    #[error("line {0} has the same token or certificate")]
    Twice(usize),
    /// There are too many.
    #[error("there are more than {limit} entries", limit = limits::HTTP_GRANTS)]
    TooMany,
    /// There is none.
    #[error("there is no entry, so nobody could see anything")]
    Nobody,
}

/// A line that is not taken. Nothing of what it shows is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {flaw}")]
pub struct AccessError {
    /// Which line, from 1 on; 1 when there is no entry.
    pub line: usize,
    /// Why.
    #[source]
    pub flaw: AccessFlaw,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    scope: Scope,
    proof: Proof,
}

/// Who may see what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    entries: Vec<Entry>,
}

impl Access {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first line that is not taken; then none is.
    pub fn parse(text: &str) -> Result<Self, AccessError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let failed = |flaw| AccessError { line, flaw };
            let (scope, proof) = parse_line(text).map_err(failed)?;
            if let Some(same) = entries.iter().find(|entry| entry.proof == proof) {
                return Err(failed(AccessFlaw::Twice(same.line)));
            }
            if entries.len() == limits::HTTP_GRANTS {
                return Err(failed(AccessFlaw::TooMany));
            }
            entries.push(Entry { line, scope, proof });
        }
        if entries.is_empty() {
            return Err(AccessError { line: 1, flaw: AccessFlaw::Nobody });
        }
        Ok(Self { entries })
    }

    /// What the bearer of `token` may see. Takes as long whichever it is, or none.
    pub(super) fn of_token(&self, token: &str) -> Option<Scope> {
        let shown = digest(token);
        // One more than the place, so that 0 is nowhere.
        let mut found = 0_u32;
        for (place, entry) in (1..).zip(&self.entries) {
            let is_it = match &entry.proof {
                Proof::Token(digest) => digest.ct_eq(&shown),
                Proof::Certificate(_) => Choice::from(0),
            };
            found.conditional_assign(&place, is_it);
        }
        let place = usize::try_from(found).ok()?.checked_sub(1)?;
        self.entries.get(place).map(|entry| entry.scope.clone())
    }

    /// What the owner of a certificate with these names may see: all that each may.
    pub(super) fn of_certificate(&self, names: &[Identity]) -> Option<Scope> {
        let is_of = |entry: &&Entry| match &entry.proof {
            Proof::Certificate(name) => names.contains(name),
            Proof::Token(_) => false,
        };
        let scopes = self.entries.iter().filter(is_of).map(|entry| entry.scope.clone());
        scopes.reduce(Scope::with)
    }
}

/// The checksum by which a token is known.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Writes the line of `name`, who has `token` and sees `tenants`, or everything.
///
/// # Errors
/// What [`Access::parse`] would say of it.
pub fn token_line(name: &str, tenants: &[TenantName], token: &str) -> Result<String, AccessFlaw> {
    let tenants: Vec<String> = tenants.iter().map(ToString::to_string).collect();
    let scope = if tenants.is_empty() { "all".to_owned() } else { tenants.join(",") };
    let digest: String = digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{name} {scope} sha256:{digest}");
    // A name with a blank or a `#` would make another line of it.
    if !is_name(name) {
        return Err(AccessFlaw::Name);
    }
    parse_line(&line).map(|_| line)
}

fn is_name(name: &str) -> bool {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_taken)
}

fn parse_line(text: &str) -> Result<(Scope, Proof), AccessFlaw> {
    let (name, rest) = text.split_once(char::is_whitespace).ok_or(AccessFlaw::Incomplete)?;
    let (scope, proof) =
        rest.trim_start().split_once(char::is_whitespace).ok_or(AccessFlaw::Incomplete)?;
    if !is_name(name) {
        return Err(AccessFlaw::Name);
    }
    Ok((parse_scope(scope)?, parse_proof(proof.trim_start())?))
}

fn parse_scope(text: &str) -> Result<Scope, AccessFlaw> {
    if text == "all" {
        return Ok(Scope::All);
    }
    let parse = |name: &str| {
        name.parse::<TenantName>().map_err(|_| AccessFlaw::Scope(name.chars().take(130).collect()))
    };
    let tenants: BTreeSet<TenantName> = text.split(',').map(parse).collect::<Result<_, _>>()?;
    Ok(Scope::Tenants(Arc::new(tenants)))
}

fn parse_proof(text: &str) -> Result<Proof, AccessFlaw> {
    let (kind, what) = text.split_once(':').ok_or(AccessFlaw::Proof)?;
    if what.is_empty() {
        return Err(AccessFlaw::Proof);
    }
    Ok(match kind {
        "sha256" => Proof::Token(parse_digest(what).ok_or(AccessFlaw::Digest)?),
        "uri" => Proof::Certificate(Identity::Uri(what.to_owned())),
        "dns" => Proof::Certificate(Identity::Dns(what.to_ascii_lowercase())),
        "cn" => Proof::Certificate(Identity::CommonName(what.to_owned())),
        _ => return Err(AccessFlaw::Proof),
    })
}

fn parse_digest(hex: &str) -> Option<[u8; 32]> {
    // `from_str_radix` would take a sign.
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}
