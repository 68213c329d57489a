//! One job, from its claim to its end.
//!
//! Invariant: a job that was claimed here is ended, released, or found to be somebody else's by now; it never stays
//! running without a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::feed::Files;
use super::inspect::{self, Inspected};
use super::pending::Waiting;
use super::{Inner, JobEvent, announce, lock, millis, now_ms, persist};
use crate::domain::{Failure, FailureKind, Image, ImageMeta, Outcome, Timings};
use crate::engine::{Event, Order, StageName, StageTimes};
use crate::generation;
use crate::imaging::{EncodeError, Metadata};
use crate::metrics;
use crate::modes::CheckedGeneration;
use crate::records::Job;
use crate::store::StoreError;

/// Attempts at writing pictures, and the wait before the second; it doubles.
const WRITE_ATTEMPTS: u32 = 5;
const WRITE_PAUSE: Duration = Duration::from_millis(100);
/// Attempts at handing a job to a worker, and the wait between them: long enough for one to load its model again.
const SUBMIT_ATTEMPTS: u32 = 600;
const SUBMIT_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait between attempts at noting a job's end.
const NOTE_PAUSE: Duration = Duration::from_secs(5);

/// How far a job is when its prior, and its decoder, has done all steps, percent.
const PRIOR_PERCENT: f32 = 10.0;
const DECODER_PERCENT: f32 = 95.0;

/// Why a run did not give pictures.
pub(super) enum Stopped {
    Canceled,
    /// The process stops, or the worker was lost: the job is to be run again.
    Again(Failure),
    Failed(Failure),
}

/// What a run made.
struct Made {
    images: Vec<ImageMeta>,
    files: Vec<Vec<u8>>,
    timings: Timings,
}

/// Run the waiting job `id`.
pub(super) async fn run(inner: &Arc<Inner>, id: Uuid) {
    let Some((cancel, generation, request_id)) = inner.take_payload(id) else { return };
    let started = Instant::now();
    let claimed = inner.jobs.claim(id, &inner.lease(), now_ms()).await;
    metrics::STORE_DURATION.record_since(started, ["claim"]);
    let claimed = match claimed {
        Ok(Some(job)) => Arc::new(job),
        Ok(None) => return inner.forget(id).await,
        Err(error) => {
            tracing::warn!(job.id = %id, %error, "a job cannot be claimed; trying again");
            tokio::time::sleep(NOTE_PAUSE.min(inner.config.lease)).await;
            return inner.put_back(id, generation);
        }
    };
    tracing::debug!(job.id = %id, request.id = request_id, job.epoch = claimed.epoch, "running");
    let spare = if claimed.durable { None } else { generation.clone() };
    let mut files = None;
    if claimed.cancel_requested {
        // Somebody wished so while another process had it.
        return inner.end(&claimed, Outcome::Canceled, None).await;
    }
    let outcome = match make(inner, &claimed, generation, &cancel, request_id).await {
        Ok(made) => match write(inner, id, &made).await {
            Ok(()) => {
                files = Some(Files::new(made.files));
                Outcome::Succeeded { images: made.images, timings: made.timings }
            }
            Err(error) => {
                tracing::error!(job.id = %id, %error, "pictures cannot be stored");
                Outcome::Failed(Failure::new(FailureKind::Unavailable, "the pictures could not be stored"))
            }
        },
        Err(Stopped::Canceled) => Outcome::Canceled,
        Err(Stopped::Failed(failure)) => Outcome::Failed(failure),
        Err(Stopped::Again(failure)) => {
            let stopping = inner.stop.is_cancelled();
            if (stopping && !claimed.durable) || (!stopping && claimed.losses + 1 >= inner.config.most_losses) {
                Outcome::Failed(failure)
            } else {
                inner.release(&claimed, !stopping).await;
                return if stopping { drop(lock(&inner.live).remove(&id)) } else { inner.put_back(id, spare) };
            }
        }
    };
    inner.end(&claimed, outcome, files).await;
}

