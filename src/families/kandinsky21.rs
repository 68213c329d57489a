//! Kandinsky 2.1 (Razzhigaev et al. 2023, arXiv 2310.03502): tokenizers, networks, and the stages that an image goes
//! through.
//!
//! Invariant: knows nothing of HTTP, queues or jobs; requests and images come in, images go out, and tensors stay on the
//! thread that owns the model.

mod capabilities;
mod checkpoint;
mod clip;
pub mod clip_text;
pub mod clip_vision;
mod components;
mod conditioning;
pub mod decoder_run;
mod describe;
mod emphasis;
mod encoders;
mod encodings;
mod fill;
mod hub_cache;
pub mod image_processor;
mod kandinsky;
mod load;
mod loader;
pub mod mask;
mod model;
pub mod movq;
pub mod multilingual_clip;
pub mod preview;
pub mod prior_run;
pub mod prior_transformer;
mod reading;
pub mod regression_prior;
mod sample;
mod search;
mod sentencepiece;
pub mod step_plan;
pub mod tokenizer;
pub mod unet;

pub use checkpoint::Checkpoint;
pub use components::{Decoder, DiffusionPrior};
pub use encodings::DecoderText;
pub use kandinsky::Kandinsky;
pub(super) use loader::FAMILY;
pub use sample::latent_side;
