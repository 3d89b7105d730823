//! `lockgate demo`: two tenants with the same network, on this machine.
//!
//! The story, act by act: a stage nobody else sees ([`stage`]), the gateway,
//! the customers' routers ([`router`]), everyone asked who they are
//! ([`cast`]), throughput, and one cable pulled; then [`cables`], for whoever stays. What is seen is [`story`]'s. Nothing shown is made up: each
//! line is a measurement, and `--once` turns them into an exit code.

mod cables;
mod cast;
mod home;
mod page;
mod router;
mod stage;
mod story;

use super::client;
use super::verdict::{Failure, Verdict};
use crate::daemon::keys;
use crate::net::{PrivateKey, TenantName};
use crate::status::{SiteState, Snapshot};
use anyhow::{Context, bail};
use cast::now;
use clap::Args;
use home::Home;
use page::Page;
use router::Engine;
use stage::ACTORS;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use story::Story;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Stop after the checks, with an exit code that says how they went
    #[arg(long)]
    once: bool,
    /// Address of the status page; a free port is taken when it is in use
    #[arg(long, default_value = "127.0.0.1:9586", value_name = "ADDRESS:PORT")]
    status: SocketAddr,
}

/// How long the gateway may take to have both tenants up.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// How long it may take to see that a cable was pulled: 15 s without an answer
/// (WireGuard paper §6.5), and a sample.
const NOTICED_WITHIN: Duration = Duration::from_secs(40);

/// How long each throughput measurement runs.
const STREAM: Duration = Duration::from_secs(2);

pub(super) fn run(arguments: &DemoArguments) -> Result<Verdict, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(anyhow::anyhow!("the demo makes network namespaces; run it as root").into());
    }
    let story = Story::new();
    let interrupted = Interrupt::listen()?;
    let page = Page::open(arguments.status).context("cannot open a port for the status page")?;
    let address = page.address;
    // From here on nothing this process makes can be seen by the machine.
    crate::linux::enter_box().context("cannot make a namespace for the demo")?;
    let home = Home::new()?;
    // A program that was just being started is still of our group, and may have heard
    // Ctrl-C first: that it failed is no news then.
    let played = play(&story, &home, page, &interrupted)
        .map_err(|error| interrupted.check().err().unwrap_or(error));
    if played.is_ok() && !arguments.once && !interrupted.is_set() {
        story.say(&format!("the status page is at http://{address}/ until Ctrl-C"));
        cables::play(&story, &home.socket(), &interrupted)?;
    }
    drop(home);
    story.say("everything is taken down; nothing is left behind");
    Ok(Verdict::finding_if(!played?))
}

/// Whether somebody wants the demo to end.
#[derive(Clone)]
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Set when Ctrl-C or SIGTERM comes. A second one ends the process at once.
    fn listen() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.is_set() { bail!("interrupted") } else { Ok(()) }
    }
}

/// All acts; true when every check held.
fn play(story: &Story, home: &Home, page: Page, interrupted: &Interrupt) -> anyhow::Result<bool> {
    story.title("Two customers, one private network: 192.168.1.0/24 at both");

    let act = story.begin("two customers, each with a router and a device 192.168.1.10");
    stage::build_customers()?;
    act.done("");

    let act = story.begin("the gateway, from one document with both tenants");
    let customer_keys = [random_key()?, random_key()?];
    let public = customer_keys.each_ref().map(|key| key.public().to_string());
    let [one, other] = &public;
    fs::write(home.config.join("tenants.yaml"), stage::documents([one, other]))?;
    let mut gateway = home.start_gateway()?;
    page.serve(home.socket());
    let client = home.socket();
    wait(interrupted, UP_WITHIN, "the gateway to program both tenants", || {
        if gateway.ended().is_some() {
            bail!("the gateway ended");
        }
        Ok(snapshot(&client).is_some_and(|snapshot| {
            snapshot.tenants.len() == 2
                && snapshot.is_ready()
                && snapshot
                    .tenants
                    .iter()
                    .all(|tenant| tenant.conditions.holds(crate::status::ConditionType::Programmed))
        }))
    })
    .map_err(|error| match interrupted.is_set() {
        true => error,
        false => anyhow::anyhow!("{error}; its log:\n{}", home.log()),
    })?;
    act.done("");

    let act = story.begin("one application for each tenant, 10.136.40.10 for both");
    stage::build_apps()?;
    cast::start()?;
    act.done("");

    let engine = Engine::find();
    let act = story.begin(&format!("the customers' routers: {}", engine.name()));
    let mut routers = Vec::new();
    for (actor, key) in ACTORS.iter().zip(&customer_keys) {
        let tenant = TenantName::new(actor.name, "gw")?;
        let identity = keys::load(&keys::path(&home.state, &tenant))?.context("no gateway key")?;
        routers.push(router::start(engine, actor, key, identity.public(), home.directory.path())?);
    }
    wait(interrupted, UP_WITHIN, "both tunnels", || Ok(up(&client) == 2))?;
    act.done("both sites are Up");
    interrupted.check()?;

    let act = story.begin("everyone asks every address who it is");
    let pairs = cast::matrix();
    let good = pairs.iter().filter(|pair| pair.holds()).count();
    act.result(
        good == pairs.len(),
        &format!("{good} of {} pairs as they should be, over UDP and TCP", pairs.len()),
    );
    story.matrix(&pairs);
    interrupted.check()?;

    let act = story.begin("throughput through one tunnel, one TCP stream");
    let device = Ipv4Addr::new(192, 168, 1, 10);
    let app = Ipv4Addr::new(10, 136, 40, 10);
    let stream = |from: &str, to| {
        let interrupted = interrupted.clone();
        let streamed =
            stage::within(from, move || cast::stream(to, STREAM, &|| interrupted.is_set()));
        streamed.join().map_err(|_| anyhow::anyhow!("a thread died"))?
    };
    let to_site = stream(&ACTORS[0].app(), device)?;
    interrupted.check()?;
    let from_site = stream(&ACTORS[0].device(), app)?;
    interrupted.check()?;
    act.done(&format!(
        "{:.2} Gb/s to the site, {:.2} Gb/s from it (both ends share this machine)",
        to_site / 1e9,
        from_site / 1e9
    ));

    let recovered = pull_the_cable(story, &client, interrupted)?;

    story.say("");
    let all = good == pairs.len() && recovered;
    story.verdict(all);
    home.keep(gateway, routers);
    Ok(all)
}

