//! Signatures of outgoing messages, as Standard Webhooks defines them (standardwebhooks.com, version 1).
//!
//! Invariant: only a secret with at least one byte signs: an empty key would let anyone forge signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// What secrets start with.
const PREFIX: &str = "whsec_";

/// Why a secret cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("the secret is empty")]
    Empty,
    #[error("the secret is not base64 (after an optional `whsec_`)")]
    NotBase64,
}

/// Signs messages with one secret.
///
/// ```
/// use kandinsky::signature::Signer;
///
/// let signer = Signer::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
/// let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
/// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// ```
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// `secret`: base64, with or without `whsec_` before it.
    pub fn new(secret: &SecretString) -> Result<Self, InvalidSecret> {
        let text = secret.expose_secret();
        let key = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| InvalidSecret::NotBase64)?;
        if key.is_empty() {
            return Err(InvalidSecret::Empty);
        }
        Ok(Self(Hmac::new_from_slice(&key).map_err(|_| InvalidSecret::Empty)?))
    }

    /// `v1,` and the signature of a message with this id, sent at `timestamp` (s since 1970).
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_a_key_is_refused() {
        for (secret, why) in [
            ("", InvalidSecret::Empty),
            ("whsec_", InvalidSecret::Empty),
            ("whsec_ ", InvalidSecret::NotBase64),
            ("not base64!", InvalidSecret::NotBase64),
        ] {
            assert_eq!(Signer::new(&secret.into()).err(), Some(why), "{secret:?}");
        }
    }

    #[test]
    fn signatures_are_those_of_the_standard() {
        // Computed with Python's hmac module.
        let signer = Signer::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
