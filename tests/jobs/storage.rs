//! What cannot be stored is not accepted, and what was accepted waits; on a full disk jobs can be canceled and deleted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use kandinsky::broker::{LocalBroker, LocalConfig};
use kandinsky::clock::{Clock, SystemClock};
use kandinsky::domain::{JobState, Webhook, WebhookEvent};
use kandinsky::jobs::{Accepted, JobBackends, JobService, JobsConfig, Refusal, WebhookConfig, WebhookTransport};
use kandinsky::records::{ApiKey, KeyDigest, KeyLimits};
use kandinsky::retry::RetryPolicy;
use kandinsky::signature::Signer;
use kandinsky::store::{self, StoreError};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::doubles::{Act, Ledger, Worker, idempotency};
use crate::service::{World, backends, broker, config, ended, eventually, outcome, running, start_service, submission};

async fn refusal(world: &World) -> Option<StoreError> {
    match world.jobs.submit(submission(9, true)).await {
        Err(Refusal::Store(error)) => Some(error),
        Err(other) => panic!("{other:?}"),
        Ok(Accepted::New(accepted)) => {
            world.jobs.delete(&accepted.job).await.unwrap();
            None
        }
        Ok(Accepted::Known(job)) => panic!("{} is known", job.id),
    }
}

#[tokio::test]
async fn finished_images_wait_for_room_and_new_work_is_refused_meanwhile() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    world.files.fills_up.store(true, Ordering::SeqCst);
    let attempts = async |name: &str| world.files.puts.lock().get(name).is_some_and(|(attempts, _)| *attempts > 0);
    let (first, second) = tokio::join!(world.queue_up(1), world.jobs.submit(submission(2, true)));
    eventually(async || attempts("0.png").await).await;
    assert!(matches!(refusal(&world).await, Some(StoreError::Full(_))), "it takes what it cannot store");
    assert!(matches!(world.jobs.ping().await, Err(StoreError::Full(_))));
    assert_eq!(*world.worker.seeds.lock(), [1], "what cannot be stored is begun");
    world.files.is_full.store(false, Ordering::SeqCst);
    assert_eq!(outcome(first.events).await, JobState::Succeeded);
    if let Ok(Accepted::New(second)) = second {
        assert_eq!(outcome(second.events).await, JobState::Succeeded);
    }
    eventually(async || refusal(&world).await.is_none()).await;
}

#[tokio::test]
async fn a_full_database_lets_jobs_be_canceled_and_deleted() {
    let world = World::start(Worker::new(|_| Act::Hold)).await;
    let mut held = world.queue_up(1).await;
    running(&mut held.events).await;
    let (waiting, other) = (world.queue_up(2).await, world.queue_up(3).await);
    for (job, delete) in [(&waiting.job, false), (&other.job, true), (&held.job, false)] {
        world.ledger.is_full.store(true, Ordering::SeqCst);
        if delete {
            assert!(world.jobs.delete(job).await.unwrap());
        } else {
            world.jobs.cancel(job).await.unwrap();
        }
    }
    for events in [waiting.events, other.events, held.events] {
        assert_eq!(outcome(events).await, JobState::Canceled);
    }
}

#[tokio::test]
async fn a_server_starts_on_a_full_disk_and_takes_up_its_jobs_once_there_is_room() {
    let first = World::start(Worker::new(|_| Act::Hold)).await;
    let mut held = first.queue_up(1).await;
    running(&mut held.events).await;
    first.ledger.is_full.store(true, Ordering::SeqCst);
    let next = first.restart(Worker::new(|_| Act::Draw)).await;
    eventually(async || next.ledger.state(held.job.id).await == JobState::Succeeded).await;
}

