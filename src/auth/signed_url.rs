//! URLs that give access to one resource for a while, without a key: what an `<img>` can load.
//!
//! Invariant: a signature is for one path and one expiry; its bearer can read that path until then, and nothing else.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::error::SignedUrlError;

/// Names of the query parameters.
const EXPIRES: &str = "expires";
const SIGNATURE: &str = "signature";

/// Signs paths and checks signatures.
pub struct UrlSigner {
    /// Keyed with the secret, without input.
    mac: Hmac<Sha256>,
    /// How long a URL is valid at least, s.
    ttl: i64,
}

impl UrlSigner {
    /// A signer whose URLs are valid for at least `ttl`.
    pub fn new(secret: &SecretString, ttl: Duration) -> Result<Self, String> {
        let mac = Hmac::new_from_slice(secret.expose_secret().as_bytes()).map_err(|error| error.to_string())?;
        Ok(Self { mac, ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX / 2).max(1) })
    }

    /// The path with its signature, at `now` (s since 1970).
    #[must_use]
    pub fn sign(&self, path: &str, now: i64) -> String {
        // The same URL for a while, so that browsers find the image in their caches.
        let step = (self.ttl / 4).max(1);
        let expires = (now.saturating_add(self.ttl) / step + 1).saturating_mul(step);
        let signature = URL_SAFE_NO_PAD.encode(self.mac(path, expires).finalize().into_bytes());
        format!("{path}?{EXPIRES}={expires}&{SIGNATURE}={signature}")
    }

    /// Whether this query's signature is valid for the path at `now` (s since 1970). None: there is no signature.
    #[must_use]
    pub fn check(&self, path: &str, query: &str, now: i64) -> Option<Result<(), SignedUrlError>> {
        let value = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
        };
        let signature = value(SIGNATURE)?;
        let signed = || {
            let expires = value(EXPIRES)?.parse::<i64>().ok()?;
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            // Compares in constant time.
            self.mac(path, expires).verify_slice(&signature).ok()?;
            Some(expires)
        };
        Some(match signed() {
            Some(expires) if now < expires => Ok(()),
            Some(_) => Err(SignedUrlError::Expired),
            None => Err(SignedUrlError::Forged),
        })
    }

    fn mac(&self, path: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(expires.to_string().as_bytes());
        mac.update(b"\n");
        mac.update(path.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/v1/jobs/7/images/0";

    fn signer(secret: &str) -> UrlSigner {
        UrlSigner::new(&secret.to_owned().into(), Duration::from_secs(400)).unwrap()
    }

    #[test]
    fn a_url_gives_access_to_its_path_until_it_expires() {
        let signer = signer("secret");
        let url = signer.sign(PATH, 1000);
        let query = url.strip_prefix(PATH).unwrap().trim_start_matches('?');
        assert_eq!(signer.check(PATH, query, 1000), Some(Ok(())));
        assert_eq!(signer.check(PATH, &format!("width=5&{query}"), 1400), Some(Ok(())));
        assert_eq!(signer.check(PATH, query, 1500), Some(Err(SignedUrlError::Expired)));
        assert_eq!(signer.check("/v1/jobs/7/images/1", query, 1000), Some(Err(SignedUrlError::Forged)));
        assert_eq!(signer.check(PATH, "width=5", 1000), None);
        assert_eq!(signer.sign(PATH, 1001), url, "the same for a while");
    }

    #[test]
    fn what_was_not_signed_here_is_forged() {
        let url = signer("secret").sign(PATH, 1000);
        let query = url.split_once('?').unwrap().1;
        let forged = Some(Err(SignedUrlError::Forged));
        assert_eq!(signer("other").check(PATH, query, 1000), forged);
        let signer = signer("secret");
        assert_eq!(signer.check(PATH, &query.replace("expires=1", "expires=9"), 1000), forged);
        for query in ["signature=", "signature=x&expires=9999", "expires=9999&signature=%ff", "signature=a&expires=x"] {
            assert_eq!(signer.check(PATH, query, 1000), forged, "{query}");
        }
    }
}
