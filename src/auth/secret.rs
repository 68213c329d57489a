//! The text of a key: how it is generated, `kd_ID_SECRET`, and how it is verified without being stored. Keys that operators
//! bring from elsewhere (`given.rs`) are any text, of which the id is a digest of its own.
//!
//! Invariant: a secret is random, 256 bits where it was generated here. It cannot be guessed however fast its digest is to
//! compute, so a plain SHA-256 is as good as the slow hashes that passwords need.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::records::KeyDigest;

/// The prefix of all keys, by which people and secret scanners recognise them.
const PREFIX: &str = "kd_";
const SECRET_BYTES: usize = 32;
/// 43 characters of base64.
const SECRET_CHARS: usize = (SECRET_BYTES * 4).div_ceil(3);
const ID_BYTES: usize = 8;

/// A key that was just generated.
pub struct NewKey {
    pub id: String,
    pub digest: KeyDigest,
    /// The whole key, for its holder. It is shown once.
    pub text: SecretString,
}

impl NewKey {
    /// Generate one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        let id = format!("{:016x}", u64::from_be_bytes(id));
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let text = SecretString::from(format!("{PREFIX}{id}_{secret}"));
        Ok(Self { digest: digest(&secret), id, text })
    }
}

fn digest(secret: &str) -> KeyDigest {
    KeyDigest(Sha256::digest(secret.as_bytes()).into())
}

/// Fewest and most bytes of a key that was not generated here. A shorter one is never looked up.
pub(super) const GIVEN_BYTES: std::ops::RangeInclusive<usize> = 32..=256;
/// Keeps the digest that is an id apart from the one that proves the secret.
const ID_CONTEXT: &[u8] = b"kandinsky: the id of a given key\n";

/// A key as a client presents it.
pub(super) struct PresentedKey<'a> {
    pub id: Cow<'a, str>,
    secret: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// None: the text does not have the form of a key.
    pub fn parse(text: &'a str) -> Option<Self> {
        let Some(rest) = text.strip_prefix(PREFIX) else { return Self::given(text) };
        let (id, secret) = rest.split_once('_')?;
        let is_id = id.len() == 2 * ID_BYTES && id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id && secret.len() == SECRET_CHARS).then_some(Self { id: id.into(), secret })
    }

    /// A text that was not generated here.
    fn given(text: &'a str) -> Option<Self> {
        let is_key = GIVEN_BYTES.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_key.then(|| {
            let digest: [u8; 32] = Sha256::new().chain_update(ID_CONTEXT).chain_update(text).finalize().into();
            let id = digest[..ID_BYTES].iter().fold(String::new(), |id, byte| id + &format!("{byte:02x}"));
            Self { id: id.into(), secret: text }
        })
    }

    /// What of it is stored.
    pub fn digest(&self) -> KeyDigest {
        digest(self.secret)
    }

    /// The part of it that is not public.
    pub fn secret(&self) -> &str {
        self.secret
    }

    /// Whether its secret has this digest. Takes the same time whatever the result.
    pub fn matches(&self, expected: &KeyDigest) -> bool {
        digest(self.secret).0.ct_eq(&expected.0).into()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_is_known_by_its_digest_and_no_other_is() {
        let (mine, other) = (NewKey::generate().unwrap(), NewKey::generate().unwrap());
        let presented = PresentedKey::parse(mine.text.expose_secret()).unwrap();
        assert_eq!(presented.id, mine.id);
        assert!(presented.matches(&mine.digest) && !presented.matches(&other.digest));
        assert_eq!(mine.text.expose_secret().len(), 3 + 16 + 1 + 43);
    }

    #[test]
    fn a_text_without_the_form_of_a_key_is_not_looked_up() {
        let key = NewKey::generate().unwrap();
        let text = key.text.expose_secret();
        let long = "x".repeat(300);
        let almost = [&text[..text.len() - 1], &format!("{text}x")];
        for wrong in ["", "none", "kd_", "kd__", "sk-abcdef", "Schlüssel that is long enough but not ASCII", &long]
            .into_iter()
            .chain(almost)
        {
            assert!(PresentedKey::parse(wrong).is_none(), "{wrong}");
        }
    }
}
