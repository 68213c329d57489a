//! How many messages Telegram takes ("My bot is hitting limits, how do I avoid this?" in the FAQ of bots).
//!
//! Invariant: about one a second to a private chat after a short burst, twenty a minute to a group, thirty a second in all.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Messages to one chat beyond one a second.
const BURST: usize = 5;
const GROUP_MINUTE: usize = 20;
const ALL_SECOND: usize = 30;

/// When messages were sent.
#[derive(Debug, Default)]
pub struct Limits {
    chats: HashMap<i64, Vec<Instant>>,
    all: Vec<Instant>,
}

impl Limits {
    /// Count messages to a chat; the seconds to wait if they are too many.
    pub fn count(&mut self, chat: i64, messages: usize) -> Result<(), u64> {
        let now = Instant::now();
        let within = |times: &[Instant], window: u64| {
            times.iter().filter(|time| now.duration_since(**time) < Duration::from_secs(window)).count()
        };
        let times = self.chats.entry(chat).or_default();
        // An album is counted, and is not what exceeds a limit by itself.
        if chat < 0 && within(times, 60) >= GROUP_MINUTE {
            return Err(20);
        }
        for window in [10_u64, 30] {
            if chat > 0 && within(times, window) >= BURST + usize::try_from(window).unwrap() {
                return Err(5);
            }
        }
        if within(&self.all, 1) >= ALL_SECOND {
            return Err(1);
        }
        times.extend(std::iter::repeat_n(now, messages));
        self.all.extend(std::iter::repeat_n(now, messages));
        Ok(())
    }
}
