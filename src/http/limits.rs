//! Bounds of what comes over the wire, whatever it says.

use std::time::Duration;

use crate::domain::Network;

/// Bounds of requests before they are parsed, and who may send them.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Bytes of all request bodies that are being read.
    pub max_body_bytes_in_flight: u64,
    /// Longest pause between two parts of a body.
    pub body_timeout: Duration,
    /// Origins of pages that may call; `*` for all.
    pub cors_origins: Vec<String>,
    /// Host names under which a server without keys answers, beside those that are its own in any case; `*` for all.
    pub allowed_hosts: Vec<String>,
    /// Where proxies are whose forwarded headers are believed.
    pub trusted_proxies: Vec<Network>,
}

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// More are closed at once.
    pub max_connections: usize,
    /// Time for a request's head.
    pub header_timeout: Duration,
}
