//! The life of a job, of its key and of its announcements.

use kandinsky::domain::{JobState, Outcome};
use kandinsky::store::{CancelOutcome, InsertOutcome, JobFilter};
use uuid::Uuid;

use crate::harness::{
    Store, StoreExt, announced, delivery, failure, id, job, key, lease, running, seen, state, success,
};

pub async fn a_job_comes_back_as_it_was_kept(store: Store) {
    store.ping().await.unwrap();
    assert!(store.get(id(1)).await.unwrap().is_none());
    let job = job(1);
    assert!(matches!(store.insert(&job, None, None).await.unwrap(), InsertOutcome::New));
    assert_eq!(seen(&store.get(id(1)).await.unwrap().unwrap()), seen(&job));
    store.insert(&job, None, None).await.expect_err("an id twice");
    assert_eq!(seen(&store.get(id(1)).await.unwrap().unwrap()), seen(&job));
}

pub async fn a_known_key_gives_the_known_job(store: Store) {
    assert!(store.find_idempotent("owner", "k").await.unwrap().is_none());
    assert!(matches!(store.insert(&job(1), Some(&key("k", "f")), None).await.unwrap(), InsertOutcome::New));
    let InsertOutcome::Existing(known) = store.insert(&job(2), Some(&key("k", "f")), None).await.unwrap() else {
        panic!()
    };
    assert_eq!(seen(&known), seen(&job(1)));
    assert!(matches!(store.insert(&job(3), Some(&key("k", "g")), None).await.unwrap(), InsertOutcome::Conflict));
    assert!(store.get(id(2)).await.unwrap().is_none() && store.get(id(3)).await.unwrap().is_none());

    let (found, fingerprint) = store.find_idempotent("owner", "k").await.unwrap().unwrap();
    assert_eq!((found.id, fingerprint.as_str()), (id(1), "f"));
    // Others may use the same word.
    assert!(store.find_idempotent("other", "k").await.unwrap().is_none());
    let other = kandinsky::records::Job { owner: "other".to_owned(), ..job(4) };
    assert!(matches!(store.insert(&other, Some(&key("k", "g")), None).await.unwrap(), InsertOutcome::New));
}

pub async fn a_key_is_one_jobs_however_many_come_at_once(store: Store) {
    let inserts = (0..16).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(&job(n), Some(&key("k", "f")), None).await.unwrap() })
    });
    let (mut new, mut known) = (0, Vec::new());
    for insert in inserts.collect::<Vec<_>>() {
        match insert.await.unwrap() {
            InsertOutcome::New => new += 1,
            InsertOutcome::Existing(job) => known.push(job.id),
            InsertOutcome::Conflict | InsertOutcome::OverQuota | InsertOutcome::OverJobs => panic!("the same request"),
        }
    }
    let kept =
        store.list(&JobFilter { owner: Some("owner".to_owned()), limit: 100, ..JobFilter::default() }).await.unwrap();
    assert_eq!((new, kept.len()), (1, 1));
    assert_eq!(known, vec![kept[0].id; 15]);
}

pub async fn a_canceled_jobs_key_is_free(store: Store) {
    store.insert(&job(1), Some(&key("k", "f")), None).await.unwrap();
    store.cancel(id(1), &[], 5, 9).await.unwrap();
    assert!(store.find_idempotent("owner", "k").await.unwrap().is_none());
    assert!(matches!(store.insert(&job(2), Some(&key("k", "g")), None).await.unwrap(), InsertOutcome::New));
    assert_eq!(store.find_idempotent("owner", "k").await.unwrap().unwrap().0.id, id(2));
    assert_eq!(state(&store, 1).await, JobState::Canceled);

    // So is that of one that runs, as soon as it is to be canceled.
    store.claim(id(2), &lease("w", 500), 100).await.unwrap().unwrap();
    store.cancel(id(2), &[], 101, 9).await.unwrap();
    assert!(store.find_idempotent("owner", "k").await.unwrap().is_none());
    assert!(matches!(store.insert(&job(3), Some(&key("k", "h")), None).await.unwrap(), InsertOutcome::New));
    assert!(store.end(id(2), 1, &Outcome::Canceled, &[], 102, 900).await.unwrap());
    assert_eq!(store.find_idempotent("owner", "k").await.unwrap().unwrap().0.id, id(3));

    // One that was done all the same has its key, unless another job has taken it.
    store.claim(id(3), &lease("w", 500), 103).await.unwrap().unwrap();
    store.cancel(id(3), &[], 104, 9).await.unwrap();
    assert!(store.end(id(3), 1, &success(), &[], 105, 900).await.unwrap());
    assert_eq!(store.find_idempotent("owner", "k").await.unwrap().unwrap().0.id, id(3));
    assert!(matches!(store.insert(&job(4), Some(&key("k", "h")), None).await.unwrap(), InsertOutcome::Existing(_)));
}

