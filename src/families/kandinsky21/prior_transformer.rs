//! The diffusion prior: a transformer over text tokens that predicts a CLIP image embedding from a noisy one (Ramesh et
//! al. 2022, sec. 2.2; diffusers' `PriorTransformer`).

mod config;
mod context;
mod network;

pub use config::PriorConfig;
pub use context::{PriorContext, PriorStep};
pub use network::{PriorInput, PriorTransformer};
