//! What every broker promises, whatever is behind it. An implementation passes all of it (see `broker.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kandinsky::broker::{Broker, Claim, Claimed, JobEvent, QueuedWork, Release, Room};
use kandinsky::clock::{Clock, ManualClock};
use kandinsky::domain::{Failure, FailureKind, JobState, Outcome, Priority, Size};
use kandinsky::records::Job;
use kandinsky::store::{self, JobEnd, JobStore, Lease, NewJob, Upkeep as _};
use tempfile::TempDir;
use uuid::Uuid;

use crate::doubles::Ledger;
use crate::service::{PATIENCE, submission};

pub const LEASE: Duration = Duration::from_secs(30);
/// Room for everything.
pub const WIDE: Room = Room { free: 100, total: 100 };

/// A broker, and the store that it and the test share.
pub struct Fixture {
    pub broker: Arc<dyn Broker>,
    pub ledger: Arc<Ledger>,
    pub clock: Arc<ManualClock>,
    _folder: TempDir,
}

impl Fixture {
    pub async fn new(make: impl AsyncFnOnce(Arc<dyn JobStore>, Arc<dyn Clock>) -> Arc<dyn Broker>) -> Self {
        let folder = TempDir::new().unwrap();
        let ledger = Ledger::new(store::open_sqlite(&folder.path().join("jobs.sqlite")).await.unwrap());
        let clock = Arc::new(ManualClock::default());
        let broker = make(ledger.clone(), clock.clone()).await;
        Self { broker, ledger, clock, _folder: folder }
    }

    /// Put a job into the store, and publish it.
    pub async fn publish(&self, turn: i64, images: u32, durable: bool) -> Uuid {
        let (id, work) = self.insert(turn, images, durable).await;
        self.broker.publish(work).await.unwrap();
        id
    }

    /// Put a job into the store.
    pub async fn insert(&self, turn: i64, images: u32, durable: bool) -> (Uuid, QueuedWork) {
        let id = Uuid::now_v7();
        let spec = submission(0, durable).spec;
        let job = Job {
            id,
            owner: "owner".to_owned(),
            state: JobState::Queued,
            mode: spec.generation.mode(),
            model: "double".to_owned(),
            durable,
            cost: 10,
            yields: false,
            spec,
            epoch: 0,
            losses: 0,
            suspicion: None,
            cancel_requested: false,
            created_at: self.clock.now_ms(),
            started_at: None,
            finished_at: None,
            expires_at: None,
            images: Vec::new(),
            timings: None,
            failure: None,
        };
        let holder = (!durable).then(|| self.broker.lease());
        let new = NewJob { job: &job, idempotency: None, holder: holder.as_ref(), charge: None, most_jobs: None };
        self.ledger.insert_job(new).await.unwrap();
        self.broker.events().open(id, "owner");
        (id, QueuedWork { turn, images, ..work(id, durable) })
    }

    pub async fn claim(&self, room: Room) -> Option<Claim> {
        match self.broker.claim(room).await.unwrap() {
            Some(Claimed::Job(claim)) => Some(claim),
            Some(Claimed::Gone(id)) => panic!("{id} is gone"),
            None => None,
        }
    }

    async fn claimed(&self) -> Option<Uuid> {
        self.claim(WIDE).await.map(|claim| claim.job.id)
    }

    /// A job that may still be on its way here.
    async fn claimed_soon(&self) -> Uuid {
        let claim = async {
            loop {
                if let Some(id) = self.claimed().await {
                    return id;
                }
                self.broker.work_available().await;
            }
        };
        tokio::time::timeout(PATIENCE, claim).await.unwrap()
    }

    pub async fn acknowledge(&self, claim: &Claim) -> bool {
        let outcome = Outcome::Failed(Failure::new(FailureKind::Internal, "no"));
        let now = self.clock.now_ms();
        let end = JobEnd { outcome: &outcome, deliveries: &[], finished_at: now, expires_at: now + 1 };
        self.broker.acknowledge(claim, &end).await.unwrap()
    }
}

fn work(job: Uuid, durable: bool) -> QueuedWork {
    QueuedWork {
        job,
        owner: "owner".into(),
        turn: 1,
        cost: 10,
        images: 1,
        priority: Priority::Normal,
        yields: false,
        size: None,
        durable,
    }
}

