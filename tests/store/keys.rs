//! Keys and quotas.

use std::collections::BTreeSet;

use kandinsky::domain::{Outcome, Priority};
use kandinsky::modes::Mode;
use kandinsky::records::{ApiKey, Job, KeyDigest, KeyLimits, Scope};
use kandinsky::store::{self, CancelOutcome, Database, InsertOutcome, NewJob, QuotaCharge};

use crate::harness::{Store, StoreExt, failure, id, job, key as idempotency, lease, recover, success};

/// ms
const DAY: i64 = 86_400_000;

fn key(id: &str) -> (ApiKey, KeyDigest) {
    let key = ApiKey {
        id: id.to_owned(),
        name: "ключ 'DROP TABLE api_keys; --".to_owned(),
        scopes: BTreeSet::from([Scope::Mode(Mode::Inpainting), Scope::Metrics]),
        limits: KeyLimits {
            rate: Some(u32::MAX),
            concurrency: None,
            daily_images: Some(7),
            max_priority: Priority::Normal,
        },
        moderation_policy: Some("strict".to_owned()),
        created_at: 5,
        expires_at: Some(i64::MAX),
        last_used_at: None,
        revoked_at: None,
    };
    (key, KeyDigest([0xAB; 32]))
}

pub async fn a_key_comes_back_as_it_was_kept(store: Store) {
    assert!(store.find_key("a").await.unwrap().is_none());
    let (first, digest) = key("a");
    store.insert_key(&first, &digest).await.unwrap();
    let bare = ApiKey {
        scopes: BTreeSet::from([Scope::Admin]),
        limits: KeyLimits::default(),
        moderation_policy: None,
        expires_at: None,
        created_at: 4,
        ..key("b").0
    };
    store.insert_key(&bare, &KeyDigest([0; 32])).await.unwrap();
    store.insert_key(&first, &digest).await.expect_err("an id twice");
    assert_eq!(store.find_key("a").await.unwrap().unwrap(), (first.clone(), digest));
    assert_eq!(store.find_key("b").await.unwrap().unwrap(), (bare.clone(), KeyDigest([0; 32])));
    assert_eq!(store.list_keys().await.unwrap(), [bare, first], "oldest first");
}

pub async fn a_key_is_revoked_once_and_its_last_use_stays(store: Store) {
    let (first, digest) = key("a");
    store.insert_key(&first, &digest).await.unwrap();
    for (now, want) in [(10, 10), (30, 30), (20, 30)] {
        store.record_key_use("a", now).await.unwrap();
        assert_eq!(store.find_key("a").await.unwrap().unwrap().0.last_used_at, Some(want));
    }
    assert!(store.revoke_key("a", 40).await.unwrap() && store.revoke_key("a", 50).await.unwrap());
    assert_eq!(store.find_key("a").await.unwrap().unwrap().0.revoked_at, Some(40));
    assert!(!store.revoke_key("b", 40).await.unwrap());
    store.record_key_use("b", 40).await.unwrap();
}

/// Job number `n`, created on this day.
fn on_day(n: u64, day: i64) -> Job {
    Job { created_at: day * DAY + 7, ..job(n) }
}

/// Keep a job that costs its owner this many of five images.
async fn charge(store: &Store, job: &Job, pictures: u32) -> InsertOutcome {
    let charge = Some(QuotaCharge { images: pictures, quota: 5 });
    store.insert_job(NewJob { job, idempotency: None, holder: None, charge, most_jobs: None }).await.unwrap()
}

/// Where processes share the database; on SQLite the one process counts by itself.
pub async fn a_rate_is_kept_however_many_ask_at_once(store: Store) {
    if !store.counts_requests() {
        store.take_requests("a", 10, 1, 0).await.expect_err("this is no place to count");
        return;
    }
    let ask = |_| {
        let store = store.clone();
        tokio::spawn(async move { store.take_requests("a", 10, 2, 0).await.unwrap() })
    };
    let mut granted = 0;
    for asked in (0..12).map(ask).collect::<Vec<_>>() {
        let grant = asked.await.unwrap();
        granted += grant.granted;
        // One is refilled in six seconds. Those that got the last two are told, too.
        let wait = grant.retry_after.as_secs_f64();
        assert!(wait <= 6.0 && (grant.granted == 2 || wait > 0.0), "{grant:?}");
    }
    assert_eq!(granted, 10);
    // Another key has its own, of which what was made already is taken first.
    assert_eq!(store.take_requests("b", 5, 4, 3).await.unwrap().granted, 2);
    let refused = store.take_requests("b", 5, 1, 2).await.unwrap();
    let wait = refused.retry_after.as_secs();
    assert!(refused.granted == 0 && (24..=36).contains(&wait), "three are owed, at 12 s each: {refused:?}");
    // A rate that is not to be reached is one, too.
    assert_eq!(store.take_requests("c", u32::MAX, 1000, 0).await.unwrap().granted, 1000);
    assert_eq!(store.take_requests("d", 1, 2, 0).await.unwrap().granted, 1);
}

