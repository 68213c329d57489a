//! Authentication: API keys, their request rates, and signed URLs that need no key.
//!
//! Invariants: secrets are compared in constant time and never stored; a key that is created or revoked elsewhere takes effect
//! here after [`CACHE_LIFETIME`] at the latest; a refused key costs the store at most one look-up.

mod error;
mod given;
mod keyring;
mod request_rates;
mod secret;
mod signed_url;
mod token_bucket;

pub use error::{KeyError, SignedUrlError};
pub use given::{GivenKeys, read_given, read_given_keys};
pub use keyring::{CACHE_LIFETIME, Keyring};
pub use secret::NewKey;
pub use signed_url::UrlSigner;

/// What a server that requires API keys needs.
pub struct Auth {
    pub keys: Keyring,
    pub urls: UrlSigner,
}
