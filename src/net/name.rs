//! Names of tenants and sites, and of the kernel objects we make for them.
//!
//! Names come from documents, so they are checked once, here, and never become
//! a path or a format string unchecked.
//! What we make in the kernel is told from what others made by its name, and
//! that name is both built and recognised in this file only.

use super::VlanId;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name Kubernetes gives a namespace or a labelled object (RFC 1123).
const MAX_LABEL_LEN: usize = 63;

/// Longest interface name Linux accepts: `IFNAMSIZ` less the closing NUL.
const MAX_LINK_LEN: usize = 15;

/// What every interface we make is called first.
const LINK_PREFIX: &str = "lg-";

/// What every network namespace we make is called first.
///
/// Document names hold no dot, so the three parts can be told apart again.
const NETNS_PREFIX: &str = "lockgate.";

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// It is longer than Kubernetes or Linux accepts.
    #[error("has {0} characters; at most {1} are possible")]
    TooLong(usize, usize),
    /// It has a character outside `[a-z0-9-]`, or one at an end that may not be there.
    #[error("may hold only a–z, 0–9 and `-`, and begins and ends with a letter or digit")]
    Character,
    /// It has a character an interface name may not have.
    #[error("is no interface name: letters, digits and `._-`, not beginning with `-`")]
    LinkCharacter,
    /// It is the loopback's, or that of all interfaces together.
    #[error("is a name the kernel keeps for itself")]
    Kernel,
    /// It begins as the interfaces we make do.
    #[error("begins with `lg-`, which is kept for the interfaces lockgate makes")]
    Managed,
}

fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if MAX_LABEL_LEN < text.len() {
        return Err(NameError::TooLong(text.chars().count(), MAX_LABEL_LEN));
    }
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.bytes().all(inside) || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Character);
    }
    Ok(())
}

/// A tenant: the namespace and name of its `TenantGateway`, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantName {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl TenantName {
    /// The tenant `name` in `namespace`.
    ///
    /// # Errors
    /// When either part is no RFC 1123 label.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NameError> {
        check_label(namespace)?;
        check_label(name)?;
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    /// The namespace its documents are in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of its `TenantGateway`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network namespace that is this tenant's alone, as `ip netns` shows it.
    pub fn netns(&self) -> String {
        format!("{NETNS_PREFIX}{}.{}", self.namespace, self.name)
    }

    /// The tenant whose network namespace has this name; `None` when it is not ours.
    pub fn from_netns(netns: &str) -> Option<Self> {
        let (namespace, name) = netns.strip_prefix(NETNS_PREFIX)?.split_once('.')?;
        Self::new(namespace, name).ok()
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for TenantName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, name) = text.split_once('/').ok_or(NameError::Character)?;
        Self::new(namespace, name)
    }
}

/// The name of a `SiteAttachment` within its tenant's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_label(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A site among all tenants', written `namespace/site`.
///
/// Sites of one namespace have different names whatever gateway they are of,
/// so the namespace and the site's name are enough to write; the tenant is
/// kept to know whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId {
    /// Whose it is.
    pub tenant: TenantName,
    /// What it is called there.
    pub site: SiteName,
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant.namespace, self.site)
    }
}

/// The name of an interface this gateway made, and so may change or remove.
///
/// A namespace may hold interfaces of others: a CNI's, an operator's own.
/// Kind and index do not tell them from ours; the name does.
/// Failing to recognise one of ours leaves a link behind; taking a foreign one
/// for ours cuts somebody off. So recognition is exact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManagedName(String);

impl ManagedName {
    /// The tenant's TUN, through which all its WireGuard sites are reached.
    pub fn wireguard() -> Self {
        Self(format!("{LINK_PREFIX}wg"))
    }

    /// The tenant's end of a veth pair to the fabric.
    pub fn fabric() -> Self {
        Self(format!("{LINK_PREFIX}fabric"))
    }

    /// The tenant's IPIP tunnels to the nodes, all of them in one.
    pub fn ipip() -> Self {
        Self(format!("{LINK_PREFIX}ipip"))
    }

    /// A tagged VLAN in a tenant's namespace: the tag its frames have last, and
    /// six digits that stand for the rest of `of`, which says what it is made
    /// of (trunk, protocol, tags). A tenant may have the same tag on two trunks.
    pub fn vlan(tag: VlanId, of: &str) -> Self {
        Self(format!("{LINK_PREFIX}v{tag}.{:06x}", digest(of)))
    }

    /// An outer tag in the underlay, on which inner ones stand; as for [`vlan`](Self::vlan).
    pub fn outer_vlan(tag: VlanId, of: &str) -> Self {
        Self(format!("{LINK_PREFIX}s{tag}.{:06x}", digest(of)))
    }

    /// Recognises `name` as one we make, or returns `None` for a foreign one.
    pub fn recognize(name: &str) -> Option<Self> {
        let found = Self(name.to_owned());
        let fixed = [Self::wireguard(), Self::fabric(), Self::ipip()].contains(&found);
        (fixed || found.is_vlan() || found.is_outer_vlan()).then_some(found)
    }

    /// Whether it is one of [`ManagedName::vlan`].
    pub fn is_vlan(&self) -> bool {
        self.is_tagged('v')
    }

    /// Whether it is one of [`ManagedName::outer_vlan`].
    pub fn is_outer_vlan(&self) -> bool {
        self.is_tagged('s')
    }

    fn is_tagged(&self, letter: char) -> bool {
        let rest = self.0.strip_prefix(LINK_PREFIX).and_then(|rest| rest.strip_prefix(letter));
        let Some((tag, digest)) = rest.and_then(|rest| rest.split_once('.')) else { return false };
        let tag = tag.parse().ok().filter(|id: &u32| id.to_string() == tag);
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        tag.is_some_and(|id| VlanId::new(id).is_ok())
            && digest.len() == 6
            && digest.bytes().all(hex)
    }

    /// The name as the kernel has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ManagedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 24 bits of a text (FNV-1a, folded), to tell apart what else would have the
/// same short name.
fn digest(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = text.bytes().fold(0x811c_9dc5, step);
    (hash >> 24) ^ (hash & 0x00ff_ffff)
}

/// The name of somebody else's interface, as a document gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName(String);

impl LinkName {
    /// The loopback of every namespace.
    pub fn loopback() -> Self {
        Self("lo".to_owned())
    }

    /// The name as the kernel has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is the loopback's, or that of all interfaces together
    /// (`net.ipv4.conf.all`), so that none of anybody's can be meant.
    pub fn is_kernels(&self) -> bool {
        ["all", "default", "lo"].contains(&self.0.as_str())
    }
}

impl FromStr for LinkName {
    type Err = NameError;

    /// Accepts what Linux does (`dev_valid_name`), less `%`, quotes, `@` (which no
    /// nft set can be called by) and our own names: letters, digits and `._-`, at most 15 of them, neither `.` nor `..`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if MAX_LINK_LEN < text.len() {
            return Err(NameError::TooLong(text.chars().count(), MAX_LINK_LEN));
        }
        let inside = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !text.bytes().all(inside) || text == "." || text == ".." || text.starts_with('-') {
            return Err(NameError::LinkCharacter);
        }
        if text.starts_with(LINK_PREFIX) {
            return Err(NameError::Managed);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
