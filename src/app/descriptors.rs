//! How many descriptors the process may have.
//!
//! Invariant: connections leave enough for the database, files and fetches; what the limit is, and what comes of it, is said
//! at start.

/// Descriptors for everything but connections: the database, files, fetches, and the reserve of connections for health.
const OTHERS: u64 = 256;
/// The part of a limit that is lower than that which connections may have.
const LEAST_PART: u64 = 4;

/// Raise the limit as far as it goes, and tell how many of `wanted` connections it allows.
pub(super) fn raise(wanted: usize) -> usize {
    let Some(limit) = raise_limit(wanted as u64 + OTHERS) else { return wanted };
    let allowed = usize::try_from(limit.saturating_sub(OTHERS).max(limit / LEAST_PART).max(1)).unwrap_or(usize::MAX);
    if allowed < wanted {
        tracing::warn!(
            descriptors.limit = limit,
            server.max_connections = allowed,
            "fewer connections than configured: the limit of descriptors (ulimit -n) cannot be raised further"
        );
    } else {
        tracing::info!(descriptors.limit = limit, server.max_connections = wanted, "descriptors");
    }
    allowed.min(wanted)
}

/// The soft limit after it was raised to at least `wanted` if that is possible; None where there is none.
#[cfg(unix)]
fn raise_limit(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current?;
    let target = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if target <= current || setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }).is_err() {
        return Some(current);
    }
    Some(target)
}

#[cfg(not(unix))]
fn raise_limit(_: u64) -> Option<u64> {
    None
}
