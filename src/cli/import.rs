//! `lockgate import`: a file of wg-quick's into documents.
//!
//! What was made is checked as `check` does, and what could not be taken over is said on
//! stderr and in the documents' comments. Secrets go to files of their own, or nowhere.

use super::verdict::{Failure, Verdict};
use super::{secret, terminal};
use crate::config::import::{
    Choices, Flaw, ImportError, Imported, Note, SecretValue, Side, WgQuickFile, import,
};
use crate::config::{Allocations, Documents, Options, Secrets, validate};
use crate::net::{NameError, Prefix, PublicKey, SiteName, TenantName};
use crate::status::Visible;
use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of the largest file that is read: 10,000 peers with a screenful of comments each.
const MAX_BYTES: u64 = 4 << 20;

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ImportArguments {
    /// The file, or `-` for stdin
    file: PathBuf,
    /// The tenant: NAMESPACE/NAME, or its name in the namespace `default`
    #[arg(long, value_parser = parse_tenant, default_value = "default/gw", value_name = "TENANT")]
    tenant: TenantName,
    /// What the site is called, when there is one; else its comment, or site-1
    #[arg(long, value_name = "NAME")]
    site: Option<SiteName>,
    /// Whose file it is; found out when not given
    #[arg(long, value_enum)]
    side: Option<SideName>,
    /// A network of the applications; once for each. Of a customer's file, what it sends to
    /// the gateway when not given
    #[arg(long = "app", value_name = "PREFIX")]
    apps: Vec<Prefix>,
    /// A network of the customer's, whose own file does not name it; once for each
    #[arg(long = "prefix", value_name = "PREFIX")]
    networks: Vec<Prefix>,
    /// The customer's public key, which its own file does not name
    #[arg(long, value_name = "KEY")]
    public_key: Option<PublicKey>,
    /// Write NAMESPACE.NAME.yaml into this directory, and the secrets beneath it
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The gateway's file has the sites as its peers; --app says where the applications are. A \
customer's file has the gateway as its one peer; it is read without the customer's private key, \
and --public-key and --prefix say who it is and what is behind it.";

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SideName {
    /// The gateway's of before: its peers are the sites
    Gateway,
    /// A customer's: its one peer is the gateway
    Customer,
}

pub(super) fn parse_tenant(text: &str) -> Result<TenantName, NameError> {
    match text.split_once('/') {
        Some((namespace, name)) => TenantName::new(namespace, name),
        None => TenantName::new(crate::config::DEFAULT_NAMESPACE, text),
    }
}

pub(super) fn run(arguments: &ImportArguments) -> Result<Verdict, Failure> {
    let name = arguments.file.display().to_string();
    let text = read(&arguments.file).with_context(|| format!("cannot read {name}"))?;
    let file = WgQuickFile::parse(&text).map_err(|flaws| malformed(&name, &flaws))?;
    let choices = Choices {
        file: arguments.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        tenant: arguments.tenant.clone(),
        site: arguments.site.clone(),
        side: arguments.side.map(|side| match side {
            SideName::Gateway => Side::Gateway,
            SideName::Customer => Side::Customer,
        }),
        apps: arguments.apps.clone(),
        networks: arguments.networks.clone(),
        customer_key: arguments.public_key,
    };
    let imported = import(&file, &choices).map_err(|errors| impossible(&name, &errors))?;
    if arguments.side.is_none() {
        let whose = match imported.side {
            Side::Gateway => "the gateway's",
            Side::Customer => "a customer's",
        };
        eprintln!("lockgate: {name}: taken for {whose} file; --side says otherwise");
    }
    for note in &imported.notes {
        say(&name, note);
    }
    match &arguments.out {
        Some(directory) => write(directory, &arguments.tenant, &imported)?,
        None => {
            for secret in &imported.secrets {
                eprintln!(
                    "lockgate: {name}: the documents refer to secrets/{secret}, which is not \
                     printed; --out writes it"
                );
            }
            terminal::print(&imported.text)?;
        }
    }
    Ok(Verdict::finding_if(!is_sound(&imported.text, &imported.secrets)))
}

fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| MAX_BYTES < length) {
        return Err(anyhow!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = std::str::from_utf8(&bytes).context("it is no UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn malformed(name: &str, flaws: &[Flaw]) -> anyhow::Error {
    let lines =
        flaws.iter().map(|flaw| format!("\n{name}:{}: {}", flaw.line, Visible(&flaw.to_string())));
    anyhow!("{name} is no file of wg-quick's:{}", lines.collect::<String>())
}

fn impossible(name: &str, errors: &[ImportError]) -> anyhow::Error {
    let lines = errors.iter().map(|error| format!("\n{name}: {error}"));
    anyhow!("there are no documents of {name}:{}", lines.collect::<String>())
}

fn say(name: &str, note: &Note) {
    match note.line {
        Some(line) => eprintln!("lockgate: {name}:{line}: {}", note.text),
        None => eprintln!("lockgate: {name}: {}", note.text),
    }
}

/// Writes the documents, and the secrets where a gateway looks for them.
fn write(directory: &Path, tenant: &TenantName, imported: &Imported) -> anyhow::Result<()> {
    secret::make_directory(directory)?;
    let path = directory.join(format!("{}.{}.yaml", tenant.namespace(), tenant.name()));
    secret::write_new(&path, 0o644, &[imported.text.as_bytes()])?;
    let mut paths = vec![path];
    for value in &imported.secrets {
        let parent = directory.join("secrets").join(&value.namespace).join(&value.name);
        secret::make_directory(&parent)?;
        let path = parent.join(value.key);
        secret::write_new(&path, 0o600, &[value.text.as_bytes(), b"\n"])?;
        paths.push(path);
    }
    for path in paths {
        terminal::print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// Whether `check` finds nothing wrong with what was made; says what it finds.
pub(super) fn is_sound(text: &str, values: &[SecretValue]) -> bool {
    let mut secrets = Secrets::default();
    for value in values {
        let bytes = Zeroizing::new(value.text.as_bytes().to_vec());
        secrets.insert(&value.namespace, &value.name, value.key, bytes);
    }
    let documents = Documents::parse([("the documents", text.as_bytes())]);
    let outcome = validate(&documents, &secrets, &Allocations::new(), &Options::default());
    for error in &outcome.errors {
        eprintln!("lockgate: {}", Visible(&error.to_string()));
    }
    outcome.errors.is_empty()
}
