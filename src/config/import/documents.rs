//! What a file of wg-quick's says of a tenant and its sites, whosever file it is.

use super::WgQuickFile;
use super::sites::{Names, ends, far_addresses, note_default_route};
use super::text::{Draft, HostText, Joined, Tenant, write_documents};
use super::wg_quick::Peer;
use crate::net::{InterfaceAddress, Prefix, PublicKey, SiteName, TenantName};
use std::fmt::{self, Display};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The gateway's of before: its peers are the sites.
    Gateway,
    /// A customer's: its one peer is the gateway.
    Customer,
}

/// What the file does not say.
#[derive(Clone, Debug)]
pub struct Choices {
    /// What the file is called, for the comment at the head.
    pub file: String,
    /// Whose the sites are to be.
    pub tenant: TenantName,
    /// What the site is to be called, when there is one.
    pub site: Option<SiteName>,
    /// Whose file it is; `None` finds out.
    pub side: Option<Side>,
    /// The applications' networks; of a customer's file what it sends to the gateway when empty.
    pub apps: Vec<Prefix>,
    /// The customer's networks, which its own file does not name.
    pub networks: Vec<Prefix>,
    /// The customer's public key, which its own file does not name.
    pub customer_key: Option<PublicKey>,
}

/// Documents, and what goes beside them.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Whose file it was taken for.
    pub side: Side,
    /// The documents.
    pub text: String,
    /// What the documents refer to and do not hold.
    pub secrets: Vec<SecretValue>,
    /// What was not taken over, and what is to be looked at.
    pub notes: Vec<Note>,
}

/// A value in a Secret, or a file of that path.
#[derive(Clone)]
pub struct SecretValue {
    /// The namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The key within it.
    pub key: &'static str,
    /// The value.
    pub text: Zeroizing<String>,
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValue({self}, redacted)")
    }
}

impl Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.key)
    }
}

/// Something to know about what was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line of the file it is about.
    pub line: Option<u32>,
    /// What to know.
    pub text: String,
}

/// Why there are no documents of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A customer's private key.
    #[error(
        "line {line}: the PrivateKey of the customer's side is the customer's alone. Whoever has it \
         is the customer to this gateway, so it is to leave their router for nobody; a key that \
         was sent around is to be replaced. Delete the line and say --public-key instead, the key \
         that `wg show INTERFACE public-key` prints there"
    )]
    PrivateKeyOfCustomer {
        /// Where it stands.
        line: u32,
    },
    /// A customer's file without word of its public key.
    #[error("the customer's file does not name its own public key: say --public-key")]
    NoCustomerKey,
    /// A customer's file without word of its networks.
    #[error("the customer's file does not name its own networks: say --prefix, once for each")]
    NoNetworks,
    /// A customer's file with several peers.
    #[error("a customer's file has one [Peer], the gateway; this has {0}")]
    SeveralPeers(usize),
    /// The applications' networks are nowhere to be found.
    #[error("where the applications are is not in the file: say --app, once for each network")]
    NoApps,
    /// No network of applications has an address left for the gateway.
    #[error("no network of --app has room for the gateway's own address on the link to it")]
    NoRoom,
    /// One name for several sites.
    #[error("--site names one site; there are {0} peers, which are called by their comments")]
    SiteOfSeveral(usize),
    /// A peer without a network that a site can have.
    #[error("line {line}: nothing of AllowedIPs is left that a site can have")]
    NothingBehind {
        /// Where the peer begins.
        line: u32,
    },
    /// Something that has a meaning on the other side only.
    #[error("{option} is for the file of a customer; this one is the gateway's (see --side)")]
    NotOfGateway {
        /// The option.
        option: &'static str,
    },
}

/// Makes documents of a file.
///
/// # Errors
/// Everything that is missing or must not be.
pub fn import(file: &WgQuickFile, choices: &Choices) -> Result<Imported, Vec<ImportError>> {
    let side = choices.side.unwrap_or_else(|| guess(file));
    let mut notes = Vec::new();
    for left_out in &file.left_out {
        let text = format!("{} is not taken over: {}", left_out.key, instead(left_out.key));
        notes.push(Note { line: Some(left_out.line), text });
    }
    let mut secrets = Vec::new();
    let tenant = match side {
        Side::Gateway => of_gateway(file, choices, &mut secrets, &mut notes)?,
        Side::Customer => of_customer(file, choices, &mut secrets, &mut notes)?,
    };
    let fabric = fabric_addresses(&tenant.apps);
    if fabric.is_empty() {
        return Err(vec![ImportError::NoRoom]);
    }
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_documents(&mut text, choices, side, &tenant, &fabric, &notes);
    Ok(Imported { side, text, secrets, notes })
}

