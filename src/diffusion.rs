//! What families of diffusion models share: the seam to the engine, PyTorch's random numbers, Pillow's pixels, timestep
//! embeddings.
//!
//! Invariant: nothing here knows a family. Random numbers are plain `f32` of one sample.

mod error;
mod model;
pub mod pixels;
pub mod random;
pub mod timestep;

pub use model::{
    BatchKey, CacheCounts, DiffusionModel, Inventory, ModelInfo, ModelLoader, PromptReader, RowMemory, Sample,
    SampleState, StageInfo, generate, own_sample, own_samples,
};
