//! Whatever fails on a job's way, nothing is kept from others, written twice or counted twice.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kandinsky::domain::{FailureKind, JobState};
use kandinsky::jobs::{Accepted, Submission};
use kandinsky::metrics::BLOB_WRITTEN;
use kandinsky::store::JobStore as _;

use crate::doubles::{Act, Worker, idempotency};
use crate::service::{Meter, World, ended, eventually, outcome, running, submission};

/// Far less than the pause between attempts grows to, and far more than an attempt takes.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_run_that_panics_fails_its_job_and_leaves_the_room_to_others() {
    let world = World::start(Worker::new(|seed| if seed == 1 { Act::Panic } else { Act::Draw })).await;
    for _ in 0..3 {
        let mut accepted = world.queue_up(1).await;
        let job = ended(&mut accepted.events).await;
        assert_eq!(job.failure.as_ref().unwrap().kind, FailureKind::Internal);
        assert!(!job.failure.as_ref().unwrap().message.contains("on purpose"), "what panicked is not the caller's");
    }
    assert_eq!(outcome(world.queue_up(2).await.events).await, JobState::Succeeded);
}

#[tokio::test]
async fn without_a_worker_jobs_are_left_to_others_and_nothing_waits_for_them() {
    let world = World::start(Worker::new(|seed| if seed == 1 { Act::GiveUp } else { Act::Draw })).await;
    let handed = world.queue_up(1).await;
    eventually(async || {
        let job = world.ledger.get(handed.job.id).await.unwrap().unwrap();
        (job.state, job.epoch) == (JobState::Queued, 1)
    })
    .await;
    let (waiting, mut attached) = (world.queue_up(2).await, world.attach(3).await);
    let start = Instant::now();
    world.jobs.drain(Duration::from_hours(1)).await;
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    for job in [handed.job.id, waiting.job.id] {
        let job = world.ledger.get(job).await.unwrap().unwrap();
        assert_eq!((job.state, job.losses), (JobState::Queued, 0));
    }
    let failed = ended(&mut attached.events).await;
    assert_eq!(failed.failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Unavailable));
    assert_eq!(*world.worker.seeds.lock(), [1], "nothing else was handed to it");
}

#[tokio::test]
async fn a_claim_that_fails_waits_like_any_other_and_hears_of_its_cancellation() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    world.ledger.fails_claims.store(true, Ordering::SeqCst);
    let mut attached = world.attach(1).await;
    let mut durable = world.queue_up(2).await;
    // Past the first pauses, which are short.
    eventually(async || world.ledger.claims.load(Ordering::SeqCst) >= 4).await;
    let start = Instant::now();
    drop(attached.attached);
    assert_eq!(ended(&mut attached.events).await.state, JobState::Canceled);
    world.jobs.cancel(&durable.job).await.unwrap();
    assert_eq!(ended(&mut durable.events).await.state, JobState::Canceled);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());

    // Once the store answers, so do jobs.
    let waiting = world.queue_up(3).await;
    world.ledger.fails_claims.store(false, Ordering::SeqCst);
    assert_eq!(outcome(waiting.events).await, JobState::Succeeded);
    assert_eq!(*world.worker.seeds.lock(), [3]);
}

#[tokio::test]
async fn a_claim_that_fails_does_not_hold_up_a_drain() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    world.ledger.fails_claims.store(true, Ordering::SeqCst);
    let durable = world.queue_up(1).await;
    eventually(async || world.ledger.claims.load(Ordering::SeqCst) >= 4).await;
    let start = Instant::now();
    world.jobs.drain(Duration::from_hours(1)).await;
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert_eq!(world.ledger.state(durable.job.id).await, JobState::Queued);
}

/// A connection to the database may break after it has done what it was asked for.
#[tokio::test]
async fn an_end_whose_answer_is_lost_keeps_its_images() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    world.ledger.loses_end.store(true, Ordering::SeqCst);
    let mut accepted = world.queue_up(1).await;
    let job = ended(&mut accepted.events).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(world.files.names(job.id), ["0.png", "1.png"]);
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_made_again() {
    let lease = Duration::from_millis(300);
    let world = World::with_lease(Worker::new(|_| Act::Draw), lease, |config| config.exclusive = false).await;
    world.ledger.loses_claim.store(true, Ordering::SeqCst);
    let accepted = world.queue_up(1).await;
    eventually(async || world.ledger.state(accepted.job.id).await == JobState::Succeeded).await;
}

