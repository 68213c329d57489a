//! Keys that operators bring: from a file that the configuration names, or one by one into the store.
//!
//! Invariant: a given key is refused if it can be guessed, and nothing of it is kept but its digest. Keys of a file are good as
//! long as they are in the file, so taking one out and starting again ends it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::secret::{GIVEN_BYTES, PresentedKey};
use crate::domain::Priority;
use crate::records::{ApiKey, KeyDigest, KeyLimits, Scope};
use crate::store::{KeyStore, RequestCounter, RequestGrant, StoreError};

/// Least bits that the characters of a key must have by their frequency in it. 32 random hexadecimal digits have about 110.
const LEAST_BITS: f64 = 96.0;

/// Read one given key: its id and its digest.
///
/// # Errors
/// A text that is no key, or one that can be guessed. The message does not repeat it.
pub fn read_given(text: &str) -> Result<(String, KeyDigest), String> {
    let presented = PresentedKey::parse(text).ok_or_else(|| {
        format!(
            "a key must be {} to {} visible ASCII characters, or have the form of those that `kandinsky keys create` makes",
            GIVEN_BYTES.start(),
            GIVEN_BYTES.end()
        )
    })?;
    if !is_random(presented.secret()) {
        return Err("this key could be guessed: take a random one, such as `openssl rand -hex 32` prints".to_owned());
    }
    Ok((presented.id.clone().into_owned(), presented.digest()))
}

/// Whether a text looks as if it was drawn at random: many different characters, no repetition, no sequence.
fn is_random(text: &str) -> bool {
    let bytes = text.as_bytes();
    #[expect(clippy::cast_precision_loss, reason = "keys are short")]
    let length = bytes.len() as f64;
    let mut counts = HashMap::<u8, f64>::new();
    for byte in bytes {
        *counts.entry(*byte).or_default() += 1.0;
    }
    let bits: f64 = counts.values().map(|count| count * (length / count).log2()).sum();
    let triples: Vec<&[u8]> = bytes.windows(3).collect();
    let different = triples.iter().collect::<HashSet<_>>().len();
    let steps = bytes.windows(2).filter(|pair| pair[1].abs_diff(pair[0]) <= 1).count();
    bits >= LEAST_BITS && different * 5 >= triples.len() * 4 && steps * 2 < bytes.len()
}

