//! What is kept, and what goes: by owner, in number and in bytes; folders that belong to no job.

use std::sync::Arc;
use std::time::Duration;

use kandinsky::broker::{EventBus as _, Feed, JobEvent};
use kandinsky::clock::Clock as _;
use kandinsky::domain::JobState;
use kandinsky::jobs::{KeptBound, Submission};
use kandinsky::records::Job;
use kandinsky::store::BlobStore as _;
use uuid::{NoContext, Timestamp, Uuid};

use crate::doubles::{Act, Worker};
use crate::service::{World, ended, eventually, submission};

/// Swept so often that tests need not wait.
const OFTEN: Duration = Duration::from_millis(5);

/// Finish as many jobs of an owner, one after the other.
async fn finish(world: &World, owner: &str, count: u64) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for seed in 0..count {
        let own = Submission { owner: owner.to_owned(), ..submission(seed, true) };
        let mut accepted = world.submit(own).await;
        assert_eq!(ended(&mut accepted.events).await.state, JobState::Succeeded);
        ids.push(accepted.job.id);
    }
    ids
}

/// Jobs and bytes that are kept for an owner.
async fn kept(world: &World, owner: &str) -> (u64, u64) {
    let all = kandinsky::store::Upkeep::list_kept(&*world.ledger).await.unwrap();
    all.iter().find(|kept| kept.owner == owner).map_or((0, 0), |kept| (kept.jobs, kept.bytes))
}

async fn is_known(world: &World, id: Uuid) -> bool {
    let row = world.jobs.get(id).await.unwrap().is_some();
    let files = world.files.list_jobs().await.unwrap().contains(&id);
    assert!(row || !files, "its files are left");
    row
}

#[tokio::test]
async fn an_owner_keeps_so_many_jobs_and_the_oldest_go() {
    let world = World::with(Worker::new(|_| Act::Draw), |config| {
        config.most_kept = KeptBound { jobs: 3, bytes: 1 << 30 };
        config.clean_interval = OFTEN;
    })
    .await;
    let theirs = finish(&world, "other", 3).await;
    let own = finish(&world, "owner", 6).await;
    eventually(async || kept(&world, "owner").await.0 == 3).await;
    for (i, id) in own.iter().enumerate() {
        assert_eq!(is_known(&world, *id).await, i >= 3, "job {i}");
    }
    for id in theirs {
        assert!(is_known(&world, id).await, "another owner pays");
    }
}

#[tokio::test]
async fn an_owner_keeps_so_many_bytes() {
    let measured = World::start(Worker::new(|_| Act::Draw)).await;
    finish(&measured, "owner", 1).await;
    let (_, one) = kept(&measured, "owner").await;
    let world = World::with(Worker::new(|_| Act::Draw), |config| {
        config.most_kept = KeptBound { jobs: 1000, bytes: one * 5 / 2 };
        config.clean_interval = OFTEN;
    })
    .await;
    let own = finish(&world, "owner", 5).await;
    eventually(async || kept(&world, "owner").await.0 == 2).await;
    assert!(is_known(&world, own[4]).await && !is_known(&world, own[0]).await);
}

#[tokio::test]
async fn files_that_cannot_be_deleted_hold_up_nothing_else() {
    let world = World::with(Worker::new(|_| Act::Draw), |config| config.clean_interval = OFTEN).await;
    let own = finish(&world, "owner", 3).await;
    world.files.undeletable.lock().push(own[0]);
    // Past the life of images, and then past that of jobs.
    for _ in 0..2 {
        world.clock.advance(Duration::from_hours(1) + Duration::from_secs(1));
        eventually(async || world.files.list_jobs().await.unwrap() == [own[0]]).await;
    }
    eventually(async || world.ledger.inner.get(own[1]).await.unwrap().is_none()).await;
    assert!(world.ledger.inner.get(own[0]).await.unwrap().is_some(), "its files are left");
    world.files.undeletable.lock().clear();
    eventually(async || !is_known(&world, own[0]).await).await;
}

#[tokio::test]
async fn folders_that_belong_to_no_job_are_swept_unless_they_may_still_come_to_one() {
    let first = World::start(Worker::new(|_| Act::Draw)).await;
    let minutes_from_now = |minutes: i64| {
        let ms = first.clock.now_ms() + minutes * 60_000;
        let (seconds, rest) = (ms.unsigned_abs() / 1000, u32::try_from(ms.unsigned_abs() % 1000).unwrap());
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, rest * 1_000_000))
    };
    let job = finish(&first, "owner", 1).await[0];
    let (lost, coming, foreign) = (minutes_from_now(1), minutes_from_now(19), minutes_from_now(-30));
    for id in [lost, coming, foreign] {
        first.files.put(id, "0.png", vec![1]).await.unwrap();
    }
    first.clock.advance(Duration::from_mins(20));
    let next = first.restart_with(Worker::new(|_| Act::Draw), |config| config.clean_interval = OFTEN).await;
    let left = async || next.files.list_jobs().await.unwrap();
    eventually(async || !left().await.contains(&lost)).await;
    // One is of a job that is being accepted; the other is older than the database, which may be the wrong one.
    let left = left().await;
    assert!([job, coming, foreign].iter().all(|id| left.contains(id)), "{left:?}");
}

#[tokio::test]
async fn events_of_ended_jobs_with_long_texts_take_bounded_memory() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    let id = finish(&world, "owner", 1).await[0];
    let mut long = world.jobs.get(id).await.unwrap().unwrap();
    long.spec.parameters = "x".repeat(100 << 10);
    let feed = Feed::new(world.clock.clone());
    let _all = feed.watch_owner(None, None);
    let jobs: Vec<Arc<Job>> = (0..100).map(|_| Arc::new(long.clone())).collect();
    for job in &jobs {
        let id = Uuid::now_v7();
        feed.open(id, "owner");
        feed.announce(id, JobEvent::Ended { job: job.clone(), files: None });
    }
    let held = jobs.iter().filter(|job| Arc::strong_count(job) > 1).count();
    assert!((1..=10).contains(&held), "{held} jobs of 100 kB are held");
}
