//! One claimed job, from its inputs to its end.
//!
//! Invariant: a job that was claimed here ends, is released, or is found to belong to a newer claim; it never stays running
//! without a worker, even if the code that runs it panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use futures_util::FutureExt as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::blame::{self, Verdict, caution, job_ref};
use super::complete::STORE_RETRY;
use super::interrupted::{Interrupted, internal};
use super::state::State;
use super::{inputs, outputs, progress, review};
use crate::broker::{BrokerError, Claim, Files, Release};
use crate::domain::{Failure, FailureKind, Image, ImageMeta, Outcome, Timings};
use crate::engine::{Event, GenerationRequest, StageTimes};
use crate::generation::{self, PostProcess};
use crate::journal::Entry;
use crate::modes::CheckedGeneration;
use crate::retry::{RetryPolicy, until_canceled};
use crate::store::StoreError;

/// For handing a job to a worker: long enough for one to load its model again.
const SUBMIT_RETRY: RetryPolicy = RetryPolicy::constant(Duration::from_millis(200)).at_most(600);

/// How long a finished image waits to be stored while its caller waits on the connection.
const ATTACHED_PATIENCE: Duration = Duration::from_secs(10);

/// What a run made.
struct RunOutput {
    images: Vec<ImageMeta>,
    files: Vec<Vec<u8>>,
    timings: Timings,
}

/// What the model made.
struct Drawn {
    images: Vec<Image>,
    finish: Arc<PostProcess>,
    times: StageTimes,
}

/// Run a claimed job to its end.
pub(super) async fn run(state: &State, claim: &Claim) {
    let job = &claim.job;
    let live = state.live.lock().get(&job.id).map(|live| (live.inputs.clone(), live.request_id.clone()));
    let (inputs, request_id) = live.unwrap_or_default();
    tracing::debug!(job.id = %job.id, request.id = request_id, job.epoch = job.epoch, "running");
    if job.cancel_requested {
        // While another process had it.
        return state.end_claimed(claim, Outcome::Canceled, None).await;
    }
    if state.is_poisonous(job) {
        return state.end_claimed(claim, Outcome::Failed(blame::poisonous()), None).await;
    }
    let executed = AssertUnwindSafe(execute(state, claim, inputs, request_id)).catch_unwind().await;
    let executed = executed.unwrap_or_else(|panic| Err(Interrupted::Failed(internal(panic_message(&*panic)))));
    let loss = state.config.journal.take_loss(job.id);
    let (outcome, files) = match executed {
        Ok(RunOutput { images, files, timings }) => (Outcome::Succeeded { images, timings }, Some(Files::new(files))),
        Err(Interrupted::Canceled) => (Outcome::Canceled, None),
        Err(Interrupted::Failed(failure)) => (Outcome::Failed(failure), None),
        Err(Interrupted::Retry(failure)) => {
            let verdict = match state.stop.is_cancelled() || !state.generator.is_alive() {
                true if job.durable => Verdict::Again(Release::Returned),
                true => Verdict::Poisonous,
                false => state.judge(claim, loss).await,
            };
            match verdict {
                Verdict::Again(release) => return state.release(claim, release).await,
                Verdict::Poisonous => (Outcome::Failed(failure), None),
            }
        }
    };
    state.end_claimed(claim, outcome, files).await;
}

