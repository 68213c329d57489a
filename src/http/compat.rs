//! Other APIs that this server speaks, so that their clients work unmodified.
//!
//! Invariant: an API is one folder and one line of [`SURFACES`]: its routes, the paths it owns, and the form of its errors.
//! Nothing else of `http` knows it.

mod automatic1111;
mod huggingface;
mod openai;

use super::error::surface::Surface;

/// The compatible APIs, in the order of the contract's tags.
pub(crate) const SURFACES: &[Surface] = &[openai::SURFACE, huggingface::SURFACE, automatic1111::SURFACE];
