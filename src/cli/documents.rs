//! Documents a verb is given, read and checked as a gateway would.

use super::args::Directories;
use crate::config::{
    Allocations, Documents, Options, Outcome, OwnKeys, check_transition, validate,
};
use crate::daemon::keys;
use crate::daemon::source::{Reading, Source};
use crate::linux;
use crate::model::Placement;
use crate::net::TenantName;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
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

    /// Reads and checks them, beside the keys of a gateway that keeps its things in
    /// `directories`, as far as there are any and they can be read.
    pub(super) fn load(&self, directories: &Directories) -> anyhow::Result<Outcome> {
        self.load_after(None, directories)
    }

    /// The same, as the set that follows the one at `previous`.
    pub(super) fn load_after(
        &self,
        previous: Option<&Path>,
        directories: &Directories,
    ) -> anyhow::Result<Outcome> {
        let reading = self.source().read()?;
        let documents = parse(&reading);
        let options = Options {
            placement: self.netns.into(),
            uplink_mtu: linux::uplink_mtu(),
            kernel: linux::features(),
            own_keys: own_keys(&documents, &directories.state_dir),
        };
        let mut outcome = validate(&documents, &reading.secrets, &Allocations::new(), &options);
        if let Some(previous) = previous {
            let previous = parse(&Source::new(previous.to_owned(), None).read()?);
            outcome.errors.extend(check_transition(&previous, &documents));
        }
        Ok(outcome)
    }
}

/// The keys that a gateway made for the tenants of `documents`.
fn own_keys(documents: &Documents, state: &Path) -> BTreeMap<TenantName, OwnKeys> {
    let kept = documents.gateways().iter().filter(|it| it.spec.private_key_secret_ref.is_none());
    let names = kept.filter_map(|it| TenantName::new(&it.object.namespace, &it.object.name).ok());
    names.filter_map(|name| Some((name.clone(), keys::look(state, &name)?))).collect()
}

fn parse(reading: &Reading) -> Documents {
    let files = reading.files.iter().map(|file| (file.name.as_str(), &*file.bytes));
    Documents::parse(files)
}