/// Make the pictures of a claimed job.
async fn make(
    inner: &Inner,
    job: &Job,
    generation: Option<CheckedGeneration>,
    cancel: &CancellationToken,
    request_id: String,
) -> Result<Made, Stopped> {
    let started = now_ms();
    let generation = match generation {
        Some(generation) => generation,
        None => persist::read(&*inner.blobs, job).await.map_err(|error| match error {
            StoreError::Unavailable(_) => Stopped::Again(unavailable(&error)),
            other => Stopped::Failed(unavailable(&other)),
        })?,
    };
    let count = generation.common.n as usize;
    let prepared = tokio::task::spawn_blocking(move || generation::prepare(generation));
    let (generation, finish) = prepared.await.map_err(|error| Stopped::Failed(internal(&error.to_string())))?;
    let priority = job.spec.priority.level();
    // Nobody judges previews.
    let preview_interval = if inner.config.output_moderation.is_some() { 0 } else { job.spec.preview_interval };
    let order = Order { generation, priority, preview_interval, request_id };
    let mut events = submit(inner, order, cancel).await?;
    let mut images = vec![None; count];
    let times = unless_stopped(inner, cancel, follow(inner, job, &mut events, &mut images)).await?;
    let images: Option<Vec<Image>> = images.into_iter().collect();
    let images = images.ok_or_else(|| Stopped::Failed(internal("an image is missing")))?;
    let finished = tokio::task::spawn_blocking(move || images.into_iter().map(|made| finish.apply(made)).collect());
    let images: Vec<Image> = finished.await.map_err(|error| Stopped::Failed(internal(&error.to_string())))?;
    let inspected = unless_stopped(inner, cancel, inspect::inspect(inner, job, images)).await?;
    let (output, origin, encoder) = (job.spec.output, job.mode.origin(), inner.config.encoder.clone());
    let (seed, parameters) = (job.spec.generation.common.seed, job.spec.parameters.clone());
    let encoded = tokio::task::spawn_blocking(move || {
        let (mut images, mut files) = (Vec::new(), Vec::new());
        for (index, Inspected { image, findings, blurred }) in inspected.into_iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let seed = seed.wrapping_add(u64::from(index));
            let file = encoder.finished(&image, &output, &Metadata { origin, seed, parameters: &parameters })?;
            let (width, height, bytes) = (image.width(), image.height(), file.len() as u64);
            let format = output.format;
            images.push(ImageMeta { index, seed, width, height, format, bytes, findings, blurred });
            files.push(file);
        }
        Ok::<_, EncodeError>((images, files))
    });
    let (images, files) = encoded
        .await
        .map_err(|error| error.to_string())
        .and_then(|encoded| encoded.map_err(|error| error.to_string()))
        .map_err(|error| Stopped::Failed(internal(&error)))?;
    let since = |from: i64| u64::try_from(now_ms() - from).unwrap_or(0);
    let timings = Timings {
        queue_ms: u64::try_from(started - job.created_at).unwrap_or(0),
        text_ms: times.text_ms,
        prior_ms: times.prior_ms,
        decoder_ms: times.decoder_ms,
        decode_ms: times.decode_ms,
        total_ms: since(job.created_at),
    };
    Ok(Made { images, files, timings })
}

/// Do this until the job is canceled, or the process is to stop.
async fn unless_stopped<T>(
    inner: &Inner,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Stopped>>,
) -> Result<T, Stopped> {
    tokio::select! {
        () = cancel.cancelled() => Err(Stopped::Canceled),
        () = inner.stop.cancelled() => {
            Err(Stopped::Again(Failure::new(FailureKind::Unavailable, "the server is stopping")))
        }
        done = work => done,
    }
}

/// Hand it to a worker; one that starts again is waited for.
async fn submit(inner: &Inner, order: Order, cancel: &CancellationToken) -> Result<UnboundedReceiver<Event>, Stopped> {
    let mut attempts = 0;
    loop {
        match inner.engine.submit(order.clone()) {
            Ok(events) => return Ok(events),
            Err(failure) if failure.kind == FailureKind::Unavailable && attempts < SUBMIT_ATTEMPTS => attempts += 1,
            Err(failure) => return Err(Stopped::Failed(failure)),
        }
        unless_stopped(inner, cancel, async {
            tokio::time::sleep(SUBMIT_PAUSE).await;
            Ok(())
        })
        .await?;
    }
}