#[tokio::test]
async fn a_job_whose_files_are_gone_frees_its_idempotency_key() {
    let world = World::start(Worker::new(|_| Act::Draw)).await;
    let keyed = || {
        let mut submission = submission(1, true);
        submission.idempotency = Some(idempotency("once"));
        submission
    };
    let mut accepted = world.submit(keyed()).await;
    let job = ended(&mut accepted.events).await;
    let Ok(Accepted::Known(known)) = world.jobs.submit(keyed()).await else { panic!("it is not known") };
    assert_eq!(known.id, job.id);
    kandinsky::store::BlobStore::delete(&*world.files, job.id, "").await.unwrap();
    let again = world.submit(keyed()).await;
    assert_ne!(again.job.id, job.id);
    assert_eq!(outcome(again.events).await, JobState::Succeeded);
}

fn key(id: &str) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        name: String::new(),
        scopes: std::collections::BTreeSet::new(),
        limits: KeyLimits::default(),
        moderation_policy: None,
        created_at: 0,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

#[tokio::test]
async fn jobs_of_a_revoked_key_are_canceled_unless_it_keeps_them() {
    let world = World::start(Worker::new(|_| Act::Hold)).await;
    let mut jobs = Vec::new();
    for (owner, seed) in [("revoked", 1), ("kept", 2), ("revoked", 3), ("good", 4)] {
        world.ledger.inner.insert_key(&key(owner), &KeyDigest([0; 32])).await.ok();
        jobs.push(
            world.submit(kandinsky::jobs::Submission { owner: owner.to_owned(), ..submission(seed, true) }).await,
        );
    }
    running(&mut jobs[0].events).await;
    assert!(world.ledger.inner.keep_jobs("kept").await.unwrap());
    for owner in ["revoked", "kept"] {
        world.ledger.inner.revoke_key(owner, 1).await.unwrap();
    }
    for at in [2, 0] {
        assert_eq!(ended(&mut jobs[at].events).await.state, JobState::Canceled);
    }
    running(&mut jobs[1].events).await;
    assert_eq!(world.ledger.state(jobs[3].job.id).await, JobState::Queued);
}

/// A service on a store that others share.
async fn shared(process: &str, ledger: &Arc<Ledger>, worker: &Arc<Worker>, lease: Duration) -> JobService {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let local = LocalConfig { process: process.to_owned(), lease };
    let broker = Arc::new(LocalBroker::new(local, ledger.clone(), clock.clone()));
    let config = JobsConfig { exclusive: false, most_unexplained_losses: 20, ..config(clock) };
    start_service(config, backends(broker, ledger, &Arc::default(), worker)).await
}

#[tokio::test]
async fn after_an_outage_that_all_saw_nobody_takes_the_jobs_of_the_living() {
    let lease = Duration::from_secs(3);
    let folder = TempDir::new().unwrap();
    let inner = store::open_sqlite(&folder.path().join("jobs.sqlite")).await.unwrap();
    let ledgers = [(); 2].map(|()| Ledger::new(inner.clone()));
    let workers = [(); 2].map(|()| Worker::new(|_| Act::Hold));
    let first = shared("first", &ledgers[0], &workers[0], lease).await;
    let Ok(Accepted::New(mut job)) = first.submit(submission(1, true)).await else { panic!("refused") };
    running(&mut job.events).await;
    let second = shared("second", &ledgers[1], &workers[1], lease).await;
    for ledger in &ledgers {
        ledger.is_away.store(true, Ordering::SeqCst);
    }
    // Until the lease has ended, and for longer.
    let ends_at = inner.get(job.job.id).await.unwrap().unwrap();
    assert_eq!(ends_at.epoch, 1);
    tokio::time::sleep(lease + Duration::from_secs(1)).await;
    let before = ledgers[1].extensions.load(Ordering::SeqCst);
    ledgers[1].is_away.store(false, Ordering::SeqCst);
    eventually(async || ledgers[1].extensions.load(Ordering::SeqCst) > before).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    ledgers[0].is_away.store(false, Ordering::SeqCst);
    tokio::time::sleep(lease * 2).await;
    let kept = inner.get(job.job.id).await.unwrap().unwrap();
    assert_eq!(
        (kept.state, kept.epoch, kept.losses),
        (JobState::Running, 1, 0),
        "the job of a living server was taken"
    );
    assert_eq!([workers[0].holds(), workers[1].holds()], [1, 0]);

    // The first one alone loses sight of the store: the other takes over, and the run that is stale then stops.
    ledgers[0].is_away.store(true, Ordering::SeqCst);
    eventually(async || workers[1].holds() == 1).await;
    ledgers[0].is_away.store(false, Ordering::SeqCst);
    eventually(async || workers[0].holds() == 0).await;
    assert_eq!(inner.get(job.job.id).await.unwrap().unwrap().epoch, 2);
    drop((first, second));
}

