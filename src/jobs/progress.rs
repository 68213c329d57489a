//! What callers hear while they wait: places in the line, steps, previews.
//!
//! Invariant: percents never go back while a job runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::interrupted::Interrupted;
use super::state::{State, millis};
use crate::broker::JobEvent;
use crate::domain::{Failure, FailureKind, Image};
use crate::engine::{Event, StageInfo, StageTimes};
use crate::generation::PostProcess;
use crate::records::Job;

/// How often waiting jobs are told their places, and the rate is measured.
const TICK: Duration = Duration::from_secs(1);

/// Tell each waiting job how many go before it, until the service closes.
pub(super) async fn report_places(state: Arc<State>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return,
            _ = tick.tick() => {}
        }
        state.rate.lock().tick(state.in_flight.images() > 0, Instant::now());
        state.look_at_fleet();
        for place in state.broker.places() {
            state.broker.events().tell_place(place.job, state.queued_event(&place));
        }
    }
}

/// Pass on a worker's events, until all images are there.
pub(super) async fn follow(
    state: &State,
    job: &Job,
    events: &mut UnboundedReceiver<Event>,
    images: &mut [Option<Image>],
    finish: &Arc<PostProcess>,
) -> Result<StageTimes, Interrupted> {
    let begun = Instant::now();
    let mut done = 0;
    let mut span: Option<(&str, tracing::Span)> = None;
    let mut step_span: Option<tracing::Span> = None;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let cost = job.cost as f64;
    while let Some(event) = events.recv().await {
        match event {
            Event::Started => {}
            Event::Progress { stage, step, steps } => {
                if span.as_ref().is_none_or(|(current, _)| *current != stage.id) {
                    // It lasts as long as it is kept.
                    span = Some((stage.id, tracing::info_span!("stage", otel.name = stage.id)));
                }
                // From one step of the job's images to the next one, whatever else was in their batches.
                let parent = span.as_ref().filter(|_| step < steps).map(|(_, stage)| stage.id());
                let next = parent.map(|parent| tracing::debug_span!(parent: parent, "step", step = step + 1, steps));
                drop(std::mem::replace(&mut step_span, next));
                if stage.denoises && step > done && steps > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
                    let part = cost * (step - done) as f64 / steps as f64;
                    state.rate.lock().record_done(part, Instant::now());
                    done = step;
                }
                let percent = percent(stage, step, steps);
                let eta_ms = remaining(begun.elapsed(), percent);
                let event = JobEvent::Progress { stage: stage.id, step, steps, percent, eta_ms };
                state.broker.events().announce(job.id, event);
            }
            Event::Preview { index, step, image } => {
                let (encoder, origin, finish) = (state.config.encoder.clone(), job.mode.origin(), finish.clone());
                let encode = move || encoder.preview(&finish.preview(image), origin);
                let png = tokio::task::spawn_blocking(encode).await;
                if let Ok(Ok(png)) = png {
                    let event = JobEvent::Preview { index, step, png: Arc::new(png) };
                    state.broker.events().announce(job.id, event);
                }
            }
            Event::Image { index, image } => {
                if let Some(slot) = images.get_mut(index) {
                    *slot = Some(image);
                }
            }
            Event::Failed(failure) if failure.kind == FailureKind::Lost => return Err(Interrupted::Retry(failure)),
            Event::Failed(failure) => return Err(Interrupted::Failed(failure)),
            Event::Done(times) => return Ok(times),
        }
    }
    Err(Interrupted::Retry(Failure::new(FailureKind::Lost, "the worker stopped")))
}

/// The progress of a job whose images have done so many steps of a stage, percent.
fn percent(stage: &StageInfo, step: usize, steps: usize) -> f32 {
    let (begin, end) = stage.progress;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = step as f32 / steps.max(1) as f32;
    begin + share * (end - begin)
}

/// ms until the end, if it goes on as it went.
fn remaining(elapsed: Duration, percent: f32) -> u64 {
    if percent <= 0.0 {
        return 0;
    }
    millis(elapsed.mul_f32(((100.0 - percent) / percent).clamp(0.0, 1000.0)))
}
