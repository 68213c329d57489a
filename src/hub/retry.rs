//! When to try again, and when to stop.
//!
//! Invariant: only failures that can pass by themselves are retried, and at most `attempts` tries are made in a row
//! without progress.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::HubError;

/// How patient the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries without progress before giving up.
    pub attempts: u32,
    /// Pause before the second try; each further pause is twice as long.
    pub base: Duration,
    /// Longest pause of our own choice.
    pub longest: Duration,
    /// Longest pause that a server may ask for. The hub's rate limits count in windows of five minutes.
    pub patience: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            patience: Duration::from_secs(330),
        }
    }
}

/// One try's failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// Trying again will not help.
    Final(HubError),
    /// It may pass; `wait` is what the server asked for.
    Passing { error: HubError, wait: Option<Duration> },
}

impl Failure {
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

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// Counts the tries of one task.
#[derive(Debug)]
pub(super) struct Backoff<'a> {
    retry: &'a Retry,
    what: &'a str,
    failed: u32,
}

impl<'a> Backoff<'a> {
    pub(super) fn new(retry: &'a Retry, what: &'a str) -> Self {
        Self { retry, what, failed: 0 }
    }

    /// Something was achieved: count from the beginning.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Sleeps until the next try, or gives the error up to the caller.
    pub(super) async fn pause(&mut self, failure: Failure) -> Result<(), HubError> {
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

    fn next(&mut self, failure: Failure) -> Result<(HubError, Duration), HubError> {
        let (error, wait) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { error, wait } => (error, wait),
        };
        self.failed += 1;
        if self.failed >= self.retry.attempts {
            return Err(error);
        }
        match wait {
            Some(wait) if wait > self.retry.patience => Err(HubError::RateLimited { what: self.what.to_owned(), wait }),
            Some(wait) => Ok((error, wait)),
            None => {
                let doubled = self.retry.base.saturating_mul(2_u32.saturating_pow(self.failed - 1));
                Ok((error, doubled.min(self.retry.longest)))
            }
        }
    }
}

/// The pause a server asks for: `Retry-After` in seconds or as a date, or the `t` of the hub's
/// `RateLimit: "api";r=0;t=55`.
pub(super) fn requested_pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if let Some(value) = headers.get(RETRY_AFTER) {
        let text = value.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        return Some(date.duration_since(now).unwrap_or_default());
    }
    let limit = headers.get("ratelimit")?.to_str().ok()?;
    let field = |name: &str| limit.split(';').find_map(|part| part.trim().strip_prefix(name)?.parse::<u64>().ok());
    (field("r=")? == 0).then(|| field("t=").map(Duration::from_secs)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        attempts: 4,
        base: Duration::from_secs(1),
        longest: Duration::from_secs(3),
        patience: Duration::from_secs(90),
    };

    fn failure(wait: Option<u64>) -> Failure {
        let error = HubError::Answer { what: "x".to_owned(), reason: "503".to_owned() };
        Failure::Passing { error, wait: wait.map(Duration::from_secs) }
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
    fn the_servers_wish_counts_unless_it_asks_too_much() {
        let mut backoff = Backoff::new(&RETRY, "x");
        assert_eq!(backoff.next(failure(Some(17))).unwrap().1.as_secs(), 17);
        assert!(
            matches!(backoff.next(failure(Some(999))), Err(HubError::RateLimited { wait, .. }) if wait.as_secs() == 999)
        );
    }

    #[test]
    fn all_three_ways_to_ask_for_a_pause_are_understood() {
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