/// Pass on what the worker tells, until all pictures are there.
async fn follow(
    inner: &Inner,
    job: &Job,
    events: &mut UnboundedReceiver<Event>,
    images: &mut [Option<Image>],
) -> Result<StageTimes, Stopped> {
    let begun = Instant::now();
    let mut done = 0;
    let mut staged: Option<(StageName, tracing::Span)> = None;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let cost = job.cost as f64;
    while let Some(event) = events.recv().await {
        match event {
            Event::Started => {}
            Event::Progress { stage, step, steps } => {
                if staged.as_ref().is_none_or(|(current, _)| *current != stage) {
                    staged = Some((stage, stage_span(stage)));
                }
                if stage == StageName::Decoder && step > done && steps > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
                    inner.note_done(cost * (step - done) as f64 / steps as f64);
                    done = step;
                }
                let percent = percent(stage, step, steps);
                let eta_ms = remaining(begun.elapsed(), percent);
                inner.feed.publish(job.id, JobEvent::Progress { stage, step, steps, percent, eta_ms });
            }
            Event::Preview { index, step, image } => {
                let (encoder, origin) = (inner.config.encoder.clone(), job.mode.origin());
                let png = tokio::task::spawn_blocking(move || encoder.preview(&image, origin)).await;
                if let Ok(Ok(png)) = png {
                    inner.feed.publish(job.id, JobEvent::Preview { index, step, png: Arc::new(png) });
                }
            }
            Event::Image { index, image } => {
                if let Some(slot) = images.get_mut(index) {
                    *slot = Some(image);
                }
            }
            Event::Failed(failure) if failure.kind == FailureKind::Lost => return Err(Stopped::Again(failure)),
            Event::Failed(failure) => return Err(Stopped::Failed(failure)),
            Event::Done(times) => return Ok(times),
        }
    }
    Err(Stopped::Again(Failure::new(FailureKind::Lost, "the worker stopped")))
}

/// A span that lasts as long as it is kept.
fn stage_span(stage: StageName) -> tracing::Span {
    match stage {
        StageName::Encode => tracing::info_span!("encode"),
        StageName::Prior => tracing::info_span!("prior"),
        StageName::Decoder => tracing::info_span!("decoder"),
        StageName::Decode => tracing::info_span!("decode"),
    }
}

