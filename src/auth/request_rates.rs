//! The requests of keys, against their rates: counted in the database where several processes share it, else in this process.
//!
//! Invariant: as long as the database answers, a request is made only after it was counted there, so that no number of processes
//! exceeds a rate. Requests of a key that come while the database is asked for it are asked for together, and those that come before
//! the time that it named are refused without asking: there is one statement at a time for a key, however many requests come.
//!
//! While the database does not answer, each process counts by itself: requests that need the database fail anyway, and those
//! that do not are no reason to refuse a client for an outage.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::token_bucket::TokenBucket;
use crate::store::{RequestCounter, StoreError};

/// How long the database may take; far longer than it does.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it is not asked after it has not answered.
const PAUSE: Duration = Duration::from_secs(2);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct RequestRates(Arc<Inner>);

struct Inner {
    counter: Arc<dyn RequestCounter>,
    /// By id: keys that have a rate, as far as they were used here.
    keys: Mutex<HashMap<String, KeyRequests>>,
    /// Until then, the database is not asked.
    paused_until: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct KeyRequests {
    rate: u32,
    /// What was counted by this process, or granted to it.
    bucket: TokenBucket,
    /// Before this, the database grants nothing.
    refused_until: Option<Instant>,
    /// Requests that the database is asked for next.
    waiting: Vec<oneshot::Sender<Result<(), Duration>>>,
    /// Requests that were made already, for it to count.
    owed: u32,
    is_asking: bool,
}

impl RequestRates {
    pub(super) fn new(counter: Arc<dyn RequestCounter>) -> Self {
        Self(Arc::new(Inner { counter, keys: Mutex::default(), paused_until: Mutex::default() }))
    }

    /// Count a request of a key that may make `rate` a minute. Fails with the time until it may make one.
    pub(super) async fn take(&self, id: &str, rate: u32) -> Result<(), Duration> {
        let answer = {
            let mut keys = self.0.keys.lock();
            let (key, now) = (key_of(&mut keys, id, rate), Instant::now());
            if !self.asks_database(now) {
                return key.bucket.take(rate, now);
            }
            if let Some(wait) = key.refused_until.map(|until| until.saturating_duration_since(now))
                && !wait.is_zero()
            {
                return Err(wait);
            }
            let (asker, answer) = oneshot::channel();
            key.waiting.push(asker);
            self.start_asking(id, key);
            answer
        };
        // It is not dropped unless the process ends.
        answer.await.unwrap_or(Err(PAUSE))
    }

    /// Count `more` requests that were made, whether the rate allows them or not.
    pub(super) fn charge(&self, id: &str, rate: u32, more: u32) {
        let mut keys = self.0.keys.lock();
        let (key, now) = (key_of(&mut keys, id, rate), Instant::now());
        if self.asks_database(now) {
            key.owed = key.owed.saturating_add(more);
            self.start_asking(id, key);
        } else {
            key.bucket.charge(more, rate, now);
        }
    }

    fn asks_database(&self, now: Instant) -> bool {
        self.0.counter.counts_requests() && self.0.paused_until.lock().is_none_or(|until| until <= now)
    }

    fn start_asking(&self, id: &str, key: &mut KeyRequests) {
        if std::mem::replace(&mut key.is_asking, true) {
            return;
        }
        let (rates, id) = (self.clone(), id.to_owned());
        // Of its own: a client that hangs up takes nothing from the others that wait.
        tokio::spawn(async move { while rates.ask(&id).await {} });
    }

