//! Files, in a folder and in a bucket.

use std::sync::Arc;

use kandinsky::store::{BlobStore, StoreError, open_local};
#[cfg(feature = "s3")]
use kandinsky::store::{S3Config, open_s3};

use crate::harness::{id, runtime};
#[cfg(feature = "s3")]
use crate::s3::FakeS3;

async fn files_are_kept_and_deleted(blobs: Arc<dyn BlobStore>) {
    blobs.ping().await.unwrap();
    assert_eq!(blobs.get(id(1), "result-0.png").await.unwrap(), None);
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    for (job, name, bytes) in [
        (id(1), "input-0.png", vec![1]),
        (id(1), "result-0.png", vec![]),
        (id(1), "result-1.png", large.clone()),
        (id(2), "result-0.png", vec![2]),
    ] {
        blobs.put(job, name, bytes).await.unwrap();
    }
    assert_eq!(blobs.get(id(1), "result-0.png").await.unwrap(), Some(vec![]));
    assert_eq!(blobs.get(id(1), "result-1.png").await.unwrap(), Some(large));
    blobs.put(id(1), "result-0.png", vec![3, 4]).await.unwrap();
    assert_eq!(blobs.get(id(1), "result-0.png").await.unwrap(), Some(vec![3, 4]));

    blobs.delete(id(1), "result-").await.unwrap();
    assert_eq!(blobs.get(id(1), "result-0.png").await.unwrap(), None);
    assert_eq!(blobs.get(id(1), "result-1.png").await.unwrap(), None);
    assert_eq!(blobs.get(id(1), "input-0.png").await.unwrap(), Some(vec![1]));
    blobs.delete(id(1), "").await.unwrap();
    assert_eq!(blobs.get(id(1), "input-0.png").await.unwrap(), None);
    blobs.delete(id(1), "").await.unwrap();
    assert_eq!(blobs.get(id(2), "result-0.png").await.unwrap(), Some(vec![2]), "another job's");
    blobs.ping().await.unwrap();
}

async fn hostile_names_are_refused(blobs: Arc<dyn BlobStore>) {
    let long = "a".repeat(5000);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a\\b",
        "a\0b",
        ".hidden",
        "a b",
        "a#1",
        "й",
        "%2e%2e",
        &long,
    ] {
        assert!(matches!(blobs.put(id(1), name, vec![1]).await, Err(StoreError::Failed(_))), "{name:?}");
        assert!(matches!(blobs.get(id(1), name).await, Err(StoreError::Failed(_))), "{name:?}");
    }
    for prefix in ["../", "/", "a/b", "*\0"] {
        assert!(matches!(blobs.delete(id(1), prefix).await, Err(StoreError::Failed(_))), "{prefix:?}");
    }
}

#[test]
fn files_in_a_folder() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("made/on/the/way");
    let blobs = open_local(&folder).unwrap();
    runtime().block_on(async {
        files_are_kept_and_deleted(blobs.clone()).await;
        hostile_names_are_refused(blobs).await;
    });
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn deleting_a_job_takes_unfinished_files_along() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open_local(folder.path()).unwrap();
    let own = folder.path().join(id(1).to_string());
    std::fs::create_dir(&own).unwrap();
    // What a process leaves that dies while it writes; see `LocalFileSystem`.
    std::fs::write(own.join("result-0.png#1"), "half").unwrap();
    runtime().block_on(async {
        assert_eq!(blobs.get(id(1), "result-0.png").await.unwrap(), None);
        blobs.put(id(1), "result-0.png", vec![1, 2]).await.unwrap();
        assert_eq!(blobs.get(id(1), "result-0.png").await.unwrap(), Some(vec![1, 2]));
        blobs.delete(id(1), "").await.unwrap();
    });
    assert!(!own.exists());
}

#[cfg(feature = "s3")]
#[test]
fn files_in_a_bucket() {
    runtime().block_on(async {
        let s3 = FakeS3::start().await;
        let config = S3Config {
            bucket: "pictures".to_owned(),
            endpoint: Some(s3.url.clone()),
            access_key_id: Some("key".to_owned()),
            secret_access_key: Some("secret".to_owned().into()),
            allow_http: true,
            prefix: Some("one/server".to_owned()),
            ..S3Config::default()
        };
        files_are_kept_and_deleted(open_s3(&config).unwrap()).await;
        hostile_names_are_refused(open_s3(&config).unwrap()).await;
        assert_eq!(s3.keys(), [format!("one/server/{}/result-0.png", id(2)), "one/server/ping".to_owned()]);

        let strict = open_s3(&S3Config { allow_http: false, ..config.clone() }).unwrap();
        strict.ping().await.expect_err("http is not allowed");
        s3.refuse(403);
        // The operator may mend that: jobs wait meanwhile.
        assert!(matches!(open_s3(&config).unwrap().ping().await, Err(StoreError::Unavailable(_))));
        assert!(!format!("{config:?}").contains("secret\""), "{config:?}");
    });
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_out_of_reach_may_come_back() {
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = S3Config {
            bucket: "pictures".to_owned(),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            access_key_id: Some("key".to_owned()),
            secret_access_key: Some("secret".to_owned().into()),
            allow_http: true,
            ..S3Config::default()
        };
        drop(listener);
        assert!(matches!(open_s3(&config).unwrap().ping().await, Err(StoreError::Unavailable(_))));
    });
}
