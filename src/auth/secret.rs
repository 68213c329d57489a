//! The text of a key, `kd_ID_SECRET`: how it is generated, and how it is verified without being stored.
//!
//! Invariant: a secret is 256 random bits. It cannot be guessed however fast its digest is to compute, so a plain SHA-256 is
//! as good as the slow hashes that passwords need.

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

/// A key as a client presents it.
#[derive(Clone, Copy)]
pub(super) struct PresentedKey<'a> {
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// None: the text does not have the form of a key.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_id = id.len() == 2 * ID_BYTES && id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id && secret.len() == SECRET_CHARS).then_some(Self { id, secret })
    }

    /// Whether its secret has this digest. Takes the same time whatever the result.
    pub fn matches(self, expected: &KeyDigest) -> bool {
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
        for wrong in ["", "none", "kd_", "kd__", "sk-abcdef", &text[3..], &text[..text.len() - 1], &format!("{text}x")]
        {
            assert!(PresentedKey::parse(wrong).is_none(), "{wrong}");
        }
    }
}
