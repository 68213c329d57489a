//! The handle to the workers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::config::EngineConfig;
use super::embed::{EmbedInput, EmbedRequest, Embeddings};
use super::error::EngineError;
use super::event::Event;
use super::guarded::lost;
use super::load::{EngineLoad, WorkerCounters};
use super::request::GenerationRequest;
use super::worker::{self, Worker};
use crate::diffusion::ModelInfo;
use crate::domain::{Failure, FailureKind, Image};
use crate::metrics::MODEL_WEIGHTS;

/// A handle to the workers. Dropping it waits until they have done what they had begun.
pub struct Engine {
    workers: Vec<Worker>,
    info: ModelInfo,
    devices: String,
    /// Whether the workers are in other processes.
    is_remote: bool,
}

impl Engine {
    /// Start the workers and wait until their models are resident. `report` is called with the name of each component
    /// before it is loaded.
    pub fn start(config: EngineConfig, report: impl FnMut(&str) + Send + 'static) -> Result<Self, EngineError> {
        let (mut workers, mut loaded) = (Vec::new(), Vec::new());
        for starting in worker::start(&Arc::new(config), report)? {
            let (worker, model) = starting.wait()?;
            workers.push(worker);
            loaded.push(model);
        }
        let devices = loaded.iter().map(|model| model.device.as_str()).collect::<Vec<_>>().join(", ");
        let Some(model) = loaded.into_iter().next() else { return Err(EngineError::NoDevice) };
        for worker in 0..workers.len() {
            MODEL_WEIGHTS.set(model.info.weight_bytes as u64, [&worker.to_string()]);
        }
        Ok(Self { workers, info: model.info, devices, is_remote: false })
    }

    /// Stands for workers in other processes: it describes their model, and takes no requests itself.
    #[must_use]
    pub fn remote(info: ModelInfo) -> Self {
        Self { workers: Vec::new(), info, devices: "workers of the fleet".to_owned(), is_remote: true }
    }

    /// What is loaded. All workers have loaded the same.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The workers' devices and precisions, in words, for logs.
    #[must_use]
    pub fn devices(&self) -> &str {
        &self.devices
    }

    /// Number of workers that take requests: one whose model could not be loaded again after a fault does not.
    #[must_use]
    pub fn workers(&self) -> u32 {
        u32::try_from(self.workers.iter().filter(|worker| worker.is_alive()).count()).unwrap_or(u32::MAX)
    }

    /// What each worker has done so far.
    #[must_use]
    pub fn counters(&self) -> Vec<WorkerCounters> {
        self.workers.iter().map(|worker| worker.state.counters()).collect()
    }

    /// What is in flight.
    #[must_use]
    pub fn load(&self) -> EngineLoad {
        self.workers.iter().map(|worker| worker.state.load(worker.is_alive())).sum()
    }

    /// Hand a checked request to the worker with the least left to do. Dropping the receiver cancels it at the next step.
    pub fn submit(&self, request: GenerationRequest) -> Result<mpsc::UnboundedReceiver<Event>, Failure> {
        let cost = request.generation.cost(self.info.native_size);
        let workers = self.by_backlog();
        if workers.is_empty() {
            return Err(Failure::new(FailureKind::Unavailable, "no worker is left"));
        }
        let (events, receiver) = mpsc::unbounded_channel();
        let mut request = Box::new(request);
        for worker in workers {
            match worker.offer(request, events.clone(), cost) {
                Ok(()) => return Ok(receiver),
                Err(back) => request = back,
            }
        }
        Err(Failure::new(FailureKind::Unavailable, "too many requests are waiting"))
    }

    /// CLIP's embeddings of the parts of each text, of [`ModelInfo::clip_width`] numbers, as they are before normalisation:
    /// one of a text that fits into CLIP's context, several that overlap of a longer one. Waits while workers are busy.
    pub async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<Vec<f32>>>, Failure> {
        self.embed(EmbedInput::Texts(texts)).await
    }

    /// CLIP's embedding of each image, in the space of [`Engine::embed_texts`]; of an image that is not square, of the
    /// square in its middle.
    pub async fn embed_images(&self, images: Vec<Image>) -> Result<Vec<Vec<f32>>, Failure> {
        Ok(self.embed(EmbedInput::Images(images)).await?.into_iter().flatten().collect())
    }

    async fn embed(&self, input: EmbedInput) -> Embeddings {
        let Some(embeds) = self.by_backlog().first().and_then(|worker| worker.embeds()) else {
            return Err(Failure::new(FailureKind::Unavailable, "no worker is left"));
        };
        let (reply, replied) = oneshot::channel();
        embeds.send(EmbedRequest { input, reply }).await.map_err(|_| lost())?;
        replied.await.map_err(|_| lost())?
    }

    /// The workers that take requests, the one with the least left to do first.
    fn by_backlog(&self) -> Vec<&Worker> {
        let mut workers: Vec<&Worker> = self.workers.iter().filter(|worker| worker.is_alive()).collect();
        workers.sort_by_key(|worker| worker.state.backlog());
        workers
    }

    /// Whether a worker is there to take requests, as far as this process can tell.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.is_remote || self.workers.iter().any(Worker::is_alive)
    }

    /// Resolves once no worker of this process takes requests any more.
    pub async fn given_up(&self) {
        if self.is_remote {
            std::future::pending::<()>().await;
        }
        for worker in &self.workers {
            worker.given_up().await;
        }
    }
}
