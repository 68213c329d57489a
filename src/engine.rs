//! The worker: one thread that owns one device and a resident model, and batches the steps of all requests in flight.
//!
//! Invariant: tensors never leave the worker's thread; requests go in through a bounded channel, progress and pixels come
//! out. The picture of a seed does not depend on what else is in flight.

mod costs;
mod device;
pub mod planner;
mod translate;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::domain::{Failure, FailureKind, Generation, Picture};
use crate::model::Checkpoint;

pub use device::{DeviceChoice, Dtype};

/// Requests that may wait for the worker.
const WAITING: usize = 64;

/// What a worker runs.
#[derive(Clone)]
pub struct EngineConfig {
    pub checkpoint: Checkpoint,
    pub device: DeviceChoice,
    pub dtype: Dtype,
    /// Load the second UNet, for inpainting and outpainting.
    pub inpainting: bool,
}

/// What the loaded model is.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    pub name: String,
    /// Side of the square picture it was made for, px.
    pub native_size: u32,
    pub weight_bytes: usize,
    /// In words, for logs: the device and the precision.
    pub device: String,
}

/// Where a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageName {
    Prior,
    Decoder,
    Decode,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Event {
    /// Steps taken of all pictures together.
    Progress { stage: StageName, step: usize, steps: usize },
    /// Picture number `index` is finished.
    Picture { index: usize, picture: Picture },
    /// Nothing more will come.
    Failed(Failure),
    /// All pictures came.
    Done,
}

/// A handle to a worker.
pub struct Engine {
    commands: mpsc::Sender<Command>,
    info: Arc<ModelInfo>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker has done since it started.
#[derive(Debug, Default)]
struct Counters {
    steps: AtomicU64,
    rows: AtomicU64,
}

/// What a worker has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Batches run, of any stage.
    pub steps: u64,
    /// Rows in them.
    pub rows: u64,
}

struct Command {
    generation: Generation,
    events: mpsc::UnboundedSender<Event>,
}

impl Engine {
    /// Start a worker and wait until its model is resident. `report` is called with the name of each component before it
    /// is loaded.
    pub fn start(config: EngineConfig, report: impl FnMut(&str) + Send + 'static) -> anyhow::Result<Self> {
        let (commands, receiver) = mpsc::channel(WAITING);
        let (ready, loaded) = oneshot::channel();
        let counters = Arc::new(Counters::default());
        let theirs = counters.clone();
        let thread = std::thread::Builder::new()
            .name("worker-0".to_owned())
            .spawn(move || worker::run(&config, report, ready, receiver, theirs))?;
        let info = loaded.blocking_recv().map_err(|_| anyhow::anyhow!("the worker died while loading the model"))??;
        Ok(Self { commands, info: Arc::new(info), counters, thread: Some(thread) })
    }

    /// What is loaded.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// What it has done so far.
    #[must_use]
    pub fn work(&self) -> Work {
        Work { steps: self.counters.steps.load(Ordering::Relaxed), rows: self.counters.rows.load(Ordering::Relaxed) }
    }

    /// Hand a checked request to the worker. Dropping the receiver cancels it at the next step.
    pub fn submit(&self, generation: Generation) -> Result<mpsc::UnboundedReceiver<Event>, Failure> {
        let (events, receiver) = mpsc::unbounded_channel();
        self.commands.try_send(Command { generation, events }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Failure::new(FailureKind::Unavailable, "too many requests are waiting")
            }
            mpsc::error::TrySendError::Closed(_) => Failure::new(FailureKind::Internal, "the worker has stopped"),
        })?;
        Ok(receiver)
    }

    /// Whether the worker is there to take requests.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Closing the channel ends the worker's loop once it has served what it has.
        let (closed, _) = mpsc::channel(1);
        self.commands = closed;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the worker panicked");
        }
    }
}
