//! The workers: each is one thread that owns one device and a resident model, and batches the steps of all its requests.
//!
//! Invariant: tensors never leave a worker's thread; requests go in through a bounded channel, progress and pixels come
//! out. The image of a seed does not depend on what else is in flight, nor on which worker makes it.

mod costs;
mod device;
mod fault;
mod info;
mod load;
mod memory;
pub mod planner;
mod question;
mod request;
mod serve;
mod translate;
mod worker;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::{BackendChoice, DeviceChoice, Dtype, Failure, FailureKind, Image};
use crate::families::kandinsky21::Checkpoint;
use crate::metrics::MODEL_WEIGHTS;
use crate::modes::CheckedGeneration;

#[doc(hidden)]
pub use fault::{Fault, FaultHook, FaultPoint};
pub use info::ModelInfo;
pub use load::{Load, Work};
use question::{Embeddings, Question, Subject};
use worker::Worker;

/// What the workers run.
#[derive(Clone)]
pub struct EngineConfig {
    pub checkpoint: Checkpoint,
    /// A worker for each; a device may be named several times. At least one.
    pub devices: Vec<DeviceChoice>,
    pub dtype: Dtype,
    pub backend: BackendChoice,
    /// Load the second UNet, for inpainting and outpainting.
    pub inpainting: bool,
    /// Take steps of several images together.
    pub batching: bool,
    /// For tests of what happens when steps fail.
    #[doc(hidden)]
    pub fault: Option<FaultHook>,
}

impl EngineConfig {
    /// One worker on the best device, everything loaded.
    #[must_use]
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint,
            devices: vec![DeviceChoice::default()],
            dtype: Dtype::default(),
            backend: BackendChoice::default(),
            inpainting: true,
            batching: true,
            fault: None,
        }
    }
}

/// A checked request, and how it is to be treated.
#[derive(Debug, Clone)]
pub struct Order {
    pub generation: CheckedGeneration,
    /// Larger goes first: `Priority::level`.
    pub priority: u8,
    /// A preview every so many decoder steps of an image; 0: none.
    pub preview_interval: u32,
    /// For logs; may be empty.
    pub request_id: String,
}

impl Order {
    /// Of normal priority, without previews.
    #[must_use]
    pub fn new(generation: CheckedGeneration) -> Self {
        Self { generation, priority: 1, preview_interval: 0, request_id: String::new() }
    }
}

/// Where a request is: the stage of its image that is furthest behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    /// Text and image encoders.
    Encode,
    Prior,
    Decoder,
    /// MoVQ.
    Decode,
}

impl StageName {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Encode, Self::Prior, Self::Decoder, Self::Decode];

    /// The name in events and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Prior => "prior",
            Self::Decoder => "decoder",
            Self::Decode => "decode",
        }
    }
}

/// Wall time that a request spent in each stage, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Text and image encoders.
    pub text_ms: u64,
    pub prior_ms: u64,
    pub decoder_ms: u64,
    /// MoVQ.
    pub decode_ms: u64,
}

/// What becomes of a request: `Started`, then any number of the next three, then `Failed` or `Done`.
#[derive(Debug, Clone)]
pub enum Event {
    /// A worker has taken it up.
    Started,
    /// Steps taken in this stage, of all images together.
    Progress { stage: StageName, step: usize, steps: usize },
    /// Roughly what image number `index` will be, after `step` decoder steps.
    Preview { index: usize, step: usize, image: Image },
    /// Image number `index` is finished.
    Image { index: usize, image: Image },
    /// Nothing more will come. [`FailureKind::Lost`]: the worker went down, and the request may be run again.
    Failed(Failure),
    /// All images came.
    Done(StageTimes),
}

/// A handle to the workers.
pub struct Engine {
    workers: Vec<Worker>,
    info: ModelInfo,
}

impl Engine {
    /// Start the workers and wait until their models are resident. `report` is called with the name of each component
    /// before it is loaded.
    pub fn start(config: EngineConfig, report: impl FnMut(&str) + Send + 'static) -> anyhow::Result<Self> {
        anyhow::ensure!(!config.devices.is_empty(), "no device to run on");
        let starting = worker::start(&Arc::new(config), report)?;
        let (mut workers, mut infos) = (Vec::new(), Vec::new());
        for starting in starting {
            let (worker, info) = starting.wait()?;
            workers.push(worker);
            infos.push(info);
        }
        let info = ModelInfo::of_all(infos).ok_or_else(|| anyhow::anyhow!("no worker started"))?;
        for worker in 0..info.workers {
            MODEL_WEIGHTS.set(info.weight_bytes as u64, [&worker.to_string()]);
        }
        Ok(Self { workers, info })
    }

    /// What is loaded.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// What the workers have done so far.
    #[must_use]
    pub fn work(&self) -> Work {
        self.workers.iter().map(|worker| worker.state.work()).sum()
    }

    /// What the workers have done so far, one by one.
    #[must_use]
    pub fn work_by_worker(&self) -> Vec<Work> {
        self.workers.iter().map(|worker| worker.state.work()).collect()
    }

    /// What is in flight.
    #[must_use]
    pub fn load(&self) -> Load {
        self.workers.iter().map(|worker| worker.state.load(worker.is_alive())).sum()
    }

    /// Hand a checked request to the worker with the least left to do. Dropping the receiver cancels it at the next step.
    pub fn submit(&self, order: Order) -> Result<mpsc::UnboundedReceiver<Event>, Failure> {
        let cost = order.generation.cost(self.info.native_size);
        let workers = self.by_backlog();
        if workers.is_empty() {
            return Err(Failure::new(FailureKind::Unavailable, "no worker is left"));
        }
        let (events, receiver) = mpsc::unbounded_channel();
        let mut order = Box::new(order);
        for worker in workers {
            match worker.offer(order, events.clone(), cost) {
                Ok(()) => return Ok(receiver),
                Err(back) => order = back,
            }
        }
        Err(Failure::new(FailureKind::Unavailable, "too many requests are waiting"))
    }

    /// CLIP's embeddings of the parts of each text, of [`ModelInfo::clip_width`] numbers, as they are before normalisation:
    /// one of a text that fits into CLIP's 77 tokens, several that overlap of a longer one. Waits while workers are busy.
    pub async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<Vec<f32>>>, Failure> {
        self.ask(Subject::Texts(texts)).await
    }

    /// CLIP's embedding of each image, in the space of [`Engine::embed_texts`]; of an image that is not square, of the
    /// square in its middle.
    pub async fn embed_images(&self, images: Vec<Image>) -> Result<Vec<Vec<f32>>, Failure> {
        Ok(self.ask(Subject::Images(images)).await?.into_iter().flatten().collect())
    }

    async fn ask(&self, subject: Subject) -> Embeddings {
        let lost = || Failure::new(FailureKind::Lost, "the worker was lost");
        let Some(questions) = self.by_backlog().first().and_then(|worker| worker.questions()) else {
            return Err(Failure::new(FailureKind::Unavailable, "no worker is left"));
        };
        let (answer, answered) = oneshot::channel();
        questions.send(Question { subject, answer }).await.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }

    /// The workers that take requests, the one with the least left to do first.
    fn by_backlog(&self) -> Vec<&Worker> {
        let mut workers: Vec<&Worker> = self.workers.iter().filter(|worker| worker.is_alive()).collect();
        workers.sort_by_key(|worker| worker.state.backlog());
        workers
    }

    /// Whether a worker is there to take requests.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.workers.iter().any(Worker::is_alive)
    }
}