pub async fn the_queue_lists_durable_jobs_oldest_first(store: Store) {
    for n in [3, 1, 4, 2, 5] {
        let job = kandinsky::records::Job { yields: n == 3, ..job(n) };
        store.insert(&job, None, None).await.unwrap();
    }
    let fleeting = kandinsky::records::Job { durable: false, ..job(6) };
    store.insert(&fleeting, None, Some(&lease("w", 500))).await.unwrap();
    store.claim(id(2), &lease("w", 500), 100).await.unwrap().unwrap();
    store.cancel(id(4), &[], 5, 9).await.unwrap();

    let first = store.list_queued(None, 2).await.unwrap();
    assert_eq!(first.iter().map(|queued| queued.id).collect::<Vec<_>>(), [id(1), id(3)]);
    assert_eq!((first[0].priority, first[0].cost, first[0].created_at), (2, 3_000_000_001, 1001));
    assert_eq!(first.iter().map(|queued| queued.yields).collect::<Vec<_>>(), [false, true]);
    assert!(store.get(id(3)).await.unwrap().unwrap().yields);
    let rest = store.list_queued(Some(id(3)), 10).await.unwrap();
    assert_eq!(rest.iter().map(|queued| queued.id).collect::<Vec<_>>(), [id(5)]);
}

pub async fn a_job_is_claimed_once(store: Store) {
    assert!(store.claim(id(1), &lease("w", 500), 100).await.unwrap().is_none());
    store.insert(&job(1), None, None).await.unwrap();
    let claims = (0..24).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.claim(id(1), &lease(&format!("w{n}"), 500), 100).await.unwrap() })
    });
    let mut winners = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        winners.extend(claim.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    let won = &winners[0];
    assert_eq!((won.state, won.epoch, won.started_at), (JobState::Running, 1, Some(100)));
    assert_eq!(seen(won), seen(&store.get(id(1)).await.unwrap().unwrap()));
}

pub async fn only_the_newest_claim_ends_a_job(store: Store) {
    let first = running(&store, 1).await;
    assert!(!store.release(id(1), first.epoch + 1, false).await.unwrap());
    assert!(store.release(id(1), first.epoch, false).await.unwrap());
    let released = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!((released.state, released.started_at), (JobState::Queued, None));
    assert!(!store.end(id(1), first.epoch, &success(), &[], 200, 900).await.unwrap(), "it is queued");

    let second = store.claim(id(1), &lease("v", 600), 150).await.unwrap().unwrap();
    assert_eq!(second.epoch, 2);
    assert!(!store.end(id(1), first.epoch, &success(), &[], 200, 900).await.unwrap(), "an older claim");
    assert!(!store.release(id(1), first.epoch, false).await.unwrap());
    assert!(store.end(id(1), second.epoch, &success(), &[], 200, 900).await.unwrap());
    assert!(!store.end(id(1), second.epoch, &Outcome::Canceled, &[], 201, 901).await.unwrap(), "ended already");
    assert!(!store.release(id(1), second.epoch, false).await.unwrap());
    assert!(store.claim(id(1), &lease("w", 500), 300).await.unwrap().is_none());
    assert_eq!(state(&store, 1).await, JobState::Succeeded);
    assert!(!store.end(id(9), 1, &success(), &[], 200, 900).await.unwrap(), "there is no such job");
}

