//! How a store keeps a server in order.

use kandinsky::domain::{JobState, Outcome};
use kandinsky::records::{ApiKey, Job, JobSpec, KeyDigest, KeyLimits, Suspicion};
use kandinsky::store::{self, DeliveryQuery, KeptJobs, NewDelivery, StoreError, Suspect};

use crate::harness::{
    Store, StoreExt, announce, delivery, id, job, key, lease, recovery, running, runtime, state, success,
};

pub async fn deaths_are_counted_against_those_who_were_executed(store: Store) {
    for n in 1..=2 {
        running(&store, n).await;
    }
    let suspect = |n, epoch, place: &str, alone| Suspect { job: id(n), epoch, place: place.to_owned(), alone };
    store.note_suspects(&[suspect(1, 1, "decoder 3", false), suspect(9, 1, "prior 1", true)]).await.unwrap();
    // Of another claim, that is over.
    store.note_suspects(&[suspect(1, 7, "decoder 4", true)]).await.unwrap();
    let policy = kandinsky::store::RecoveryPolicy { counts_losses: false, ..recovery(501) };
    assert_eq!(store.recover(501, &policy, &announce()).await.unwrap().requeued, 2);
    let suspicion = async |n| {
        let job = store.get(id(n)).await.unwrap().unwrap();
        (job.losses, job.suspicion.map(|Suspicion { place, deaths, .. }| (place, deaths)))
    };
    assert_eq!(suspicion(1).await, (1, Some(("decoder 3".to_owned(), 0))));
    assert_eq!(suspicion(2).await, (0, None), "it was lost, and not executed");
    for (place, deaths) in [("decoder 3", 1), ("decoder 3", 2), ("decoder 5", 1)] {
        let claimed = store.claim(id(1), &lease("w", 500), 100).await.unwrap().unwrap();
        // Told again, by a process that died again before it executed anything.
        for _ in 0..2 {
            store.note_suspects(&[suspect(1, claimed.epoch, place, true)]).await.unwrap();
        }
        store.recover(501, &policy, &announce()).await.unwrap();
        assert_eq!(suspicion(1).await.1, Some((place.to_owned(), deaths)));
    }
}

pub async fn claims_are_listed_by_process(store: Store) {
    for n in 1..=2 {
        running(&store, n).await;
    }
    store.insert(&job(3), None, None).await.unwrap();
    store.claim(id(3), &lease("other", 500), 100).await.unwrap().unwrap();
    let mut claims = store.list_claims("w").await.unwrap();
    claims.sort();
    assert_eq!(claims, [(id(1), 1), (id(2), 1)]);
    store.end(id(1), 1, &Outcome::Canceled, &[], 600, 900).await.unwrap();
    assert_eq!(store.list_claims("w").await.unwrap(), [(id(2), 1)]);
}