/// Keep the pictures' files; a store that is out of reach is given some time.
async fn write(inner: &Inner, id: Uuid, made: &Made) -> Result<(), StoreError> {
    let mut pause = WRITE_PAUSE;
    for attempt in 1.. {
        let mut written = Ok(());
        for (image, file) in made.images.iter().zip(&made.files) {
            metrics::BLOB_WRITTEN.add(file.len() as u64, []);
            written = inner.blobs.put(id, &persist::result_name(image), file.clone()).await;
            if written.is_err() {
                break;
            }
        }
        match written {
            Err(error) if attempt < WRITE_ATTEMPTS => {
                tracing::warn!(job.id = %id, %error, "a picture cannot be stored; trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
    Ok(())
}

fn percent(stage: StageName, step: usize, steps: usize) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = step as f32 / steps.max(1) as f32;
    match stage {
        StageName::Encode => 0.0,
        StageName::Prior => share * PRIOR_PERCENT,
        StageName::Decoder => PRIOR_PERCENT + share * (DECODER_PERCENT - PRIOR_PERCENT),
        StageName::Decode => DECODER_PERCENT,
    }
}

/// ms until the end, if it goes on as it went.
fn remaining(elapsed: Duration, percent: f32) -> u64 {
    if percent <= 0.0 {
        return 0;
    }
    millis(elapsed.mul_f32(((100.0 - percent) / percent).clamp(0.0, 1000.0)))
}

pub(super) fn internal(error: &str) -> Failure {
    tracing::error!(error, "a job failed");
    Failure::new(FailureKind::Internal, "the picture could not be made")
}

fn unavailable(error: &StoreError) -> Failure {
    tracing::error!(%error, "the pictures of a job cannot be read");
    Failure::new(FailureKind::Unavailable, "the pictures of the request could not be read")
}

impl Inner {
    /// What a waiting job needs to run.
    fn take_payload(&self, id: Uuid) -> Option<(CancellationToken, Option<CheckedGeneration>, String)> {
        let mut live = lock(&self.live);
        let live = live.get_mut(&id)?;
        Some((live.cancel.clone(), live.generation.take(), live.request_id.clone()))
    }

    /// Let a job wait again that could not be run.
    fn put_back(&self, id: Uuid, generation: Option<CheckedGeneration>) {
        let waiting = {
            let mut live = lock(&self.live);
            let Some(live) = live.get_mut(&id) else { return };
            live.generation = generation;
            Waiting::of(&live.job)
        };
        self.enqueue(waiting);
    }

    /// Another process has it, or it was canceled: nothing is to be done here.
    async fn forget(&self, id: Uuid) {
        drop(lock(&self.live).remove(&id));
        match self.jobs.get(id).await {
            Ok(Some(job)) if job.state.is_final() => {
                self.feed.publish(id, JobEvent::Ended { job: Arc::new(job), files: None });
            }
            Ok(_) => self.feed.close(id),
            Err(error) => {
                tracing::warn!(job.id = %id, %error, "a job cannot be read");
                self.feed.close(id);
            }
        }
    }

    /// Give a claimed job back to the queue; if that fails, its lease ends some time.
    async fn release(&self, job: &Job, lost: bool) {
        if let Err(error) = self.jobs.release(job.id, job.epoch, lost).await {
            tracing::warn!(job.id = %job.id, %error, "a job cannot be put back into the queue; its lease will end");
        }
    }

    /// Note a claimed job's end, however long that takes, and tell it.
    async fn end(&self, claimed: &Job, outcome: Outcome, files: Option<Files>) {
        let id = claimed.id;
        let deliveries = announce::deliveries(&self.config.public_url, claimed, &outcome);
        let mut pause = WRITE_PAUSE;
        let (noted, now) = loop {
            let now = now_ms();
            let started = Instant::now();
            let noted = self.jobs.finish(id, claimed.epoch, &outcome, &deliveries, now, self.expires_at(now)).await;
            metrics::STORE_DURATION.record_since(started, ["finish"]);
            match noted {
                Ok(noted) => break (noted, now),
                Err(error) => tracing::warn!(job.id = %id, %error, "a job's end cannot be noted; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Its lease will end, and another process will run it again.
                () = self.stop.cancelled() => return self.feed.close(id),
            }
            pause = (pause * 2).min(NOTE_PAUSE);
        };
        if !noted {
            tracing::warn!(job.id = %id, job.epoch = claimed.epoch, "a job was ended by somebody else");
            return self.forget(id).await;
        }
        let mut job = claimed.clone();
        job.state = outcome.state();
        job.finished_at = Some(now);
        job.expires_at = Some(self.expires_at(now));
        match outcome {
            Outcome::Succeeded { images, timings } => (job.images, job.timings) = (images, Some(timings)),
            Outcome::Failed(failure) => job.failure = Some(failure),
            Outcome::Canceled => {}
        }
        tracing::info!(
            job.id = %id, job.state = job.state.name(), job.mode = job.mode.name(),
            job.failure = job.failure.as_ref().map(|failure| failure.message.as_str()),
            job.total_ms = now - job.created_at, "ended"
        );
        let labels = [job.mode.name(), job.state.name()];
        metrics::JOBS_FINISHED.add(1, labels);
        #[expect(clippy::cast_precision_loss, reason = "ms")]
        metrics::JOB_DURATION.record((now - job.created_at) as f64 / 1e3, labels);
        let durable = job.durable;
        drop(lock(&self.live).remove(&id));
        self.feed.publish(id, JobEvent::Ended { job: Arc::new(job), files });
        if !deliveries.is_empty() {
            self.outbox.notify_one();
        }
        if durable {
            self.delete_files(id, persist::INPUTS).await;
        }
    }
}
