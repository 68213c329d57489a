//! One image on its way through the stages: conditioning, the prior's steps, denoising, image decoding.
//!
//! Invariant: a sample does nothing on its own; the functions of [`Kandinsky`](super::Kandinsky) here step batches of
//! samples of one key, and the image does not depend on how they were batched.

mod conditions;
mod start;
mod state;
mod steps;
mod together;

pub use start::latent_side;
pub use state::KandinskySample;
pub(super) use state::Stage;
