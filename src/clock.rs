//! The time of day, injected so that tests decide what time it is.
//!
//! Invariant: code that is given a [`Clock`] takes times of day from it alone. Durations are measured with monotonic
//! instants, not with this.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

/// Tells the time of day.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// ms since 1970.
    #[must_use]
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The operating system's clock, but for leaps: one is followed only after it has lasted for a minute. So what was set by
/// mistake, and set back, makes nothing expire.
#[derive(Debug, Default)]
pub struct SteadyClock(Mutex<Steady>);

/// Differences that are no leap: adjustments, and a process that had to wait.
const LEAP: Duration = Duration::from_secs(5);
/// How long a leap has to last.
const LASTING: Duration = Duration::from_mins(1);

/// The state of a [`SteadyClock`]. All times in µs; `now` is of a clock that never leaps.
#[derive(Debug, Default)]
struct Steady {
    /// A time of day, and when it was.
    anchor: Option<(i64, Instant)>,
    /// Since when the system's clock is off, and by how much.
    leap: Option<(Instant, i64)>,
}

impl Steady {
    fn read(&mut self, system: i64, now: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let Some((anchor, at)) = self.anchor else {
            self.anchor = Some((system, now));
            return system;
        };
        let expected = anchor.saturating_add(micros(now.duration_since(at)));
        let off = system.saturating_sub(expected);
        let is_near = |a: i64, b: i64| a.abs_diff(b) < LEAP.as_micros().try_into().unwrap_or(u64::MAX);
        if is_near(off, 0) {
            self.leap = None;
            self.anchor = Some((system, now));
            return system;
        }
        match self.leap {
            Some((since, by)) if is_near(off, by) => {
                if now.duration_since(since) >= LASTING {
                    *self = Self { anchor: Some((system, now)), leap: None };
                    return system;
                }
            }
            _ => self.leap = Some((now, off)),
        }
        expected
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let system = Timestamp::now();
        let read = self.0.lock().read(system.as_microsecond(), Instant::now());
        Timestamp::from_microsecond(read).unwrap_or(system)
    }
}

/// The clock of another machine, as it was last told, and counted on from there: what several processes compare, each reads
/// from one clock, whatever its own machine's says.
#[derive(Debug)]
pub struct SyncedClock(Mutex<(i64, Instant)>);

impl SyncedClock {
    /// It was `now_us` (µs since 1970) at `at`.
    #[must_use]
    pub fn new(now_us: i64, at: Instant) -> Self {
        Self(Mutex::new((now_us, at)))
    }

    /// It was `now_us` (µs since 1970) at `at`.
    pub fn set(&self, now_us: i64, at: Instant) {
        *self.0.lock() = (now_us, at);
    }
}

impl Clock for SyncedClock {
    fn now(&self) -> Timestamp {
        let (then, at) = *self.0.lock();
        let passed = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(then.saturating_add(passed)).unwrap_or(Timestamp::MAX)
    }
}

/// A clock that a test sets: it starts at the system's time and stands still until it is advanced.
#[derive(Debug)]
pub struct ManualClock {
    /// µs since 1970.
    now: AtomicI64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { now: AtomicI64::new(Timestamp::now().as_microsecond()) }
    }
}

impl ManualClock {
    /// Let this much time pass.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.now.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_is_followed_once_it_has_lasted() {
        const S: i64 = 1_000_000;
        let start = Instant::now();
        let at = |s: i64| start + Duration::from_secs(s.unsigned_abs());
        let mut clock = Steady::default();
        let mut read = |s: i64, off: i64| clock.read((1000 + s + off) * S, at(s)) / S - 1000;
        assert_eq!([read(0, 0), read(10, 0), read(20, 1)], [0, 10, 21], "what is no leap is followed");
        // Two days ahead for six seconds, and a year back.
        assert_eq!([read(30, 172_801), read(36, 172_801), read(37, 1)], [31, 37, 38]);
        assert_eq!([read(40, -31_536_000), read(90, -31_536_000), read(91, 1)], [41, 91, 92]);
        // One that lasts.
        assert_eq!([read(100, 3601), read(159, 3601), read(161, 3601)], [101, 160, 161 + 3601]);
        // Two leaps, neither of which lasts long enough.
        assert_eq!([read(170, 9999), read(220, 99_999), read(260, 99_999)], [3771, 3821, 3861]);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let start = clock.now_ms();
        assert_eq!(clock.now_ms(), start);
        clock.advance(Duration::from_mins(1));
        assert_eq!(clock.now_ms(), start + 60_000);
    }
}