#[tokio::test]
async fn a_file_is_written_and_counted_once_whatever_fails_beside_it() {
    let meter = Meter::new();
    let _recording = meter.install();
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    world.files.failing.lock().push("1.png".to_owned());
    let mut accepted = world.queue_up(1).await;
    let job = ended(&mut accepted.events).await;
    assert_eq!(job.state, JobState::Succeeded);
    let puts = world.files.puts.lock().clone();
    assert_eq!((puts["0.png"], puts["1.png"]), ((1, 1), (2, 1)));
    let bytes: u64 = job.images.iter().map(|image| image.bytes).sum();
    assert_eq!(meter.total(&BLOB_WRITTEN, "") as u64, bytes);
}

#[tokio::test]
async fn what_a_run_stores_after_its_job_was_deleted_goes_with_the_run() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    *world.files.hanging.lock() = Some("1.png".to_owned());
    let mut attached = world.attach(1).await;
    eventually(async || world.files.names(attached.job.id) == ["0.png"]).await;
    // By another process, which looked for files before that one came.
    world.ledger.inner.delete(attached.job.id).await.unwrap();
    drop(attached.attached.take());
    eventually(async || world.files.names(attached.job.id).is_empty()).await;
}

#[tokio::test]
async fn what_is_stored_while_a_job_is_deleted_is_deleted_too() {
    let world = World::start(Worker::new(|_| Act::Hold)).await;
    let mut held = world.queue_up(1).await;
    running(&mut held.events).await;
    *world.files.late.lock() = Some("0.png".to_owned());
    assert!(world.jobs.delete(&held.job).await.unwrap());
    assert_eq!(world.files.names(held.job.id), [""; 0]);
}

#[tokio::test]
async fn a_job_that_ends_while_it_is_looked_for_is_not_queued_again() {
    let first = World::start(Worker::new(|_| Act::Draw)).await;
    first.ledger.fails_claims.store(true, Ordering::SeqCst);
    let ended = first.queue_up(1).await;
    first.jobs.drain(Duration::ZERO).await;
    first.ledger.fails_claims.store(false, Ordering::SeqCst);
    first.ledger.cancels_listed.store(true, Ordering::SeqCst);
    first.ledger.claims.store(0, Ordering::SeqCst);
    let next = first.restart(Worker::new(|_| Act::Draw)).await;
    next.ledger.cancels_listed.store(false, Ordering::SeqCst);
    assert_eq!(next.ledger.state(ended.job.id).await, JobState::Canceled);
    // It would have been claimed before this one.
    assert_eq!(outcome(next.queue_up(2).await.events).await, JobState::Succeeded);
    assert_eq!(next.ledger.claims.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_job_that_is_being_canceled_has_lost_its_key() {
    let world = World::start(Worker::new(|seed| if seed == 1 { Act::Hold } else { Act::Draw })).await;
    let keyed = |seed| Submission { idempotency: Some(idempotency("once")), ..submission(seed, true) };
    let mut held = world.submit(keyed(1)).await;
    running(&mut held.events).await;
    // As another process does it, so that the run here does not hear of it yet.
    world.ledger.inner.cancel(held.job.id, &[], 1, 2).await.unwrap();
    let again = world.submit(keyed(2)).await;
    assert_ne!(again.job.id, held.job.id);
    world.jobs.cancel(&held.job).await.unwrap();
    assert_eq!(outcome(held.events).await, JobState::Canceled);
    assert_eq!(outcome(again.events).await, JobState::Succeeded);
}

#[tokio::test]
async fn expired_jobs_are_known_by_the_clock_of_the_service() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    let mut submitted = submission(1, true);
    submitted.idempotency = Some(idempotency("once"));
    let mut accepted = world.submit(submitted).await;
    let job = ended(&mut accepted.events).await;
    assert!(!world.jobs.is_expired(&job));
    world.clock.advance(Duration::from_hours(1));
    assert!(world.jobs.is_expired(&job));
    let mut again = submission(1, true);
    again.idempotency = Some(idempotency("once"));
    let Accepted::Known(known) = world.jobs.submit(again).await.unwrap() else { panic!("it is a new job") };
    assert!(known.id == job.id && world.jobs.is_expired(&known));
}
