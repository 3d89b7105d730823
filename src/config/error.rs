//! What is wrong with documents: every error at once, each with its place.
//!
//! One reads like a compiler's:
//! `acme.yaml:12: SiteAttachment/hq: spec.vlan.id: 4095 is reserved (1–4094)`.
//! None ever holds a secret.

use super::document::ObjectName;
use crate::model::{DomainIdError, KernelFeatures, limits};
use crate::net::{CommunityError, KeyError, NameError, NumberError, Prefix, PrefixError};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file; `None` for a document that came from a cluster.
    pub file: Option<Arc<str>>,
    /// The line, from 1, when it is known.
    pub line: Option<u32>,
    /// The document; `None` when it could not be told.
    pub object: Option<ObjectName>,
    /// The field, as `spec.prefixes[2].cidr`; empty for the whole document.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            match self.line {
                Some(line) => write!(f, "{file}:{line}: ")?,
                None => write!(f, "{file}: ")?,
            }
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Errors in the order found, as many as are worth reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    list: Vec<ConfigError>,
    more: usize,
}

impl Errors {
    /// Takes one more; beyond [`limits::REPORTED_ERRORS`] it is counted only.
    pub(super) fn push(&mut self, error: ConfigError) {
        if self.list.len() < limits::REPORTED_ERRORS {
            self.list.push(error);
        } else {
            self.more += 1;
        }
    }

    /// Takes those of `others` too, in the order of files and lines.
    pub fn extend(&mut self, others: Self) {
        self.more += others.more;
        others.list.into_iter().for_each(|error| self.push(error));
        self.sort();
    }

    /// Puts them in the order of files and lines.
    pub(super) fn sort(&mut self) {
        self.list.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Those that are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.list.iter()
    }

    /// How many there are, those that are not kept included.
    pub const fn count(&self) -> usize {
        self.list.len() + self.more
    }

    /// How many are not kept.
    pub const fn more(&self) -> usize {
        self.more
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    /// One a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.list {
            writeln!(f, "{error}")?;
        }
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

/// ` (did you mean x?)`, or nothing.
struct Hint<'a>(&'a Option<String>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says what it is, with its fields")]
pub enum Problem {
    // Text.
    #[error("{bytes} bytes are too many; a file holds at most {max}", max = limits::DOCUMENT_FILE_BYTES)]
    FileTooLarge { bytes: usize },
    #[error("a NUL byte; this is no text file")]
    Nul,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not YAML: {0}")]
    Yaml(String),
    #[error("nested deeper than {max} levels", max = limits::DOCUMENT_DEPTH)]
    TooDeep,
    #[error("a tag; documents are plain data")]
    Tag,
    #[error("`<<` is not understood by every reader of YAML; write the fields out")]
    MergeKey,
    #[error("an alias within what it stands for")]
    AliasOfItself,
    #[error("aliases stand for more than {max} bytes", max = limits::ALIAS_BYTES)]
    TooManyAliases,
    #[error("a field's name has to be text")]
    KeyNotText,

