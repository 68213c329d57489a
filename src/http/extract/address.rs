//! The server's address as the client of a request knows it, for addresses in answers.
//!
//! Invariant: it is `server.public_url` where that is set. Else it comes from the request: from forwarded headers only if a
//! trusted proxy sent them, and from `Host` otherwise.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version, header};
use url::Url;

use super::forwarded::{self, Forwarded};
use crate::domain::Network;

/// The address of the server for one client. Paths are appended to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    /// `https://host/prefix`, without a slash at its end.
    base: String,
    /// The part of it that is a path; empty: none.
    prefix: String,
}

impl ServerAddress {
    /// The address that the operator configured; None: the text is empty.
    pub(crate) fn configured(public_url: &str) -> Option<Self> {
        let base = public_url.trim_end_matches('/').to_owned();
        let prefix = Url::parse(&base).ok()?.path().trim_end_matches('/').to_owned();
        Some(Self { base, prefix })
    }

    /// The address that a request names; `trusted`: it comes from a proxy whose headers are believed.
    pub(crate) fn of_request(host: &Authority, headers: &HeaderMap, trusted: bool) -> Self {
        let told = if trusted { Forwarded::of(headers) } else { Forwarded::default() };
        let (scheme, host) = match (told.scheme, told.host) {
            (Some(scheme), Some(host)) => (scheme, host),
            // A proxy that writes its own address into Host leaves a literal one or a short name there.
            (Some(scheme), None) if is_public_name(host) => (scheme, host.clone()),
            _ => ("http".to_owned(), host.clone()),
        };
        Self { base: format!("{scheme}://{host}{}", told.prefix), prefix: told.prefix }
    }

    /// The URL of a path of this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A path of this server as the client has to write it after the host.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The whole address, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The part of the address that is a path; empty: none.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The origin of its pages, such as `https://host:8443`.
    pub(crate) fn origin(&self) -> Option<String> {
        Url::parse(&self.base).ok().map(|url| url.origin().ascii_serialization())
    }
}

/// Which host a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestHost {
    One(Authority),
    /// HTTP/1.0 knows no `Host`; probes of load balancers still speak it.
    Absent,
}

/// The host of a request: `Host`, `:authority`, or the one in an absolute request target.
///
/// # Errors
/// There is none, there are several, or they differ: a proxy and this server might each believe another one.
pub(crate) fn request_host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<RequestHost, &'static str> {
    let mut named = headers.get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return Err("the request has more than one Host header");
    }
    let of_header = match first.map(|value| value.to_str().ok().and_then(forwarded::host)) {
        Some(None) => return Err("the Host header is not a host with an optional port"),
        Some(host) => host,
        None => None,
    };
    let of_target = match uri.authority() {
        Some(authority) => Some(forwarded::host(authority.as_str()).ok_or("the request's target has no valid host")?),
        None => None,
    };
    match (of_header, of_target) {
        (Some(header), Some(target)) if !header.as_str().eq_ignore_ascii_case(target.as_str()) => {
            Err("the Host header and the request's target name different hosts")
        }
        (_, Some(host)) | (Some(host), None) => Ok(RequestHost::One(host)),
        (None, None) if version < Version::HTTP_11 => Ok(RequestHost::Absent),
        (None, None) => Err("the request has no Host header"),
    }
}

/// Whether one of the networks has the address from which a connection came.
pub(crate) fn is_trusted(peer: Option<IpAddr>, proxies: &[Network]) -> bool {
    peer.is_some_and(|peer| proxies.iter().any(|network| network.contains(peer)))
}

/// Whether a host is a name that the public DNS could have.
fn is_public_name(host: &Authority) -> bool {
    literal(host).is_none() && host.host().trim_end_matches('.').contains('.')
}

/// The IP address that a host is, if it is one.
pub(crate) fn literal(host: &Authority) -> Option<IpAddr> {
    let host = host.host();
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn an_address_is_of_the_proxy_or_of_the_host_and_no_mixture() {
        let base = |host: &str, headers: &[(&'static str, &str)], trusted| {
            ServerAddress::of_request(&host.parse().unwrap(), &map(headers), trusted).url("/v1")
        };
        let pair = [("x-forwarded-proto", "https"), ("x-forwarded-host", "img.example.org")];
        assert_eq!(base("127.0.0.1:8080", &pair, true), "https://img.example.org/v1");
        assert_eq!(base("127.0.0.1:8080", &pair, false), "http://127.0.0.1:8080/v1");
        let scheme = [("x-forwarded-proto", "https")];
        assert_eq!(base("127.0.0.1:8080", &scheme, true), "http://127.0.0.1:8080/v1");
        assert_eq!(base("[::1]:8080", &scheme, true), "http://[::1]:8080/v1");
        assert_eq!(base("backend", &scheme, true), "http://backend/v1");
        assert_eq!(base("img.example.org", &scheme, true), "https://img.example.org/v1");
        let host = [("x-forwarded-host", "img.example.org")];
        assert_eq!(base("127.0.0.1:8080", &host, true), "http://127.0.0.1:8080/v1");
        let prefixed = [("x-forwarded-prefix", "/draw")];
        assert_eq!(base("localhost", &prefixed, true), "http://localhost/draw/v1");
        let configured = ServerAddress::configured("https://img.example.org/draw/").unwrap();
        assert_eq!(configured.url("/v1"), "https://img.example.org/draw/v1");
        assert_eq!(configured.path("/v1"), "/draw/v1");
        assert_eq!(configured.origin().as_deref(), Some("https://img.example.org"));
        assert_eq!(ServerAddress::configured(""), None);
    }

    #[test]
    fn a_request_names_one_host() {
        let host = |version, target: &str, hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            request_host(version, &target.parse().unwrap(), &map(&headers))
        };
        let one = |text: &str| Ok(RequestHost::One(text.parse().unwrap()));
        assert_eq!(host(Version::HTTP_11, "/v1", &["a:80"]), one("a:80"));
        assert_eq!(host(Version::HTTP_2, "http://a/v1", &[]), one("a"));
        assert_eq!(host(Version::HTTP_2, "http://a/v1", &["A"]), one("a"));
        assert_eq!(host(Version::HTTP_10, "/v1", &[]), Ok(RequestHost::Absent));
        for (version, target, hosts) in [
            (Version::HTTP_11, "/v1", &[][..]),
            (Version::HTTP_11, "/v1", &["a", "a"]),
            (Version::HTTP_11, "/v1", &[""]),
            (Version::HTTP_11, "/v1", &["a b"]),
            (Version::HTTP_11, "/v1", &["user@a"]),
            (Version::HTTP_11, "http://b/v1", &["a"]),
            (Version::HTTP_2, "http://b/v1", &["a"]),
            (Version::HTTP_10, "/v1", &["a", "b"]),
        ] {
            assert!(host(version, target, hosts).is_err(), "{version:?} {target} {hosts:?}");
        }
    }
}
