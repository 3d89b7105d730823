//! `lockgate nmaas import`: a domain request into documents.
//!
//! As `lockgate import`: what was made is checked, and what could not be taken over is said
//! on stderr and in the documents' comments.

use crate::cli::import::is_sound;
use crate::cli::verdict::{Failure, Verdict};
use crate::cli::{secret, terminal};
use crate::config::import::nmaas::{
    Form, FormFlaw, Made, Remark, Technology, Vlan, Wishes, documents,
};
use crate::model::{DomainId, limits};
use crate::net::{InterfaceAddress, Prefix, PublicKey, SiteName, VlanId};
use crate::status::Visible;
use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Arguments of `nmaas import`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ImportArguments {
    /// The request as JSON, or `-` for stdin
    form: PathBuf,
    /// A network of the applications; once for each
    #[arg(long = "app", value_name = "PREFIX")]
    apps: Vec<Prefix>,
    /// The public key of the customer's router; a placeholder that `check` refuses when not given
    #[arg(long, value_name = "KEY")]
    public_key: Option<PublicKey>,
    /// How the customer comes, where it was agreed on otherwise than the form says
    #[arg(long, value_enum)]
    technology: Option<TechnologyName>,
    /// The name of the tenant's gateway
    #[arg(long, default_value = "gw", value_name = "NAME")]
    gateway: SiteName,
    /// The class of the tenant's gateway
    #[arg(long, value_name = "NAME")]
    class: Option<SiteName>,
    /// The name of the site; the domain's codename when not given
    #[arg(long, value_name = "NAME")]
    site: Option<SiteName>,
    /// The domain's number in NMaaS, by which it is confirmed later
    #[arg(long, value_name = "ID")]
    domain: Option<DomainId>,
    /// The UDP port of the tenant's tunnels; one is found when not given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    listen_port: Option<u16>,
    /// Dial the form's vpnUserIp at this UDP port, in place of being dialled
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    endpoint_port: Option<u16>,
    /// The gateway's address in the tunnel or on the VLAN; once for each family
    #[arg(long = "address", value_name = "ADDRESS/LENGTH")]
    addresses: Vec<InterfaceAddress>,
    /// The VLAN that the customer comes on
    #[arg(long, value_name = "TRUNK/ID", value_parser = parse_vlan)]
    vlan: Option<Vlan>,
    /// The customer's router on the VLAN; once for each family
    #[arg(long = "next-hop", value_name = "ADDRESS")]
    next_hops: Vec<IpAddr>,
    /// Write NAMESPACE.NAME.yaml into this directory
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The request is the portal's form (domainCodename, vpnTechnology, vpnUserIp, userSubnets, \
additionalSubnets), alone or as it was mailed, or a domain as GET /api/domains/ID shows it. It becomes \
a TenantGateway and one SiteAttachment in the namespace nmaas-ns-CODENAME.";

/// How a customer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TechnologyName {
    /// By a WireGuard tunnel
    Wireguard,
    /// On a VLAN
    Vlan,
}

fn parse_vlan(text: &str) -> Result<Vlan, String> {
    let (parent, id) = text.split_once('/').ok_or("is no TRUNK/ID such as eth2/30")?;
    let parent = parent.parse().map_err(|error| format!("the trunk {parent:?} {error}"))?;
    let number = id.parse::<u32>().map_err(|_| format!("{id:?} is no number"))?;
    let id = VlanId::new(number).map_err(|error| error.to_string())?;
    Ok(Vlan { parent, id })
}

pub(super) fn run(arguments: &ImportArguments) -> Result<Verdict, Failure> {
    let name = arguments.form.display().to_string();
    let text = read(&arguments.form).with_context(|| format!("cannot read {name}"))?;
    let technology = arguments.technology.map(|it| match it {
        TechnologyName::Wireguard => Technology::WireGuard,
        TechnologyName::Vlan => Technology::Vlan,
    });
    let wishes = Wishes {
        file: arguments.form.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        gateway: arguments.gateway.to_string(),
        site: arguments.site.clone(),
        class: arguments.class.as_ref().map(ToString::to_string),
        apps: arguments.apps.clone(),
        domain: arguments.domain,
        public_key: arguments.public_key,
        listen_port: arguments.listen_port,
        endpoint_port: arguments.endpoint_port,
        addresses: arguments.addresses.clone(),
        vlan: arguments.vlan.clone(),
        next_hops: arguments.next_hops.clone(),
    };
    let made = Form::parse(&text, technology)
        .and_then(|form| documents(&form, &wishes))
        .map_err(|flaws| impossible(&name, &flaws))?;
    for Remark { path, text } in &made.remarks {
        let line = format!("{name}: {path}: {text}");
        eprintln!("lockgate: {}", Visible(&line));
    }
    if made.lacks_key {
        eprintln!(
            "lockgate: {name}: the public key of the customer's router is in no form: ask for it, \
             never for the private one, and put it into the place that `check` names, or say \
             --public-key"
        );
    }
    match &arguments.out {
        Some(directory) => write(directory, &made)?,
        None => terminal::print(&made.text)?,
    }
    Ok(Verdict::finding_if(!is_sound(&made.text, &[])))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limits::DOMAIN_REQUEST_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limits::DOMAIN_REQUEST_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| limits::DOMAIN_REQUEST_BYTES < length) {
        return Err(anyhow!("it is larger than {} MiB", limits::DOMAIN_REQUEST_BYTES >> 20));
    }
    String::from_utf8(bytes).context("it is no UTF-8")
}

fn impossible(name: &str, flaws: &[FormFlaw]) -> anyhow::Error {
    let lines = flaws.iter().map(|flaw| format!("\n{name}: {}", Visible(&flaw.to_string())));
    anyhow!("there are no documents of {name}:{}", lines.collect::<String>())
}

fn write(directory: &Path, made: &Made) -> anyhow::Result<()> {
    secret::make_directory(directory)?;
    let (namespace, name) = (made.tenant.namespace(), made.tenant.name());
    let path = directory.join(format!("{namespace}.{name}.yaml"));
    secret::write_new(&path, 0o644, &[made.text.as_bytes()])?;
    terminal::print(&format!("{}\n", path.display()))
}
