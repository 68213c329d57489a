//! Albums: Telegram sends each of their items as a message of its own, in any order, and does not say which is the last.
//!
//! Invariant: the time is counted from an item's arrival, not from what is done with it; an album is complete after a quiet second,
//! or after eight seconds in all. One item alone is never complete sooner: every album has two.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::types::Message;

const QUIET: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(8);

/// How often it is looked whether an album has been answered of which more items came meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// Albums that are not answered.
#[derive(Debug, Default)]
pub(super) struct Albums {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that are not complete.
    open: HashMap<String, Album>,
    /// Those that were complete, and are being answered.
    taken: HashSet<String>,
}

/// Items with the updates that they came in.
#[derive(Debug)]
pub(super) struct Album {
    pub items: Vec<(i64, Message)>,
    first: Instant,
    last: Instant,
}

impl Album {
    fn due(&self) -> Instant {
        let longest = self.first + LONGEST;
        if self.items.len() < 2 { longest } else { longest.min(self.last + QUIET) }
    }
}

impl Albums {
    /// Take an item in. True: it is the first of its album, and the caller has to wait for the rest.
    pub fn add(&self, group: &str, update: i64, message: Message) -> bool {
        self.add_at(group, update, message, Instant::now())
    }

    fn add_at(&self, group: &str, update: i64, message: Message, now: Instant) -> bool {
        let open = &mut self.state.lock().open;
        let is_first = !open.contains_key(group);
        let album = open.entry(group.to_owned()).or_insert(Album { items: Vec::new(), first: now, last: now });
        album.items.push((update, message));
        album.last = now;
        is_first
    }

    /// Wait until an album is complete, and take it out: its items in the order they were sent in. Items that come while others of
    /// the album are being answered are given when that is over, so that it can be seen that they are late.
    pub async fn complete(&self, group: &str) -> Vec<(i64, Message)> {
        loop {
            let due = match self.state.lock().open.get(group) {
                Some(album) => album.due(),
                None => return Vec::new(),
            };
            tokio::time::sleep_until(due).await;
            if let Some(items) = self.take(group, Instant::now()) {
                return items;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn take(&self, group: &str, now: Instant) -> Option<Vec<(i64, Message)>> {
        let mut state = self.state.lock();
        if state.taken.contains(group) || state.open.get(group)?.due() > now {
            return None;
        }
        let mut items = state.open.remove(group)?.items;
        state.taken.insert(group.to_owned());
        items.sort_by_key(|(_, message)| message.message_id);
        Some(items)
    }

    /// What was taken out is dealt with.
    pub fn settle(&self, group: &str) {
        self.state.lock().taken.remove(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second in which an album is complete whose items arrive in these seconds, and how many it has then.
    fn complete(arrivals: &[f64]) -> (f64, usize) {
        let (albums, start) = (Albums::default(), Instant::now());
        for (i, at) in arrivals.iter().enumerate() {
            let now = start + Duration::from_secs_f64(*at);
            let due = albums.state.lock().open.get("a").map(Album::due);
            if let Some(due) = due.filter(|due| *due <= now) {
                return ((due - start).as_secs_f64(), i);
            }
            albums.add_at("a", i64::try_from(i).unwrap(), Message::default(), now);
        }
        let due = albums.state.lock().open["a"].due();
        ((due - start).as_secs_f64(), arrivals.len())
    }

    #[test]
    fn albums_are_complete_after_a_quiet_second_or_after_eight_in_all() {
        assert_eq!(complete(&[0.0, 0.5]), (1.5, 2));
        // The second comes late: one alone is not an album.
        assert_eq!(complete(&[0.0, 3.0]), (4.0, 2));
        assert_eq!(complete(&[0.0]), (8.0, 1));
        // One that never becomes quiet.
        let steady: Vec<f64> = (0..20).map(|i| f64::from(i) * 0.75).collect();
        assert_eq!(complete(&steady), (8.0, 11));
    }
    #[test]
    fn items_that_come_while_the_others_are_answered_wait_for_that() {
        let (albums, start) = (Albums::default(), Instant::now());
        let later = start + Duration::from_mins(1);
        for update in [1, 2] {
            albums.add_at("a", update, Message::default(), start);
        }
        assert_eq!(albums.take("a", later).map(|items| items.len()), Some(2));
        assert!(albums.add_at("a", 3, Message::default(), start), "the first of those that are late");
        assert!(albums.take("a", later).is_none());
        albums.settle("a");
        assert_eq!(albums.take("a", later).map(|items| items.len()), Some(1));
    }
}
