//! Who may call: keys, how often each may ask, and addresses that need none.
//!
//! Invariants: a secret is compared in constant time and kept nowhere; what the command line changes is known here after
//! [`FRESH`] at the latest; a key that is refused costs the store at most one look-up.

mod address;
mod bucket;
mod secret;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use address::{AddressSigner, BadAddress};
pub use secret::NewSecret;

use crate::records::{ApiKey, KeyDigest};
use crate::store::{KeyStore, StoreError};
use bucket::Bucket;
use secret::Shown;

/// How long a key is believed to be as it was read.
pub const FRESH: Duration = Duration::from_secs(2);
/// How often its use is noted.
const NOTED_EVERY: Duration = Duration::from_mins(5);

/// Why a key does not open the door.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// It is none, or its secret is wrong: which, is not told.
    #[error("this is no key of this server")]
    Unknown,
    #[error("the key has been revoked")]
    Revoked,
    #[error("the key has expired")]
    Expired,
    #[error("the key has made its {rate} requests of this minute")]
    TooOften { rate: u32, retry_after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a server that wants keys needs.
pub struct Auth {
    pub keys: Keyring,
    pub addresses: AddressSigner,
}

/// The keys of the store, as far as they have been used here.
pub struct Keyring {
    store: Arc<dyn KeyStore>,
    /// By id. Holds no more than the store does.
    known: Mutex<HashMap<String, Known>>,
    fresh: Duration,
}

struct Known {
    key: Arc<ApiKey>,
    digest: KeyDigest,
    read_at: Instant,
    bucket: Bucket,
    noted_at: Option<Instant>,
}

impl Keyring {
    #[must_use]
    pub fn new(store: Arc<dyn KeyStore>) -> Self {
        Self::with_fresh(store, FRESH)
    }

    /// Like [`Keyring::new`], for those who cannot wait [`FRESH`].
    #[must_use]
    pub fn with_fresh(store: Arc<dyn KeyStore>, fresh: Duration) -> Self {
        Self { store, known: Mutex::default(), fresh }
    }

    /// The key of this text, if it may make a request now.
    pub async fn admit(&self, text: &str) -> Result<Arc<ApiKey>, Denied> {
        let shown = Shown::parse(text).ok_or(Denied::Unknown)?;
        let (key, digest) = self.find(shown.id).await?.ok_or(Denied::Unknown)?;
        if !shown.is_of(&digest) {
            return Err(Denied::Unknown);
        }
        // Only whoever has the secret hears more of the key.
        let now = Timestamp::now().as_millisecond();
        if key.revoked_at.is_some() {
            return Err(Denied::Revoked);
        }
        if !key.is_good(now) {
            return Err(Denied::Expired);
        }
        if self.take(&key)? {
            self.note_use(&key.id, now);
        }
        Ok(key)
    }

    /// Whether a key that was admitted still would be. What cannot be found out is taken to be as it was.
    pub async fn is_still_good(&self, id: &str) -> bool {
        match self.find(id).await {
            Ok(found) => found.is_some_and(|(key, _)| key.is_good(Timestamp::now().as_millisecond())),
            Err(_) => true,
        }
    }

    async fn find(&self, id: &str) -> Result<Option<(Arc<ApiKey>, KeyDigest)>, StoreError> {
        let fresh = |known: &Known| known.read_at.elapsed() < self.fresh;
        if let Some(known) = self.known().get(id).filter(|known| fresh(known)) {
            return Ok(Some((known.key.clone(), known.digest)));
        }
        let read_at = Instant::now();
        let Some((key, digest)) = self.store.find_key(id).await? else {
            self.known().remove(id);
            return Ok(None);
        };
        let key = Arc::new(key);
        let mut all = self.known();
        let old = all.get(id);
        let (bucket, noted_at) = old.map_or_else(Default::default, |old| (old.bucket, old.noted_at));
        all.insert(id.to_owned(), Known { key: key.clone(), digest, read_at, bucket, noted_at });
        Ok(Some((key, digest)))
    }

    /// Count a request; whether it is time to note that the key is used.
    fn take(&self, key: &ApiKey) -> Result<bool, Denied> {
        let now = Instant::now();
        let mut all = self.known();
        let Some(known) = all.get_mut(&key.id) else { return Ok(false) };
        if let Some(rate) = key.limits.rate {
            known.bucket.take(rate, now).map_err(|retry_after| Denied::TooOften { rate, retry_after })?;
        }
        let due = known.noted_at.is_none_or(|at| now - at >= NOTED_EVERY);
        if due {
            known.noted_at = Some(now);
        }
        Ok(due)
    }

    /// Nobody waits for it, and nothing depends on it.
    fn note_use(&self, id: &str, now: i64) {
        let (store, id) = (self.store.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = store.record_key_use(&id, now).await {
                tracing::warn!(key.id = id, %error, "the use of a key cannot be noted");
            }
        });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