pub async fn a_quota_is_charged_with_the_job_or_not_at_all(store: Store) {
    let used = async |day: i64| store.images_charged("owner", day * DAY).await.unwrap();
    assert!(matches!(charge(&store, &on_day(1, 3), 6).await, InsertOutcome::OverQuota));
    assert!(matches!(charge(&store, &on_day(1, 3), 3).await, InsertOutcome::New));
    assert!(matches!(charge(&store, &on_day(2, 3), 3).await, InsertOutcome::OverQuota));
    assert!(store.get(id(2)).await.unwrap().is_none());
    assert!(matches!(charge(&store, &on_day(3, 3), 2).await, InsertOutcome::New));
    assert!(matches!(charge(&store, &on_day(4, 3), 1).await, InsertOutcome::OverQuota));
    // Another day, and another owner.
    assert!(matches!(charge(&store, &on_day(5, 4), 5).await, InsertOutcome::New));
    let other = Job { owner: "other".to_owned(), ..on_day(6, 3) };
    assert!(matches!(charge(&store, &other, 5).await, InsertOutcome::New));
    assert_eq!((used(3).await, used(4).await, used(5).await), (5, 5, 0));

    // A request that is known costs nothing; one that conflicts or is over the quota leaves its key free.
    let keyed = async |n: u64, fingerprint: &str, pictures: u32| {
        let (job, key) = (on_day(n, 6), idempotency("k", fingerprint));
        let charge = Some(QuotaCharge { images: pictures, quota: 5 });
        store
            .insert_job(NewJob { job: &job, idempotency: Some(&key), holder: None, charge, most_jobs: None })
            .await
            .unwrap()
    };
    assert!(matches!(keyed(7, "f", 6).await, InsertOutcome::OverQuota));
    assert!(matches!(keyed(8, "g", 4).await, InsertOutcome::New));
    assert!(matches!(keyed(9, "g", 4).await, InsertOutcome::Existing(_)));
    assert!(matches!(keyed(10, "h", 4).await, InsertOutcome::Conflict));
    assert_eq!(used(6).await, 4);
}

pub async fn a_quota_is_never_exceeded_however_many_come_at_once(store: Store) {
    let jobs = (0..24).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { matches!(charge(&store, &on_day(n, 3), 1).await, InsertOutcome::New) })
    });
    let mut accepted = 0;
    for job in jobs.collect::<Vec<_>>() {
        accepted += u32::from(job.await.unwrap());
    }
    assert_eq!((accepted, store.images_charged("owner", 3 * DAY).await.unwrap()), (5, 5));
}

pub async fn an_owner_has_no_more_jobs_than_it_may_however_many_come_at_once(store: Store) {
    let insert = async |store: &Store, job: &Job| {
        let new = NewJob { job, idempotency: None, holder: None, charge: None, most_jobs: Some(3) };
        matches!(store.insert_job(new).await.unwrap(), InsertOutcome::New)
    };
    let jobs = (0..24).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { insert(&store, &on_day(n, 3)).await.then_some(n) })
    });
    let mut accepted = Vec::new();
    for job in jobs.collect::<Vec<_>>() {
        accepted.extend(job.await.unwrap());
    }
    assert_eq!(accepted.len(), 3);
    let cost = accepted.iter().map(|n| on_day(*n, 3).cost).sum();
    assert_eq!(store.held_by("owner").await.unwrap(), (3, cost));
    let other = Job { owner: "other".to_owned(), ..on_day(30, 3) };
    assert!(insert(&store, &other).await);
    // One that runs counts, and one that has ended does not.
    store.claim(id(accepted[0]), &lease("w", 500), 100).await.unwrap().unwrap();
    assert!(!insert(&store, &on_day(31, 3)).await);
    assert!(store.end(id(accepted[0]), 1, &Outcome::Canceled, &[], 200, 900).await.unwrap());
    assert!(insert(&store, &on_day(32, 3)).await);
    assert!(!insert(&store, &on_day(33, 3)).await && store.get(id(33)).await.unwrap().is_none());
}

