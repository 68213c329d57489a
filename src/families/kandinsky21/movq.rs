//! MoVQ: the autoencoder between images and latents (Zheng et al. 2022, arXiv 2209.09002; diffusers' `VQModel` with
//! `norm_type: spatial`).
//!
//! Invariant: latents are not scaled, and quantized only on request; the decoder's norms are modulated by the very latents
//! that are decoded.

mod autoencoder;
mod config;
mod decoder;
mod decoding;
mod encoder;
mod layers;

pub use autoencoder::Movq;
pub use config::MovqConfig;
pub use decoding::Decoding;
