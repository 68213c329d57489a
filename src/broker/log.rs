//! A log of events, and those who listen to it.
//!
//! Invariant: a listener hears what the log still has, in order, each event once.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::events::{JobEvent, NumberedEvent};

/// Most bytes of previews and of ended jobs that a log keeps; the newest event always stays.
const MOST_BYTES: usize = 1 << 20;

/// Events of one job, or of many.
#[derive(Debug)]
pub(super) struct EventLog {
    events: Mutex<VecDeque<Arc<NumberedEvent>>>,
    /// Wakes listeners at each event; true once the log is closed, which it then stays.
    is_closed: watch::Sender<bool>,
    /// Most events kept; the oldest are dropped.
    capacity: usize,
    /// Whether a job's end is the end of this log.
    is_one_job: bool,
}

impl EventLog {
    pub(super) fn new(capacity: usize, is_one_job: bool) -> Arc<Self> {
        Arc::new(Self { events: Mutex::default(), is_closed: watch::Sender::new(false), capacity, is_one_job })
    }

    /// Add an event, in place of those that it supersedes. Its number must be above those of all before it: listeners would not
    /// hear it.
    pub(super) fn push(&self, event: NumberedEvent) {
        {
            let mut events = self.events.lock();
            events.retain(|old| old.job != event.job || !old.event.is_superseded_by(&event.event));
            events.push_back(Arc::new(event));
            let mut bytes: usize = events.iter().map(|event| event.event.kept_bytes()).sum();
            while events.len() > self.capacity || (bytes > MOST_BYTES && events.len() > 1) {
                // Of a job's end nothing else tells.
                let is_end = |event: &Arc<NumberedEvent>| matches!(event.event, JobEvent::Ended { .. });
                let oldest = events.iter().take(events.len() - 1).position(|event| !is_end(event)).unwrap_or(0);
                bytes -= events.remove(oldest).map_or(0, |event| event.event.kept_bytes());
            }
        }
        self.is_closed.send_modify(|_| {});
    }

    /// Whether anything listens; asked of a log that no call is about to listen to.
    pub(super) fn has_listeners(&self) -> bool {
        self.is_closed.receiver_count() > 0
    }

    /// The number of the latest event; 0: there is none.
    pub(super) fn last_number(&self) -> u64 {
        self.events.lock().back().map_or(0, |event| event.number)
    }

    /// Whether anything is known of the job but that it waits.
    pub(super) fn has_begun(&self) -> bool {
        self.events.lock().iter().any(|event| !matches!(event.event, JobEvent::Queued { .. }))
    }

    /// End all listening, without an end of the job.
    pub(super) fn close(&self) {
        self.is_closed.send_replace(true);
    }
}

/// What was before a log began.
enum Past {
    /// The lock is never waited for: it lets the listener be shared.
    Asked(Mutex<BoxFuture<'static, Vec<Arc<NumberedEvent>>>>),
    /// What is left of it.
    Known(VecDeque<Arc<NumberedEvent>>),
}

impl std::fmt::Debug for Past {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Asked(_) => "Asked",
            Self::Known(_) => "Known",
        })
    }
}

/// A listener.
#[derive(Debug)]
pub struct Subscription {
    log: Arc<EventLog>,
    past: Past,
    changes: watch::Receiver<bool>,
    after: u64,
    has_ended: bool,
}

impl Subscription {
    /// Listen from the event after number `after` on.
    pub(super) fn new(log: Arc<EventLog>, after: u64) -> Self {
        let changes = log.is_closed.subscribe();
        Self { log, past: Past::Known(VecDeque::new()), changes, after, has_ended: false }
    }

    /// Hear these first, in the order of their numbers, and then what the log has after them.
    #[cfg_attr(not(feature = "fleet"), expect(dead_code, reason = "for brokers that reach other processes"))]
    pub(super) fn preceded_by(self, past: impl Future<Output = Vec<Arc<NumberedEvent>>> + Send + 'static) -> Self {
        Self { past: Past::Asked(Mutex::new(past.boxed())), ..self }
    }

    /// The next event of the past.
    async fn next_past(&mut self) -> Option<Arc<NumberedEvent>> {
        if let Past::Asked(asked) = &mut self.past {
            self.past = Past::Known(asked.get_mut().await.into());
        }
        let Past::Known(left) = &mut self.past else { return None };
        left.pop_front()
    }

    /// The next event. `None` after the end of the job that is listened to, or when its log was closed.
    pub async fn next(&mut self) -> Option<Arc<NumberedEvent>> {
        while let Some(event) = self.next_past().await {
            if event.number > self.after {
                self.after = event.number;
                return Some(event);
            }
        }
        loop {
            if self.has_ended && self.log.is_one_job {
                return None;
            }
            let is_closed = *self.changes.borrow_and_update();
            let found = self.log.events.lock().iter().find(|event| event.number > self.after).cloned();
            if let Some(event) = found {
                self.after = event.number;
                self.has_ended = matches!(event.event, JobEvent::Ended { .. });
                return Some(event);
            }
            if is_closed {
                return None;
            }
            self.changes.changed().await.ok()?;
        }
    }
}
