//! Events within a process: one log a job, one an owner that is listened to, and one of all jobs.
//!
//! Invariants: numbers grow, also across restarts, so a listener can go on where it was: the lock of the last number is held until
//! all logs have the event, since listeners miss an event whose number is below the one before it; progress that newer progress makes
//! obsolete is dropped, so a log stays short however long the job and however slow the listener; the last event of a job's
//! log is its end.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::events::{JobEvent, NumberedEvent};
use super::log::{EventLog, Subscription};
use super::traits::EventBus;
use crate::clock::Clock;

/// Most events that an owner's log keeps.
const OWNER_EVENTS: usize = 512;
/// Logs of owners that are kept although nothing listens any more, for those who come back to go on where they were.
const IDLE_OWNERS: usize = 256;
/// Most events that a job's log keeps: previews, the latest progress and the end.
const JOB_EVENTS: usize = 16;

/// All logs of a process.
#[derive(Debug)]
pub struct Feed {
    clock: Arc<dyn Clock>,
    /// The last number given out.
    last: Mutex<u64>,
    /// With their owners.
    jobs: Mutex<HashMap<Uuid, (String, Arc<EventLog>)>>,
    /// Of owners that were listened to; `None`: of all jobs.
    owners: Mutex<HashMap<Option<String>, OwnerLog>>,
}

#[derive(Debug)]
struct OwnerLog {
    log: Arc<EventLog>,
    /// The last number that had been given out when the first listener came.
    since: u64,
}

impl Feed {
    /// No logs yet. Numbers count along the clock: so they grow over restarts, and compare with the times of stored ends.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let last = Mutex::new(now_us(&*clock));
        Self { clock, last, jobs: Mutex::default(), owners: Mutex::default() }
    }

    /// The next number: the clock's microseconds, or one more than the last.
    fn advance(&self, last: &mut u64) -> u64 {
        *last = now_us(&*self.clock).max(*last + 1);
        *last
    }

    /// Add an event to its job's log and to those of owners, if they are there.
    fn add(&self, last: &mut u64, job: Uuid, event: JobEvent) {
        let has_ended = matches!(event, JobEvent::Ended { .. });
        let log = {
            let mut jobs = self.jobs.lock();
            if has_ended { jobs.remove(&job) } else { jobs.get(&job).cloned() }
        };
        let Some((owner, log)) = log else { return };
        let number = self.advance(last);
        // Owners' logs hold no files of ended jobs: those are in the store.
        let without_files = match &event {
            JobEvent::Ended { job, .. } => JobEvent::Ended { job: job.clone(), files: None },
            other => other.clone(),
        };
        log.push(NumberedEvent { number, job, event });
        let logs = {
            let owners = self.owners.lock();
            [owners.get(&Some(owner)), owners.get(&None)].map(|owner| owner.map(|owner| owner.log.clone()))
        };
        for log in logs.into_iter().flatten() {
            log.push(NumberedEvent { number, job, event: without_files.clone() });
        }
    }

    /// The log of a job that waits, as far as is known.
    fn waiting(&self, job: Uuid) -> Option<Arc<EventLog>> {
        let log = self.jobs.lock().get(&job).map(|(_, log)| log.clone());
        log.filter(|log| !log.has_begun())
    }
}

/// What brokers that reach other processes do with it: events come with numbers that their senders gave.
#[cfg_attr(not(feature = "fleet"), expect(dead_code, reason = "for brokers that reach other processes"))]
impl Feed {
    /// The next number.
    pub(super) fn next_number(&self) -> u64 {
        self.advance(&mut self.last.lock())
    }

    /// The last number given out, or heard of.
    pub(super) fn last_number(&self) -> u64 {
        *self.last.lock()
    }

    /// Give out only numbers above this one from now on.
    pub(super) fn raise(&self, number: u64) {
        let mut last = self.last.lock();
        *last = number.max(*last);
    }

    /// Whether any job has a log.
    pub(super) fn has_logs(&self) -> bool {
        !self.jobs.lock().is_empty()
    }

    /// Add where a job waits to its log, if there is one and the job has not begun, as far as is known.
    pub(super) fn deliver_place(&self, job: Uuid, event: JobEvent) {
        let mut last = self.last.lock();
        if let Some(log) = self.waiting(job) {
            log.push(NumberedEvent { number: self.advance(&mut last), job, event });
        }
    }

    /// Whether there is a log of this job, so that it has a listener or had one.
    pub(super) fn has_log(&self, job: Uuid) -> bool {
        self.jobs.lock().contains_key(&job)
    }

    /// Add an event to its job's log, if there is one. What the log has already is left out.
    pub(super) fn deliver(&self, event: NumberedEvent) {
        let mut last = self.last.lock();
        *last = event.number.max(*last);
        let has_ended = matches!(event.event, JobEvent::Ended { .. });
        let log = {
            let mut jobs = self.jobs.lock();
            if has_ended { jobs.remove(&event.job) } else { jobs.get(&event.job).cloned() }
        };
        let Some((_, log)) = log else { return };
        if has_ended {
            // Its log may have newer ones, by clocks that are a little off: the end is the last all the same.
            let number = event.number.max(log.last_number() + 1);
            *last = number.max(*last);
            log.push(NumberedEvent { number, ..event });
            log.close();
        } else if event.number > log.last_number() {
            log.push(event);
        }
    }