/// Takes the uplink of one customer away and gives it back, with both tenants'
/// applications asking their devices all the while.
fn pull_the_cable(story: &Story, client: &Path, interrupted: &Interrupt) -> anyhow::Result<bool> {
    let device = Ipv4Addr::new(192, 168, 1, 10);
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Vec<Arc<[AtomicU64; 2]>> = ACTORS.iter().map(|_| Arc::default()).collect();
    // Of acme the moment counts in which it answers again; of bolt that every question is
    // answered, and not how busy this machine is.
    let patience = [Duration::from_millis(250), Duration::from_secs(2)];
    let askers: Vec<_> = ACTORS
        .iter()
        .zip(&counts)
        .zip(patience)
        .map(|((actor, counts), patience)| {
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(counts));
            stage::within(&actor.app(), move || {
                while !stop.load(Ordering::Relaxed) {
                    let answered = cast::ask_udp_once(device, patience);
                    counts[usize::from(answered)].fetch_add(1, Ordering::Relaxed);
                    pause(Duration::from_millis(20));
                }
                Ok(())
            })
        })
        .collect();
    let [acme, bolt] = [&counts[0], &counts[1]];

    let act = story.begin("acme's uplink is pulled");
    let began = now();
    let bolt_lost_before = bolt[0].load(Ordering::Relaxed);
    stage::ip("link set up-acme down")?;
    let mut said = String::new();
    wait(interrupted, NOTICED_WITHIN, "the gateway to see it", || {
        let Some(site) = site(client, "acme") else { return Ok(false) };
        said = format!("{} ({})", site.0, site.1);
        Ok(!site.0.is_usable())
    })?;
    act.done(&format!("seen after {:.1} s as {said}", now().duration_since(began).as_secs_f64()));

    let act = story.begin("acme's uplink is back");
    let answered_before = acme[1].load(Ordering::Relaxed);
    let began = now();
    stage::ip("link set up-acme up")?;
    wait(interrupted, NOTICED_WITHIN, "acme's device to answer", || {
        Ok(acme[1].load(Ordering::Relaxed) > answered_before)
    })?;
    let recovered = now().duration_since(began).as_secs_f64();
    wait(interrupted, NOTICED_WITHIN, "the state to be Up", || Ok(up(client) == 2))?;
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        let _ = asker.join();
    }
    let lost = bolt[0].load(Ordering::Relaxed) - bolt_lost_before;
    let asked = lost + bolt[1].load(Ordering::Relaxed);
    act.result(
        lost == 0,
        &format!(
            "answers again after {recovered:.1} s; meanwhile bolt lost {lost} of {asked} questions"
        ),
    );
    Ok(lost == 0)
}

fn snapshot(client: &Path) -> Option<Snapshot> {
    client::ask(client).ok().map(|answer| answer.snapshot)
}

fn up(client: &Path) -> usize {
    let Some(snapshot) = snapshot(client) else { return 0 };
    snapshot.tenants.iter().map(crate::status::TenantSnapshot::sites_up).sum()
}

fn site(client: &Path, tenant: &str) -> Option<(SiteState, &'static str)> {
    let snapshot = snapshot(client)?;
    let tenant = snapshot.tenants.iter().find(|found| found.name.namespace() == tenant)?;
    tenant.sites.first().map(|site| (site.state, site.reason.name()))
}

fn random_key() -> anyhow::Result<PrivateKey> {
    let mut bytes = [0; 32];
    let rng = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&rng, &mut bytes)
        .map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(PrivateKey::from_random(bytes))
}

/// Looks again and again until `reached`, at most for `bound`.
fn wait(
    interrupted: &Interrupt,
    bound: Duration,
    what: &str,
    mut reached: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let began = now();
    while !reached()? {
        interrupted.check()?;
        if now().duration_since(began) > bound {
            bail!("waited {} s for {what}", bound.as_secs());
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "between two looks at a state")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