    // Shape.
    #[error("is not a document: a mapping with apiVersion, kind, metadata and spec is expected")]
    NotADocument,
    #[error("is missing")]
    Missing,
    #[error("unknown field{}", Hint(nearest))]
    UnknownField { nearest: Option<String> },
    #[error("unknown field; here may be {}", known.join(", "))]
    NoSuchField { known: Vec<String> },
    #[error("a secret has no place in a document; put it into a Secret and name that")]
    SecretInDocument,
    #[error("`{found}` is not known here; use `{expected}`")]
    ApiVersion { found: String, expected: &'static str },
    #[error("unknown kind `{found}`{}", Hint(nearest))]
    UnknownKind { found: String, nearest: Option<String> },
    #[error("{0:?} {why}; the domain is not confirmed to NMaaS", why = DomainIdError)]
    DomainId(String),
    #[error("is cluster-scoped and has no namespace")]
    NamespaceOnCluster,
    #[error("{expected} is expected, not {found}")]
    WrongShape { expected: &'static str, found: &'static str },
    #[error("`{text}` is no plain decimal number")]
    NotAnInteger { text: String },
    #[error("is a number in quotes; write it without")]
    QuotedInteger,
    #[error("{text} is out of range ({min}–{max})")]
    IntegerRange { text: String, min: i64, max: i64 },
    #[error("`{text}` is neither `true` nor `false`")]
    NotABoolean { text: String },
    #[error("`{text}` is not text to every reader of YAML; write it in quotes")]
    AmbiguousText { text: String },
    #[error("`{found}` is none of {}{}", expected.join(", "), Hint(nearest))]
    NotOneOf { found: String, expected: Vec<String>, nearest: Option<String> },
    #[error("{0}")]
    Structure(String),
    #[error("is in {file} too, on line {line}")]
    DuplicateObject { file: String, line: u32 },
    #[error("there are more than {max} of them")]
    TooMany { max: usize },
    #[error("is one too many: a TenantGateway has at most {max} sites")]
    TooManySites { max: usize },
    #[error("is one too many: a gateway serves at most {max} tenants")]
    TooManyTenants { max: usize },
    #[error("{0}")]
    Rule(String),
    #[error("{0}")]
    Secret(String),

    // Values.
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("{0}")]
    Number(#[from] NumberError),
    #[error("{0}")]
    Prefix(#[from] PrefixError),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("has blanks around it")]
    Blanks,
    #[error("{value} is out of range ({min}–{max})")]
    Range { value: u64, min: u64, max: u64 },
    #[error("{last} is below first, {first}")]
    RangeBackwards { first: u64, last: u64 },
    #[error("`{0}` is not an address such as 192.0.2.1 or 2001:db8::1")]
    NotAnAddress(String),
    #[error("{0} is no address a host can have")]
    NotAHost(IpAddr),
    #[error("{0} is the address of its network or its broadcast address, and no host's")]
    NetworkAddress(IpAddr),
    #[error("is empty; at least one is needed")]
    Empty,
    #[error("is given twice")]
    Twice,
    #[error("a second one of the same family; at most one IPv4 and one IPv6 are possible")]
    SecondOfFamily,
    #[error("{mtu} is too small: IPv6 is used, which needs 1280 or more (RFC 8200 §5)")]
    MtuForIpv6 { mtu: u16 },
    #[error(
        "uses IPv6, for which its TenantGateway's tunnelMTU, {mtu}, is too small: 1280 or more is needed (RFC 8200 §5)"
    )]
    TunnelMtuForIpv6 { mtu: u16 },
    #[error("{0} is the default route, which is not possible here")]
    DefaultRoute(Prefix),
    #[error("{0} is the default route, which class `{1}` does not allow")]
    DefaultRouteNotAllowed(Prefix, String),
    #[error("{prefix} meets {forbidden}, {why}")]
    Forbidden { prefix: Prefix, forbidden: Prefix, why: Forbidden },
    #[error("{prefix} overlaps {other}, {what}")]
    Overlap { prefix: Prefix, other: Prefix, what: String },
    #[error("{prefix} is {what} too; give one of them an alias, or let their priorities differ")]
    SamePrefix { prefix: Prefix, what: String },
    #[error(
        "the customer cannot reach {app} from its own {prefix}, which is the same network; use other app prefixes"
    )]
    AppInsideSite { prefix: Prefix, app: Prefix },

    // Attachments.
    #[error("{0}")]
    Union(&'static str),
    #[error("{0} is IPv6, and IPIP is between IPv4 addresses")]
    IpipOfIpv6(Prefix),
    #[error(
        "needs an IPv4 address of ours in addresses of the fabric's interface, veth or vlan, which the tunnels begin at"
    )]
    IpipNeedsAddress,
    #[error("is needed; only with `--netns current` is the pod's own eth0 used without it")]
    FabricNeeded,
    #[error(
        "is shared by tenants that have namespaces of their own; with `--netns current` name it among the tenant's spec.fabric.bgp.neighbors"
    )]
    ReflectorsNeedNamespaces,
    #[error("`--netns current` serves one tenant, and {0} is already it")]
    OnlyOneTenant(String),
    #[error("there is no TenantGateway `{0}` in this namespace")]
    GatewayNotFound(String),
    #[error("there is no ConnectivityClass `{0}`")]
    ClassNotFound(String),
    #[error("its ConnectivityClass `{0}` has errors")]
    ClassInvalid(String),
    #[error("every port of class `{0}` is taken")]
    NoPortLeft(String),
    #[error("{what} is already {owner}'s")]
    Claimed { what: String, owner: String },
    #[error("class `{class}` does not let namespace `{namespace}` use VLAN {id} of `{parent}`")]
    VlanNotAllowed { class: String, namespace: String, parent: String, id: u16 },
    #[error(
        "this machine's kernel has no 802.1Q support: load the module `8021q`, or the link stays down"
    )]
    NoKernelVlan,
    #[error(
        "this machine's kernel has no IPIP support: load the module `ipip`, or what nodes say is not installed"
    )]
    NoKernelIpip,
    #[error("{}", KernelFeatures::NO_ARP)]
    NoKernelArp,
    #[error("{0} is not in any network of its link")]
    NotOnLink(IpAddr),
    #[error(
        "{0} is not on the link, and no router of its family is named (nextHops has one of each)"
    )]
    NoNextHop(Prefix),
    #[error("{0} is our own address")]
    OwnAddress(IpAddr),
    #[error("{0} is not in any of the site's prefixes as the applications see them")]
    NotInPrefixes(IpAddr),
    #[error(
        "{0} cannot be asked: we have no address of that family there (spec.wireGuard.tunnelAddresses, spec.vlan.addresses)"
    )]
    NoProbeSource(IpAddr),
    #[error("has /{alias}, and the prefix /{prefix}: they have to be as long as each other")]
    AliasLength { prefix: u8, alias: u8 },
    #[error("is of the other address family than the prefix")]
    AliasFamily,
    #[error("is the prefix itself; leave it out")]
    AliasOfItselfPrefix,
    #[error("{0} is outside the alias pool of class `{1}`")]
    OutsideAliasPool(Prefix, String),
    #[error(
        "is possible only with backend Auto or Userspace, not with Kernel: the kernel's WireGuard renames no networks"
    )]
    AliasInKernel,
    #[error(
        "is Kernel, and this machine's kernel has no WireGuard: load the module `wireguard`, or the tenant's tunnels stay down; Auto does without it"
    )]
    NoKernelWireGuard,
    #[error(
        "needs privateKeySecretRef beside it; the key that the gateway made is rotated by `lockgate keys rotate`"
    )]
    NextOfNoPrivateKey,
    #[error(
        "cannot be had with backend Kernel, whose WireGuard has one private key for a tenant: set Auto or Userspace while customers change over"
    )]
    NextKeyInKernel,
    #[error(
        "cannot be Kernel while customers change over to the key that `lockgate keys rotate` made, for its WireGuard has one private key for a tenant: `lockgate keys retire` first"
    )]
    KernelWhileChanging,
    #[error("is the gateway's {0} public key, not the customer's")]
    OwnKey(&'static str),
    #[error(
        "is a PRIVATE key: whoever has read this document has it. Make a new pair, and put the public key here"
    )]
    PrivateKey,
    #[error(
        "looks like a private key, as one public key in sixteen does: make sure that it is what `wg pubkey` printed"
    )]
    MaybePrivateKey,
    #[error("is already {0}'s; each site needs a key of its own")]
    KeyOfOther(String),
    #[error("{0}")]
    Host(HostProblem),
    #[error(
        "{address} is in {prefix}, which is reached through this very tunnel: with `--netns current` its own packets would go back into it"
    )]
    EndpointInTunnel { address: IpAddr, prefix: Prefix },
    #[error("only TCP, UDP and SCTP have ports")]
    PortsOfProtocol,
    #[error("`{0}` is neither a port (1–65535) nor a range such as 8000-8010")]
    Ports(String),
    #[error("needs spec.fabric.bgp of its TenantGateway, for the AS number")]
    NoLocalAsn,
    #[error("{0} is in no network of the fabric link; name who is hops away by address")]
    RangeNotOnLink(Prefix),
    #[error(
        "ranges with {sum} neighbors between them are too many; a tenant's have at most {most}"
    )]
    RangesTooLarge { sum: usize, most: usize },
    #[error(
        "needs a passwordSecretRef, for it is inside the range of neighbor `{range}`, which has one: the kernel takes nothing from there that is not signed"
    )]
    UnsignedInRange { range: String },
    #[error("`{0}` {1}")]
    Community(String, CommunityError),
    #[error("{value} is outside {least}–{longest}, the lengths a prefix inside this one has")]
    ImportLength { value: u32, least: u8, longest: u8 },
    #[error("{le} is below ge, {ge}")]
    ImportLengths { ge: u8, le: u8 },
    #[error("{value} is above the class's {max}")]
    AboveClass { value: u32, max: u32 },
}

