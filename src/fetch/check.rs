//! What of a URL can be judged before anything is resolved.
//!
//! Invariant: whatever passes here names either a literal address that may be dialled or a name that the checked resolver
//! has still to judge. URLs are judged in the form that the URL standard's parser gives them, so that `0x7f.1` and
//! `①②⑦.0.0.1` are what they are to the HTTP client: `127.0.0.1`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::address::may_dial;
use super::error::FetchError;
use super::policy::FetchPolicy;

/// Longest URL taken, bytes.
const MAX_LENGTH: usize = 2048;
/// From here on ports belong to users, below to services.
const FIRST_USER_PORT: u16 = 1024;
/// Services at high ports that would read something into an HTTP request: the list of the Fetch standard ("bad ports"),
/// and data stores that speak in lines.
const BAD_PORTS: [u16; 21] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
    10080, 11211,
];
/// Names that are never public: RFC 6761, 6762, 8375, 9476, ICANN's private-use name, and habit.
const LOCAL_NAMES: [&str; 8] = ["localhost", "local", "localdomain", "internal", "home.arpa", "alt", "onion", "lan"];

/// Whether a URL may be fetched as far as its text tells. The addresses of its host are checked when it is fetched.
pub fn check_url(url: &str, policy: &FetchPolicy) -> Result<(), FetchError> {
    parse(url, policy).map(drop)
}

/// [`check_url`], and the URL.
pub(super) fn parse(text: &str, policy: &FetchPolicy) -> Result<Url, FetchError> {
    if text.len() > MAX_LENGTH {
        return Err(FetchError::Url(format!("longer than {MAX_LENGTH} bytes")));
    }
    let url = Url::parse(text).map_err(|error| FetchError::Url(error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_http => {}
        _ if policy.allow_http => return Err(FetchError::Scheme("https or http")),
        _ => return Err(FetchError::Scheme("https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Credentials);
    }
    if let Some(port) = url.port().filter(|port| !for_http(*port)) {
        return Err(FetchError::Port(port));
    }
    let host = url.host_str().unwrap_or_default();
    let allowed = match literal(host) {
        Some(address) => may_dial(address, policy),
        None => public_name(host) || policy.allow_private && !host.is_empty(),
    };
    if allowed { Ok(url) } else { Err(FetchError::Address(host.to_owned())) }
}

fn for_http(port: u16) -> bool {
    matches!(port, 80 | 443) || port >= FIRST_USER_PORT && !BAD_PORTS.contains(&port)
}

/// The address that a host is, if it is one: in the parser's normal form there is one way to write it.
fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// A name with a dot in it, of which no ending is reserved for local use.
fn public_name(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let local = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    host.contains('.') && !LOCAL_NAMES.into_iter().any(local)
}
