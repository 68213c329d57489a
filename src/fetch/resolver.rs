//! Names to addresses, checked on the way to the connection.
//!
//! Invariant: the HTTP client sees checked addresses only, and has no other source of them (literal addresses never come
//! here; `check` has judged them before).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::may_dial;
use super::error::Refused;
use super::policy::FetchPolicy;

/// A source of addresses for a host's name.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of `host`.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Lets through what the policy allows.
pub(super) struct CheckedResolver {
    policy: FetchPolicy,
    lookup: Arc<dyn Lookup>,
}

impl CheckedResolver {
    pub(super) fn new(policy: FetchPolicy, lookup: Arc<dyn Lookup>) -> Self {
        Self { policy, lookup }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, policy) = (Arc::clone(&self.lookup), self.policy);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await.map_err(|error| {
                tracing::debug!(dns.name = name.as_str(), %error, "a name to fetch from does not resolve");
                Refused
            })?;
            // One bad address condemns the name: an honest one has no reason to point inwards as well.
            if found.is_empty() || !found.iter().all(|address| may_dial(*address, &policy)) {
                tracing::debug!(dns.name = name.as_str(), dns.addresses = ?found, "an address was refused");
                return Err(Refused.into());
            }
            // The client puts the URL's port in.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
