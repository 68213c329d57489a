//! The text of a key: `kd_ID_SECRET`, made here, and told apart from others' without being kept.
//!
//! Invariant: a secret is 256 random bits. Nobody guesses one, however fast its digest is to compute, so a plain SHA-256 does
//! what slow hashes do for passwords that people choose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::records::KeyDigest;

/// What keys begin with, so that people and scanners of secrets recognise them.
const PREFIX: &str = "kd_";
const SECRET_BYTES: usize = 32;
/// 43 characters of base64.
const SECRET_CHARS: usize = (SECRET_BYTES * 4).div_ceil(3);
const ID_BYTES: usize = 8;

/// A key that was just made.
pub struct NewSecret {
    pub id: String,
    pub digest: KeyDigest,
    /// The whole key, for its holder. It is told once.
    pub text: SecretString,
}

impl NewSecret {
    /// Draw one.
    pub fn draw() -> Result<Self, getrandom::Error> {
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

/// A key as a client shows it.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> Shown<'a> {
    /// None: it is not of the form of a key.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_id = id.len() == 2 * ID_BYTES && id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id && secret.len() == SECRET_CHARS).then_some(Self { id, secret })
    }

    /// Whether its secret is the one of this digest; it takes as long if it is not.
    pub fn is_of(self, expected: &KeyDigest) -> bool {
        digest(self.secret).0.ct_eq(&expected.0).into()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_is_known_by_its_digest_and_no_other_is() {
        let (mine, other) = (NewSecret::draw().unwrap(), NewSecret::draw().unwrap());
        let shown = Shown::parse(mine.text.expose_secret()).unwrap();
        assert_eq!(shown.id, mine.id);
        assert!(shown.is_of(&mine.digest) && !shown.is_of(&other.digest));
        assert_eq!(mine.text.expose_secret().len(), 3 + 16 + 1 + 43);
    }

    #[test]
    fn what_is_no_key_is_not_looked_up() {
        let key = NewSecret::draw().unwrap();
        let text = key.text.expose_secret();
        for wrong in ["", "none", "kd_", "kd__", "sk-abcdef", &text[3..], &text[..text.len() - 1], &format!("{text}x")]
        {
            assert!(Shown::parse(wrong).is_none(), "{wrong}");
        }
    }
}