/// Why a network may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    /// No network of a customer's can have these addresses.
    Always(&'static str),
    /// The class forbids it.
    Class,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always(why) => f.write_str(why),
            Self::Class => f.write_str("which its class forbids"),
        }
    }
}

/// Why a text is no host to dial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostProblem {
    /// It has brackets.
    #[error("has brackets; write the IPv6 address without, `{0}`")]
    Brackets(String),
    /// A port is part of it.
    #[error("has a port in it; write host `{0}` and the port as its own field")]
    Port(String),
    /// It looks like a URL.
    #[error("is a URL; write the host name only")]
    Url,
    /// It has a zone.
    #[error("carries a zone id, which has a meaning on one machine only")]
    Zone,
    /// It is no address a datagram can be sent to.
    #[error("{0} cannot be sent to")]
    Address(IpAddr),
    /// A v4 address in v6 clothes.
    #[error("is a v4-mapped IPv6 address; write it as IPv4")]
    Mapped,
    /// It is not ASCII.
    #[error("is not ASCII; write the name as DNS has it, beginning with `xn--` (RFC 5891)")]
    Idn,
    /// It is no DNS name.
    #[error(
        "is neither an address nor a DNS name (letters, digits and `-`, in parts of 1–63 characters)"
    )]
    Malformed,
    /// It ends in a number, as only addresses do.
    #[error("looks like an IPv4 address and is none")]
    AlmostAddress,
}