async fn execute(
    state: &State,
    claim: &Claim,
    inputs: Option<CheckedGeneration>,
    request_id: String,
) -> Result<RunOutput, Interrupted> {
    let job = &claim.job;
    let generation = &job.spec.generation;
    unless_interrupted(state, &claim.cancel, async {
        tokio::time::sleep(blame::pause_after_losses(job)).await;
        Ok(())
    })
    .await?;
    // Those that are here were admitted with their bytes.
    let read = if inputs.is_some() { 0 } else { generation.image_bytes() };
    let working = generation.working_bytes(state.generator.native_size()).saturating_add(read);
    let room = async {
        state
            .working
            .take(&job.owner.as_str().into(), working)
            .await
            .ok_or_else(|| Interrupted::Failed(internal("no memory")))
    };
    let _room = unless_interrupted(state, &claim.cancel, room).await?;
    let started = state.now_ms();
    let generation = match inputs {
        Some(generation) => generation,
        None => unless_interrupted(state, &claim.cancel, read_inputs(state, claim)).await?,
    };
    let Drawn { images: drawn, finish, times } = generate(state, claim, generation, request_id).await?;
    let (mut images, mut files) = (Vec::new(), Vec::new());
    // One after the other: a result takes much more memory on its way than as a file.
    for (index, image) in (0..).zip(drawn) {
        let finish = finish.clone();
        let image = if finish.is_nothing() {
            image
        } else {
            executing(state, claim, "composite", move || finish.apply(image)).await?
        };
        let reviewed = unless_interrupted(state, &claim.cancel, review::review(state, job, index, image)).await?;
        let encode = outputs::encoding(state, job, index, reviewed);
        let encoded = executing(state, claim, "encode", encode).await?;
        let (image, file) = encoded.map_err(|error| Interrupted::Failed(internal(&error.to_string())))?;
        images.push(image);
        files.push(file);
    }
    unless_interrupted(state, &claim.cancel, async {
        let writing = outputs::write(state, job, &images, &files).instrument(tracing::info_span!("store"));
        if job.durable {
            writing.await;
            return Ok(());
        }
        // Who waits on a connection does not wait for ever.
        tokio::time::timeout(ATTACHED_PATIENCE, writing).await.map_err(|_| {
            tracing::error!(job.id = %job.id, "images cannot be stored");
            Interrupted::Failed(Failure::new(FailureKind::Unavailable, "the images could not be stored"))
        })
    })
    .await?;
    let since = |from: i64, to: i64| u64::try_from(to - from).unwrap_or(0);
    let timings = Timings {
        queue_ms: since(job.created_at, started),
        text_ms: times.ms("encode"),
        prior_ms: times.ms("prior"),
        decoder_ms: times.ms("decoder"),
        decode_ms: times.ms("decode"),
        total_ms: since(job.created_at, state.now_ms()),
    };
    Ok(RunOutput { images, files, timings })
}

/// Have a worker make the images.
async fn generate(
    state: &State,
    claim: &Claim,
    generation: CheckedGeneration,
    request_id: String,
) -> Result<Drawn, Interrupted> {
    let (job, cancel) = (&claim.job, &claim.cancel);
    let count = generation.common.n as usize;
    let (generation, finish) = executing(state, claim, "prepare", move || generation::prepare(generation)).await?;
    // Previews bypass output moderation, so they are off where it is on.
    let preview_interval = if state.config.output_moderation.is_some() { 0 } else { job.spec.preview_interval };
    let request = GenerationRequest {
        generation,
        owner: job.owner.clone(),
        priority: job.spec.priority.level(),
        preview_interval,
        request_id,
        job: Some(job_ref(claim)),
        caution: caution(job),
    };
    wait_at(state, claim, "begin").await?;
    let mut events = submit(state, request, cancel).await?;
    let mut images = vec![None; count];
    let finish = Arc::new(finish);
    let following = progress::follow(state, job, &mut events, &mut images, &finish);
    let times = unless_interrupted(state, cancel, following).await?;
    drop(events);
    let images: Option<Vec<Image>> = images.into_iter().collect();
    let images = images.ok_or_else(|| Interrupted::Failed(internal("an image is missing")))?;
    Ok(Drawn { images, finish, times })
}

