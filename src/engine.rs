//! The workers: each is one thread that owns one device and a resident model, and batches the steps of all its requests.
//!
//! Invariant: tensors never leave a worker's thread; requests go in through a bounded channel, progress and pixels come
//! out. The image of a seed does not depend on what else is in flight, nor on which worker makes it.
//!
//! ```no_run
//! use kandinsky::domain::{Common, Limits};
//! use kandinsky::engine::{Engine, EngineConfig, Event, GenerationRequest};
//! use kandinsky::families;
//! use kandinsky::modes::{Generation, TextToImage};
//!
//! let loader = families::open_folder("models/kandinsky-mini".as_ref())?;
//! let engine = Engine::start(EngineConfig::new(loader), |component| println!("loading {component}"))?;
//! let input = TextToImage { prompt: "red heart".to_owned() }.into();
//! let generation = Generation { input, common: Common::default() }.check(&Limits::UNBOUNDED, None)?;
//! let mut events = engine.submit(GenerationRequest::new(generation))?;
//! while let Some(event) = events.blocking_recv() {
//!     match event {
//!         Event::Progress { stage, step, steps } => println!("{}: {step} of {steps}", stage.id),
//!         Event::Image { index, image } => println!("image {index}: {image:?}"),
//!         Event::Failed(failure) => return Err(failure.into()),
//!         _ => {}
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod active_request;
mod config;
pub(crate) mod costs;
mod device;
mod embed;
mod error;
mod event;
mod guarded;
mod handle;
mod inbox;
mod load;
mod memory;
pub mod planner;
mod request;
mod serve;
mod steps;
mod thread;
mod worker;

pub use crate::diffusion::{ModelInfo, ModelLoader, StageInfo};
pub use config::EngineConfig;
pub use device::compute;
pub use error::EngineError;
pub use event::{Event, StageTimes};
pub use handle::Engine;
pub use load::{EngineLoad, WorkerCounters};
pub use request::{Caution, GenerationRequest};
