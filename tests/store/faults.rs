//! SQLite when the disk is full, somebody else holds the file, or the process dies.

use std::path::Path;
use std::time::Duration;

use kandinsky::domain::JobState;
use kandinsky::store::{self, SqliteOptions, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};

use crate::harness::{StoreExt, id, job, key, lease, runtime, seen, state, success};

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

#[test]
fn a_file_that_is_opened_again_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/kandinsky.db");
    runtime().block_on(async {
        let store = store::open_sqlite(&path).await.unwrap();
        store.insert(&job(1), Some(&key("k", "f")), None).await.unwrap();
        store.insert(&job(2), None, None).await.unwrap();
        store.claim(id(2), &lease("w", 500), 100).await.unwrap().unwrap();
        let before = seen(&store.get(id(2)).await.unwrap().unwrap());
        drop(store);

        let store = store::open_sqlite(&path).await.unwrap();
        assert_eq!(seen(&store.get(id(2)).await.unwrap().unwrap()), before);
        assert_eq!(store.find_idempotent("owner", "k").await.unwrap().unwrap().0.id, id(1));
        assert!(store.end(id(2), 1, &success(), &[], 200, 900).await.unwrap());
    });
}

/// What lies on the disk while the server runs is what a killed one leaves: nothing is closed, and the log is not merged.
#[test]
fn what_was_accepted_is_on_disk_when_the_process_dies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    let left = folder.path().join("left.db");
    runtime().block_on(async {
        let store = store::open_sqlite(&path).await.unwrap();
        for n in 0..50 {
            store.insert(&job(n), None, None).await.unwrap();
        }
        store.claim(id(3), &lease("w", 500), 100).await.unwrap().unwrap();
        for suffix in ["", "-wal"] {
            let of = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::copy(of(&path), of(&left)).unwrap();
        }
        let after = store::open_sqlite(&left).await.unwrap();
        assert_eq!(after.list_queued(None, 100).await.unwrap().len(), 49);
        assert_eq!(state(&after, 3).await, JobState::Running);
    });
}

#[test]
fn a_second_server_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    runtime().block_on(async {
        let store = store::open_sqlite(&path).await.unwrap();
        let error = store::open_sqlite(&path).await.err().unwrap();
        assert!(matches!(error, StoreError::Unavailable(_)));
        let message = error.to_string();
        assert!(message.contains("another process") && message.contains("kandinsky.db"), "{message}");
        store.insert(&job(1), None, None).await.unwrap();
        drop(store);
        store::open_sqlite(&path).await.unwrap();
    });
}

#[test]
fn a_database_that_others_hold_is_unavailable_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    runtime().block_on(async {
        let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
        let store = store::open_sqlite_with(&path, &options).await.unwrap();
        store.insert(&job(1), None, None).await.unwrap();
        let mut other = connect(&path).await;
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        for _ in 0..3 {
            let refused = store.insert(&job(2), None, None).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            let refused = store.insert(&job(2), Some(&key("k", "f")), None).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        }
        assert!(store.get(id(1)).await.unwrap().is_some(), "reading goes on");
        store.ping().await.unwrap();
        other.execute("ROLLBACK").await.unwrap();
        store.insert(&job(2), Some(&key("k", "f")), None).await.unwrap();
        assert_eq!(store.list_queued(None, 10).await.unwrap().len(), 2);
    });
}

#[test]
fn a_full_disk_refuses_jobs_and_keeps_those_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    runtime().block_on(async {
        let options = SqliteOptions { max_pages: Some(80), ..SqliteOptions::default() };
        let store = store::open_sqlite_with(&path, &options).await.unwrap();
        let mut accepted = Vec::new();
        let refused = loop {
            let n = accepted.len() as u64;
            match store.insert(&job(n), Some(&key(&n.to_string(), "f")), None).await {
                Ok(_) => accepted.push(id(n)),
                Err(error) => break error,
            }
            assert!(accepted.len() < 10_000, "it never gets full");
        };
        assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
        assert!(accepted.len() > 10);
        let full = store.insert(&job(20_000), None, None).await;
        assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
        let full = store.insert(&job(20_000), Some(&key("again", "f")), None).await;
        assert!(matches!(full, Err(StoreError::Full(_))), "also within a transaction: {full:?}");

        let kept: Vec<_> = store.list_queued(None, 10_000).await.unwrap().iter().map(|queued| queued.id).collect();
        assert_eq!(kept, accepted);
        // Room that is given back can be used.
        for id in &accepted[..10] {
            assert!(store.delete(*id).await.unwrap().is_some());
        }
        store.insert(&job(20_000), None, None).await.unwrap();
    });
}

#[test]
fn migrations_are_applied_once_and_never_backwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    runtime().block_on(async {
        let first = store::migrate_sqlite(&path).await.unwrap();
        assert!(first.iter().all(|applied| applied.new) && first[0].version == 1);
        let second = store::migrate_sqlite(&path).await.unwrap();
        assert!(second.iter().all(|applied| !applied.new) && second.len() == first.len());

        let mut other = connect(&path).await;
        other
            .execute("INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)")
            .await
            .unwrap();
        other.close().await.unwrap();
        let newer = store::open_sqlite(&path).await.err().unwrap();
        assert!(newer.to_string().contains("newer program"), "{newer}");
    });
}

#[test]
fn what_is_no_database_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.db");
    std::fs::write(&path, "this is a shopping list, and a fairly long one at that").unwrap();
    runtime().block_on(async {
        let error = store::open_sqlite(&path).await.err().unwrap();
        assert!(matches!(&error, StoreError::Failed(why) if why.contains("not a database")), "{error}");
    });
    assert_eq!(std::fs::read(&path).unwrap()[..4], *b"this");
}

#[test]
fn both_databases_have_the_same_migrations_and_all_are_applied() {
    let names = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let file_name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(file_name).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
    let folder = tempfile::tempdir().unwrap();
    let applied = runtime().block_on(store::migrate_sqlite(&folder.path().join("kandinsky.db"))).unwrap();
    let applied: Vec<String> = applied.iter().map(|step| format!("{:04}_{}.sql", step.version, step.name)).collect();
    assert_eq!(names("sqlite"), applied);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_is_not_there_is_unavailable_and_its_url_stays_secret() {
    runtime().block_on(async {
        let gone = "postgres://user:hunter2@127.0.0.1:1/database".to_owned().into();
        let error = store::open_postgres(&gone, 2).await.err().unwrap();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let error =
            store::open_postgres(&"postgres://user:hunter2@host:port/x".to_owned().into(), 2).await.err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    });
}

/// What stands in front of a database accepts connections also while there is none behind it.
#[cfg(feature = "postgres")]
#[test]
fn a_database_whose_connections_are_closed_at_once_may_be_back_later() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://somebody@{}/jobs", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let opened = runtime().block_on(kandinsky::store::open_postgres(&url.into(), 1));
    let error = opened.err().expect("there is no database");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}
