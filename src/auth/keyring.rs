//! The keys of the store, cached for a moment.
//!
//! Invariant: what a key has used of its rate outlives the cached key, so reading a key again does not refill its bucket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::error::KeyError;
use super::request_rates::RequestRates;
use super::secret::PresentedKey;
use crate::records::{ApiKey, KeyDigest};
use crate::store::{KeyStore, StoreError};

/// How long a key is used as it was read.
pub const CACHE_LIFETIME: Duration = Duration::from_secs(2);
/// How often the last use of a key is recorded.
const USE_INTERVAL: Duration = Duration::from_mins(5);

/// The keys of the store, as far as they have been used here.
pub struct Keyring {
    store: Arc<dyn KeyStore>,
    /// By id. Holds no more keys than the store does.
    cached: Mutex<HashMap<String, CachedKey>>,
    lifetime: Duration,
    rates: RequestRates,
}

struct CachedKey {
    key: Arc<ApiKey>,
    digest: KeyDigest,
    read_at: Instant,
    use_recorded_at: Option<Instant>,
}

impl Keyring {
    #[must_use]
    pub fn new(store: Arc<dyn KeyStore>) -> Self {
        Self::with_cache_lifetime(store, CACHE_LIFETIME)
    }

    /// [`Keyring::new`] with a custom cache lifetime, for tests.
    #[must_use]
    pub fn with_cache_lifetime(store: Arc<dyn KeyStore>, lifetime: Duration) -> Self {
        let rates = RequestRates::new(store.clone());
        Self { store, cached: Mutex::default(), lifetime, rates }
    }

    /// The public id of a text that has the form of a key; it may exist or not.
    #[must_use]
    pub fn id_of(text: &str) -> Option<String> {
        PresentedKey::parse(text).map(|presented| presented.id.into_owned())
    }

    /// The key of this text, if it is valid and within its rate.
    pub async fn authenticate(&self, text: &str) -> Result<Arc<ApiKey>, KeyError> {
        let presented = PresentedKey::parse(text).ok_or(KeyError::Invalid)?;
        let (key, digest) = self.find_key(&presented.id).await?.ok_or(KeyError::Invalid)?;
        if !presented.matches(&digest) {
            return Err(KeyError::Invalid);
        }
        // The state of a key is shown to the holders of its secret alone.
        let now = Timestamp::now().as_millisecond();
        if key.revoked_at.is_some() {
            return Err(KeyError::Revoked);
        }
        if !key.is_good(now) {
            return Err(KeyError::Expired);
        }
        if let Some(rate) = key.limits.rate {
            let taken = self.rates.take(&key.id, rate).await;
            taken.map_err(|retry_after| KeyError::RateLimited { rate, retry_after })?;
        }
        if self.is_use_due(&key.id) {
            self.record_use(&key.id, now);
        }
        Ok(key)
    }

    /// Whether a key that was authenticated is still valid. If the store fails, it is.
    pub async fn is_still_valid(&self, id: &str) -> bool {
        match self.find_key(id).await {
            Ok(found) => found.is_some_and(|(key, _)| key.is_good(Timestamp::now().as_millisecond())),
            Err(_) => true,
        }
    }

    async fn find_key(&self, id: &str) -> Result<Option<(Arc<ApiKey>, KeyDigest)>, StoreError> {
        if let Some(cached) = self.cached.lock().get(id).filter(|cached| cached.read_at.elapsed() < self.lifetime) {
            return Ok(Some((cached.key.clone(), cached.digest)));
        }
        let read_at = Instant::now();
        let Some((key, digest)) = self.store.find_key(id).await? else {
            self.cached.lock().remove(id);
            return Ok(None);
        };
        let key = Arc::new(key);
        let mut all = self.cached.lock();
        let old = all.get(id);
        let use_recorded_at = old.and_then(|old| old.use_recorded_at);
        all.insert(id.to_owned(), CachedKey { key: key.clone(), digest, read_at, use_recorded_at });
        Ok(Some((key, digest)))
    }

    /// Count `more` requests against the rate of a key that was authenticated.
    pub fn charge(&self, key: &ApiKey, more: u32) {
        if let Some(rate) = key.limits.rate {
            self.rates.charge(&key.id, rate, more);
        }
    }

    /// Whether the use of a key is to be recorded, told once.
    fn is_use_due(&self, id: &str) -> bool {
        let now = Instant::now();
        let mut all = self.cached.lock();
        let Some(cached) = all.get_mut(id) else { return false };
        let is_due = cached.use_recorded_at.is_none_or(|at| now - at >= USE_INTERVAL);
        if is_due {
            cached.use_recorded_at = Some(now);
        }
        is_due
    }

    /// In the background: no request waits for it.
    fn record_use(&self, id: &str, now: i64) {
        let (store, id) = (self.store.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = store.record_key_use(&id, now).await {
                tracing::warn!(key.id = id, %error, "the use of a key cannot be recorded");
            }
        });
    }
}
