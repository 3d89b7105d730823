//! `lockgate probe`: asks a customer's device whether it is there, from its tenant's
//! namespace and as the gateway's own probes do.
//!
//! It enters the namespace itself, which takes root: a running gateway does nothing it
//! is asked to over its socket.

use super::args::Directories;
use super::client;
use super::documents::NetnsMode;
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::daemon::probe::try_ask;
use crate::linux::{Kernel, KernelOptions};
use crate::net::TenantName;
use crate::probe::{Outcome, Target};
use crate::status::{Latency, SiteSnapshot, Snapshot, TenantSnapshot};
use anyhow::{Context, anyhow};
use clap::Args;
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use std::time::Duration;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArguments {
    /// The device, as the applications see it
    address: IpAddr,
    /// Connect to this TCP port instead of sending an echo request
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tcp: Option<u16>,
    /// The tenant, NAMESPACE/NAME; not needed when only one has the address
    #[arg(short, long)]
    tenant: Option<TenantName>,
    /// How many times to ask, once a second
    #[arg(
        short,
        long,
        default_value_t = 4,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    count: u32,
    /// Where the gateway puts tenants
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    netns: NetnsMode,
}

pub(super) fn run(
    arguments: &ProbeArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let snapshot = client::ask(&directories.socket())?.snapshot;
    let tenant = choose(&snapshot, arguments.address, arguments.tenant.as_ref())?;
    let target = Target { address: arguments.address, tcp_port: arguments.tcp };
    let how = if arguments.tcp.is_some() { "by TCP" } else { "by ping" };
    let sites: Vec<&str> =
        having(tenant, arguments.address).map(|site| site.name.as_str()).collect();
    let sites = match sites.as_slice() {
        [] => "no site's network".to_owned(),
        [site] => format!("site {site}"),
        several => format!("sites {}", several.join(" and ")),
    };
    terminal::print(&format!("{target} {how} from tenant {}, {sites}\n", tenant.name))?;
    let kernel = Kernel::new(arguments.netns.into(), KernelOptions::default())
        .context("cannot work on namespaces")?;
    let asking = ask_all(&kernel, &tenant.name, target, arguments.count);
    let tally = client::runtime()?.block_on(asking)?;
    terminal::print(&tally.text())?;
    Ok(Verdict::finding_if(tally.answers.is_empty()))
}

/// What came of all questions.
#[derive(Default)]
struct Tally {
    asked: u32,
    refused: u32,
    /// How long each answer took, in microseconds.
    answers: Vec<u32>,
}

impl Tally {
    fn text(&self) -> String {
        let answered = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        let lost = self.asked.saturating_sub(answered).saturating_sub(self.refused);
        let refused = match self.refused {
            0 => String::new(),
            refused => format!(", {refused} refused"),
        };
        let percent = (u64::from(lost) * 100).checked_div(self.asked.into()).unwrap_or(0);
        let mut text =
            format!("{} asked, {answered} answered{refused}, {percent} % lost\n", self.asked);
        let sum: u64 = self.answers.iter().copied().map(u64::from).sum();
        let mean = sum.checked_div(answered.into()).and_then(|mean| u32::try_from(mean).ok());
        let (least, most) = (self.answers.iter().min(), self.answers.iter().max());
        if mean.is_some() {
            text += &format!(
                "shortest {}, mean {}, longest {}\n",
                Latency(least.copied()),
                Latency(mean),
                Latency(most.copied())
            );
        }
        text
    }
}

async fn ask_all(
    kernel: &Kernel,
    tenant: &TenantName,
    target: Target,
    count: u32,
) -> Result<Tally, Failure> {
    let mut bytes = [0; 8];
    let random = SystemRandom::new().fill(&mut bytes);
    random.map_err(|_| anyhow!("the kernel gives no random numbers"))?;
    // Wraps, as the gateway's own do not: nobody else counts from here.
    let first = u64::from_be_bytes(bytes);
    let mut tally = Tally::default();
    for round in 1..=count {
        let pause = tokio::time::sleep(PAUSE);
        let outcome = tokio::select! {
            outcome = try_ask(kernel, tenant, target, first.wrapping_add(round.into())) => outcome,
            _ = tokio::signal::ctrl_c() => return Ok(tally),
        };
        let outcome = outcome.map_err(|error| anyhow::Error::new(error).context(
            "cannot ask (root is needed; where the gateway has one namespace for all, --netns current)",
        ))?;
        tally.asked += 1;
        let micros = |after: Duration| u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
        let line = match outcome {
            Outcome::Answered(after) => {
                tally.answers.push(micros(after));
                format!("answered after {}", Latency(Some(micros(after))))
            }
            Outcome::Refused(after) => {
                tally.refused += 1;
                format!("refused the connection after {}", Latency(Some(micros(after))))
            }
            Outcome::Lost(failure) => failure.to_string(),
            Outcome::Unsent => "could not be asked".to_owned(),
        };
        terminal::print(&format!("{round}: {line}\n"))?;
        if round < count {
            tokio::select! {
                () = pause => {}
                _ = tokio::signal::ctrl_c() => return Ok(tally),
            }
        }
    }
    Ok(tally)
}

/// The sites of a tenant that have the address, as the applications see them.
fn having(tenant: &TenantSnapshot, address: IpAddr) -> impl Iterator<Item = &SiteSnapshot> {
    tenant.sites.iter().filter(move |site| {
        let mut prefixes = site.prefixes.iter();
        prefixes.any(|prefix| prefix.alias.unwrap_or(prefix.cidr).contains(address))
            || site.probes.iter().any(|probe| probe.address == address)
    })
}

/// The tenant whose device it is.
fn choose<'a>(
    snapshot: &'a Snapshot,
    address: IpAddr,
    wanted: Option<&TenantName>,
) -> anyhow::Result<&'a TenantSnapshot> {
    if let Some(wanted) = wanted {
        return snapshot.tenant(wanted).ok_or_else(|| {
            anyhow!("the gateway has no tenant {wanted}; `lockgate status` shows those it has")
        });
    }
    let has = |tenant: &&TenantSnapshot| having(tenant, address).next().is_some();
    let all: Vec<&TenantSnapshot> = snapshot.tenants.iter().filter(has).collect();
    match all.as_slice() {
        [tenant] => Ok(tenant),
        [] => Err(anyhow!(
            "{address} is in no site's networks; to ask the customer's end of a tunnel, say whose with --tenant"
        )),
        several => {
            let names: Vec<String> = several.iter().map(|it| it.name.to_string()).collect();
            Err(anyhow!(
                "{address} is in the networks of {} tenants; say which with --tenant: {}",
                names.len(),
                names.join(", ")
            ))
        }
    }
}
