//! What families of diffusion models share: PyTorch's random numbers, Pillow's pixels, timestep embeddings.
//!
//! Invariant: nothing here knows a family. Random numbers are plain `f32` of one sample.

mod error;
pub mod lru;
pub mod pixels;
pub mod random;
pub mod timestep;
