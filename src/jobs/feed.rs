//! What happens to jobs, told to whoever listens: one log a job, one an owner, and one of all.
//!
//! Invariants: numbers grow, also across restarts, so a listener can go on where it was; progress that newer progress makes
//! obsolete is dropped, so a log stays short however long the job and however slow the listener; the last event of a job's
//! log is its end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use uuid::Uuid;

use crate::engine::StageName;
use crate::records::Job;

/// Most events that an owner's log keeps.
const OWNER_EVENTS: usize = 512;
/// Most events that a job's log keeps: previews, the latest progress and the end.
const JOB_EVENTS: usize = 16;

/// Stands for the number of the latest event of a log that was closed.
const CLOSED: u64 = u64::MAX;

/// The files of finished pictures, in order.
pub type Files = Arc<Vec<Vec<u8>>>;

/// What happened.
#[derive(Debug, Clone)]
pub enum JobEvent {
    /// It waits; this many jobs go before it.
    Queued {
        position: usize,
        eta_ms: u64,
    },
    Progress {
        stage: StageName,
        step: usize,
        steps: usize,
        percent: f32,
        eta_ms: u64,
    },
    /// A picture as it will roughly be, as a PNG.
    Preview {
        index: usize,
        step: usize,
        png: Arc<Vec<u8>>,
    },
    /// The end; with the pictures' files if it succeeded.
    Ended {
        job: Arc<Job>,
        files: Option<Files>,
    },
}

/// An event with its number.
#[derive(Debug, Clone)]
pub struct NumberedEvent {
    pub number: u64,
    pub job: Uuid,
    pub event: JobEvent,
}

impl NumberedEvent {
    /// Whether `newer` says all that is still of interest in this one.
    fn is_superseded_by(&self, newer: &Self) -> bool {
        if self.job != newer.job {
            return false;
        }
        match (&self.event, &newer.event) {
            (JobEvent::Queued { .. } | JobEvent::Progress { .. }, JobEvent::Preview { .. }) => false,
            (JobEvent::Queued { .. } | JobEvent::Progress { .. }, _) => true,
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Log {
    entries: Mutex<VecDeque<Arc<NumberedEvent>>>,
    latest: watch::Sender<u64>,
    /// Most entries kept; the oldest go.
    most: usize,
    /// Whether an end in it is the end of it.
    ends: bool,
}

impl Log {
    fn new(most: usize, ends: bool) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), latest: watch::Sender::new(0), most, ends })
    }

    fn push(&self, entry: NumberedEvent) {
        let number = entry.number;
        let entry = Arc::new(entry);
        {
            let mut entries = lock(&self.entries);
            entries.retain(|old| !old.is_superseded_by(&entry));
            entries.push_back(entry);
            while entries.len() > self.most {
                entries.pop_front();
            }
        }
        self.latest.send_replace(number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All logs.
#[derive(Debug)]
pub struct Feed {
    /// The last number given out.
    last: AtomicU64,
    jobs: Mutex<HashMap<Uuid, (String, Arc<Log>)>>,
    /// Those that somebody has listened to; none: everybody's.
    owners: Mutex<HashMap<Option<String>, Arc<Log>>>,
}

impl Default for Feed {
    fn default() -> Self {
        // Counting along the clock keeps numbers growing over restarts, and comparable to the times of stored ends.
        Self { last: AtomicU64::new(clock()), jobs: Mutex::default(), owners: Mutex::default() }
    }
}

/// Microseconds since 1970.
fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    u64::try_from(now).unwrap_or(0)
}

impl Feed {
    /// Start a job's log, and listen to it.
    pub fn open(&self, job: Uuid, owner: &str) -> Subscription {
        let mut jobs = lock(&self.jobs);
        let (_, log) = jobs.entry(job).or_insert_with(|| (owner.to_owned(), Log::new(JOB_EVENTS, true)));
        Subscription::new(log.clone(), 0)
    }

    /// Tell of a job whose log is open. Its end closes the log.
    pub fn publish(&self, job: Uuid, event: JobEvent) {
        let ended = matches!(event, JobEvent::Ended { .. });
        let log = {
            let mut jobs = lock(&self.jobs);
            if ended { jobs.remove(&job) } else { jobs.get(&job).cloned() }
        };
        let Some((owner, log)) = log else { return };
        let number = self.number();
        // Owners' logs hold no pictures once a job has ended: those are in the store.
        let kept = match &event {
            JobEvent::Ended { job, .. } => JobEvent::Ended { job: job.clone(), files: None },
            other => other.clone(),
        };
        log.push(NumberedEvent { number, job, event });
        let logs = {
            let owners = lock(&self.owners);
            [owners.get(&Some(owner)).cloned(), owners.get(&None).cloned()]
        };
        for log in logs.into_iter().flatten() {
            log.push(NumberedEvent { number, job, event: kept.clone() });
        }
    }

    /// The next number: the clock's microseconds, or one more than the last.
    fn number(&self) -> u64 {
        let now = clock();
        let next = |last: u64| Some(now.max(last + 1));
        self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).map_or(now, |last| now.max(last + 1))
    }

    /// End the streams of all owners.
    pub fn close_owners(&self) {
        for (_, log) in lock(&self.owners).drain() {
            log.latest.send_replace(CLOSED);
        }
    }

    /// Close a job's log without an end: it goes on elsewhere, or later.
    pub fn close(&self, job: Uuid) {
        if let Some((_, log)) = lock(&self.jobs).remove(&job) {
            log.latest.send_replace(CLOSED);
        }
    }

    /// Listen to a job, from the event after number `after` on. None if its log is not open (any more).
    #[must_use]
    pub fn job(&self, job: Uuid, after: u64) -> Option<Subscription> {
        let log = lock(&self.jobs).get(&job)?.1.clone();
        Some(Subscription::new(log, after))
    }

    /// Listen to all jobs of an owner (None: of everybody). Without `after`: from now on.
    #[must_use]
    pub fn owner(&self, owner: Option<&str>, after: Option<u64>) -> Subscription {
        let owner = owner.map(str::to_owned);
        let log = lock(&self.owners).entry(owner).or_insert_with(|| Log::new(OWNER_EVENTS, false)).clone();
        // A number that was never given out is as good as none.
        let last = self.last.load(Ordering::Relaxed);
        let after = after.filter(|after| *after <= clock().max(last)).unwrap_or(last);
        Subscription::new(log, after)
    }
}