pub async fn jobs_are_claimed_in_their_turns_and_only_if_they_fit(fixture: &Fixture) {
    let (large, first) = (fixture.publish(20, 8, true).await, fixture.publish(10, 2, true).await);
    let last = fixture.publish(30, 1, true).await;
    let places: Vec<(Uuid, usize, u64)> =
        fixture.broker.places().iter().map(|place| (place.job, place.position, place.cost_before)).collect();
    // A broker that does not know the line tells nothing of it.
    assert!(places.is_empty() || places == [(first, 0, 0), (large, 1, 10), (last, 2, 20)], "{places:?}");

    assert!(fixture.claim(Room { free: 1, total: 4 }).await.is_none());
    assert_eq!(fixture.claim(Room { free: 2, total: 4 }).await.unwrap().job.id, first);
    assert!(fixture.claim(Room { free: 2, total: 4 }).await.is_none(), "what is large is not passed");
    assert_eq!(fixture.claim(Room { free: 4, total: 4 }).await.unwrap().job.id, large, "an empty worker takes it");
    assert_eq!((fixture.claimed().await, fixture.claimed().await), (Some(last), None));
}

pub async fn a_job_is_claimed_once_and_under_a_new_epoch(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    fixture.broker.publish(QueuedWork { turn: 0, ..work(id, true) }).await.unwrap();
    let claim = fixture.claim(WIDE).await.unwrap();
    assert_eq!((claim.job.id, claim.job.state, claim.job.epoch), (id, JobState::Running, 1));
    assert!(!claim.cancel.is_cancelled());
    assert_eq!(fixture.claimed().await, None, "it was published twice");
}

pub async fn a_job_that_is_not_queued_any_more_is_gone(fixture: &Fixture) {
    let (first, second) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, true).await);
    fixture.ledger.cancel(first, &[], 1, 2).await.unwrap();
    assert!(matches!(fixture.broker.claim(WIDE).await.unwrap(), Some(Claimed::Gone(id)) if id == first));
    fixture.broker.forget(first);
    assert_eq!(fixture.claimed().await, Some(second), "it does not hold up the next one");
}

pub async fn only_the_newest_claim_ends_a_job(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    let old = fixture.claim(WIDE).await.unwrap();
    // Another process thought that this one was dead.
    assert!(fixture.ledger.release(id, old.job.epoch, true).await.unwrap());
    let theirs = Lease { worker: "another".to_owned(), until: i64::MAX };
    fixture.ledger.inner.claim(id, &theirs, 1).await.unwrap().unwrap();
    assert!(!fixture.acknowledge(&old).await);
    assert!(!fixture.broker.release(&old, Release::Lost).await.unwrap());
    assert_eq!(fixture.ledger.state(id).await, JobState::Running);

    let mine = fixture.publish(2, 1, true).await;
    let claim = fixture.claim(WIDE).await.unwrap();
    assert!(claim.job.id == mine && fixture.acknowledge(&claim).await);
    assert!(!fixture.acknowledge(&claim).await, "it has ended");
    assert_eq!(fixture.ledger.state(mine).await, JobState::Failed);
}

pub async fn a_released_job_is_claimed_again_and_losses_are_counted(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    for (release, losses) in [(Release::Returned, 0), (Release::Lost, 1), (Release::Lost, 2)] {
        let claim = fixture.claim(WIDE).await.unwrap();
        assert!(fixture.broker.release(&claim, release).await.unwrap());
        let job = fixture.ledger.get(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.losses), (JobState::Queued, losses));
    }
    assert_eq!(fixture.claim(WIDE).await.unwrap().job.epoch, 4);
}

pub async fn a_claim_that_fails_leaves_the_job_where_it_was(fixture: &Fixture) {
    let (first, second) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, true).await);
    fixture.ledger.fails_claims.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        fixture.broker.claim(WIDE).await.expect_err("the store is out of reach");
    }
    fixture.ledger.fails_claims.store(false, Ordering::SeqCst);
    assert_eq!((fixture.claimed().await, fixture.claimed().await), (Some(first), Some(second)));
}

pub async fn cancellation_reaches_the_claim_whenever_it_comes(fixture: &Fixture) {
    let (early, late) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, true).await);
    fixture.broker.cancel(early);
    let claim = fixture.claim(WIDE).await.unwrap();
    assert!(claim.job.id == early && claim.cancel.is_cancelled());
    let claim = fixture.claim(WIDE).await.unwrap();
    assert!(!claim.cancel.is_cancelled());
    fixture.broker.cancel(late);
    tokio::time::timeout(PATIENCE, claim.cancel.cancelled()).await.unwrap();
    // It stays with the job.
    assert!(fixture.broker.release(&claim, Release::Lost).await.unwrap());
    assert!(fixture.claim(WIDE).await.unwrap().cancel.is_cancelled());
}

