//! Documents a verb is given, read and checked as a gateway would.

use crate::config::{Allocations, Documents, Options, Outcome, check_transition, validate};
use crate::daemon::source::{Reading, Source};
use crate::linux;
use crate::model::Placement;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Where tenants are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NetnsMode {
    /// Each in a network namespace of its own
    #[default]
    PerTenant,
    /// The only one in the namespace this process is in
    Current,
}

impl From<NetnsMode> for Placement {
    fn from(mode: NetnsMode) -> Self {
        match mode {
            NetnsMode::PerTenant => Self::PerTenant,
            NetnsMode::Current => Self::Current,
        }
    }
}

/// Where documents are, and what they are for.
#[derive(Clone, Debug, Args)]
pub struct DocumentArguments {
    /// File or directory of documents
    #[arg(short, long, value_name = "PATH")]
    pub file: PathBuf,
    /// Directory of secrets, NAMESPACE/NAME/KEY; `secrets` beside the documents when not given
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Where tenants are put
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub netns: NetnsMode,
}

impl DocumentArguments {
    /// Where to read.
    pub(super) fn source(&self) -> Source {
        Source::new(self.file.clone(), self.secrets.clone())
    }

    /// Reads and checks them.
    pub(super) fn load(&self) -> anyhow::Result<Outcome> {
        self.load_after(None)
    }

    /// Reads and checks them as the set that follows the one at `previous`.
    pub(super) fn load_after(&self, previous: Option<&Path>) -> anyhow::Result<Outcome> {
        let reading = self.source().read()?;
        let documents = parse(&reading);
        let options = Options {
            placement: self.netns.into(),
            uplink_mtu: linux::uplink_mtu(),
            kernel: linux::features(),
            ..Options::default()
        };
        let mut outcome = validate(&documents, &reading.secrets, &Allocations::new(), &options);
        if let Some(previous) = previous {
            let previous = parse(&Source::new(previous.to_owned(), None).read()?);
            outcome.errors.extend(check_transition(&previous, &documents));
        }
        Ok(outcome)
    }
}

fn parse(reading: &Reading) -> Documents {
    let files = reading.files.iter().map(|file| (file.name.as_str(), &*file.bytes));
    Documents::parse(files)
}