/// A listener.
#[derive(Debug)]
pub struct Subscription {
    log: Arc<Log>,
    changes: watch::Receiver<u64>,
    after: u64,
    ended: bool,
}

impl Subscription {
    fn new(log: Arc<Log>, after: u64) -> Self {
        let changes = log.latest.subscribe();
        Self { log, changes, after, ended: false }
    }

    /// The next event. None after the end of the job that is listened to, or when its log was closed.
    pub async fn next(&mut self) -> Option<Arc<NumberedEvent>> {
        loop {
            if self.ended && self.log.ends {
                return None;
            }
            let closed = *self.changes.borrow_and_update() == CLOSED;
            let found = lock(&self.log.entries).iter().find(|entry| entry.number > self.after).cloned();
            if let Some(entry) = found {
                self.after = entry.number;
                self.ended = matches!(entry.event, JobEvent::Ended { .. });
                return Some(entry);
            }
            if closed {
                return None;
            }
            self.changes.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: usize) -> JobEvent {
        JobEvent::Progress { stage: StageName::Decoder, step, steps: 9, percent: 0.0, eta_ms: 0 }
    }

    fn step(entry: &NumberedEvent) -> usize {
        match entry.event {
            JobEvent::Progress { step, .. } => step,
            _ => panic!("{entry:?}"),
        }
    }

    #[tokio::test]
    async fn a_slow_listener_gets_all_previews_and_the_latest_progress_in_order() {
        let (feed, id) = (Feed::default(), Uuid::now_v7());
        let mut listener = feed.open(id, "");
        feed.publish(id, progress(1));
        assert_eq!(step(&listener.next().await.unwrap()), 1);
        let png = Arc::new(Vec::new());
        feed.publish(id, progress(2));
        feed.publish(id, JobEvent::Preview { index: 0, step: 2, png });
        feed.publish(id, progress(3));
        assert!(matches!(listener.next().await.unwrap().event, JobEvent::Preview { .. }));
        assert_eq!(step(&listener.next().await.unwrap()), 3);
    }

    #[tokio::test]
    async fn a_listener_goes_on_after_the_number_that_it_saw() {
        let (feed, id) = (Feed::default(), Uuid::now_v7());
        feed.open(id, "me");
        let mut all = feed.owner(Some("me"), None);
        feed.publish(id, JobEvent::Queued { position: 0, eta_ms: 0 });
        let seen = all.next().await.unwrap().number;
        drop(all);
        feed.publish(id, progress(1));
        assert_eq!(step(&feed.owner(Some("me"), Some(seen)).next().await.unwrap()), 1);
        assert_eq!(step(&feed.job(id, seen).unwrap().next().await.unwrap()), 1);
    }

    #[tokio::test]
    async fn owners_hear_of_their_own_jobs_and_listeners_to_all_of_all() {
        let feed = Feed::default();
        let (mine, theirs) = (Uuid::now_v7(), Uuid::now_v7());
        feed.open(mine, "me");
        feed.open(theirs, "them");
        let mut listener = feed.owner(Some("me"), None);
        let mut all = feed.owner(None, None);
        feed.publish(theirs, progress(1));
        feed.publish(mine, progress(2));
        assert_eq!(listener.next().await.unwrap().job, mine);
        assert_eq!([all.next().await.unwrap().job, all.next().await.unwrap().job], [theirs, mine]);
    }
}