pub async fn a_claim_that_is_stopped_leaves_the_next_one_of_its_job_alone(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    let stopped = fixture.claim(WIDE).await.unwrap();
    stopped.cancel.cancel();
    assert!(fixture.broker.release(&stopped, Release::Lost).await.unwrap());
    let next = fixture.claim(WIDE).await.unwrap();
    assert!(next.job.id == id && !next.cancel.is_cancelled(), "nobody canceled the job");
    fixture.broker.cancel(id);
    tokio::time::timeout(PATIENCE, next.cancel.cancelled()).await.unwrap();
}

pub async fn leases_are_extended_and_bring_cancellations_from_elsewhere(fixture: &Fixture) {
    let (running, attached) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, false).await);
    let claim = fixture.claim(WIDE).await.unwrap();
    assert!(fixture.broker.extension_interval() < LEASE);
    fixture.clock.advance(LEASE / 2);
    fixture.broker.extend().await.unwrap();
    assert!(!claim.cancel.is_cancelled());
    fixture.clock.advance(LEASE / 2 + Duration::from_secs(1));
    let now = fixture.clock.now_ms();
    let failure = Failure::new(FailureKind::Internal, "lost");
    let policy = store::RecoveryPolicy {
        most_losses: 1,
        counts_losses: true,
        poisonous: failure.clone(),
        abandoned: failure,
        finished_at: now,
        expires_at: now,
    };
    let recover = async |before| fixture.ledger.recover(before, &policy, &|_, _| Vec::new()).await.unwrap().total();
    assert_eq!(recover(now).await, 0, "both leases were extended");

    fixture.ledger.cancel(running, &[], now, now).await.unwrap();
    fixture.broker.extend().await.unwrap();
    assert!(claim.cancel.is_cancelled());
    fixture.clock.advance(LEASE + Duration::from_secs(1));
    assert_eq!(recover(fixture.clock.now_ms()).await, 2, "{running} and {attached} are lost");
}

pub async fn a_closed_broker_keeps_only_what_is_attached(fixture: &Fixture) {
    let running = fixture.publish(0, 1, true).await;
    let claim = fixture.claim(WIDE).await.unwrap();
    let (durable, attached) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, false).await);
    assert_eq!(fixture.broker.close(), [durable]);
    fixture.broker.publish(work(durable, true)).await.expect_err("it would not be claimed");
    assert!(fixture.broker.release(&claim, Release::Returned).await.unwrap());
    assert_eq!((fixture.claimed().await, fixture.claimed().await), (Some(attached), None));
    for job in [running, durable] {
        assert_eq!(fixture.ledger.state(job).await, JobState::Queued);
    }
}

/// Of a broker whose queue is on other machines.
pub async fn higher_priorities_go_first_and_what_does_not_fit_is_not_passed(fixture: &Fixture) {
    let mut ids = Vec::new();
    for (priority, images) in [(Priority::Low, 1), (Priority::Normal, 8), (Priority::Normal, 1), (Priority::High, 2)] {
        let (id, work) = fixture.insert(1, images, true).await;
        fixture.broker.publish(QueuedWork { priority, ..work }).await.unwrap();
        ids.push(id);
    }
    let (low, large, small, high) = (ids[0], ids[1], ids[2], ids[3]);
    assert_eq!(fixture.claim(Room { free: 2, total: 4 }).await.unwrap().job.id, high);
    assert!(fixture.claim(Room { free: 2, total: 4 }).await.is_none(), "what is large is not passed");
    assert_eq!(fixture.claim(Room { free: 4, total: 4 }).await.unwrap().job.id, large, "an empty worker takes it");
    // Their messages come by themselves once the worker has said that it waits.
    assert_eq!([fixture.claimed_soon().await, fixture.claimed_soon().await], [small, low]);
    assert_eq!(fixture.claimed().await, None);
}

