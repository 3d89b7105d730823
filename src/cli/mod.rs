//! The command line: one file per verb.
//!
//! A verb that reads a running gateway asks it over its unix socket and knows
//! nothing the JSON does not say. A verb that reads documents needs no gateway.
//! Nothing here decides anything about packets.
//!
//! Exit codes, the same for every verb ([`Verdict`], [`Failure`]): 0 good,
//! 1 a finding, 2 the command cannot be carried out as given, 3 the gateway
//! cannot be reached. But `check-site` ends as monitoring systems want it.
//!
//! In reading order: `args` (the whole tree of arguments), `verdict` (how a
//! verb ends), `client` (asking a gateway), `terminal`, `screen`, `keyboard`
//! and `output` (what it is shown on, and in which form), `documents` (reading them), `secret` (what nobody
//! else may read), then the verbs.

mod args;
mod check;
mod check_site;
mod client;
mod completions;
mod crds;
mod customer_config;
mod demo;
mod diff;
mod documents;
mod gather;
mod import;
mod keyboard;
mod keys;
mod nmaas;
mod output;
mod probe;
mod run;
mod schema;
mod screen;
mod secret;
mod show;
mod show_absent;
mod show_bgp;
mod show_probes;
mod status;
mod terminal;
mod token;
mod trace;
mod verdict;

pub use args::{Arguments, Directories, Verb};
pub use run::RunArguments;
pub use verdict::{Failure, Verdict};

use clap::Parser;
use std::process::ExitCode;

/// Reads the arguments of this process, does what they ask, and says on stderr
/// why it could not.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are no error.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { usage() } else { verdict::GOOD });
        }
    };
    let Arguments { directories, color, verb } = arguments;
    let result = match verb {
        Verb::Run(arguments) => run::run(arguments, &directories),
        Verb::Check(arguments) => check::run(&arguments, &directories),
        Verb::Diff(arguments) => diff::run(&arguments, &directories),
        Verb::Trace(arguments) => trace::run(&arguments, &directories),
        Verb::Status(arguments) => status::run(&arguments, &directories, color),
        Verb::CheckSite(arguments) => return check_site::run(&arguments, &directories),
        Verb::Show(arguments) => show::run(&arguments, &directories, color),
        Verb::Probe(arguments) => probe::run(&arguments, &directories),
        Verb::Gather(arguments) => gather::run(&arguments, &directories),
        Verb::Keys(verb) => keys::run(&verb, &directories),
        Verb::Token(verb) => token::run(&verb),
        Verb::CustomerConfig(arguments) => customer_config::run(&arguments, &directories, color),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Nmaas(verb) => nmaas::run(&verb, &directories),
        Verb::Crds => crds::run(),
        Verb::Schema => schema::run(),
        Verb::Completions(arguments) => completions::run(&arguments),
        Verb::Demo(arguments) => demo::run(&arguments),
    };
    verdict::end(result)
}

/// How a command that cannot be read ends. A monitoring system would take the usual 2
/// for a site that is down.
fn usage() -> u8 {
    let is_plugin = std::env::args_os().any(|argument| argument == "check-site");
    if is_plugin { check_site::UNKNOWN } else { verdict::USAGE }
}
