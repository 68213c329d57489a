//! A worker, seen from outside: its inbox and its thread.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;

use super::config::EngineConfig;
use super::embed::EmbedRequest;
use super::error::EngineError;
use super::event::Event;
use super::inbox::{self, Outbox, WorkerMessage};
use super::load::{LoadGuard, WorkerState};
use super::request::GenerationRequest;
use super::thread::{LoadedModel, WorkerThread};
use crate::domain::DeviceChoice;
use crate::tensor::Error;

/// A handle to a worker. Dropping it waits until it has done what it had begun.
pub(super) struct Worker {
    pub(super) state: Arc<WorkerState>,
    outbox: Option<Outbox>,
    thread: Option<JoinHandle<()>>,
}

/// A worker whose model is being loaded.
pub(super) struct StartingWorker {
    worker: Worker,
    ready: oneshot::Receiver<Result<LoadedModel, Error>>,
}

impl StartingWorker {
    /// Wait until the model is resident.
    pub(super) fn wait(self) -> Result<(Worker, LoadedModel), EngineError> {
        let model = self.ready.blocking_recv().map_err(|_| EngineError::WorkerDied)??;
        Ok((self.worker, model))
    }
}

/// Start a worker for each device.
pub(super) fn start(
    config: &Arc<EngineConfig>,
    report: impl FnMut(&str) + Send + 'static,
) -> std::io::Result<Vec<StartingWorker>> {
    let report = Arc::new(Mutex::new(report));
    let start = |(number, device): (usize, &DeviceChoice)| {
        let (outbox, inbox) = inbox::channel();
        let (ready, loaded) = oneshot::channel();
        let state = Arc::new(WorkerState::default());
        let report = report.clone();
        let mut thread = WorkerThread { number, device: *device, config: config.clone(), inbox, state: state.clone() };
        let handle = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            thread.run(&mut move |component: &str| (report.lock())(component), ready);
        })?;
        Ok(StartingWorker { worker: Worker { state, outbox: Some(outbox), thread: Some(handle) }, ready: loaded })
    };
    config.devices.iter().enumerate().map(start).collect()
}

impl Worker {
    /// Put a request into the inbox; it comes back if the inbox is full or closed.
    pub(super) fn offer(
        &self,
        request: Box<GenerationRequest>,
        events: mpsc::UnboundedSender<Event>,
        cost: u64,
    ) -> Result<(), Box<GenerationRequest>> {
        let Some(outbox) = &self.outbox else { return Err(request) };
        let load = LoadGuard::new(&self.state, request.generation.common.n as usize, cost);
        outbox.requests.try_send(WorkerMessage { request, events, load }).map_err(|error| match error {
            TrySendError::Full(message) | TrySendError::Closed(message) => message.request,
        })
    }

    /// Where requests for embeddings are sent.
    pub(super) fn embeds(&self) -> Option<mpsc::Sender<EmbedRequest>> {
        self.outbox.as_ref().map(|outbox| outbox.embeds.clone())
    }

    /// Whether it takes requests.
    pub(super) fn is_alive(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| !outbox.requests.is_closed())
    }

    /// Resolves once it takes no more requests.
    pub(super) async fn given_up(&self) {
        if let Some(outbox) = &self.outbox {
            outbox.requests.closed().await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Closing the channels ends the loop once it has served what it has.
        self.outbox = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker panicked");
        }
    }
}