    /// Ask the database for all that wait. False: none did.
    async fn ask(&self, id: &str) -> bool {
        let (rate, waiting, owed) = {
            let mut keys = self.0.keys.lock();
            let Some(key) = keys.get_mut(id) else { return false };
            key.waiting.retain(|asker| !asker.is_closed());
            if key.waiting.is_empty() && key.owed == 0 {
                key.is_asking = false;
                return false;
            }
            (key.rate, std::mem::take(&mut key.waiting), std::mem::take(&mut key.owed))
        };
        let wanted = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let asked = tokio::time::timeout(PATIENCE, self.0.counter.take_requests(id, rate, wanted, owed));
        let granted = asked.await.unwrap_or_else(|_| Err(StoreError::Unavailable("it does not answer".to_owned())));
        let mut keys = self.0.keys.lock();
        let (key, now) = (key_of(&mut keys, id, rate), Instant::now());
        match granted {
            Ok(grant) => {
                key.bucket.charge(grant.granted.saturating_add(owed), rate, now);
                if grant.granted < wanted {
                    key.refused_until = Some(now + grant.retry_after);
                }
                let mut left = grant.granted;
                for asker in waiting {
                    let answer = if left > 0 { Ok(()) } else { Err(grant.retry_after) };
                    left = left.saturating_sub(1);
                    let _ = asker.send(answer);
                }
            }
            Err(error) => {
                tracing::warn!(key.id = id, %error, "the database does not count requests; this process does so by itself");
                *self.0.paused_until.lock() = Some(now + PAUSE);
                key.bucket.charge(owed, rate, now);
                for asker in waiting {
                    let _ = asker.send(key.bucket.take(rate, now));
                }
            }
        }
        true
    }
}

fn key_of<'a>(keys: &'a mut HashMap<String, KeyRequests>, id: &str, rate: u32) -> &'a mut KeyRequests {
    let key = keys.entry(id.to_owned()).or_default();
    if key.rate != rate {
        // What was said was of another rate.
        key.refused_until = None;
        key.rate = rate;
    }
    key
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::store::RequestGrant;

    const WAIT: Duration = Duration::from_secs(20);

    /// Stands for the database: has so many requests left, and answers as often as it is let.
    struct Database {
        left: Mutex<u32>,
        /// `None`: it does not answer.
        answers: Option<Semaphore>,
        asked: Mutex<Vec<(u32, u32)>>,
    }

    #[async_trait]
    impl RequestCounter for Database {
        fn counts_requests(&self) -> bool {
            true
        }

        async fn take_requests(&self, _: &str, _: u32, wanted: u32, owed: u32) -> Result<RequestGrant, StoreError> {
            self.asked.lock().push((wanted, owed));
            let Some(answers) = &self.answers else { return Err(StoreError::Unavailable(String::new())) };
            answers.acquire().await.unwrap().forget();
            let mut left = self.left.lock();
            *left = left.saturating_sub(owed);
            let granted = wanted.min(*left);
            *left -= granted;
            Ok(RequestGrant { granted, retry_after: WAIT })
        }
    }

    fn database(left: u32, answers: Option<usize>) -> (Arc<Database>, RequestRates) {
        let answers = answers.map(Semaphore::new);
        let database = Arc::new(Database { left: Mutex::new(left), answers, asked: Mutex::default() });
        let rates = RequestRates::new(database.clone());
        (database, rates)
    }

    #[tokio::test]
    async fn requests_that_come_together_are_asked_for_together() {
        let (database, rates) = database(4, Some(0));
        let take = || {
            let rates = rates.clone();
            tokio::spawn(async move { rates.take("k", 3).await })
        };
        let mut taken = vec![take()];
        while database.asked.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        taken.extend((0..7).map(|_| take()));
        let abandoned = take();
        while rates.0.keys.lock()["k"].waiting.len() < 8 {
            tokio::task::yield_now().await;
        }
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        rates.charge("k", 3, 1);
        database.answers.as_ref().unwrap().add_permits(2);
        let mut granted = 0;
        for request in taken {
            match request.await.unwrap() {
                Ok(()) => granted += 1,
                Err(wait) => assert_eq!(wait, WAIT),
            }
        }
        assert_eq!((granted, &*database.asked.lock()), (3, &vec![(1, 0), (7, 1)]));
        // The database said when there is one.
        assert!(rates.take("k", 3).await.is_err_and(|wait| wait <= WAIT));
        assert_eq!(database.asked.lock().len(), 2);
    }

    #[tokio::test]
    async fn while_the_database_does_not_answer_a_process_counts_by_itself() {
        let (database, rates) = database(9, None);
        for expected in [true, true, true, false] {
            assert_eq!(rates.take("k", 3).await.is_ok(), expected);
        }
        assert_eq!(database.asked.lock().len(), 1, "it is not asked each time");
    }
}
