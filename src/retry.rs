//! When something that failed is tried again, and how long a server asks its callers to wait.
//!
//! Invariant: pauses double from the first to the longest and stay there; whether an error may pass at all is the
//! caller's to say (`when` of [`backon::Retryable`]).

mod breaker;

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

pub use self::breaker::{Breaker, BreakerPolicy};

/// How often, and after which pauses, a failed attempt is repeated.
///
/// ```
/// use std::time::Duration;
///
/// use backon::Retryable as _;
/// use kandinsky::retry::RetryPolicy;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let policy = RetryPolicy::doubling(Duration::from_millis(1), Duration::from_millis(4)).at_most(3);
/// let mut attempts = 0;
/// let flaky = || {
///     attempts += 1;
///     std::future::ready(if attempts < 3 { Err("busy") } else { Ok(attempts) })
/// };
/// assert_eq!(flaky.retry(policy.backoff()).when(|error| *error == "busy").await, Ok(3));
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; `None`: as many as it takes.
    pub max_attempts: Option<u32>,
    /// Pause before the second attempt.
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// Pauses that double from `first` to `longest`; as many attempts as it takes.
    #[must_use]
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self { max_attempts: None, first_pause: first, longest_pause: longest }
    }

    /// The same pause each time; as many attempts as it takes.
    #[must_use]
    pub const fn constant(pause: Duration) -> Self {
        Self::doubling(pause, pause)
    }

    /// Give up after this many attempts in all.
    #[must_use]
    pub const fn at_most(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// For [`backon::Retryable::retry`].
    #[must_use]
    pub fn backoff(&self) -> ExponentialBuilder {
        let backoff = ExponentialBuilder::new().with_min_delay(self.first_pause).with_max_delay(self.longest_pause);
        match self.max_attempts {
            Some(attempts) => backoff.with_max_times(attempts.saturating_sub(1) as usize),
            None => backoff.without_max_times(),
        }
    }

    /// The pause after attempt number `attempts` (from 1) failed; `None`: it was the last one. For attempts that are
    /// counted elsewhere, such as in the store.
    #[must_use]
    pub fn pause_after(&self, attempts: u32) -> Option<Duration> {
        self.backoff().build().nth(attempts.saturating_sub(1) as usize)
    }
}

/// A pause for [`backon::Retry::sleep`] that ends early once `token` is canceled.
pub fn until_canceled(token: &CancellationToken) -> impl Fn(Duration) -> PauseFuture + use<> {
    let token = token.clone();
    move |pause| -> PauseFuture {
        let token = token.clone();
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = token.cancelled() => {}
            }
        })
    }
}

/// What [`until_canceled`] gives.
pub type PauseFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The value of a `Retry-After` header, in seconds or as a date (RFC 9110, 10.2.3), as a pause from `now` on. `None` if it
/// is neither.
#[must_use]
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_last_attempt() {
        let policy = RetryPolicy::doubling(Duration::from_secs(5), Duration::from_hours(1));
        let pauses: Vec<u64> = (1..=12).map(|n| policy.pause_after(n).unwrap().as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        let bounded = policy.at_most(3);
        assert_eq!([1, 2, 3, 4].map(|n| bounded.pause_after(n).is_some()), [true, true, false, false]);
        let constant = RetryPolicy::constant(Duration::from_millis(200));
        assert_eq!(constant.pause_after(500), Some(Duration::from_millis(200)));
    }

    #[tokio::test]
    async fn a_canceled_pause_ends_early() {
        let token = CancellationToken::new();
        token.cancel();
        let start = std::time::Instant::now();
        until_canceled(&token)(Duration::from_hours(1)).await;
        assert!(start.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn both_forms_of_retry_after_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ask = |value: &str| parse_retry_after(value, now).map(|pause| pause.as_secs());
        assert_eq!(ask(" 120 "), Some(120));
        assert_eq!(ask(&httpdate::fmt_http_date(now + Duration::from_secs(9))), Some(9));
        assert_eq!(ask(&httpdate::fmt_http_date(now - Duration::from_secs(9))), Some(0));
        assert_eq!(ask("soon"), None);
    }
}
