//! Kandinsky 2.1 in candle: weights, tokenizers, networks, samplers and the stages that an image goes through.
//!
//! Invariant: knows nothing of HTTP, queues or requests; plain numbers and images come in and go out, and tensors stay
//! on the thread that owns the model.

mod checkpoint;
mod clip;
pub mod clip_text;
pub mod clip_vision;
mod conditioning;
pub mod decoder_run;
mod encodings;
pub mod image_processor;
mod kandinsky;
pub mod mask;
pub mod movq;
pub mod multilingual_clip;
pub mod preview;
pub mod prior_run;
pub mod prior_transformer;
pub mod regression_prior;
mod sample;
mod task;
pub mod tokenizer;
pub mod unet;

pub use checkpoint::Checkpoint;
pub use encodings::CacheCounts;
pub use kandinsky::{Components, Decoder, DecoderText, DiffusionPrior, Kandinsky, LoadOptions};
pub use sample::{Key, Progress, Sample, Stage, latent_side};
pub use task::{Conditioning, Task};