/// Read a file of keys: a key a line, which `name=` and `scopes=` (separated by commas) may follow. Lines that begin with `#`
/// are comments.
///
/// # Errors
/// A line that is none of these, with its number and without what it says.
pub fn read_given_keys(text: &str) -> Result<Vec<(ApiKey, KeyDigest)>, String> {
    let mut keys: Vec<(ApiKey, KeyDigest)> = Vec::new();
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (number, line) in lines.map(|(i, line)| (i + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = read_line(line).map_err(|message| format!("line {number}: {message}"))?;
        if keys.iter().any(|(known, _)| known.id == key.0.id) {
            return Err(format!("line {number}: this key is there twice"));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn read_line(line: &str) -> Result<(ApiKey, KeyDigest), String> {
    let mut words = line.split_whitespace();
    let (id, digest) = read_given(words.next().unwrap_or_default())?;
    let mut key = given_key(id);
    for word in words {
        match word.split_once('=') {
            Some(("name", name)) => name.clone_into(&mut key.name),
            Some(("scopes", scopes)) => {
                key.scopes = scopes.split(',').map(str::parse).collect::<Result<BTreeSet<Scope>, _>>()?;
            }
            _ => return Err("after a key only name=NAME and scopes=SCOPE,SCOPE may follow".to_owned()),
        }
    }
    Ok((key, digest))
}

fn given_key(id: String) -> ApiKey {
    ApiKey {
        id,
        name: String::new(),
        scopes: [Scope::Generate].into(),
        limits: KeyLimits { max_priority: Priority::High, ..KeyLimits::default() },
        moderation_policy: None,
        created_at: 0,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

/// A store with the keys of a file beside its own.
pub struct GivenKeys {
    store: Arc<dyn KeyStore>,
    given: HashMap<String, (ApiKey, KeyDigest)>,
}

impl GivenKeys {
    #[must_use]
    pub fn new(store: Arc<dyn KeyStore>, keys: Vec<(ApiKey, KeyDigest)>) -> Self {
        Self { store, given: keys.into_iter().map(|key| (key.0.id.clone(), key)).collect() }
    }
}

#[async_trait]
impl RequestCounter for GivenKeys {
    fn counts_requests(&self) -> bool {
        self.store.counts_requests()
    }

    async fn take_requests(&self, id: &str, rate: u32, wanted: u32, owed: u32) -> Result<RequestGrant, StoreError> {
        self.store.take_requests(id, rate, wanted, owed).await
    }
}

#[async_trait]
impl KeyStore for GivenKeys {
    async fn insert_key(&self, key: &ApiKey, digest: &KeyDigest) -> Result<(), StoreError> {
        self.store.insert_key(key, digest).await
    }

    async fn find_key(&self, id: &str) -> Result<Option<(ApiKey, KeyDigest)>, StoreError> {
        match self.given.get(id) {
            Some(key) => Ok(Some(key.clone())),
            None => self.store.find_key(id).await,
        }
    }

    async fn list_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = self.store.list_keys().await?;
        keys.retain(|key| !self.given.contains_key(&key.id));
        keys.extend(self.given.values().map(|(key, _)| key.clone()));
        Ok(keys)
    }

    async fn revoke_key(&self, id: &str, now: i64) -> Result<bool, StoreError> {
        self.store.revoke_key(id, now).await
    }

    async fn keep_jobs(&self, id: &str) -> Result<bool, StoreError> {
        self.store.keep_jobs(id).await
    }

    async fn record_key_use(&self, id: &str, now: i64) -> Result<(), StoreError> {
        if self.given.contains_key(id) { Ok(()) } else { self.store.record_key_use(id, now).await }
    }

    async fn images_charged(&self, id: &str, at: i64) -> Result<u64, StoreError> {
        self.store.images_charged(id, at).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_be_guessed_is_refused() {
        for good in [
            "b7c1e0f29d83a4651c7e9f0b2d4a6831",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "Zm9yIHRlc3RzIG9ubHk6IDQ3IGJ5dGVz8Jv2Kq",
            "sk-9qTzV2bLr7XnW4pYd8GkJ1sHc6FmA3eQ",
            "kd_0123456789abcdef_u5kR8m1Qv0yXb3ZtL9wNcE7aHdJ2fPgS4iTqVoBnM6k",
        ] {
            assert!(read_given(good).is_ok(), "{good}");
        }
        for bad in [
            "short",
            "changeme",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "change-me-change-me-change-me-change-me",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "passwordpasswordpasswordpassword",
            "11111111-1111-1111-1111-111111111111",
            "kd_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "kd_0123456789abcdef_short",
            "a line with blanks that would be long enough",
        ] {
            let said = read_given(bad).unwrap_err();
            assert!(!said.contains(bad), "{said}");
        }
    }

    #[test]
    fn a_file_has_a_key_a_line() {
        let text = "\u{feff}# ours\n\nb7c1e0f29d83a4651c7e9f0b2d4a6831\r\n  \
                    sk-9qTzV2bLr7XnW4pYd8GkJ1sHc6FmA3eQ  name=app scopes=metrics,inpainting\n";
        let keys = read_given_keys(text).unwrap();
        let scopes = |at: usize| keys[at].0.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>();
        assert_eq!((scopes(0), scopes(1)), (vec!["generate"], vec!["inpainting", "metrics"]));
        assert_eq!(keys[1].0.name, "app");
        let key = "b7c1e0f29d83a4651c7e9f0b2d4a6831";
        for (text, said) in [
            (format!("\n{key}x-secret more"), "line 2: after a key only"),
            (format!("{key} scopes=all"), "line 1: must be one of"),
            (format!("{key}\n{key}"), "line 2: this key is there twice"),
            ("hunter2".to_owned(), "line 1: a key must be"),
        ] {
            let error = read_given_keys(&text).unwrap_err();
            assert!(error.contains(said) && !error.contains("secret") && !error.contains("hunter2"), "{error}");
        }
    }
}