    /// Whether anything listens to the jobs of an owner (`None`: to all).
    pub(super) fn has_owner_listeners(&self, owner: Option<&str>) -> bool {
        self.owners.lock().get(&owner.map(str::to_owned)).is_some_and(|owner| owner.log.has_listeners())
    }

    /// Forget what happened to the jobs of an owner, if nothing listens. False: something does.
    pub(super) fn close_idle_owner(&self, owner: Option<&str>) -> bool {
        let (mut owners, owner) = (self.owners.lock(), owner.map(str::to_owned));
        let is_idle = !owners.get(&owner).is_some_and(|owner| owner.log.has_listeners());
        if is_idle {
            owners.remove(&owner);
        }
        is_idle
    }

    /// Add an event to the log of an owner (`None`: of all), if there is one. Events of several senders may come in another
    /// order than that of their numbers: one that comes late gets a later number, since listeners hear none twice.
    pub(super) fn deliver_to_owner(&self, owner: Option<&str>, event: NumberedEvent) {
        let mut last = self.last.lock();
        *last = event.number.max(*last);
        let log = self.owners.lock().get(&owner.map(str::to_owned)).map(|owner| owner.log.clone());
        if let Some(log) = log {
            let number = event.number.max(log.last_number() + 1);
            *last = number.max(*last);
            log.push(NumberedEvent { number, ..event });
        }
    }
}

/// µs since 1970.
fn now_us(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now().as_microsecond()).unwrap_or(0)
}

impl EventBus for Feed {
    fn open(&self, job: Uuid, owner: &str) -> Subscription {
        let mut jobs = self.jobs.lock();
        let (_, log) = jobs.entry(job).or_insert_with(|| (owner.to_owned(), EventLog::new(JOB_EVENTS, true)));
        Subscription::new(log.clone(), 0)
    }

    fn announce(&self, job: Uuid, event: JobEvent) {
        self.add(&mut self.last.lock(), job, event);
    }

    fn tell_place(&self, job: Uuid, event: JobEvent) {
        let mut last = self.last.lock();
        if self.waiting(job).is_some() {
            self.add(&mut last, job, event);
        }
    }

    fn close(&self, job: Uuid) {
        if let Some((_, log)) = self.jobs.lock().remove(&job) {
            log.close();
        }
    }

    fn watch(&self, job: Uuid, after: u64) -> Option<Subscription> {
        let log = self.jobs.lock().get(&job)?.1.clone();
        Some(Subscription::new(log, after))
    }

    fn watch_owner(&self, owner: Option<&str>, after: Option<u64>) -> Subscription {
        let owner = owner.map(str::to_owned);
        let last_number = self.last.lock();
        let last = *last_number;
        // A number that was never given out is treated as absent.
        let after = after.filter(|after| *after <= now_us(&*self.clock).max(last)).unwrap_or(last);
        let mut owners = self.owners.lock();
        let log =
            owners.entry(owner).or_insert_with(|| OwnerLog { log: EventLog::new(OWNER_EVENTS, false), since: last });
        log.since = last;
        let subscription = Subscription::new(log.log.clone(), after);
        let idle = owners.iter().filter(|(_, owner)| !owner.log.has_listeners());
        let idle: Vec<(u64, Option<String>)> = idle.map(|(name, owner)| (owner.since, name.clone())).collect();
        if idle.len() > IDLE_OWNERS
            && let Some((_, oldest)) = idle.into_iter().min()
        {
            owners.remove(&oldest);
        }
        subscription
    }

