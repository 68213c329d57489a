//! Pictures from and to bytes, masks, resizing, and what files say of their origin. Runs off the worker thread.
//!
//! Invariant: sizes are checked before anything is decoded, so a hostile file costs its own bytes and no more.

mod blur;
mod decode;
mod encode;
#[cfg(feature = "c2pa")]
mod manifest;
mod mask;
mod metadata;
mod provenance;
mod resize;
mod signature;
mod views;

pub use blur::blur;
pub use decode::{DecodeError, DecodeLimits, decode, decode_mask, from_png, mask_from_png, thumbnail};
pub use encode::{EncodeError, Encoder, Sign, to_png};
#[cfg(feature = "c2pa")]
pub use manifest::{CredentialError, ManifestSigner};
pub use mask::composite;
pub use metadata::Metadata;
pub use provenance::{DigitalSource, Origin};
pub use resize::{resize, resize_mask};
pub use signature::has_image_signature;
pub use views::views;
