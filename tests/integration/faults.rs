//! A store that is out of reach gives errors, and loses no job.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use kandinsky::jobs::WebhookTransport;
use kandinsky::store::{self, BlobStore, StoreError};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::app::{SECRET, Setup, TestApp, eventually, quick};

/// Fails as often as it is told to.
struct Flaky {
    inner: Arc<dyn BlobStore>,
    failures: AtomicI64,
    error: StoreError,
}

#[async_trait]
impl BlobStore for Flaky {
    async fn put(&self, job: Uuid, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        if self.failures.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Err(self.error.clone());
        }
        self.inner.put(job, name, bytes).await
    }

    async fn get(&self, job: Uuid, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(job, name).await
    }

    async fn delete(&self, job: Uuid, prefix: &str) -> Result<(), StoreError> {
        self.inner.delete(job, prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

async fn with_failures(failures: i64, error: StoreError) -> (TestApp, Arc<Flaky>, TempDir) {
    let folder = TempDir::new().unwrap();
    let inner = store::open_local(&folder.path().join("pictures")).unwrap();
    let blobs = Arc::new(Flaky { inner, failures: AtomicI64::new(failures), error });
    let app = TestApp::with(Setup { blobs: Some(blobs.clone()), ..Setup::default() }).await;
    (app, blobs, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_of_the_images_store_is_waited_out() {
    let (app, _, _folder) = with_failures(2, StoreError::Unavailable("out of reach".to_owned())).await;
    let id = app.queue_up(&quick(&json!({}))).await;
    assert_eq!(app.ended(&id).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_who_waits_and_keeps_what_is_durable_and_the_server_goes_on() {
    let (app, blobs, _folder) = with_failures(i64::MAX, StoreError::Full("no space left".to_owned())).await;
    let durable = app.queue_up(&quick(&json!({}))).await;
    let response = app.draw(&quick(&json!({}))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    // An image that cannot be kept for a job is no accepted job.
    let body = json!({"image": crate::app::base64(&crate::app::golden("text_english.png")), "steps": 3});
    let request = app.client.post(app.url("/v1/image-variations")).header("prefer", "respond-async").json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    blobs.failures.store(0, Ordering::Relaxed);
    assert_eq!(app.ended(&durable).await["status"], "succeeded");
    let accepted = async || app.draw(&quick(&json!({}))).await.status() == StatusCode::OK;
    eventually("it is accepted again", accepted).await;
}

/// A message's headers and body.
type Message = (Vec<(String, String)>, Vec<u8>);

/// Takes the third attempt.
struct Stubborn {
    attempts: AtomicI64,
    taken: tokio::sync::mpsc::UnboundedSender<Message>,
}

#[async_trait]
impl WebhookTransport for Stubborn {
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String> {
        assert_eq!(url, "https://example.com/hook");
        match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0 => Err("connection refused".to_owned()),
            1 => Ok(500),
            _ => {
                let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                self.taken.send((headers, body)).unwrap();
                Ok(200)
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_repeated_until_it_is_taken() {
    use base64::Engine as _;
    use hmac::{KeyInit as _, Mac as _};
    let (taken, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    let courier = Arc::new(Stubborn { attempts: AtomicI64::new(0), taken });
    let app = TestApp::with(Setup { webhooks: Some(courier.clone()), ..Setup::default() }).await;
    let webhook = json!({"url": "https://example.com/hook", "events": ["job.succeeded"]});
    let id = app.queue_up(&quick(&json!({"webhook": webhook}))).await;
    let (headers, body) = deliveries.recv().await.unwrap();
    let header = |name: &str| headers.iter().find(|(other, _)| other == name).unwrap().1.clone();
    let payload: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!((&payload["type"], &payload["data"]["id"]), (&json!("job.succeeded"), &json!(id)));
    assert_eq!(payload["data"]["images"][0]["url"], format!("/v1/jobs/{id}/images/0"));

    let standard = base64::engine::general_purpose::STANDARD;
    let key = standard.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&body);
    assert_eq!(header("webhook-signature"), format!("v1,{}", standard.encode(mac.finalize().into_bytes())));

    // Taken once, it leaves the outbox, and so is not sent again.
    let is_empty = async || app.store.lease_due_deliveries(i64::MAX - 1, i64::MAX, 1).await.unwrap().is_empty();
    eventually("the outbox is empty", is_empty).await;
    assert_eq!(courier.attempts.load(Ordering::Relaxed), 3);
}