/// Of a broker whose queue is on other machines.
pub async fn jobs_that_yield_go_after_others_of_their_priority_but_not_never(fixture: &Fixture) {
    let mut ids = Vec::new();
    let (normal, low) = (Priority::Normal, Priority::Low);
    for (priority, yields) in [(low, false), (normal, true), (normal, true), (normal, false)] {
        let (id, work) = fixture.insert(1, 1, true).await;
        fixture.broker.publish(QueuedWork { priority, yields, ..work }).await.unwrap();
        ids.push(id);
    }
    let mut claimed = Vec::new();
    for _ in 0..4 {
        let id = fixture.claimed_soon().await;
        claimed.push(ids.iter().position(|other| *other == id).unwrap());
    }
    assert_eq!(claimed, [3, 1, 2, 0]);

    // Others that come all the time do not hold one up for ever.
    let (waits, work) = fixture.insert(1, 1, true).await;
    fixture.broker.publish(QueuedWork { yields: true, ..work }).await.unwrap();
    let mut passed = 0;
    loop {
        fixture.publish(1, 1, true).await;
        if fixture.claimed_soon().await == waits {
            break;
        }
        passed += 1;
        assert!(passed < 100, "it waits for ever");
    }
    assert!(passed > 3, "it passed others");
}

/// Of a broker whose queue is on other machines.
pub async fn jobs_of_the_size_at_work_go_first(fixture: &Fixture) {
    let (square, tall) = (Size { width: 512, height: 512 }, Size { width: 512, height: 832 });
    let mut ids = Vec::new();
    for size in [square, tall, square, tall, square] {
        let (id, work) = fixture.insert(1, 1, true).await;
        fixture.broker.publish(QueuedWork { size: Some(size), ..work }).await.unwrap();
        ids.push(id);
    }
    let mut claimed = Vec::new();
    while let Some(id) = fixture.claimed().await {
        claimed.push(ids.iter().position(|other| *other == id).unwrap());
    }
    assert!(claimed == [0, 2, 4, 1, 3] || claimed == [1, 3, 0, 2, 4], "{claimed:?}");
}

/// Of a broker whose queue is on other machines.
pub async fn a_job_that_goes_elsewhere_is_forgotten_but_not_while_it_is_claimed(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    let first = fixture.claim(WIDE).await.unwrap();
    assert!(fixture.broker.release(&first, Release::Lost).await.unwrap());
    let second = fixture.claim(WIDE).await.unwrap();
    // The run of the first claim has ended only now.
    fixture.broker.forget(id);
    fixture.broker.cancel(id);
    tokio::time::timeout(PATIENCE, second.cancel.cancelled()).await.unwrap();
    assert!(fixture.broker.release(&second, Release::Lost).await.unwrap());
    fixture.broker.forget(id);
    assert!(!fixture.claim(WIDE).await.unwrap().cancel.is_cancelled(), "the store knows of cancellations");
}

/// Of a broker whose queue is on other machines.
pub async fn a_closed_broker_leaves_its_jobs_to_others(fixture: &Fixture) {
    let running = fixture.publish(0, 1, true).await;
    let claim = fixture.claim(WIDE).await.unwrap();
    let (durable, attached) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, false).await);
    assert_eq!(fixture.broker.close(), [durable], "nobody waits for it here");
    fixture.broker.publish(work(durable, true)).await.expect_err("it would not be told of its end");
    assert!(fixture.broker.release(&claim, Release::Returned).await.unwrap());
    assert_eq!(fixture.claimed().await, None);
    for job in [running, durable, attached] {
        assert_eq!(fixture.ledger.state(job).await, JobState::Queued);
    }
}

/// Of a broker whose queue is on other machines.
pub async fn jobs_that_the_queue_lacks_are_published_again_and_others_are_not(fixture: &Fixture) {
    let kept = fixture.publish(1, 1, true).await;
    let (lost, work) = fixture.insert(2, 1, true).await;
    let backlog = fixture.ledger.backlog().await.unwrap();
    assert_eq!((backlog.queued, backlog.queued_cost, backlog.running), (2, 20, 0));
    assert!(fixture.broker.lacks_jobs(2).await);
    for job in [kept, lost] {
        fixture.broker.publish(QueuedWork { job, ..work.clone() }).await.unwrap();
    }
    assert!(!fixture.broker.lacks_jobs(2).await);
    assert_eq!(
        [fixture.claimed().await, fixture.claimed().await, fixture.claimed().await],
        [Some(kept), Some(lost), None]
    );
}

