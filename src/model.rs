//! Kandinsky 2.1 in candle: weights, tokenizers, networks, samplers and the stages that a picture goes through.
//!
//! Invariant: knows nothing of HTTP, queues or requests; plain numbers and pictures come in and go out, and tensors stay
//! on the thread that owns the model.

mod checkpoint;
mod clip;
pub mod clip_text;
pub mod clip_vision;
mod conditioning;
pub mod decoder_run;
mod encodings;
mod error;
pub mod files;
pub mod image_processor;
mod kandinsky;
mod lru;
pub mod mask;
pub mod movq;
pub mod multilingual_clip;
pub mod ops;
pub mod pixels;
pub mod preview;
pub mod prior_run;
pub mod prior_transformer;
pub mod probe;
pub mod regression_prior;
pub mod rng;
mod sample;
pub mod sampler;
mod task;
mod timestep;
pub mod tokenizer;
pub mod unet;
pub mod weights;

pub use checkpoint::Checkpoint;
pub use encodings::CacheCounts;
pub use error::{Error, Result};
pub use kandinsky::{Components, Decoder, DecoderText, DiffusionPrior, Kandinsky, LoadOptions};
pub use sample::{Key, Progress, Sample, Stage, latent_side};
pub use task::{Conditioning, FusionInput, PriorKind, PriorTask, Task};