    fn close_owners(&self) {
        for (_, owner) in self.owners.lock().drain() {
            owner.log.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn feed() -> Feed {
        Feed::new(Arc::new(SystemClock))
    }

    fn progress(step: usize) -> JobEvent {
        JobEvent::Progress { stage: "decoder", step, steps: 9, percent: 0.0, eta_ms: 0 }
    }

    fn step(event: &NumberedEvent) -> usize {
        match event.event {
            JobEvent::Progress { step, .. } => step,
            _ => panic!("{event:?}"),
        }
    }

    #[tokio::test]
    async fn a_slow_listener_gets_all_previews_and_the_latest_progress_in_order() {
        let (feed, id) = (feed(), Uuid::now_v7());
        let mut listener = feed.open(id, "");
        feed.announce(id, progress(1));
        assert_eq!(step(&listener.next().await.unwrap()), 1);
        let png = Arc::new(Vec::new());
        feed.announce(id, progress(2));
        feed.announce(id, JobEvent::Preview { index: 0, step: 2, png });
        feed.announce(id, progress(3));
        assert!(matches!(listener.next().await.unwrap().event, JobEvent::Preview { .. }));
        assert_eq!(step(&listener.next().await.unwrap()), 3);
    }

    #[tokio::test]
    async fn previews_that_are_not_listened_to_take_bounded_memory() {
        let (feed, id) = (feed(), Uuid::now_v7());
        let (_job, mut all) = (feed.open(id, ""), feed.watch_owner(None, None));
        let pngs: Vec<_> = (0..20).map(|_| Arc::new(vec![0_u8; 300 << 10])).collect();
        for (step, png) in pngs.iter().enumerate() {
            feed.announce(id, JobEvent::Preview { index: 0, step, png: png.clone() });
        }
        let kept = pngs.iter().filter(|png| Arc::strong_count(png) > 1).count();
        assert_eq!(kept, 3, "of 300 KiB each");
        let oldest = all.next().await.unwrap();
        assert!(matches!(oldest.event, JobEvent::Preview { step: 17, .. }), "the newest stay");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn events_of_many_threads_are_all_heard() {
        const EACH: usize = 100;
        for round in 0..20 {
            let feed = Arc::new(feed());
            let mut all = feed.watch_owner(None, None);
            let tellers: Vec<_> = (0..4)
                .map(|_| {
                    let feed = feed.clone();
                    std::thread::spawn(move || {
                        let id = Uuid::now_v7();
                        feed.open(id, "");
                        for step in 0..EACH {
                            feed.announce(id, JobEvent::Preview { index: 0, step, png: Arc::default() });
                        }
                    })
                })
                .collect();
            // One that is passed over is missing at the end.
            let last = tokio::task::spawn_blocking(|| tellers.into_iter().for_each(|teller| teller.join().unwrap()));
            let mut heard = 0;
            while heard < 4 * EACH {
                let next = all.next();
                let next = tokio::time::timeout(std::time::Duration::from_secs(10), next).await;
                assert!(next.is_ok(), "round {round}: {heard} of {}", 4 * EACH);
                heard += 1;
            }
            last.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_job_that_has_begun_is_told_no_place() {
        let (feed, id) = (feed(), Uuid::now_v7());
        let mut listener = feed.open(id, "me");
        let place = || JobEvent::Queued { position: 3, eta_ms: 0 };
        feed.tell_place(id, place());
        assert!(matches!(listener.next().await.unwrap().event, JobEvent::Queued { position: 3, .. }));
        feed.announce(id, progress(1));
        feed.tell_place(id, place());
        feed.announce(id, progress(2));
        assert_eq!(step(&listener.next().await.unwrap()), 2);
    }

    #[tokio::test]
    async fn a_closed_log_stays_closed_whatever_is_still_announced() {
        let (feed, id) = (feed(), Uuid::now_v7());
        feed.open(id, "me");
        let mut listener = feed.watch_owner(Some("me"), None);
        let log = feed.owners.lock()[&Some("me".to_owned())].log.clone();
        feed.close_owners();
        log.push(NumberedEvent { number: u64::MAX - 1, job: id, event: progress(1) });
        assert_eq!(step(&listener.next().await.unwrap()), 1);
        assert!(listener.next().await.is_none());
    }

    #[tokio::test]
    async fn owners_who_left_are_forgotten_once_there_are_many() {
        let feed = feed();
        let mut stays = feed.watch_owner(Some("stays"), None);
        for i in 0..3 * IDLE_OWNERS {
            drop(feed.watch_owner(Some(&i.to_string()), None));
        }
        assert!(feed.owners.lock().len() <= IDLE_OWNERS + 2, "{}", feed.owners.lock().len());
        let id = Uuid::now_v7();
        feed.open(id, "stays");
        feed.announce(id, progress(1));
        assert_eq!(step(&stays.next().await.unwrap()), 1);
    }

    #[tokio::test]
    async fn a_listener_goes_on_after_the_number_that_it_saw() {
        let (feed, id) = (feed(), Uuid::now_v7());
        feed.open(id, "me");
        let mut all = feed.watch_owner(Some("me"), None);
        feed.announce(id, JobEvent::Queued { position: 0, eta_ms: 0 });
        let seen = all.next().await.unwrap().number;
        drop(all);
        feed.announce(id, progress(1));
        assert_eq!(step(&feed.watch_owner(Some("me"), Some(seen)).next().await.unwrap()), 1);
        assert_eq!(step(&feed.watch(id, seen).unwrap().next().await.unwrap()), 1);
    }

    #[tokio::test]
    async fn owners_hear_of_their_own_jobs_and_listeners_to_all_of_all() {
        let feed = feed();
        let (mine, theirs) = (Uuid::now_v7(), Uuid::now_v7());
        feed.open(mine, "me");
        feed.open(theirs, "them");
        let mut listener = feed.watch_owner(Some("me"), None);
        let mut all = feed.watch_owner(None, None);
        feed.announce(theirs, progress(1));
        feed.announce(mine, progress(2));
        assert_eq!(listener.next().await.unwrap().job, mine);
        assert_eq!([all.next().await.unwrap().job, all.next().await.unwrap().job], [theirs, mine]);
    }
}
