//! What `lockgate run` is told of NMaaS.

use super::connect::{ConnectArguments, client};
use crate::daemon::NmaasOptions;
use clap::Args;
use std::path::PathBuf;

/// What `run` is told of NMaaS.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct NmaasArguments {
    /// Tell NMaaS at this URL when a tenant with the annotation lockgate.dev/nmaas-domain-id is
    /// connected, once. It is never told that one is not
    #[arg(long, value_name = "URL", requires = "nmaas_token_file", help_heading = "NMaaS")]
    nmaas_url: Option<String>,
    /// File of the access token of an operator, read each time
    #[arg(long, value_name = "FILE", requires = "nmaas_url", help_heading = "NMaaS")]
    nmaas_token_file: Option<PathBuf>,
    /// The path of its API below the URL
    #[arg(
        long,
        default_value = "/api",
        value_name = "PATH",
        requires = "nmaas_url",
        help_heading = "NMaaS"
    )]
    nmaas_api_prefix: String,
    /// File of the authorities (PEM) that its certificate may be of; the system's when not given
    #[arg(long, value_name = "FILE", requires = "nmaas_url", help_heading = "NMaaS")]
    nmaas_ca_file: Option<PathBuf>,
    /// Send the token to another machine by http://, for all between to read
    #[arg(long, requires = "nmaas_url", help_heading = "NMaaS")]
    nmaas_plain_http: bool,
}

impl NmaasArguments {
    pub(in crate::cli) fn options(&self) -> anyhow::Result<Option<NmaasOptions>> {
        let (Some(url), Some(token_file)) = (&self.nmaas_url, &self.nmaas_token_file) else {
            return Ok(None);
        };
        let client = client(&ConnectArguments {
            url: url.clone(),
            api_prefix: self.nmaas_api_prefix.clone(),
            ca_file: self.nmaas_ca_file.clone(),
            plain_http: self.nmaas_plain_http,
        })?;
        Ok(Some(NmaasOptions { client, token_file: token_file.clone() }))
    }
}
