//! When a failed download is tried again, and when it is given up.
//!
//! Invariant: only failures that can pass by themselves are retried, and progress starts the count of attempts anew.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::HubError;
use crate::retry::{RetryPolicy, parse_retry_after};

/// How failures that may pass are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubRetry {
    /// Attempts without progress, and the pauses between them.
    pub policy: RetryPolicy,
    /// Longest pause that a server may ask for. The hub's rate limits count in windows of five minutes.
    pub patience: Duration,
}

impl Default for HubRetry {
    fn default() -> Self {
        Self {
            policy: RetryPolicy::doubling(Duration::from_millis(500), Duration::from_secs(30)).at_most(6),
            patience: Duration::from_secs(330),
        }
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// Another attempt would fail, too.
    Final(HubError),
    /// It may pass; `wait` is what the server asked for.
    Passing { error: HubError, wait: Option<Duration> },
}

impl AttemptError {
    pub(super) fn passing(error: HubError) -> Self {
        Self::Passing { error, wait: None }
    }

    /// A network error, without the URL it happened at.
    pub(super) fn network(what: &str, error: reqwest::Error) -> Self {
        let wrong_request = error.is_builder();
        let error = HubError::Network { what: what.to_owned(), source: error.without_url() };
        if wrong_request { Self::Final(error) } else { Self::passing(error) }
    }
}

impl From<HubError> for AttemptError {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// Counts the attempts at one download.
#[derive(Debug)]
pub(super) struct Backoff<'a> {
    retry: &'a HubRetry,
    what: &'a str,
    failed: u32,
}

impl<'a> Backoff<'a> {
    pub(super) fn new(retry: &'a HubRetry, what: &'a str) -> Self {
        Self { retry, what, failed: 0 }
    }

    /// Bytes have arrived: count from the beginning.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Sleeps until the next attempt, or returns the error after the last one.
    pub(super) async fn pause(&mut self, failure: AttemptError) -> Result<(), HubError> {
        let (error, pause) = self.next(failure)?;
        tracing::warn!(
            hub.what = self.what,
            hub.attempt = self.failed,
            retry.pause_ms = pause.as_millis(),
            error = &error as &dyn std::error::Error,
            "download failed, trying again"
        );
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn next(&mut self, failure: AttemptError) -> Result<(HubError, Duration), HubError> {
        let (error, wait) = match failure {
            AttemptError::Final(error) => return Err(error),
            AttemptError::Passing { error, wait } => (error, wait),
        };
        self.failed += 1;
        let Some(pause) = self.retry.policy.pause_after(self.failed) else { return Err(error) };
        match wait {
            Some(wait) if wait > self.retry.patience => Err(HubError::RateLimited { what: self.what.to_owned(), wait }),
            wait => Ok((error, wait.unwrap_or(pause))),
        }
    }
}

/// The pause a server asks for: `Retry-After` in seconds or as a date, or the `t` of the hub's
/// `RateLimit: "api";r=0;t=55`.
pub(super) fn requested_pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if let Some(value) = headers.get(RETRY_AFTER) {
        return parse_retry_after(value.to_str().ok()?, now);
    }
    let limit = headers.get("ratelimit")?.to_str().ok()?;
    let field = |name: &str| limit.split(';').find_map(|part| part.trim().strip_prefix(name)?.parse::<u64>().ok());
    (field("r=")? == 0).then(|| field("t=").map(Duration::from_secs)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: HubRetry = HubRetry {
        policy: RetryPolicy::doubling(Duration::from_secs(1), Duration::from_secs(3)).at_most(4),
        patience: Duration::from_secs(90),
    };

    fn failure(wait: Option<u64>) -> AttemptError {
        let error = HubError::Answer { what: "x".to_owned(), reason: "503".to_owned() };
        AttemptError::Passing { error, wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_then_end() {
        let mut backoff = Backoff::new(&RETRY, "x");
        let pauses: Vec<_> = (0..3).map(|_| backoff.next(failure(None)).unwrap().1.as_secs()).collect();
        assert_eq!(pauses, [1, 2, 3]);
        assert!(matches!(backoff.next(failure(None)), Err(HubError::Answer { .. })));
        backoff.progressed();
        assert_eq!(backoff.next(failure(None)).unwrap().1.as_secs(), 1);
    }

    #[test]
    fn a_pause_that_the_server_asks_for_counts_up_to_a_limit() {
        let mut backoff = Backoff::new(&RETRY, "x");
        assert_eq!(backoff.next(failure(Some(17))).unwrap().1.as_secs(), 17);
        assert!(
            matches!(backoff.next(failure(Some(999))), Err(HubError::RateLimited { wait, .. }) if wait.as_secs() == 999)
        );
    }

    #[test]
    fn all_three_forms_of_a_requested_pause_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let asked = |name: &'static str, value: String| {
            let headers =
                HeaderMap::from_iter([(reqwest::header::HeaderName::from_static(name), value.parse().unwrap())]);
            requested_pause(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(asked("retry-after", "120".to_owned()), Some(120));
        assert_eq!(asked("retry-after", httpdate::fmt_http_date(now + Duration::from_secs(9))), Some(9));
        assert_eq!(asked("retry-after", httpdate::fmt_http_date(now - Duration::from_secs(9))), Some(0));
        assert_eq!(asked("retry-after", "soon".to_owned()), None);
        assert_eq!(asked("ratelimit", "\"api\";r=0;t=55".to_owned()), Some(55));
        assert_eq!(asked("ratelimit", "\"api\";r=12;t=55".to_owned()), None);
    }
}