pub async fn an_outcome_is_kept(store: Store) {
    for n in 1..=3 {
        running(&store, n).await;
    }
    let Outcome::Succeeded { images, timings } = success() else { unreachable!() };
    assert!(store.end(id(1), 1, &success(), &[], 200, 900).await.unwrap());
    assert!(store.end(id(2), 1, &Outcome::Failed(failure("no")), &[], 201, 901).await.unwrap());
    assert!(store.end(id(3), 1, &Outcome::Canceled, &[], 202, 902).await.unwrap());

    let job = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!((job.state, job.finished_at, job.expires_at), (JobState::Succeeded, Some(200), Some(900)));
    assert_eq!((job.images, job.timings, job.failure), (images, Some(timings), None));
    let job = store.get(id(2)).await.unwrap().unwrap();
    assert_eq!((job.state, job.finished_at, job.expires_at), (JobState::Failed, Some(201), Some(901)));
    assert_eq!((job.images, job.timings, job.failure), (vec![], None, Some(failure("no"))));
    let job = store.get(id(3)).await.unwrap().unwrap();
    assert_eq!((job.state, job.finished_at, job.failure), (JobState::Canceled, Some(202), None));
}

pub async fn announcements_come_with_the_end_or_not_at_all(store: Store) {
    running(&store, 1).await;
    assert!(!store.end(id(1), 7, &success(), &[delivery("late")], 200, 900).await.unwrap());
    assert_eq!(announced(&store).await, [""; 0]);
    // An announcement that cannot be written (an id twice) keeps the end from being taken.
    let twice = [delivery("a"), delivery("a")];
    store.end(id(1), 1, &success(), &twice, 200, 900).await.expect_err("an id twice");
    assert_eq!((state(&store, 1).await, announced(&store).await.len()), (JobState::Running, 0));

    assert!(store.end(id(1), 1, &success(), &[delivery("a"), delivery("b")], 200, 900).await.unwrap());
    assert_eq!(announced(&store).await, [delivery("a").payload, delivery("b").payload]);
    // Once more, as if the answer had been lost: the job has ended so, and nothing is announced twice.
    assert!(store.end(id(1), 1, &success(), &[delivery("c")], 300, 900).await.unwrap());
    assert!(!store.end(id(1), 1, &Outcome::Failed(failure("no")), &[delivery("d")], 300, 900).await.unwrap());
    assert_eq!(announced(&store).await, [""; 0], "leased, and nothing new");
    assert_eq!(store.get(id(1)).await.unwrap().unwrap().finished_at, Some(200));
}

pub async fn cancelling_depends_on_the_state(store: Store) {
    assert!(matches!(store.cancel(id(1), &[delivery("0")], 5, 9).await.unwrap(), CancelOutcome::Unknown));

    store.insert(&job(1), None, None).await.unwrap();
    assert!(matches!(store.cancel(id(1), &[delivery("1")], 5, 9).await.unwrap(), CancelOutcome::Canceled));
    let canceled = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!((canceled.state, canceled.finished_at, canceled.expires_at), (JobState::Canceled, Some(5), Some(9)));
    let again = store.cancel(id(1), &[delivery("2")], 6, 9).await.unwrap();
    assert!(matches!(again, CancelOutcome::Ended(JobState::Canceled)));
    assert!(store.claim(id(1), &lease("w", 500), 100).await.unwrap().is_none());

    running(&store, 2).await;
    assert!(matches!(store.cancel(id(2), &[delivery("3")], 6, 9).await.unwrap(), CancelOutcome::Requested));
    let wished = store.get(id(2)).await.unwrap().unwrap();
    assert_eq!((wished.state, wished.cancel_requested, wished.finished_at), (JobState::Running, true, None));
    // The work may be done before the wish is seen.
    assert!(store.end(id(2), 1, &success(), &[delivery("4")], 200, 900).await.unwrap());
    let late = store.cancel(id(2), &[delivery("5")], 6, 9).await.unwrap();
    assert!(matches!(late, CancelOutcome::Ended(JobState::Succeeded)));

    assert_eq!(announced(&store).await, [delivery("1").payload, delivery("4").payload]);
}

