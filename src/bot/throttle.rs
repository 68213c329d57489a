//! When the next call may be made: Telegram lets a bot send about one message a second to a chat, twenty a minute to a group,
//! and thirty a second in all.
//!
//! Invariant: over any time, a chat gets no more than its rate and a short burst; after a 429 it gets nothing until the time
//! that Telegram named.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How fast something may go: a bucket as a time (generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
struct Rate {
    interval: Duration,
    /// How far ahead of the rate a burst may get.
    burst: Duration,
}

const PRIVATE: Rate = Rate { interval: Duration::from_secs(1), burst: Duration::from_secs(2) };
/// 1 + (60 s + 12 s) / 4 s = 19 a minute at the most.
const GROUP: Rate = Rate { interval: Duration::from_secs(4), burst: Duration::from_secs(12) };
const ALL: Rate = Rate { interval: Duration::from_millis(40), burst: Duration::from_millis(400) };
/// Chats that are remembered before idle ones are forgotten.
const REMEMBERED: usize = 10_000;

/// When each chat, and all together, have used up what they may.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    turns: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    chats: HashMap<i64, Turn>,
    all: Turn,
}

#[derive(Debug, Default, Clone, Copy)]
struct Turn {
    /// When all that was sent is paid for.
    paid: Option<Instant>,
    /// Until when Telegram wants nothing.
    closed: Option<Instant>,
}

impl Turn {
    /// When a call may be made.
    fn ready(&self, rate: Rate, now: Instant) -> Instant {
        let paid = self.paid.and_then(|paid| paid.checked_sub(rate.burst)).unwrap_or(now);
        paid.max(self.closed.unwrap_or(now)).max(now)
    }

    fn charge(&mut self, rate: Rate, now: Instant, cost: u32) {
        self.paid = Some(self.paid.unwrap_or(now).max(now) + rate.interval * cost);
    }
}

/// Groups have negative ids.
fn rate_of(chat: i64) -> Rate {
    if chat < 0 { GROUP } else { PRIVATE }
}

impl Throttle {
    /// Wait for a turn of a chat, and take it. `cost` is the number of messages.
    pub async fn turn(&self, chat: Option<i64>, cost: u32) {
        while let Err(ready) = self.take(chat, cost, Instant::now()) {
            tokio::time::sleep_until(ready).await;
        }
    }

    /// Take a turn if there is one now.
    pub fn try_turn(&self, chat: Option<i64>) -> bool {
        self.take(chat, 1, Instant::now()).is_ok()
    }

    fn take(&self, chat: Option<i64>, cost: u32, now: Instant) -> Result<(), Instant> {
        let mut turns = self.turns.lock();
        let mut ready = turns.all.ready(ALL, now);
        if let Some(chat) = chat {
            ready = ready.max(turns.chats.entry(chat).or_default().ready(rate_of(chat), now));
        }
        if ready > now {
            return Err(ready);
        }
        turns.all.charge(ALL, now, cost);
        if let Some(chat) = chat {
            turns.chats.entry(chat).or_default().charge(rate_of(chat), now, cost);
            if turns.chats.len() > REMEMBERED {
                turns.chats.retain(|_, turn| turn.ready(PRIVATE, now) > now || turn.paid > Some(now));
            }
        }
        Ok(())
    }

    /// Telegram wants nothing for this chat for a while.
    pub fn close(&self, chat: i64, pause: Duration) {
        let mut turns = self.turns.lock();
        let turn = turns.chats.entry(chat).or_default();
        turn.closed = turn.closed.max(Some(Instant::now() + pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a call every `step` are let through within `span`.
    fn sent(chat: i64, step: Duration, span: Duration) -> Vec<Duration> {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let count = u32::try_from(span.as_millis() / step.as_millis()).unwrap();
        let times = (0..count).map(|i| step * i);
        times.filter(|at| throttle.take(Some(chat), 1, start + *at).is_ok()).collect()
    }

    #[test]
    fn a_group_gets_at_most_twenty_messages_in_any_minute() {
        let times = sent(-5, Duration::from_millis(500), Duration::from_mins(10));
        for (i, first) in times.iter().enumerate() {
            let within = times[i..].iter().take_while(|at| **at < *first + Duration::from_mins(1)).count();
            assert!(within <= 20, "{within} from {first:?}");
        }
        // And is not kept waiting for no reason.
        assert!(times.len() >= 140, "{}", times.len());
    }

    #[test]
    fn a_private_chat_gets_a_message_a_second_after_a_short_burst() {
        let times = sent(5, Duration::from_millis(100), Duration::from_mins(1));
        assert!((58..=64).contains(&times.len()), "{}", times.len());
    }

    #[test]
    fn a_chat_that_was_told_to_wait_waits_and_others_do_not() {
        let throttle = Throttle::default();
        throttle.close(5, Duration::from_secs(30));
        assert!(!throttle.try_turn(Some(5)));
        assert!(throttle.try_turn(Some(6)));
        assert!(throttle.take(Some(5), 1, Instant::now() + Duration::from_secs(31)).is_ok());
    }
}
