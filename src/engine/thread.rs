//! A worker's thread: it loads the model, serves, and starts again with a fresh model when it was lost.
//!
//! Invariant: a request that was under way when the worker was lost fails as lost; one that was still waiting is served by
//! the worker that comes back. A worker that cannot come back closes its inbox.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::active_request::ActiveRequest;
use super::config::EngineConfig;
use super::device;
use super::event::Event;
use super::guarded::{WorkerLost, lost};
use super::inbox::Inbox;
use super::load::WorkerState;
use super::serve::{ServeSetup, Serving};
use crate::diffusion::ModelInfo;
use crate::domain::DeviceChoice;
use crate::metrics::WORKER_RESTARTS;
use crate::tensor::Error;

/// Attempts to load the model again, and the pause before the second one; it doubles.
const RELOADS: u32 = 5;
const RELOAD_PAUSE: Duration = Duration::from_millis(200);

/// What a worker has loaded.
pub(super) struct LoadedModel {
    pub(super) info: ModelInfo,
    /// Device and precision, in words.
    pub(super) device: String,
}

/// What runs on the thread.
pub(super) struct WorkerThread {
    pub(super) number: usize,
    pub(super) device: DeviceChoice,
    pub(super) config: Arc<EngineConfig>,
    pub(super) inbox: Inbox,
    pub(super) state: Arc<WorkerState>,
}

/// How a life of the worker ended.
enum LifeEnd {
    /// All was served, and all senders are gone.
    Finished,
    /// The model could not be loaded.
    Unloadable(Error),
    /// It was lost under way.
    Lost,
}

impl WorkerThread {
    /// Serve until all senders are gone. `ready` hears of the first model.
    pub(super) fn run(
        &mut self,
        report: &mut (dyn FnMut(&str) + Send),
        ready: oneshot::Sender<Result<LoadedModel, Error>>,
    ) {
        let mut ready = Some(ready);
        let mut requests: Vec<ActiveRequest> = Vec::new();
        let mut failures = 0;
        loop {
            let mut loaded = false;
            let end = self.live(
                &mut requests,
                &mut |model| {
                    loaded = true;
                    if let Some(ready) = ready.take() {
                        // If the receiver is gone, so are the senders of requests.
                        let _ = ready.send(Ok(model));
                    }
                },
                report,
            );
            if loaded {
                failures = 0;
            }
            match end {
                LifeEnd::Finished => return,
                LifeEnd::Unloadable(error) => {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(Err(error));
                        return;
                    }
                    failures += 1;
                    tracing::error!(worker.number = self.number, %error, "the model cannot be loaded again");
                }
                LifeEnd::Lost => {
                    let jobs: Vec<_> = requests.iter().filter_map(|request| request.job).map(|job| job.id).collect();
                    self.config.journal.record_lost_worker(&jobs);
                    for request in requests.drain(..) {
                        request.fail(lost());
                    }
                    if ready.is_some() {
                        return;
                    }
                    tracing::error!(worker.number = self.number, "worker lost; loading the model again");
                    WORKER_RESTARTS.add(1, [&self.number.to_string()]);
                    self.state.count_restart();
                    if !loaded {
                        failures += 1;
                    }
                }
            }
            if failures >= RELOADS {
                tracing::error!(worker.number = self.number, "worker given up");
                return self.close();
            }
            if failures > 0 {
                std::thread::sleep(RELOAD_PAUSE * 2_u32.pow(failures - 1));
            }
        }
    }

    /// Load the model and serve until the channel closes or the worker is lost.
    fn live(
        &mut self,
        requests: &mut Vec<ActiveRequest>,
        loaded: &mut (dyn FnMut(LoadedModel) + Send),
        report: &mut (dyn FnMut(&str) + Send),
    ) -> LifeEnd {
        let (config, number, device, state) = (self.config.clone(), self.number, self.device, self.state.clone());
        let inbox = &mut self.inbox;
        let life = AssertUnwindSafe(|| {
            let compute =
                match device::compute(device, config.dtype, config.backend, (config.convolutions, config.precision)) {
                    Ok(compute) => compute,
                    Err(error) => return LifeEnd::Unloadable(error),
                };
            tracing::info!(worker.number = number, backend.name = compute.backend().name(), "backend chosen");
            let on_cpu = compute.device().is_cpu();
            let mut life = || {
                let model = match config.loader.load(&compute, report) {
                    Ok(model) => model,
                    Err(error) => return LifeEnd::Unloadable(error),
                };
                let device = format!("{:?} {:?}", compute.device().location(), compute.dtype());
                loaded(LoadedModel { info: model.info().clone(), device });
                state.set_available();
                let serving = Serving::new(ServeSetup {
                    model,
                    device: compute.device(),
                    number,
                    batching: config.batching,
                    journal: config.journal.clone(),
                    state: &state,
                    inbox,
                    requests,
                });
                match serving.map(Serving::serve) {
                    Ok(Ok(())) => LifeEnd::Finished,
                    Ok(Err(WorkerLost)) => LifeEnd::Lost,
                    Err(error) => {
                        tracing::error!(worker.number = number, %error, "a worker cannot wait for requests");
                        LifeEnd::Lost
                    }
                }
            };
            // On the CPU the loop itself is one of the threads that compute: handing every layer from a thread outside
            // to the pool and back costs more than the small layers themselves.
            match if on_cpu { device::threads(&config.devices, number) } else { None } {
                Some(pool) => pool.install(life),
                None => life(),
            }
        });
        catch_unwind(life).unwrap_or(LifeEnd::Lost)
    }

    /// Take no more, and fail what waits.
    fn close(&mut self) {
        self.inbox.close();
        while let Ok(message) = self.inbox.requests.try_recv() {
            let _ = message.events.send(Event::Failed(lost()));
        }
        // Dropping a request for embeddings tells its sender.
        while self.inbox.embeds.try_recv().is_ok() {}
    }
}
