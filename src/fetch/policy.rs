//! What the operator allows to be fetched.
//!
//! Invariant: plain values; they are checked where addresses are ([`super::check`], [`super::resolver`]).

use std::time::Duration;

/// What may be fetched, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPolicy {
    /// Also private networks and this machine. Link-local addresses and the metadata services of clouds stay closed.
    pub allow_private: bool,
    /// Also `http://`.
    pub allow_http: bool,
    /// For all of a fetch, redirects included.
    pub timeout: Duration,
    /// Longest body taken in.
    pub max_bytes: u64,
}