/// Whose a file is: one that dials its one peer, and listens at no port of its own, is
/// a customer's.
fn guess(file: &WgQuickFile) -> Side {
    match file.peers.as_slice() {
        [only] if only.endpoint.is_some() && file.interface.listen_port.is_none() => Side::Customer,
        _ => Side::Gateway,
    }
}

/// What does the work of a setting that is not taken over.
fn instead(key: &str) -> &'static str {
    match key {
        "DNS" => "the gateway changes no resolver",
        "Table" => "the tenant's routes are in a namespace of their own",
        "FwMark" => "the gateway marks its own packets",
        "SaveConfig" => "documents are written by people",
        _ => "the gateway runs no commands; routes, rules and NAT are made of the documents",
    }
}

fn psk(peer: &Peer, site: &str, choices: &Choices, secrets: &mut Vec<SecretValue>) -> bool {
    let Some(key) = &peer.preshared_key else { return false };
    secrets.push(SecretValue {
        namespace: choices.tenant.namespace().to_owned(),
        name: format!("{site}-psk"),
        key: "psk",
        text: key.to_base64(),
    });
    true
}

fn of_gateway(
    file: &WgQuickFile,
    choices: &Choices,
    secrets: &mut Vec<SecretValue>,
    notes: &mut Vec<Note>,
) -> Result<Tenant, Vec<ImportError>> {
    let mut errors = Vec::new();
    if choices.apps.is_empty() {
        errors.push(ImportError::NoApps);
    }
    if choices.site.is_some() && 1 < file.peers.len() {
        errors.push(ImportError::SiteOfSeveral(file.peers.len()));
    }
    if !choices.networks.is_empty() {
        errors.push(ImportError::NotOfGateway { option: "--prefix" });
    }
    if choices.customer_key.is_some() {
        errors.push(ImportError::NotOfGateway { option: "--public-key" });
    }
    match &file.interface.private_key {
        Some((_, key)) => secrets.push(SecretValue {
            namespace: choices.tenant.namespace().to_owned(),
            name: format!("{}-key", choices.tenant.name()),
            key: "private-key",
            text: key.to_base64(),
        }),
        None => notes.push(Note {
            line: None,
            text: "the file has no PrivateKey: the gateway makes a new key, and the customers \
                   need its public half"
                .to_owned(),
        }),
    }
    let ours = &file.interface.addresses;
    let far: Vec<Vec<IpAddr>> = file.peers.iter().map(|it| far_addresses(it, ours)).collect();
    let is_shared = 1 < far.iter().filter(|it| !it.is_empty()).count();
    if is_shared {
        notes.push(Note {
            line: None,
            text: format!(
                "Address {} is shared by several peers and not taken over: each site has a \
                 tunnel network of its own, or none. The customers' addresses in it are networks of \
                 their sites",
                Joined(ours)
            ),
        });
    }
    let mut names = Names::default();
    let mut sites = Vec::with_capacity(file.peers.len());
    for (at, (peer, theirs)) in file.peers.iter().zip(&far).enumerate() {
        note_default_route(peer, notes);
        let wanted = choices.site.as_ref().map(SiteName::as_str).or(peer.comment.as_deref());
        let name = names.take(wanted, &format!("site-{}", at + 1));
        let found = ends(ours, theirs, peer.allowed_ips.iter().copied(), is_shared);
        let (tunnel, prefixes) = if found.prefixes.is_empty() {
            // Its address in the tunnel is all it has: a site's network, and no tunnel's.
            (Vec::new(), theirs.iter().map(|address| Prefix::host(*address)).collect())
        } else {
            (found.tunnel, found.prefixes)
        };
        if prefixes.is_empty() {
            errors.push(ImportError::NothingBehind { line: peer.line });
        }
        sites.push(Draft {
            has_psk: psk(peer, &name, choices, secrets),
            name,
            public_key: peer.public_key,
            endpoint: peer.endpoint.as_ref().map(|it| (it.host.clone(), it.port)),
            keepalive: peer.keepalive,
            tunnel,
            prefixes,
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Tenant {
        listen_port: file.interface.listen_port,
        mtu: file.interface.mtu.map(|mtu| mtu.bytes()),
        has_key: file.interface.private_key.is_some(),
        apps: choices.apps.clone(),
        sites,
    })
}

fn of_customer(
    file: &WgQuickFile,
    choices: &Choices,
    secrets: &mut Vec<SecretValue>,
    notes: &mut Vec<Note>,
) -> Result<Tenant, Vec<ImportError>> {
    let mut errors = Vec::new();
    if let Some((line, _)) = &file.interface.private_key {
        errors.push(ImportError::PrivateKeyOfCustomer { line: *line });
    }
    if choices.customer_key.is_none() {
        errors.push(ImportError::NoCustomerKey);
    }
    if choices.networks.is_empty() {
        errors.push(ImportError::NoNetworks);
    }
    let [gateway] = file.peers.as_slice() else {
        errors.push(ImportError::SeveralPeers(file.peers.len()));
        return Err(errors);
    };
    let ours = opposite(&file.interface.addresses, &gateway.allowed_ips);
    let is_ours = |prefix: &Prefix| ours.iter().any(|own| own.network().covers(*prefix));
    let apps = if choices.apps.is_empty() {
        note_default_route(gateway, notes);
        let named = gateway.allowed_ips.iter().copied();
        named.filter(|prefix| prefix.length() != 0 && !is_ours(prefix)).collect()
    } else {
        choices.apps.clone()
    };
    if apps.is_empty() {
        errors.push(ImportError::NoApps);
    }
    let (Some(public_key), true) = (choices.customer_key, errors.is_empty()) else {
        return Err(errors);
    };
    notes.push(Note {
        line: Some(gateway.line),
        text: format!(
            "the customer takes the gateway for {}: it has to have the private key to that, or \
             the customer another PublicKey",
            gateway.public_key
        ),
    });
    if let Some(endpoint) = &gateway.endpoint {
        let text = format!(
            "the customer dials {}: advertisedHost of the ConnectivityClass",
            HostText(&endpoint.host)
        );
        notes.push(Note { line: Some(gateway.line), text });
    }
    if let Some(port) = file.interface.listen_port {
        let text = format!(
            "the customer listens at port {port}: with endpoint in its site the gateway dials it"
        );
        notes.push(Note { line: None, text });
    }
    let theirs: Vec<IpAddr> = file.interface.addresses.iter().map(|own| own.address()).collect();
    let found = ends(&ours, &theirs, choices.networks.iter().copied(), false);
    let name = choices.site.as_ref().map_or_else(|| "site-1".to_owned(), ToString::to_string);
    let site = Draft {
        has_psk: psk(gateway, &name, choices, secrets),
        name,
        public_key,
        endpoint: None,
        keepalive: gateway.keepalive,
        tunnel: found.tunnel,
        prefixes: found.prefixes,
    };
    Ok(Tenant {
        listen_port: gateway.endpoint.as_ref().map(|it| it.port),
        mtu: file.interface.mtu.map(|mtu| mtu.bytes()),
        has_key: false,
        apps,
        sites: vec![site],
    })
}

/// Our addresses in a tunnel whose other end has the addresses `theirs`: the other one
/// of their network, or a host that is allowed and makes a network of two with theirs.
fn opposite(theirs: &[InterfaceAddress], allowed: &[Prefix]) -> Vec<InterfaceAddress> {
    let hosts = allowed.iter().filter(|it| **it == Prefix::host(it.address()));
    let hosts: Vec<IpAddr> = hosts.map(|it| it.address()).collect();
    let pair = |own: IpAddr, length: u8, far: IpAddr| {
        let own = InterfaceAddress::new(own, length).ok()?;
        (own.other_end() == Some(far) && own.network().contains(far)).then_some(own)
    };
    let of = |their: &InterfaceAddress| {
        let far = their.address();
        let near = hosts.iter().filter(|host| host.is_ipv4() == far.is_ipv4());
        let widest = if far.is_ipv4() { 32 } else { 128 };
        let lengths = [their.length(), widest - 1, widest - 2];
        let named = near.flat_map(|host| lengths.map(|length| (*host, length)));
        let other = their.other_end().map(|own| (own, their.length()));
        named.chain(other).find_map(|(own, length)| pair(own, length, far))
    };
    theirs.iter().filter_map(of).collect()
}

/// An address of the gateway's on the link to the applications, one of each family: the
/// lowest of the first network with room for others.
pub(super) fn fabric_addresses(apps: &[Prefix]) -> Vec<InterfaceAddress> {
    let address = |is_v4: bool| {
        let room = if is_v4 { 30 } else { 126 };
        let wide = apps.iter().find(|it| it.is_v4() == is_v4 && it.length() <= room)?;
        let lowest = InterfaceAddress::new(wide.address(), wide.length()).ok()?.other_end()?;
        InterfaceAddress::new(lowest, wide.length()).ok()
    };
    [true, false].into_iter().filter_map(address).collect()
}
