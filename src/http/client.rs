//! Who a request counts against, where clients share something that runs out.
//!
//! Invariant: with keys on it is the key, whatever addresses it is used from; without, the address, of which IPv6 clients
//! cannot make up new ones within their network.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// A client, as shares of what is limited know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ClientId {
    Key(Arc<str>),
    Address(IpAddr),
    /// Where there is no connection.
    Unknown,
}

impl ClientId {
    /// A name for it.
    pub(crate) fn name(&self) -> Arc<str> {
        match self {
            Self::Key(key) => key.clone(),
            Self::Address(address) => address.to_string().into(),
            Self::Unknown => Arc::default(),
        }
    }

    /// The client at an address.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}