pub async fn deliveries_pass_busy_receivers_and_new_ones_go_before_retries(store: Store) {
    for (n, name) in [(1, "first"), (2, "second"), (3, "third")] {
        running(&store, n).await;
        let own = NewDelivery { url: format!("https://user@{name}.example:8443/hook?x=/"), ..delivery(name) };
        store.end(id(n), 1, &success(), &[own], 1000 + i64::try_from(n).unwrap(), 90_000_000).await.unwrap();
    }
    let due = async |limit, hosts: &[&str], owners: &[&str]| {
        let [busy_hosts, busy_owners] =
            [hosts, owners].map(|all| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        let query = DeliveryQuery {
            now: 70_000,
            lease_until: 70_000,
            limit,
            busy_hosts: &busy_hosts,
            busy_owners: &busy_owners,
        };
        let due = store.lease_deliveries(&query).await.unwrap();
        due.into_iter().map(|delivery| (delivery.host, delivery.owner)).collect::<Vec<_>>()
    };
    let of = |name: &str| (format!("{name}.example:8443"), "owner".to_owned());
    assert_eq!(due(9, &[], &["owner"]).await, []);
    assert_eq!(due(1, &[], &[]).await, [of("first")]);
    // It was tried once: those that were not go first.
    assert_eq!(due(2, &[], &[]).await, [of("second"), of("third")]);
    assert_eq!(due(1, &["first.example:8443"], &["another"]).await, [of("second")]);
}

pub async fn jobs_of_revoked_keys_are_unwanted_unless_the_key_keeps_them(store: Store) {
    for (n, owner) in [(1, "revoked"), (2, "kept"), (3, "good"), (4, "revoked")] {
        let key = ApiKey {
            id: owner.to_owned(),
            name: String::new(),
            scopes: std::collections::BTreeSet::new(),
            limits: KeyLimits::default(),
            moderation_policy: None,
            created_at: 0,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        let _known = store.insert_key(&key, &KeyDigest([0; 32])).await;
        store.insert(&Job { owner: owner.to_owned(), ..job(n) }, None, None).await.unwrap();
    }
    store.claim(id(4), &lease("w", 500), 100).await.unwrap().unwrap();
    assert!(store.keep_jobs("kept").await.unwrap() && !store.keep_jobs("unknown").await.unwrap());
    assert!(store.list_unwanted(9).await.unwrap().is_empty());
    for owner in ["revoked", "kept"] {
        store.revoke_key(owner, 40).await.unwrap();
    }
    assert_eq!(store.list_unwanted(9).await.unwrap(), [id(1), id(4)]);
    assert_eq!(store.list_unwanted(1).await.unwrap(), [id(1)]);
    for n in [1, 4] {
        store.cancel(id(n), &[], 200, 900).await.unwrap();
    }
    assert!(store.list_unwanted(9).await.unwrap().is_empty(), "one is canceled, the other will be");
}

pub async fn what_is_kept_is_counted_and_what_can_go_is_listed(store: Store) {
    for n in 1..=4 {
        running(&store, n).await;
    }
    store.insert(&Job { owner: "other".to_owned(), ..job(5) }, None, None).await.unwrap();
    let mut kept = store.list_kept().await.unwrap();
    kept.sort_by(|a, b| a.owner.cmp(&b.owner));
    let [KeptJobs { jobs: 1, bytes: one, .. }, KeptJobs { jobs: 4, bytes: four, .. }] = &kept[..] else {
        panic!("{kept:?}")
    };
    assert!(*one > 100 && *four == 4 * *one, "{kept:?}");
    store.end(id(1), 1, &success(), &[], 600, 900).await.unwrap();
    store.end(id(2), 1, &success(), &[], 600, 900).await.unwrap();
    store.end(id(3), 1, &Outcome::Canceled, &[], 600, 900).await.unwrap();
    let evictable = store.list_evictable("owner", 9).await.unwrap();
    assert_eq!(evictable, [(id(3), *one), (id(1), *one), (id(2), *one)], "what made no images goes first");
    assert_eq!(store.list_evictable("owner", 1).await.unwrap().len(), 1);
    assert_eq!(store.list_unknown(&[id(1), id(8), id(5), id(9)]).await.unwrap(), [id(8), id(9)]);
    assert_eq!(store.oldest_job().await.unwrap(), Some(id(1)));
}

pub async fn what_was_canceled_before_it_ran_is_forgotten_once_it_is_announced(store: Store) {
    for n in 1..=3 {
        store.insert(&job(n), None, None).await.unwrap();
    }
    store.cancel(id(1), &[], 200, 900).await.unwrap();
    store.cancel(id(2), &[delivery("news")], 200, 900).await.unwrap();
    store.claim(id(3), &lease("w", 500), 100).await.unwrap().unwrap();
    store.end(id(3), 1, &Outcome::Canceled, &[], 200, 900).await.unwrap();
    assert_eq!(store.forget_canceled(901).await.unwrap(), 0, "their files are still there");
    store.mark_purged(&[id(1), id(2), id(3)]).await.unwrap();
    assert_eq!(store.forget_canceled(899).await.unwrap(), 0);
    assert_eq!(store.forget_canceled(901).await.unwrap(), 1);
    assert!(store.get(id(1)).await.unwrap().is_none());
    store.complete_delivery("msg_news").await.unwrap();
    assert_eq!(store.forget_canceled(901).await.unwrap(), 1);
    assert_eq!(state(&store, 3).await, JobState::Canceled);
}

pub async fn a_key_that_was_taken_off_its_job_is_free(store: Store) {
    store.insert(&job(1), Some(&key("k", "f")), None).await.unwrap();
    store.free_key(id(1)).await.unwrap();
    assert!(store.find_idempotent("owner", "k").await.unwrap().is_none());
    assert!(matches!(store.insert(&job(2), Some(&key("k", "f")), None).await.unwrap(), store::InsertOutcome::New));
}

pub async fn a_prompt_is_kept_once_and_comes_back_whole(store: Store) {
    let prompt = "a very long description of a \"panda\" \u{1} in красном лесу ".repeat(20);
    let generation = kandinsky::modes::Generation {
        input: kandinsky::modes::TextToImage { prompt: prompt.clone() }.into(),
        common: kandinsky::domain::Common { negative_prompt: Some(prompt.clone() + "not"), ..Default::default() },
    };
    let parameters =
        serde_json::json!({"prompt": prompt, "negative_prompt": format!("{prompt}not"), "steps": 7}).to_string();
    let usual = job(1);
    let generation = serde_json::from_value(serde_json::to_value(generation).unwrap()).unwrap();
    let long = Job { spec: JobSpec { generation, parameters: parameters.clone(), ..usual.spec.clone() }, ..usual };
    store.insert(&long, None, None).await.unwrap();
    let kept = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!(kept.spec.parameters, parameters);
    let whole = serde_json::to_string(&long.spec).unwrap().len() as u64;
    let bytes = store.list_kept().await.unwrap()[0].bytes;
    assert!(bytes < whole * 6 / 10, "{bytes} of {whole}");
}

#[test]
fn a_database_that_is_taken_away_is_noticed_and_never_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    runtime().block_on(async {
        let store = store::open_sqlite(&path).await.unwrap();
        store.ping().await.unwrap();
        let lock = folder.path().join("kandinsky.db.lock");
        std::fs::remove_file(&lock).unwrap();
        if cfg!(target_os = "linux") {
            let second = store::open_sqlite(&path).await.err().unwrap();
            assert!(second.to_string().contains("another process"), "{second}");
        }
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))), "the lock file is gone");
        drop(store);
        let store = store::open_sqlite(&path).await.unwrap();
        store.ping().await.unwrap();
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        let gone = store.ping().await;
        assert!(matches!(&gone, Err(StoreError::Unavailable(why)) if why.contains("deleted or replaced")), "{gone:?}");
        std::fs::write(&path, "").unwrap();
        assert!(store.ping().await.is_err(), "another file is in its place");
    });
}

#[test]
fn a_deleted_prompt_leaves_all_files_of_the_database() {
    const MARK: &str = "a most private wish that nobody else must read";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    let files_with_mark = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        let has_mark = |path: &std::path::PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes())
        };
        files.filter(has_mark).count()
    };
    runtime().block_on(async {
        let store = store::open_sqlite(&path).await.unwrap();
        for n in 1..=20 {
            let usual = job(n);
            let parameters = serde_json::json!({ "prompt": MARK }).to_string();
            let spec = JobSpec { parameters, ..usual.spec.clone() };
            store.insert(&Job { spec, ..usual }, Some(&key(&format!("{MARK} {n}"), "f")), None).await.unwrap();
        }
        store.scrub().await.unwrap();
        assert!(files_with_mark() > 0);
        for n in 1..=20 {
            store.delete(id(n)).await.unwrap();
        }
        store.scrub().await.unwrap();
        assert_eq!(files_with_mark(), 0);
    });
}
