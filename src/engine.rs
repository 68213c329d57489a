//! The worker: one thread that owns one device and a resident model, and makes pictures step by step.
//!
//! Invariant: tensors never leave the worker's thread; requests go in through a bounded channel, progress and pixels come
//! out.

mod device;
mod translate;
mod worker;

use std::sync::Arc;
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
    thread: Option<JoinHandle<()>>,
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
        let thread = std::thread::Builder::new()
            .name("worker-0".to_owned())
            .spawn(move || worker::run(&config, report, ready, receiver))?;
        let info = loaded.blocking_recv().map_err(|_| anyhow::anyhow!("the worker died while loading the model"))??;
        Ok(Self { commands, info: Arc::new(info), thread: Some(thread) })
    }

    /// What is loaded.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
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
        // Closing the channel ends the worker's loop behind the request it is at.
        let (closed, _) = mpsc::channel(1);
        self.commands = closed;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the worker panicked");
        }
    }
}
