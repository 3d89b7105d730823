//! `lockgate customer-config`: the customer's end of a site, to be sent there.
//!
//! What the documents do not say, the running gateway does: its public key, and
//! the port it was given.

use super::args::Directories;
use super::documents::DocumentArguments;
use super::terminal::{ColorChoice, Style};
use super::verdict::{Failure, Verdict};
use super::{client, secret, terminal};
use crate::config::{HostProblem, parse_host};
use crate::customer::qr::QrCode;
use crate::customer::{Connection, Dial, Dialect, Link, Presharing};
use crate::daemon::{keys, memory};
use crate::model::{Attachment, Backend, Config, Endpoint, Host, Site, Tenant, WireGuardPeer};
use crate::net::{PrivateKey, PublicKey};
use anyhow::{Context, anyhow};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `customer-config`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CustomerConfigArguments {
    /// The site: its name, or NAMESPACE/NAME
    site: String,
    #[command(flatten)]
    documents: DocumentArguments,
    /// The dialect
    #[arg(long, value_enum, default_value_t = Dialect::WgQuick)]
    format: Dialect,
    /// The host the customer dials; the class's advertisedHost when not given
    #[arg(long, value_parser = parse_advertised)]
    host: Option<Host>,
    /// The gateway's public key; asked of the running gateway when not given
    #[arg(long, value_name = "KEY")]
    gateway_key: Option<PublicKey>,
    /// Write the preshared key out; what is printed is a secret then
    #[arg(long)]
    with_psk: bool,
    /// The customer's interface: of a tunnel what it is to be called, of a VLAN the port
    /// it comes on
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// File with the customer's private key, `-` for stdin, to be written out in the
    /// placeholder's stead; for whoever has it, as the customer does
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Write new files and print their names: into this directory, or for qr this picture,
    /// NAME.png or NAME.svg. What is secret has mode 0600
    #[arg(short, long, value_name = "PATH")]
    out: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
A site on a VLAN has the formats iosxe, junos and eos, a WireGuard site the others; frr and bird \
are the BGP part of a site of either kind that has BGP. Nothing has to be filled in but what the \
customer alone knows: the private key, or the port a VLAN comes on.";

impl ValueEnum for Dialect {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let value = PossibleValue::new(self.name()).help(self.summary());
        Some(if *self == Self::NetworkManager { value.alias("nmcli") } else { value })
    }
}

fn parse_advertised(text: &str) -> Result<Host, HostProblem> {
    parse_host(text)
}

pub(super) fn run(
    arguments: &CustomerConfigArguments,
    directories: &Directories,
    color: ColorChoice,
) -> Result<Verdict, Failure> {
    let outcome = arguments.documents.load(directories)?;
    let (tenant, site) = find(&outcome.config, &arguments.site)?;
    match &site.attachment {
        Attachment::Vlan(vlan) => {
            if arguments.private_key.is_some() {
                Err(anyhow!("site {} is on a VLAN, which has no private key", site.name))?;
            }
            write(arguments, Connection::vlan(tenant, site, vlan), color)
        }
        Attachment::WireGuard(peer) => {
            let (gateway_key, endpoint) = reach(arguments, tenant, directories)?;
            let private_key = read_private_key(arguments, peer)?;
            let presharing =
                if arguments.with_psk { Presharing::Shown } else { Presharing::Hidden };
            let private_key = private_key.as_ref();
            let dial = Dial { gateway_key, endpoint: &endpoint, presharing, private_key };
            write(arguments, Connection::tunnel(tenant, site, peer, &dial), color)
        }
    }
}

/// Puts the configuration where it was asked for.
fn write<'a>(
    arguments: &'a CustomerConfigArguments,
    mut connection: Connection<'a>,
    color: ColorChoice,
) -> Result<Verdict, Failure> {
    connection.interface = arguments.interface.as_deref();
    let (dialect, out) = (arguments.format, arguments.out.as_deref());
    let named = || format!("cannot write site {} as {dialect}", connection.site);
    let files = dialect.render(&connection).with_context(named)?;
    let is_secret = files.iter().any(|file| file.is_secret);
    if out.is_none() && is_secret {
        secret::warn_if_others_can_read();
    }
    match (dialect, &connection.link, out) {
        (Dialect::Qr, Link::Tunnel(tunnel), out) => {
            let code = QrCode::new(&connection, tunnel).with_context(named)?;
            write_code(&code, out, color)?;
        }
        (_, _, None) => {
            for (at, file) in files.iter().enumerate() {
                if 1 < files.len() {
                    let blank = if at == 0 { "" } else { "\n" };
                    terminal::print(&format!("{blank}{} ---- {} ----\n", file.comment, file.name))?;
                }
                terminal::print(&file.text)?;
            }
        }
        (_, _, Some(directory)) => {
            secret::make_directory(directory)?;
            for file in &files {
                write_file(&directory.join(&file.name), file.text.as_bytes(), file.is_secret)?;
            }
        }
    }
    Ok(Verdict::Good)
}

/// A QR code: in the terminal, or as the picture that the name says.
fn write_code(code: &QrCode, out: Option<&Path>, color: ColorChoice) -> anyhow::Result<()> {
    let Some(path) = out else {
        terminal::print(&code.terminal(Style::of_stdout(color).color))?;
        return terminal::print(&code.below().text);
    };
    let is_secret = code.below().is_secret;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => {
            let picture = code.png().context("cannot make a PNG of it")?;
            write_file(path, &picture, is_secret)?;
        }
        Some("svg") => write_file(path, code.svg().as_bytes(), is_secret)?,
        Some(_) | None => {
            return Err(anyhow!("{} ends neither in .png nor in .svg", path.display()));
        }
    }
    terminal::print(&code.below().text)
}

