//! What becomes of jobs whose process is gone.

use kandinsky::domain::JobState;
use kandinsky::records::Job;
use kandinsky::store::CancelOutcome;
use uuid::Uuid;

use crate::harness::{Store, StoreExt, announced, failure, id, job, lease, recover, running, state};

pub async fn lost_durable_jobs_run_again_until_they_are_poisonous(store: Store) {
    store.insert(&job(1), None, None).await.unwrap();
    for epoch in 1..=2 {
        let claimed = store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
        assert_eq!(claimed.epoch, epoch);
        assert_eq!(recover(&store, 500).await, 0, "the lease has not ended");
        assert_eq!(recover(&store, 501).await, 1);
        assert_eq!(recover(&store, 501).await, 0);
        assert_eq!(store.list_queued(None, 10).await.unwrap().len(), 1);
    }
    store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
    assert_eq!(announced(&store).await, [""; 0]);
    assert_eq!(recover(&store, 501).await, 1);
    let failed = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.failure), (JobState::Failed, Some(failure("poisonous"))));
    assert_eq!((failed.finished_at, failed.expires_at), (Some(501), Some(9000)));
    assert_eq!(announced(&store).await, ["poisonous"]);
    assert_eq!(recover(&store, 10_000).await, 0);
}

pub async fn jobs_given_back_in_good_order_are_not_poisonous(store: Store) {
    store.insert(&job(1), None, None).await.unwrap();
    for _ in 0..5 {
        let claimed = store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
        assert!(store.release(id(1), claimed.epoch, false).await.unwrap());
    }
    let claimed = store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
    assert_eq!(claimed.losses, 0);
    assert!(store.release(id(1), claimed.epoch, true).await.unwrap());
    store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
    assert_eq!(recover(&store, 501).await, 1);
    let queued = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!((queued.state, queued.losses), (JobState::Queued, 2));
    store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
    recover(&store, 501).await;
    assert_eq!(state(&store, 1).await, JobState::Failed);
}

pub async fn lost_connections_fail_their_jobs(store: Store) {
    for n in 1..=3 {
        let fleeting = Job { durable: false, ..job(n) };
        store.insert(&fleeting, None, Some(&lease("front", 500))).await.unwrap();
    }
    // Leases of queued jobs count as those of running ones do; a released job stays leased.
    store.claim(id(2), &lease("worker", 400), 100).await.unwrap().unwrap();
    store.claim(id(3), &lease("worker", 400), 100).await.unwrap().unwrap();
    assert!(store.release(id(3), 1, false).await.unwrap());
    assert_eq!(recover(&store, 401).await, 2);
    assert_eq!((state(&store, 1).await, state(&store, 2).await), (JobState::Queued, JobState::Failed));
    assert_eq!(state(&store, 3).await, JobState::Failed);
    assert_eq!(recover(&store, 501).await, 1);
    assert_eq!(store.get(id(1)).await.unwrap().unwrap().failure, Some(failure("abandoned")));
    assert_eq!(announced(&store).await, ["abandoned"; 3]);
    // Durable jobs that wait belong to nobody.
    store.insert(&job(4), None, Some(&lease("front", 500))).await.unwrap();
    assert_eq!(recover(&store, i64::MAX).await, 0);
}

pub async fn heartbeats_keep_jobs_and_bring_cancellations(store: Store) {
    for n in 1..=3 {
        running(&store, n).await;
    }
    store.insert(&job(4), None, None).await.unwrap();
    store.claim(id(4), &lease("other", 500), 100).await.unwrap().unwrap();
    for n in [2, 4] {
        assert!(matches!(store.cancel(id(n), &[], 200, 900).await.unwrap(), CancelOutcome::Requested));
    }
    assert_eq!(store.extend_leases(&lease("w", 800)).await.unwrap(), [id(2)]);
    assert_eq!(store.extend_leases(&lease("nobody", 800)).await.unwrap(), Vec::<Uuid>::new());
    assert_eq!(recover(&store, 501).await, 1, "the other's");
    assert_eq!(state(&store, 4).await, JobState::Queued);
    // What has ended is nobody's any more.
    store.end(id(2), 1, &kandinsky::domain::Outcome::Canceled, &[], 600, 900).await.unwrap();
    assert_eq!(store.extend_leases(&lease("w", 900)).await.unwrap(), Vec::<Uuid>::new());
    assert_eq!(recover(&store, 901).await, 2);
}

pub async fn a_wish_to_cancel_outlives_a_lost_worker(store: Store) {
    running(&store, 1).await;
    store.cancel(id(1), &[], 200, 900).await.unwrap();
    assert_eq!(recover(&store, 501).await, 1);
    let claimed = store.claim(id(1), &lease("v", 800), 600).await.unwrap().unwrap();
    assert!(claimed.cancel_requested);
    assert_eq!(store.extend_leases(&lease("v", 900)).await.unwrap(), [id(1)]);
}

pub async fn two_recoverers_take_a_job_up_once(store: Store) {
    for n in 0..40 {
        let fleeting = Job { durable: n % 2 == 0, ..job(n) };
        store.insert(&fleeting, None, Some(&lease("front", 100))).await.unwrap();
        store.claim(id(n), &lease("w", 100), 50).await.unwrap().unwrap();
    }
    let recoverers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { recover(&store, 200).await })
    });
    let mut touched = 0;
    for recoverer in recoverers.collect::<Vec<_>>() {
        touched += recoverer.await.unwrap();
    }
    assert_eq!(touched, 40);
    assert_eq!(announced(&store).await.len(), 20);
    assert_eq!(store.list_queued(None, 100).await.unwrap().len(), 20);
}

pub async fn more_lost_jobs_than_a_batch(store: Store) {
    for n in 0..250 {
        running(&store, n).await;
    }
    assert_eq!(recover(&store, 501).await, 250);
    assert_eq!(store.list_queued(None, 1000).await.unwrap().len(), 250);
}
