//! Hands waiting jobs to the workers, in order, while there is room.
//!
//! Invariant: no more pictures are in flight than the bound, so what the workers hold does not grow with the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::Instrument as _;

use super::pending::Waiting;
use super::{Inner, JobEvent, lock, millis, run};

/// How often waiting jobs are told their places, and the rate is measured.
const TICK: Duration = Duration::from_secs(1);

/// Dispatch until the queue closes.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        dispatch(&inner);
        tokio::select! {
            () = inner.closed.cancelled() => return,
            () = inner.wake.notified() => {}
            _ = tick.tick() => {
                let busy = inner.in_flight.load(Ordering::Relaxed) > 0;
                lock(&inner.rate).tick(busy, Instant::now());
                tell_places(&inner);
            }
        }
    }
}

fn dispatch(inner: &Arc<Inner>) {
    loop {
        let all = inner.room();
        let room = all.saturating_sub(inner.in_flight.load(Ordering::Relaxed));
        let Some(waiting) = lock(&inner.pending).pop(room, all) else { return };
        let pictures = waiting.pictures;
        inner.in_flight.fetch_add(pictures, Ordering::Relaxed);
        let inner = inner.clone();
        let runs = inner.runs.clone();
        let span = lock(&inner.live).get(&waiting.id).map_or_else(tracing::Span::none, |live| live.span.clone());
        runs.spawn(async move {
            run::run(&inner, waiting.id).instrument(span).await;
            inner.in_flight.fetch_sub(pictures, Ordering::Relaxed);
            inner.wake.notify_one();
        });
    }
}

/// Tell each waiting job how many go before it.
fn tell_places(inner: &Inner) {
    let places: Vec<(Waiting, u64)> = lock(&inner.pending).iter().map(|(waiting, before)| (*waiting, before)).collect();
    for (position, (waiting, before)) in places.into_iter().enumerate() {
        let eta_ms = millis(inner.time_for(before.saturating_add(waiting.cost)));
        inner.feed.publish(waiting.id, JobEvent::Queued { position, eta_ms });
    }
}

impl Inner {
    /// Most pictures in flight.
    fn room(&self) -> u32 {
        self.config.max_pictures_in_flight.saturating_mul(self.engine.info().workers).max(1)
    }
}
