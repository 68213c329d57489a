//! Stores to test, each fresh and alone, and jobs to keep in them.

use std::future::Future;
use std::sync::Arc;

use kandinsky::domain::{
    Common, Failure, FailureKind, Finding, ImageMeta, JobState, Outcome, Output, Priority, Timings, Warning,
    WarningCode, Webhook, WebhookEvent,
};
use kandinsky::modes::{Generation, Mode, TextToImage};
use kandinsky::records::{Job, JobSpec};
use kandinsky::store::{
    self, Announce, Database, Idempotency, InsertOutcome, JobEnd, Lease, NewDelivery, NewJob, RecoveryPolicy,
    StoreError,
};
use uuid::Uuid;

pub type Store = Arc<dyn Database>;

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async { test(store::open_sqlite(&folder.path().join("kandinsky.db")).await.unwrap()).await });
}

/// An id that sorts as the `n`th.
pub fn id(n: u64) -> Uuid {
    let mut bytes = *uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + n, &[7; 10]).as_uuid().as_bytes();
    bytes[15] = 1;
    Uuid::from_bytes(bytes)
}

/// A durable job of nobody's in particular.
pub fn job(n: u64) -> Job {
    let common = Common { seed: u64::MAX, guidance_scale: 3.3, ..Common::default() };
    // No check lets these pass, and the store keeps them all the same. U+0000 is allowed in JSON, and not in PostgreSQL's
    // text.
    let prompt = "красный кот \u{0} 🐈 'DROP TABLE jobs; --".to_owned();
    let generation = Generation { input: TextToImage { prompt }.into(), common };
    Job {
        id: id(n),
        owner: "owner".to_owned(),
        state: JobState::Queued,
        mode: Mode::TextToImage,
        model: "kandinsky-mini".to_owned(),
        durable: true,
        cost: 3_000_000_000 + n,
        yields: false,
        spec: JobSpec {
            // As a store gives it, without checking it again.
            generation: serde_json::from_value(serde_json::to_value(generation).unwrap()).unwrap(),
            output: Output::default(),
            priority: Priority::High,
            preview_interval: 5,
            webhook: Some(Webhook { url: "https://example.org/hook".to_owned(), events: vec![WebhookEvent::Failed] }),
            style: Some("anime".to_owned()),
            findings: vec![finding()],
            warnings: vec![Warning::new(WarningCode::FieldIgnored, "no effect").at("/x")],
            translations: Vec::new(),
            translate: None,
            moderation_policy: Some("strict".to_owned()),
            parameters: r#"{"seed": 18446744073709551615}"#.to_owned(),
        },
        epoch: 0,
        losses: 0,
        suspicion: None,
        cancel_requested: false,
        created_at: 1000 + i64::try_from(n).unwrap(),
        started_at: None,
        finished_at: None,
        expires_at: None,
        images: Vec::new(),
        timings: None,
        failure: None,
    }
}

pub fn key(key: &str, fingerprint: &str) -> Idempotency {
    Idempotency { key: key.to_owned(), fingerprint: fingerprint.to_owned() }
}

pub fn lease(worker: &str, until: i64) -> Lease {
    Lease { worker: worker.to_owned(), until }
}

pub fn delivery(name: &str) -> NewDelivery {
    NewDelivery {
        id: format!("msg_{name}"),
        url: format!("https://example.org/{name}"),
        payload: format!("{{\"name\": \"{name}\"}}"),
    }
}

pub fn success() -> Outcome {
    let image = ImageMeta {
        index: 0,
        seed: u64::MAX,
        width: 512,
        height: 768,
        format: kandinsky::domain::Format::Webp,
        bytes: 5_000_000_000,
        findings: vec![finding()],
        blurred: true,
    };
    Outcome::Succeeded {
        images: vec![image],
        timings: Timings { queue_ms: 1, text_ms: 2, prior_ms: 3, decoder_ms: 4, decode_ms: 5, total_ms: 15 },
    }
}

fn finding() -> Finding {
    Finding { category: "violence".to_owned(), score: 0.3, rule: "classifier: violence".to_owned() }
}

pub fn failure(message: &str) -> Failure {
    Failure::new(FailureKind::Lost, message)
}

/// Poisonous at the third claim; ends expire at 9000.
pub fn recovery(now: i64) -> RecoveryPolicy {
    let (poisonous, abandoned) = (failure("poisonous"), failure("abandoned"));
    RecoveryPolicy { most_losses: 3, counts_losses: true, poisonous, abandoned, finished_at: now, expires_at: 9000 }
}

/// Recover until no lease is left that ended before `now`; jobs in all.
pub async fn recover(store: &Store, now: i64) -> u64 {
    let mut total = 0;
    loop {
        let report = store.recover(now, &recovery(now), &announce()).await.unwrap();
        if report.total() == 0 {
            return total;
        }
        total += report.total();
    }
}

/// The store's methods, with arguments in a row.
pub trait StoreExt {
    /// Insert a job that costs nothing.
    async fn insert(
        &self,
        job: &Job,
        idempotency: Option<&Idempotency>,
        holder: Option<&Lease>,
    ) -> Result<InsertOutcome, StoreError>;

    /// Finish a job.
    async fn end(
        &self,
        id: Uuid,
        epoch: i64,
        outcome: &Outcome,
        deliveries: &[NewDelivery],
        finished_at: i64,
        expires_at: i64,
    ) -> Result<bool, StoreError>;
}

impl StoreExt for Store {
    async fn insert(
        &self,
        job: &Job,
        idempotency: Option<&Idempotency>,
        holder: Option<&Lease>,
    ) -> Result<InsertOutcome, StoreError> {
        self.insert_job(NewJob { job, idempotency, holder, charge: None, most_jobs: None }).await
    }

    async fn end(
        &self,
        id: Uuid,
        epoch: i64,
        outcome: &Outcome,
        deliveries: &[NewDelivery],
        finished_at: i64,
        expires_at: i64,
    ) -> Result<bool, StoreError> {
        self.finish(id, epoch, &JobEnd { outcome, deliveries, finished_at, expires_at }).await
    }
}

/// Announces the job's id and its failure.
pub fn announce() -> Box<Announce<'static>> {
    Box::new(|job, failure| vec![NewDelivery { payload: failure.message.clone(), ..delivery(&job.id.to_string()) }])
}

/// Everything of a job that can be compared.
pub fn seen(job: &Job) -> String {
    format!("{job:?}")
}

/// Insert a durable job and claim it until 500.
pub async fn running(store: &Store, n: u64) -> Job {
    store.insert(&job(n), None, None).await.unwrap();
    store.claim(id(n), &lease("w", 500), 100).await.unwrap().unwrap()
}

pub async fn state(store: &Store, n: u64) -> JobState {
    store.get(id(n)).await.unwrap().unwrap().state
}

/// Payloads of what is due at the end of time, which is a long lease away from being due again.
pub async fn announced(store: &Store) -> Vec<String> {
    let due = store.lease_due_deliveries(i64::MAX - 1, i64::MAX, 1000).await.unwrap();
    due.into_iter().map(|delivery| delivery.payload).collect()
}
