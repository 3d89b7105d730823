//! Documents a verb is given, read and checked as a gateway would.

use crate::config::{Allocations, Documents, Options, Outcome, validate};
use crate::daemon::source::Source;
use crate::linux;
use crate::model::Placement;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

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
        let reading = self.source().read()?;
        let files = reading.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let documents = Documents::parse(files);
        let options = Options {
            placement: self.netns.into(),
            uplink_mtu: linux::uplink_mtu(),
            ..Options::default()
        };
        Ok(validate(&documents, &reading.secrets, &Allocations::new(), &options))
    }
}
