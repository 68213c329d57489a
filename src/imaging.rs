//! Pictures from and to bytes, masks, and the canvases of outpainting. Runs off the worker thread.
//!
//! Invariant: sizes are checked before anything is decoded, so a hostile file costs its own bytes and no more.

mod canvas;
mod decode;
mod encode;
mod mask;

pub use canvas::{Canvas, canvas};
pub use decode::{DecodeError, DecodeLimits, decode, decode_mask};
pub use encode::{EncodeError, Format, encode};
pub use mask::composite;