/// Hand a request to a worker; one that loads its model again is waited for. Where none is left, the job is for others.
async fn submit(
    state: &State,
    request: GenerationRequest,
    cancel: &CancellationToken,
) -> Result<UnboundedReceiver<Event>, Interrupted> {
    let submit = || std::future::ready(state.generator.generate(request.clone()));
    let submitting = submit
        .retry(SUBMIT_RETRY.backoff())
        .when(|failure: &Failure| failure.kind == FailureKind::Unavailable && state.generator.is_alive())
        .into_future();
    let interrupt = |failure| {
        if state.generator.is_alive() { Interrupted::Failed(failure) } else { Interrupted::Retry(failure) }
    };
    unless_interrupted(state, cancel, submitting.map(|submitted| submitted.map_err(interrupt))).await
}

/// Do this until the job is canceled, or the process is to stop.
async fn unless_interrupted<T>(
    state: &State,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Interrupted>>,
) -> Result<T, Interrupted> {
    tokio::select! {
        () = cancel.cancelled() => Err(Interrupted::Canceled),
        () = state.stop.cancelled() => {
            Err(Interrupted::Retry(Failure::new(FailureKind::Unavailable, "the server is stopping")))
        }
        done = work => done,
    }
}

/// Run image work of a job off the async threads, noted in the journal.
async fn executing<T: Send + 'static>(
    state: &State,
    claim: &Claim,
    place: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Interrupted> {
    wait_at(state, claim, place).await?;
    let (journal, is_exclusive) = (state.config.journal.clone(), claim.job.suspicion.is_some());
    let entry = Entry { job: job_ref(claim), place: place.to_owned() };
    let work = tokio::task::spawn_blocking(move || {
        let _hold = journal.hold(vec![entry], is_exclusive);
        work()
    });
    work.await.map_err(|error| Interrupted::Failed(internal(&error.to_string())))
}

/// Wait before a suspect is executed where a worker died of it.
async fn wait_at(state: &State, claim: &Claim, place: &str) -> Result<(), Interrupted> {
    let Some(caution) = caution(&claim.job).filter(|caution| caution.place.as_deref() == Some(place)) else {
        return Ok(());
    };
    unless_interrupted(state, &claim.cancel, async {
        tokio::time::sleep(caution.pause).await;
        Ok(())
    })
    .await
}

/// The pixels of a job's request; a store that does not answer is waited for.
async fn read_inputs(state: &State, claim: &Claim) -> Result<CheckedGeneration, Interrupted> {
    let mut failures = 0;
    loop {
        match inputs::read(&*state.blobs, &claim.job).await {
            Ok(generation) => return Ok(generation),
            Err(error @ StoreError::Failed(_)) => return Err(Interrupted::Failed(unreadable(&error))),
            Err(error) => {
                tracing::warn!(job.id = %claim.job.id, %error, "input images cannot be read yet; trying again");
                failures += 1;
                tokio::time::sleep(STORE_RETRY.pause_after(failures).unwrap_or(STORE_RETRY.longest_pause)).await;
            }
        }
    }
}

fn unreadable(error: &StoreError) -> Failure {
    tracing::error!(%error, "the input images of a job cannot be read");
    Failure::new(FailureKind::Unavailable, "the images of the request could not be read")
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

impl State {
    /// Give a claimed job back to the queue, however long the store takes, unless the process stops: then its lease ends.
    async fn release(&self, claim: &Claim, release: Release) {
        let id = claim.job.id;
        let attempt = || self.broker.release(claim, release);
        let released = attempt
            .retry(STORE_RETRY.backoff())
            .sleep(until_canceled(&self.stop))
            .when(|_| !self.stop.is_cancelled())
            .notify(|error: &BrokerError, _| {
                tracing::warn!(job.id = %id, %error, "a job cannot be requeued yet; trying again");
            })
            .await;
        match released {
            // It waits here again, unless the process is about to stop: then durable jobs are left to others.
            Ok(true) if release != Release::Returned && !(claim.job.durable && self.is_draining()) => {}
            Ok(false) => self.abandon_gone(id).await,
            Ok(true) => self.abandon_job(id),
            Err(error) => {
                tracing::error!(job.id = %id, %error, "a job could not be requeued; its lease will end");
                self.abandon_job(id);
            }
        }
    }
}
