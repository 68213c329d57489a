//! `kandinsky health`: the probe of container engines, for images without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::error::CommandError;
use crate::config::{Config, Overrides};
use crate::tls;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct Health {
    /// Address of the server [default: as the configuration says].
    #[arg(long)]
    url: Option<String>,
    /// The server's configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// Ask only whether the process lives, not whether it takes requests.
    #[arg(long)]
    live: bool,
}

impl Health {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let base = if let Some(url) = self.url {
            url.trim_end_matches('/').to_owned()
        } else {
            let config = Config::load(self.config.as_deref(), &Overrides::default())?;
            let addresses = config.server.listen.addresses().context("server.listen")?;
            // All addresses are reached by IPv4, whether or not there is IPv6.
            let one = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
            format!("http://{}", reachable(*one.context("server.listen has no address")?))
        };
        let url = format!("{base}/{}", if self.live { "healthz" } else { "readyz" });
        // The server is near: a proxy from the environment would only be in the way.
        let client = tls::client_builder().timeout(TIMEOUT).no_proxy().build()?;
        let answer = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(CommandError::Failed(anyhow::anyhow!("{url} answers {}", answer.status())))
    }
}

/// An address to connect to, where the server listens on all of them.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