#[tokio::test]
async fn an_owner_leaves_room_for_others_in_the_queue() {
    let world = World::with(Worker::new(|_| Act::Hold), |config| {
        config.owner_share = 0.5;
        config.capacity.jobs = 8;
    })
    .await;
    let submit = async |owner: &str| {
        let submission = kandinsky::jobs::Submission { owner: owner.to_owned(), ..submission(1, true) };
        world.jobs.submit(submission).await.map(drop)
    };
    for _ in 0..4 {
        submit("alice").await.unwrap();
    }
    assert!(matches!(submit("alice").await, Err(Refusal::OwnShare { .. })));
    // The next one has half of what is left, and always a first job.
    for _ in 0..2 {
        submit("bob").await.unwrap();
    }
    assert!(matches!(submit("bob").await, Err(Refusal::OwnShare { .. })));
    submit("carol").await.unwrap();
}

/// Its receivers whose host begins with "slow" never answer.
#[derive(Default)]
struct Receivers {
    taken: Mutex<Vec<String>>,
    slow: Mutex<usize>,
}

#[async_trait]
impl WebhookTransport for Receivers {
    async fn post(&self, url: &str, _: &[(&str, String)], _: Vec<u8>) -> Result<u16, String> {
        if url.contains("slow") {
            *self.slow.lock() += 1;
            std::future::pending::<()>().await;
        }
        self.taken.lock().push(url.to_owned());
        Ok(204)
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_holds_up_nobody_else() {
    let folder = TempDir::new().unwrap();
    let inner = store::open_sqlite(&folder.path().join("jobs.sqlite")).await.unwrap();
    let (ledger, worker) = (Ledger::new(inner), Worker::new(|_| Act::Hold));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let receivers = Arc::new(Receivers::default());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into();
    let retry = RetryPolicy::constant(Duration::from_millis(20)).at_most(8);
    let webhooks: (WebhookConfig, Arc<dyn WebhookTransport>) =
        (WebhookConfig { signer: Signer::new(&secret).unwrap(), retry }, receivers.clone());
    let backends = backends(broker("hooks", &ledger, clock.clone()), &ledger, &Arc::default(), &worker);
    let jobs = start_service(config(clock), JobBackends { webhooks: Some(webhooks), ..backends }).await;
    let cancel = async |url: &str| {
        let mut submission = submission(1, true);
        submission.spec.webhook =
            Some(Webhook { url: url.to_owned(), events: WebhookEvent::of(JobState::Canceled).into_iter().collect() });
        let Ok(Accepted::New(accepted)) = jobs.submit(submission).await else { panic!("refused") };
        jobs.cancel(&accepted.job).await.unwrap();
    };
    // The first one runs, so that the others wait and are canceled at once.
    let Ok(Accepted::New(_running)) = jobs.submit(submission(1, true)).await else { panic!("refused") };
    for i in 0..100 {
        cancel(&format!("https://slow.example/{i}")).await;
    }
    cancel("https://quick.example/").await;
    eventually(async || receivers.taken.lock().contains(&"https://quick.example/".to_owned())).await;
    assert!((1..=8).contains(&*receivers.slow.lock()), "deliveries to one receiver are bounded");
}
