//! Jobs whose ends are heard of as those of other processes are, and calls that wait for the jobs of other calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use kandinsky::broker::{
    Broker, BrokerError, Claim, Claimed, EventBus, JobEvent, Place, QueuedWork, Release, Room, Subscription,
};
use kandinsky::imaging;
use kandinsky::jobs::JobsConfig;
use kandinsky::store::{JobEnd, Lease};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::app::{Setup, TestApp, events, eventually, quick};
use crate::embedded::DECODE;

/// How the end of a job is told.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// By an event that has no files: they are in the store.
    WithoutFiles,
    /// By nothing but the store.
    Nowhere,
}

/// A broker that tells of ends as one does that other processes work for.
struct Elsewhere {
    inner: Arc<dyn Broker>,
    told: Told,
    /// Listeners that came after their job.
    late: Arc<AtomicUsize>,
}

impl Elsewhere {
    /// A server with such a broker, which makes one image at a time; and the listeners that have come late.
    async fn serve(told: Told) -> (TestApp, Arc<AtomicUsize>) {
        let (usual, late) = (Setup::default(), Arc::new(AtomicUsize::new(0)));
        let jobs = JobsConfig { max_images_in_flight: 1, ..usual.jobs.clone() };
        let counted = late.clone();
        let wrap = move |inner| -> Arc<dyn Broker> { Arc::new(Self { inner, told, late: counted }) };
        (TestApp::with(Setup { jobs, wrap_broker: Some(Box::new(wrap)), ..usual }).await, late)
    }
}

impl EventBus for Elsewhere {
    fn open(&self, job: Uuid, owner: &str) -> Subscription {
        self.inner.events().open(job, owner)
    }

    fn announce(&self, job: Uuid, event: JobEvent) {
        match (event, self.told) {
            (JobEvent::Ended { job: ended, .. }, Told::WithoutFiles) => {
                self.inner.events().announce(job, JobEvent::Ended { job: ended, files: None });
            }
            (JobEvent::Ended { .. }, Told::Nowhere) => self.inner.events().close(job),
            (event, _) => self.inner.events().announce(job, event),
        }
    }

    fn tell_place(&self, job: Uuid, event: JobEvent) {
        self.inner.events().tell_place(job, event);
    }

    fn close(&self, job: Uuid) {
        self.inner.events().close(job);
    }

    fn watch(&self, job: Uuid, after: u64) -> Option<Subscription> {
        self.late.fetch_add(1, Ordering::SeqCst);
        self.inner.events().watch(job, after)
    }

    fn watch_owner(&self, owner: Option<&str>, after: Option<u64>) -> Subscription {
        self.inner.events().watch_owner(owner, after)
    }

    fn close_owners(&self) {
        self.inner.events().close_owners();
    }
}

#[async_trait]
impl Broker for Elsewhere {
    fn events(&self) -> &dyn EventBus {
        self
    }

    fn shares_memory(&self) -> bool {
        self.inner.shares_memory()
    }

    fn place_for(&self, work: &QueuedWork) -> Place {
        self.inner.place_for(work)
    }

    async fn publish(&self, work: QueuedWork) -> Result<(), BrokerError> {
        self.inner.publish(work).await
    }

    fn places(&self) -> Vec<Place> {
        self.inner.places()
    }

    async fn claim(&self, room: Room) -> Result<Option<Claimed>, BrokerError> {
        self.inner.claim(room).await
    }

    async fn work_available(&self) {
        self.inner.work_available().await;
    }

    fn lease(&self) -> Lease {
        self.inner.lease()
    }

    fn extension_interval(&self) -> Duration {
        self.inner.extension_interval()
    }

    async fn extend(&self) -> Result<(), BrokerError> {
        self.inner.extend().await
    }

