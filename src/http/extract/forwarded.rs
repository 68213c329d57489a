//! What a proxy says of the request that it passed on: `Forwarded` (RFC 7239), or `X-Forwarded-*`.
//!
//! Invariant: scheme and host are taken together or not at all, since half of an address is none. The one exception is a
//! proxy that leaves `Host` as its client wrote it and adds the scheme alone.

use axum::http::HeaderMap;
use axum::http::uri::Authority;

/// Longest prefix that is believed, bytes.
const MAX_PREFIX_BYTES: usize = 256;

/// What the proxy's client asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// `http` or `https`.
    pub(super) scheme: Option<String>,
    pub(super) host: Option<Authority>,
    /// The path that the proxy takes away from requests, without a slash at its end: `/kandinsky`; empty: none.
    pub(super) prefix: String,
}

impl Forwarded {
    /// Read the headers. Of several proxies, the first is the one that the client asked.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let standard = standard(headers);
        let usual = (
            first(headers, "x-forwarded-proto").as_deref().and_then(scheme),
            first(headers, "x-forwarded-host").as_deref().and_then(host),
        );
        let (scheme, host) = match (standard, usual) {
            ((Some(scheme), Some(host)), _) | (_, (Some(scheme), Some(host))) => (Some(scheme), Some(host)),
            ((standard, _), (usual, _)) => (standard.or(usual), None),
        };
        let prefix = first(headers, "x-forwarded-prefix").and_then(|text| prefix(&text)).unwrap_or_default();
        Self { scheme, host, prefix }
    }
}

/// Scheme and host of the first element of `Forwarded`.
fn standard(headers: &HeaderMap) -> (Option<String>, Option<Authority>) {
    let Some(text) = headers.get("forwarded").and_then(|value| value.to_str().ok()) else { return (None, None) };
    let (mut found_scheme, mut found_host) = (None, None);
    let element = split_unquoted(text, ',').next().unwrap_or_default();
    for pair in split_unquoted(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "proto" => found_scheme = scheme(value),
            "host" => found_host = host(value),
            _ => {}
        }
    }
    (found_scheme, found_host)
}

/// The parts of a text between separators that are in no quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// The first value of a header that is a list.
fn first(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.split(',').next().unwrap_or_default().trim().to_owned())
}

fn scheme(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    ["http", "https"].contains(&text.as_str()).then_some(text)
}

/// A host, perhaps with a port, and nothing else: it becomes part of URLs.
pub(super) fn host(text: &str) -> Option<Authority> {
    let authority = text.parse::<Authority>().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let is_port = port.is_empty() || authority.port_u16().is_some();
    (!authority.host().is_empty() && is_port).then_some(authority)
}

fn prefix(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
    let valid = text.len() <= MAX_PREFIX_BYTES && text.starts_with('/') && text.chars().all(plain);
    let climbs = text.split('/').skip(1).any(|part| part.is_empty() || part == "." || part == "..");
    (valid && !climbs).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> (Option<String>, Option<String>, String) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let Forwarded { scheme, host, prefix } = Forwarded::of(&map);
        (scheme, host.map(|host| host.to_string()), prefix)
    }

    #[test]
    fn scheme_and_host_are_read_as_a_pair() {
        let pair = (Some("https".to_owned()), Some("img.example.org:8443".to_owned()), String::new());
        for headers in [
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "img.example.org:8443")][..],
            &[("x-forwarded-proto", "HTTPS, http"), ("x-forwarded-host", "img.example.org:8443, inner")],
            &[("forwarded", "for=192.0.2.1;proto=https;host=\"img.example.org:8443\", for=10.0.0.1;host=inner")],
            &[("forwarded", "For=\"[2001:db8::1],x\" ; Host=img.example.org:8443; Proto=https")],
            // The half in one form does not spoil the pair in the other.
            &[
                ("forwarded", "for=1;proto=http"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "img.example.org:8443"),
            ],
        ] {
            assert_eq!(read(headers), pair, "{headers:?}");
        }
        assert_eq!(read(&[("x-forwarded-host", "img.example.org")]), (None, None, String::new()));
        assert_eq!(read(&[("forwarded", "proto=https")]), (Some("https".to_owned()), None, String::new()));
        for bad in ["a b", "user@host", "host:port", "host:70000", "host/path", "\"><script>", ""] {
            let headers = [("x-forwarded-proto", "https"), ("x-forwarded-host", bad)];
            assert_eq!(read(&headers).1, None, "{bad}");
        }
        assert_eq!(
            read(&[("x-forwarded-proto", "javascript"), ("x-forwarded-host", "a")]),
            (None, None, String::new())
        );
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        for (text, want) in [
            ("/kandinsky", "/kandinsky"),
            ("/a/b/", "/a/b"),
            ("/", ""),
            ("kandinsky", ""),
            ("//evil.example", ""),
            ("/a/../b", ""),
            ("/a\"b", ""),
        ] {
            assert_eq!(read(&[("x-forwarded-prefix", text)]).2, want, "{text}");
        }
    }
}
