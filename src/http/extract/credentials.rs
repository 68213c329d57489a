//! The API key that a request carries, in any of the ways in which clients send one.
//!
//! Invariant: a request has one key or none. Two that differ are refused, since a proxy and this server might each take
//! another one for the caller's.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Headers that hold a key and nothing else.
pub(crate) const KEY_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("api-key"), HeaderName::from_static("x-api-key")];
/// Base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key as it was sent. It has no `Debug`, so that it gets into no log.
pub(crate) struct Credentials {
    pub(crate) key: String,
    /// By HTTP's Basic scheme, which browsers remember and send along with what other sites' pages ask for.
    pub(crate) is_basic: bool,
}

/// Whether a request carries anything that is meant to be a key.
pub(crate) fn are_sent(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || KEY_HEADERS.iter().any(|name| headers.contains_key(name))
}

/// The key of a request: `Authorization: Bearer KEY`, `api-key: KEY`, `x-api-key: KEY`, or Basic with the key as the password.
///
/// # Errors
/// A header that comes twice, or headers with different keys.
pub(crate) fn read_credentials(headers: &HeaderMap) -> Result<Option<Credentials>, String> {
    let mut found: Option<Credentials> = None;
    for name in [header::AUTHORIZATION].into_iter().chain(KEY_HEADERS) {
        let mut values = headers.get_all(&name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(format!("the header {name} comes more than once"));
        }
        let read = if name == header::AUTHORIZATION { of_authorization(value) } else { of_key(value) };
        match (&found, read) {
            (Some(known), Some(other)) if known.key != other.key => {
                return Err("the request has several API keys, and they differ".to_owned());
            }
            (None, Some(first)) => found = Some(first),
            _ => {}
        }
    }
    Ok(found)
}

fn of_key(value: &HeaderValue) -> Option<Credentials> {
    let key = value.to_str().ok()?.trim().to_owned();
    (!key.is_empty()).then_some(Credentials { key, is_basic: false })
}

fn of_authorization(value: &HeaderValue) -> Option<Credentials> {
    let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
    let rest = rest.trim();
    let (key, is_basic) = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => (rest.to_owned(), false),
        "basic" => {
            let text = String::from_utf8(LENIENT.decode(rest).ok()?).ok()?;
            let (user, password) = text.split_once(':')?;
            (if password.is_empty() { user } else { password }.to_owned(), true)
        }
        _ => return None,
    };
    (!key.is_empty()).then_some(Credentials { key, is_basic })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Option<(String, bool)>, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        read_credentials(&map).map(|found| found.map(|found| (found.key, found.is_basic)))
    }

    #[test]
    fn a_key_is_read_as_clients_send_it() {
        let key = |basic| Ok(Some(("kd_1_2".to_owned(), basic)));
        for (headers, want) in [
            (&[("authorization", "Bearer kd_1_2")][..], key(false)),
            (&[("authorization", "bearer  kd_1_2 ")], key(false)),
            (&[("api-key", "kd_1_2")], key(false)),
            (&[("x-api-key", " kd_1_2 ")], key(false)),
            // `printf 'me:kd_1_2' | base64`, and the same without a user, without a password, and without padding.
            (&[("authorization", "Basic bWU6a2RfMV8y")], key(true)),
            (&[("authorization", "basic OmtkXzFfMg==")], key(true)),
            (&[("authorization", "Basic a2RfMV8yOg==")], key(true)),
            (&[("authorization", "Basic OmtkXzFfMg")], key(true)),
            // Some SDKs send it twice.
            (&[("authorization", "Bearer kd_1_2"), ("api-key", "kd_1_2")], key(false)),
            (&[("authorization", "Bearer")], Ok(None)),
            (&[("authorization", "Bearer ")], Ok(None)),
            (&[("authorization", "Basic ***")], Ok(None)),
            (&[("authorization", "kd_1_2")], Ok(None)),
            (&[("x-api-key", "")], Ok(None)),
            (&[], Ok(None)),
        ] {
            assert_eq!(read(headers), want, "{headers:?}");
        }
    }

    #[test]
    fn two_keys_are_none() {
        for headers in [
            &[("authorization", "Bearer kd_1_2"), ("authorization", "Bearer kd_1_2")][..],
            &[("authorization", "Bearer kd_1_2"), ("authorization", "Basic bWU6eA==")],
            &[("x-api-key", "kd_1_2"), ("x-api-key", "kd_1_3")],
            &[("authorization", "Bearer kd_1_2"), ("x-api-key", "kd_1_3")],
            &[("api-key", "kd_1_2"), ("x-api-key", "kd_1_3")],
        ] {
            let said = read(headers).unwrap_err();
            assert!(!said.contains("kd_1"), "{said}");
        }
    }
}
