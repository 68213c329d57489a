//! Pictures from and to bytes, masks and resizing. Runs off the worker thread.
//!
//! Invariant: sizes are checked before anything is decoded, so a hostile file costs its own bytes and no more.

mod decode;
mod encode;
mod mask;
mod resize;

pub use decode::{DecodeError, DecodeLimits, decode, decode_mask};
pub use encode::{EncodeError, encode};
pub use mask::composite;
pub use resize::{resize, resize_mask};
