//! What families of diffusion models share: schedulers, PyTorch's random numbers, Pillow's pixels, timestep embeddings.
//!
//! Invariant: nothing here knows a family. Schedulers and random numbers work on plain `f32` of one sample.

pub mod lru;
pub mod pixels;
pub mod random;
pub mod schedulers;
pub mod timestep;
