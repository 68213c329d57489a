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
    /// Longest time of a body in all.
    pub body_total_timeout: Duration,
    /// Least rate of a body after its first pause, bytes/s.
    pub min_body_rate: u64,
    /// Bytes of all responses that are made and not sent.
    pub max_response_bytes_in_flight: u64,
    /// Streams of events of one client.
    pub max_streams_per_client: u64,
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
    /// Others are answered in the reserve, which serves health alone.
    pub max_connections: usize,
    /// Of one address.
    pub max_per_address: usize,
    /// Time for a request's head.
    pub header_timeout: Duration,
    /// Time between two requests.
    pub idle_timeout: Duration,
    /// Longest time in which a client reads nothing of its response.
    pub write_timeout: Duration,
}