    async fn acknowledge(&self, claim: &Claim, end: &JobEnd<'_>) -> Result<bool, BrokerError> {
        self.inner.acknowledge(claim, end).await
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<bool, BrokerError> {
        self.inner.release(claim, release).await
    }

    fn cancel(&self, job: Uuid) {
        self.inner.cancel(job);
    }

    fn forget(&self, job: Uuid) {
        self.inner.forget(job);
    }

    fn close(&self) -> Vec<Uuid> {
        self.inner.close()
    }
}

/// Takes far longer than what is done until it is canceled.
fn slow() -> Json {
    quick(&json!({"steps": 100, "width": 512, "height": 512, "n": 4}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_openais_surface_has_the_images_however_the_end_is_told() {
    for told in [Told::WithoutFiles, Told::Nowhere] {
        let (app, _) = Elsewhere::serve(told).await;
        let body = quick(&json!({"seed": 5, "n": 2, "stream": true, "partial_images": 1}));
        let text = app.post("/v1/images/generations", &body).await.text().await.unwrap();
        let heard = events(&text);
        let completed: Vec<&Json> = heard
            .iter()
            .filter(|(name, ..)| name == "image_generation.completed")
            .map(|(.., data)| &data["b64_json"])
            .collect();
        let native: Json = app.draw(&quick(&json!({"seed": 5, "n": 2}))).await.json().await.unwrap();
        let native = native["images"].as_array().unwrap();
        assert_eq!(completed.len(), 2, "{told:?}: {text:.2000}");
        let pixels = |file: &Json| {
            let file = base64::engine::general_purpose::STANDARD.decode(file.as_str().unwrap()).unwrap();
            imaging::decode(&file, &DECODE).unwrap().into_pixels()
        };
        for (streamed, image) in completed.into_iter().zip(native) {
            assert!(pixels(streamed) == pixels(&image["b64_json"]), "{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_openais_surface_tells_of_a_failure_that_it_hears_of_from_the_store() {
    let (app, _) = Elsewhere::serve(Told::Nowhere).await;
    let before = app.queue_up(&slow()).await;
    let stream = app.post("/v1/images/generations", &quick(&json!({"stream": true}))).await;
    let waiting = app.json("/v1/jobs?status=queued").await["data"][0]["id"].as_str().unwrap().to_owned();
    for id in [waiting, before] {
        app.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
    }
    let text = stream.text().await.unwrap();
    let (name, _, data) = events(&text).pop().unwrap();
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!("canceled")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_gets_its_image_though_it_came_before_the_first_was_given_up() {
    let (app, late) = Elsewhere::serve(Told::WithoutFiles).await;
    // Everything else waits behind it.
    let before = app.queue_up(&slow()).await;
    let queued = async || -> Vec<String> {
        let jobs = app.json("/v1/jobs?status=queued").await;
        jobs["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    eventually("it runs", async || queued().await.is_empty()).await;
    let mut tries = Vec::new();
    for (waiting, (path, body)) in [
        ("/v1/text-to-image", quick(&json!({}))),
        ("/v1/images/generations", quick(&json!({}))),
        ("/v1/images/generations", quick(&json!({"stream": true}))),
        ("/", json!({"inputs": "red heart", "parameters": {"num_inference_steps": 3}})),
        ("/sdapi/v1/txt2img", quick(&json!({}))),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key {waiting}");
        let send = || tokio::spawn(app.client.post(app.url(path)).header("idempotency-key", &key).json(&body).send());
        let first = send();
        eventually("the first try waits", async || queued().await.len() == waiting + 1).await;
        let job = queued().await[0].clone();
        let came = late.load(Ordering::SeqCst);
        let second = send();
        eventually("the second try waits for the same job", async || late.load(Ordering::SeqCst) > came).await;
        // Its client is gone, and so is what it has received of a stream.
        first.abort();
        drop(first);
        eventually(&format!("its job is canceled, and there is another: {path}"), async || {
            let queued = queued().await;
            queued.len() == waiting + 1 && queued[0] != job
        })
        .await;
        tries.push((path, second));
    }
    let under_way = async || app.json("/sdapi/v1/progress").await["state"]["job_count"].clone();
    eventually("the new job can be stopped", async || under_way().await == 1).await;
    app.post(&format!("/v1/jobs/{before}/cancel"), &json!({})).await;
    for (path, second) in tries {
        let response = second.await.unwrap().unwrap();
        let (status, text) = (response.status(), response.bytes().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{path}: {:.500}", String::from_utf8_lossy(&text));
        assert!(!text.starts_with(b"event: error"), "{path}");
    }
}