/// Writes a new file and says so.
fn write_file(path: &Path, bytes: &[u8], is_secret: bool) -> anyhow::Result<()> {
    secret::write_new(path, if is_secret { 0o600 } else { 0o644 }, &[bytes])?;
    terminal::print(&format!("{}\n", path.display()))
}

/// The customer's private key, where it was given: the one that belongs to its public key.
fn read_private_key(
    arguments: &CustomerConfigArguments,
    peer: &WireGuardPeer,
) -> anyhow::Result<Option<PrivateKey>> {
    let Some(path) = &arguments.private_key else { return Ok(None) };
    let text = if path == Path::new("-") {
        secret::read_key(std::io::stdin().lock())
    } else {
        File::open(path).and_then(secret::read_key)
    };
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let key: PrivateKey =
        text.trim().parse().map_err(|error| anyhow!("the key in {} {error}", path.display()))?;
    let public = key.public();
    if peer.public_keys().all(|own| own != public) {
        let wanted = peer.newest_key();
        let path = path.display();
        return Err(anyhow!("the key in {path} belongs to {public}; the site's is {wanted}"));
    }
    Ok(Some(key))
}

/// Who the gateway is to the customer, and where it is dialled.
fn reach(
    arguments: &CustomerConfigArguments,
    tenant: &Tenant,
    directories: &Directories,
) -> Result<(PublicKey, Endpoint), Failure> {
    let host = match (&arguments.host, &tenant.class.advertised_host) {
        (Some(host), _) => host.clone(),
        (None, Some(host)) => parse_host(host).context("the class's advertisedHost is no host")?,
        (None, None) => Err(anyhow!(
            "class {:?} has no advertisedHost: say with --host what the customer dials",
            tenant.class.name
        ))?,
    };
    let (key, port) = identify(arguments, tenant, directories)?;
    Ok((key, Endpoint { host, port }))
}

/// Who the gateway is to its customers, and on which port. What is given or
/// stands in the documents needs no running gateway.
fn identify(
    arguments: &CustomerConfigArguments,
    tenant: &Tenant,
    directories: &Directories,
) -> Result<(PublicKey, u16), Failure> {
    // The next key where there is one: that is what customers are to have.
    let own = tenant.next_private_key.as_ref().or(tenant.private_key.as_ref());
    let own = own.map(PrivateKey::public);
    if let Some(key) = arguments.gateway_key.or(own) {
        return Ok((key, tenant.listen_port));
    }
    let snapshot = match client::ask(&directories.socket()) {
        Ok(answer) => answer.snapshot,
        // A gateway that is stopped has left its key and its ports behind.
        Err(error) => {
            let state = &directories.state_dir;
            let is_ours = tenant.backend.backend == Backend::Userspace;
            return match keys::look(state, &tenant.name) {
                Some(own) => {
                    let ports = memory::read(&state.join(memory::FILE)).unwrap_or_default().ports;
                    let port = ports.get(&tenant.name).copied();
                    let key = own.next.filter(|_| is_ours).unwrap_or(own.current);
                    Ok((key, port.unwrap_or(tenant.listen_port)))
                }
                None => Err(match Failure::from(error) {
                    Failure::Unreachable(error) => Failure::Unreachable(error.context(format!(
                        "the public key of {} is not known here: no document gives a private \
                         one, none is kept in {}, and no gateway answers that would have made \
                         one (--gateway-key gives it)",
                        tenant.name,
                        state.display()
                    ))),
                    other => other,
                }),
            };
        }
    };
    let found = snapshot.tenant(&tenant.name);
    let known = found
        .and_then(|found| Some((found.next_public_key.or(found.public_key)?, found.listen_port)));
    known.ok_or_else(|| {
        Failure::Other(anyhow!("the running gateway does not serve tenant {} yet", tenant.name))
    })
}

/// Sites that are named to who asks for one that is not there.
const NAMED: usize = 8;

fn whole_name((tenant, site): (&Tenant, &Site)) -> String {
    format!("{}/{}", tenant.name.namespace(), site.name)
}

/// The one site `wanted` names.
fn find<'a>(config: &'a Config, wanted: &str) -> Result<(&'a Tenant, &'a Site), Failure> {
    let (namespace, name) = match wanted.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, wanted),
    };
    let found: Vec<(&Tenant, &Site)> = config
        .tenants
        .values()
        .map(Arc::as_ref)
        .filter(|tenant| namespace.is_none_or(|wanted| tenant.name.namespace() == wanted))
        .flat_map(|tenant| tenant.sites.values().map(move |site| (tenant, site)))
        .filter(|(_, site)| site.name.as_str() == name)
        .collect();
    match found.as_slice() {
        [found] => Ok(*found),
        [] => {
            let sites = config.tenants.values().map(Arc::as_ref);
            let sites = sites.flat_map(|tenant| tenant.sites.values().map(move |it| (tenant, it)));
            let few: Vec<String> = sites.take(NAMED).map(whole_name).collect();
            let there = match few.as_slice() {
                [] => "there is none".to_owned(),
                few => format!("there are such as {}", few.join(", ")),
            };
            Err(anyhow!(
                "the documents have no site {wanted:?} without errors (see `lockgate check`); {there}"
            )
            .into())
        }
        several => {
            let names: Vec<String> = several.iter().copied().map(whole_name).collect();
            let names = names.join(", ");
            Err(anyhow!("several sites are called {wanted:?}; say which: {names}").into())
        }
    }
}
