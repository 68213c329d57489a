//! What HTTP's parser refuses: such a request never becomes one, so it has no route, no id and no problem document.
//!
//! Invariant: each is counted, and said in the log with its peer, if that is not said all the time.

use std::error::Error;
use std::net::SocketAddr;

use crate::http::log_rate::LogRate;
use crate::metrics;

static LOG: LogRate = LogRate::per_second(5);

/// Count and log the error that a connection ended with, if it is a refusal.
pub(super) fn record(error: &(dyn Error + 'static), peer: SocketAddr) {
    let Some(reason) = reason(error) else { return };
    metrics::PARSER_REFUSALS.add(1, [reason]);
    if let Some(suppressed) = LOG.allow() {
        tracing::info!(peer = %peer, http.refused = reason, log.suppressed = suppressed, "not a request");
    }
}

fn reason(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<hyper::Error>() {
            if error.is_parse_too_large() {
                return Some("head_too_large");
            }
            if error.is_parse() {
                return Some("malformed");
            }
        }
        if let Some(error) = inner.downcast_ref::<h2::Error>() {
            // What the client did wrong; not that it, or this server, went away.
            return (error.is_library() && !error.is_io()).then_some("http2");
        }
        cause = inner.source();
    }
    None
}
