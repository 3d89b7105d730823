//! How NMaaS is reached, as arguments say it.

use crate::nmaas::{BaseUrl, Client, Tls};
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;

/// How NMaaS is reached.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ConnectArguments {
    /// Where NMaaS is, https://HOST[:PORT][/PATH]. No proxy is used, and no redirect followed
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) url: String,
    /// The path of its API below that
    #[arg(long, default_value = "/api", value_name = "PATH")]
    pub(in crate::cli) api_prefix: String,
    /// File of the authorities (PEM) that its certificate may be of; the system's when not given
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca_file: Option<PathBuf>,
    /// Send the token to another machine by http://, for all between to read
    #[arg(long)]
    pub(in crate::cli) plain_http: bool,
}

/// A client for it.
pub(in crate::cli) fn client(arguments: &ConnectArguments) -> anyhow::Result<Client> {
    let ConnectArguments { url, api_prefix, ca_file, plain_http } = arguments;
    let base = BaseUrl::new(url, api_prefix, *plain_http)
        .map_err(|error| anyhow!("the URL {url:?} {error}"))?;
    let tls = if base.is_tls { Some(Tls::new(ca_file.as_deref())?) } else { None };
    Ok(Client::new(base, tls))
}
