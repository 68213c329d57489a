//! Every accepted job ends once, and is counted once, however it ends.

use std::time::Duration;

use kandinsky::clock::Clock as _;
use kandinsky::domain::JobState;
use kandinsky::metrics::{JOB_DURATION, JOBS_ACCEPTED, JOBS_FINISHED};

use crate::doubles::{Act, Worker};
use crate::service::{Meter, World, ended, eventually, outcome, running};

const DRAWN: u64 = 1;
const HELD: u64 = 2;
const FAILED: u64 = 3;
const LOST: u64 = 4;
const PANICKED: u64 = 5;

fn act(seed: u64) -> Act {
    match seed {
        HELD => Act::Hold,
        FAILED => Act::Fail,
        LOST => Act::Lose,
        PANICKED => Act::Panic,
        _ => Act::Draw,
    }
}

/// Accepted jobs are those that finished and those that the store says are in flight; and each end has its duration.
async fn check_books(meter: &Meter, world: &World) {
    let (accepted, finished) = (meter.total(&JOBS_ACCEPTED, ""), meter.total(&JOBS_FINISHED, ""));
    assert_eq!(accepted, finished + world.ledger.in_flight().await, "accepted, finished: {accepted}, {finished}");
    assert_eq!(meter.total(&JOB_DURATION, ""), finished);
}

#[tokio::test]
async fn every_end_is_counted_once() {
    let meter = Meter::new();
    let _recording = meter.install();
    let world = World::start(Worker::new(act)).await;

    assert_eq!(outcome(world.queue_up(DRAWN).await.events).await, JobState::Succeeded);
    let attached = world.attach(DRAWN).await;
    assert_eq!(outcome(attached.events).await, JobState::Succeeded);
    drop(attached.attached);
    assert_eq!(outcome(world.queue_up(FAILED).await.events).await, JobState::Failed);
    assert_eq!(outcome(world.queue_up(PANICKED).await.events).await, JobState::Failed);
    assert_eq!(outcome(world.queue_up(LOST).await.events).await, JobState::Failed, "lost too often");
    check_books(&meter, &world).await;
    assert_eq!(meter.total(&JOBS_ACCEPTED, ""), 5);

    // Canceled while it waits, and while it runs.
    let mut held = world.queue_up(HELD).await;
    running(&mut held.events).await;
    let waiting = world.queue_up(DRAWN).await;
    world.jobs.cancel(&waiting.job).await.unwrap();
    assert_eq!(outcome(waiting.events).await, JobState::Canceled);
    check_books(&meter, &world).await;
    world.jobs.cancel(&held.job).await.unwrap();
    assert_eq!(outcome(held.events).await, JobState::Canceled);
    check_books(&meter, &world).await;

    // The caller is gone while it runs, and while it waits.
    let mut held = world.attach(HELD).await;
    running(&mut held.events).await;
    let mut waiting = world.attach(DRAWN).await;
    drop(waiting.attached);
    assert_eq!(ended(&mut waiting.events).await.state, JobState::Canceled);
    drop(held.attached);
    assert_eq!(ended(&mut held.events).await.state, JobState::Canceled);
    check_books(&meter, &world).await;

    // Deleted while it runs, and while it waits.
    let mut held = world.queue_up(HELD).await;
    running(&mut held.events).await;
    let waiting = world.queue_up(DRAWN).await;
    for (job, mut events) in [(waiting.job, waiting.events), (held.job, held.events)] {
        assert!(world.jobs.delete(&job).await.unwrap());
        assert_eq!(ended(&mut events).await.state, JobState::Canceled);
        check_books(&meter, &world).await;
    }
    eventually(async || world.worker.holds() == 0).await;
    assert_eq!(outcome(world.queue_up(DRAWN).await.events).await, JobState::Succeeded, "the worker is free again");
    check_books(&meter, &world).await;
    assert_eq!(world.ledger.in_flight().await, 0);
    for (label, count) in [("succeeded", 3), ("failed", 3), ("canceled", 6)] {
        assert_eq!(meter.total(&JOBS_FINISHED, label), count, "{label}");
    }
}

#[tokio::test]
async fn jobs_that_recovery_fails_are_counted_too() {
    let meter = Meter::new();
    let _recording = meter.install();
    let first = World::start(Worker::new(|_| Act::Hold)).await;
    let mut poisonous = first.queue_up(HELD).await;
    running(&mut poisonous.events).await;
    let abandoned = first.attach(HELD).await;

    // Once it is run again, the second time it fails: it was lost with two processes.
    let second = first.restart(Worker::new(|_| Act::Hold)).await;
    let failed = second.jobs.get(abandoned.job.id).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.finished_at), (JobState::Failed, Some(second.clock.now_ms())));
    check_books(&meter, &second).await;
    eventually(async || second.worker.holds() == 1).await;
    let third = second.restart(Worker::new(|_| Act::Hold)).await;
    assert_eq!(third.ledger.state(poisonous.job.id).await, JobState::Failed);
    check_books(&meter, &third).await;
    assert_eq!((meter.total(&JOBS_FINISHED, "failed"), third.ledger.in_flight().await), (2, 0));
}

#[tokio::test]
async fn a_drain_ends_what_is_attached_and_requeues_what_is_durable() {
    let meter = Meter::new();
    let _recording = meter.install();
    let world = World::start(Worker::new(act)).await;
    let mut running_attached = world.attach(HELD).await;
    running(&mut running_attached.events).await;
    let mut waiting_attached = world.attach(DRAWN).await;
    let waiting_durable = world.queue_up(DRAWN).await;
    tokio::time::timeout(Duration::from_secs(10), world.jobs.drain(Duration::ZERO)).await.expect("it takes its time");

    for events in [&mut running_attached.events, &mut waiting_attached.events] {
        let job = ended(events).await;
        assert_eq!(job.state, JobState::Failed);
        assert_eq!(job.failure.as_ref().unwrap().message, "the server is stopping");
    }
    assert_eq!(world.ledger.state(waiting_durable.job.id).await, JobState::Queued);
    check_books(&meter, &world).await;

    let next = world.restart(Worker::new(act)).await;
    eventually(async || next.ledger.in_flight().await == 0).await;
    assert_eq!(next.ledger.state(waiting_durable.job.id).await, JobState::Succeeded);
}

#[tokio::test]
async fn a_drain_returns_as_soon_as_what_runs_has_ended() {
    let world = World::start(Worker::new(act)).await;
    let mut running_durable = world.queue_up(HELD).await;
    running(&mut running_durable.events).await;
    let jobs = world.jobs.clone();
    let drained = tokio::spawn(async move { jobs.drain(Duration::from_hours(1)).await });
    eventually(async || world.jobs.is_draining()).await;
    world.jobs.cancel(&running_durable.job).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), drained).await.expect("it waits for nothing").unwrap();
    assert_eq!(world.ledger.state(running_durable.job.id).await, JobState::Canceled);
}