pub async fn what_makes_no_pictures_is_given_back(store: Store) {
    let used = async || store.images_charged("owner", 3 * DAY).await.unwrap();
    let claim = async |n: u64| store.claim(id(n), &lease("w", 500), 100).await.unwrap().unwrap();
    let taken = async |n: u64, durable: bool| {
        let job = Job { durable, ..on_day(n, 3) };
        assert!(matches!(charge(&store, &job, 4).await, InsertOutcome::New), "{n}");
        assert_eq!(used().await, 4);
    };
    // Canceled while it waits.
    taken(1, true).await;
    assert!(matches!(store.cancel(id(1), &[], 5, 9).await.unwrap(), CancelOutcome::Canceled));
    assert!(matches!(store.cancel(id(1), &[], 5, 9).await.unwrap(), CancelOutcome::Ended(_)));
    assert_eq!(used().await, 0);
    // Canceled while it runs, and failed; by the newest claim alone.
    for (n, outcome) in [(2, Outcome::Canceled), (3, Outcome::Failed(failure("no")))] {
        taken(n, true).await;
        claim(n).await;
        store.cancel(id(n), &[], 5, 9).await.unwrap();
        assert!(!store.end(id(n), 7, &outcome, &[], 200, 900).await.unwrap());
        assert_eq!(used().await, 4);
        assert!(store.end(id(n), 1, &outcome, &[], 200, 900).await.unwrap());
        assert!(!store.end(id(n), 1, &outcome, &[], 200, 900).await.unwrap());
        assert!(store.delete(id(n)).await.unwrap().is_some());
        assert_eq!(used().await, 0, "once");
    }
    // Deleted before its end, waiting or running.
    taken(4, true).await;
    assert!(store.delete(id(4)).await.unwrap().is_some() && store.delete(id(4)).await.unwrap().is_none());
    assert_eq!(used().await, 0);
    taken(5, true).await;
    claim(5).await;
    assert!(store.delete(id(5)).await.unwrap().is_some());
    assert_eq!(used().await, 0);
    // Lost with its connection.
    taken(6, false).await;
    claim(6).await;
    assert_eq!(recover(&store, 501).await, 1);
    assert_eq!(used().await, 0);
    // A durable one runs again, and is paid for once it succeeds, also when it is deleted then.
    taken(7, true).await;
    claim(7).await;
    assert_eq!(recover(&store, 501).await, 1);
    assert_eq!(claim(7).await.epoch, 2);
    assert!(store.end(id(7), 2, &success(), &[], 200, 900).await.unwrap());
    assert!(store.delete(id(7)).await.unwrap().is_some());
    assert_eq!(used().await, 4);
    // Another day's quota is of no more interest some day.
    store.delete_expired(4 * DAY - 1).await.unwrap();
    assert_eq!(used().await, 4);
    store.delete_expired(4 * DAY).await.unwrap();
    assert_eq!(used().await, 0);
}

/// A database of a server, and keys from another process; SQLite's alone, since PostgreSQL is made for it.
#[tokio::test]
async fn keys_are_made_beside_a_server_that_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/kandinsky.db");
    let (first, digest) = key("a");
    // Before there is a database.
    store::open_sqlite_beside(&path).await.unwrap().insert_key(&first, &digest).await.unwrap();
    let server: std::sync::Arc<dyn Database> = store::open_sqlite(&path).await.unwrap();
    assert!(server.find_key("a").await.unwrap().is_some());
    let beside = store::open_sqlite_beside(&path).await.unwrap();
    beside.insert_key(&key("b").0, &digest).await.unwrap();
    assert!(server.find_key("b").await.unwrap().is_some());
    assert!(beside.revoke_key("a", 9).await.unwrap());
    assert_eq!(server.find_key("a").await.unwrap().unwrap().0.revoked_at, Some(9));
    assert!(store::open_sqlite(&path).await.is_err(), "one server");
}