pub async fn work_wakes_whoever_waits_for_it(fixture: &Fixture) {
    // It may be woken more often than that; never less.
    let next = async || {
        let wait = async {
            loop {
                fixture.broker.work_available().await;
                if let Some(claim) = fixture.claim(WIDE).await {
                    return claim;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    };
    let (claim, id) = tokio::join!(next(), fixture.publish(1, 1, true));
    assert_eq!(claim.job.id, id);
    let (released, again) = tokio::join!(fixture.broker.release(&claim, Release::Lost), next());
    assert!(released.unwrap());
    assert_eq!((again.job.id, again.job.epoch), (id, 2));
}

pub async fn watchers_hear_events_in_order_until_the_end(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    let events = fixture.broker.events();
    let progress = |step| JobEvent::Progress { stage: "decoder", step, steps: 9, percent: 0.0, eta_ms: 0 };
    let mut early = events.watch(id, 0).unwrap();
    events.announce(id, progress(1));
    let seen = tokio::time::timeout(PATIENCE, early.next()).await.unwrap().unwrap();
    assert!(seen.job == id && matches!(seen.event, JobEvent::Progress { step: 1, .. }));
    // A watcher that was cut off goes on after what it saw.
    events.announce(id, progress(2));
    let mut late = events.watch(id, seen.number).unwrap();
    let job = Arc::new(fixture.ledger.get(id).await.unwrap().unwrap());
    for watcher in [&mut early, &mut late] {
        let next = tokio::time::timeout(PATIENCE, watcher.next()).await.unwrap().unwrap();
        assert!(next.number > seen.number && matches!(next.event, JobEvent::Progress { step: 2, .. }));
    }
    events.announce(id, JobEvent::Ended { job, files: None });
    events.announce(id, progress(3));
    for mut watcher in [early, late] {
        let end = tokio::time::timeout(PATIENCE, watcher.next()).await.unwrap().unwrap();
        assert!(matches!(end.event, JobEvent::Ended { .. }));
        assert!(watcher.next().await.is_none(), "nothing comes after the end");
    }
    assert!(events.watch(id, 0).is_none());
    // A job that goes on elsewhere has no end here.
    let other = fixture.publish(2, 1, true).await;
    let mut watcher = events.watch(other, u64::MAX - 1).unwrap();
    events.close(other);
    assert!(tokio::time::timeout(PATIENCE, watcher.next()).await.unwrap().is_none());
}

/// Of a broker that keeps its listeners' events in memory.
pub async fn an_end_stays_for_a_slow_listener_whatever_comes_behind_it(fixture: &Fixture) {
    let (first, second) = (fixture.publish(1, 1, true).await, fixture.publish(2, 1, true).await);
    let events = fixture.broker.events();
    let mut listener = events.watch_owner(Some("owner"), None);
    let job = Arc::new(fixture.ledger.get(first).await.unwrap().unwrap());
    events.announce(first, JobEvent::Ended { job, files: None });
    for step in 0..1000 {
        let png = Arc::new(vec![0; 300 << 10]);
        events.announce(second, JobEvent::Preview { index: 0, step, png });
    }
    let heard = tokio::time::timeout(PATIENCE, listener.next()).await.unwrap().unwrap();
    assert!(heard.job == first && matches!(heard.event, JobEvent::Ended { .. }), "{heard:?}");
}

/// Of a broker whose events may get lost.
pub async fn a_lost_end_is_heard_though_the_store_did_not_answer_once(fixture: &Fixture) {
    let id = fixture.publish(1, 1, true).await;
    let mut watcher = fixture.broker.events().watch(id, 0).unwrap();
    let claim = fixture.claim(WIDE).await.unwrap();
    fixture.ledger.hangs_once.store(true, Ordering::SeqCst);
    assert!(fixture.acknowledge(&claim).await);
    let end = tokio::time::timeout(PATIENCE, watcher.next()).await.unwrap().unwrap();
    assert!(matches!(&end.event, JobEvent::Ended { job, .. } if job.id == id));
    assert!(!fixture.ledger.hangs_once.load(Ordering::SeqCst), "it was not asked in vain");
}

pub async fn watchers_of_owners_hear_of_their_jobs_alone(fixture: &Fixture) {
    let events = fixture.broker.events();
    let (mine, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    events.open(mine, "me");
    events.open(theirs, "them");
    let (mut my, mut all) = (events.watch_owner(Some("me"), None), events.watch_owner(None, None));
    for job in [theirs, mine] {
        events.announce(job, JobEvent::Queued { position: 0, eta_ms: 0 });
    }
    let next = async |watcher: &mut kandinsky::broker::Subscription| {
        tokio::time::timeout(PATIENCE, watcher.next()).await.unwrap().map(|event| event.job)
    };
    assert_eq!(next(&mut my).await, Some(mine));
    assert_eq!([next(&mut all).await, next(&mut all).await], [Some(theirs), Some(mine)]);
    events.close_owners();
    assert_eq!((next(&mut my).await, next(&mut all).await), (None, None));
}
