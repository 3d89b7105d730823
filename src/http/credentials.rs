//! What the endpoint shows to be itself, and who may see what: all that can change while
//! it runs.

use super::{Access, Identity, Scope, Tls};

/// What is in force at one moment. The default is plain HTTP for everybody.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// TLS on every TCP address; plain HTTP without.
    pub tls: Option<Tls>,
    /// Whether a client's certificate is asked for. Without [`Credentials::access`] each
    /// that is taken sees everything.
    pub takes_certificates: bool,
    /// Who may see what; everybody everything without, unless certificates are asked for.
    pub access: Option<Access>,
}

impl Credentials {
    /// Whether somebody who shows nothing sees nothing.
    pub(super) const fn are_asked_for(&self) -> bool {
        self.access.is_some() || self.takes_certificates
    }

    /// Whether by both everybody sees the same, whatever they show to be itself.
    pub(super) fn judge_as(&self, other: &Self) -> bool {
        let take_the_same = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.takes_what(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        take_the_same
            && self.takes_certificates == other.takes_certificates
            && self.access == other.access
    }

    /// What somebody sees who showed this token, or a certificate of these names.
    pub(super) fn scope(
        &self,
        token: Option<&str>,
        certificate: Option<&[Identity]>,
    ) -> Option<Scope> {
        let Some(access) = &self.access else {
            let is_open = !self.takes_certificates || certificate.is_some();
            return is_open.then_some(Scope::All);
        };
        // A token that is wrong is not made good by a certificate: it was meant.
        match token {
            Some(token) => access.of_token(token),
            None => access.of_certificate(certificate?),
        }
    }
}