pub async fn listings_page_and_keep_owners_apart(store: Store) {
    for n in 1..=9 {
        let owner = if n % 3 == 0 { "other" } else { "owner" };
        store.insert(&kandinsky::records::Job { owner: owner.to_owned(), ..job(n) }, None, None).await.unwrap();
    }
    store.cancel(id(4), &[], 5, 9).await.unwrap();
    store.cancel(id(6), &[], 5, 9).await.unwrap();
    let page = async |owner: &str, state, before, limit| {
        let owner = Some(owner.to_owned()).filter(|owner| owner != "*");
        let filter = JobFilter { owner, state, before, limit };
        store.list(&filter).await.unwrap().iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(page("owner", None, None, 4).await, [8, 7, 5, 4].map(id));
    assert_eq!(page("owner", None, Some(id(4)), 4).await, [2, 1].map(id));
    assert_eq!(page("owner", None, Some(id(1)), 4).await, Vec::<Uuid>::new());
    assert_eq!(page("owner", Some(JobState::Queued), None, 3).await, [8, 7, 5].map(id));
    assert_eq!(page("owner", Some(JobState::Queued), Some(id(5)), 3).await, [2, 1].map(id));
    assert_eq!(page("owner", Some(JobState::Canceled), None, 100).await, [id(4)]);
    assert_eq!(page("other", None, Some(id(8)), 100).await, [6, 3].map(id));
    assert_eq!(page("nobody", None, None, 100).await, Vec::<Uuid>::new());
    // Everybody's.
    assert_eq!(page("*", None, None, 3).await, [9, 8, 7].map(id));
    assert_eq!(page("*", None, Some(id(7)), 100).await, [6, 5, 4, 3, 2, 1].map(id));
    assert_eq!(page("*", Some(JobState::Canceled), Some(id(6)), 100).await, [id(4)]);
}

pub async fn pictures_expire_and_jobs_are_forgotten(store: Store) {
    for (n, expires_at) in [(1, 300), (2, 100), (3, 200)] {
        running(&store, n).await;
        store.end(id(n), 1, &success(), &[delivery(&n.to_string())], 50, expires_at).await.unwrap();
    }
    running(&store, 4).await;
    assert_eq!(store.list_expired(100, 10).await.unwrap(), Vec::<Uuid>::new());
    assert_eq!(store.list_expired(201, 10).await.unwrap(), [id(2), id(3)]);
    assert_eq!(store.list_expired(1000, 2).await.unwrap(), [id(2), id(3)], "those that have waited longest");

    assert_eq!(store.delete_expired(1000).await.unwrap(), 0, "their pictures are still there");
    store.mark_purged(&[id(2), id(3), id(77)]).await.unwrap();
    assert_eq!(store.list_expired(1000, 10).await.unwrap(), [id(1)]);
    assert!(store.get(id(2)).await.unwrap().is_some(), "it can still say that it is gone");
    assert_eq!(store.delete_expired(200).await.unwrap(), 1);
    assert!(store.get(id(2)).await.unwrap().is_none() && store.get(id(3)).await.unwrap().is_some());
    assert_eq!(store.delete_expired(1000).await.unwrap(), 1);
    assert_eq!(announced(&store).await, [delivery("1").payload]);
}

pub async fn deleting_takes_the_announcements_along(store: Store) {
    running(&store, 1).await;
    store.end(id(1), 1, &success(), &[delivery("1")], 50, 900).await.unwrap();
    assert!(store.delete(id(1)).await.unwrap().is_some());
    assert!(store.delete(id(1)).await.unwrap().is_none());
    assert!(store.get(id(1)).await.unwrap().is_none());
    assert_eq!(announced(&store).await, [""; 0]);

    running(&store, 2).await;
    assert!(store.delete(id(2)).await.unwrap().is_some(), "also while it runs");
    assert!(!store.end(id(2), 1, &success(), &[delivery("2")], 50, 900).await.unwrap());
    assert_eq!(announced(&store).await, [""; 0]);
}

pub async fn deliveries_are_leased_and_retried(store: Store) {
    for (n, now) in [(1, 20), (2, 10), (3, 30)] {
        running(&store, n).await;
        store.end(id(n), 1, &success(), &[delivery(&n.to_string())], now, 900).await.unwrap();
    }
    let due = async |now, lease_until, limit| {
        let due = store.lease_due_deliveries(now, lease_until, limit).await.unwrap();
        due.into_iter().map(|delivery| (delivery.id, delivery.attempts)).collect::<Vec<_>>()
    };
    let is = |n: u32, attempts: u32| (format!("msg_{n}"), attempts);
    assert_eq!(due(9, 100, 10).await, []);
    let whole = store.lease_due_deliveries(10, 100, 10).await.unwrap().pop().unwrap();
    let sent = delivery("2");
    assert_eq!((whole.id, whole.job, whole.url, whole.payload), (sent.id, id(2), sent.url, sent.payload));
    assert_eq!(due(40, 100, 10).await, [is(1, 0), is(3, 0)]);
    assert_eq!(due(99, 200, 10).await, [], "leased");
    // Whoever had the lease is gone.
    assert_eq!(due(100, 200, 2).await, [is(2, 1), is(1, 1)], "oldest first");

    store.complete_delivery("msg_2").await.unwrap();
    store.postpone_delivery("msg_1", Some(150)).await.unwrap();
    store.postpone_delivery("msg_3", None).await.unwrap();
    assert_eq!(due(149, 300, 10).await, []);
    assert_eq!(due(150, 300, 10).await, [is(1, 2)]);
    store.complete_delivery("msg_1").await.unwrap();
    store.complete_delivery("msg_unknown").await.unwrap();
    assert_eq!(due(100_000, 200_000, 10).await, [], "taken, taken, given up");
}

pub async fn deliveries_go_to_one_caller(store: Store) {
    running(&store, 1).await;
    let names: Vec<String> = (100..160).map(|n| n.to_string()).collect();
    let deliveries: Vec<_> = names.iter().map(|name| delivery(name)).collect();
    store.end(id(1), 1, &success(), &deliveries, 10, 900).await.unwrap();
    let callers = (0..10).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.lease_due_deliveries(20, 100, 7).await.unwrap() })
    });
    let mut got = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let batch = caller.await.unwrap();
        assert!(batch.len() <= 7);
        got.extend(batch.into_iter().map(|delivery| delivery.id));
    }
    got.extend(store.lease_due_deliveries(20, 100, 100).await.unwrap().into_iter().map(|delivery| delivery.id));
    got.sort();
    assert_eq!(got, deliveries.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>());
}

/// A client hangs up, and what was done for it is dropped wherever it was.
pub async fn callers_that_go_away_leave_the_store_usable(store: Store) {
    for n in 0..200 {
        let store = store.clone();
        let call = tokio::spawn(async move { store.insert(&job(n), Some(&key(&n.to_string(), "f")), None).await });
        for _ in 0..n % 20 {
            tokio::task::yield_now().await;
        }
        call.abort();
        // A panic or an error is not what an abort may give.
        if let Ok(result) = call.await {
            result.unwrap();
        }
    }
    assert!(matches!(store.insert(&job(1000), None, None).await.unwrap(), InsertOutcome::New));
    for n in 0..200 {
        let job = store.get(id(n)).await.unwrap();
        let keyed = store.find_idempotent("owner", &n.to_string()).await.unwrap();
        assert_eq!(job.is_some(), keyed.is_some(), "all or nothing");
    }
}
