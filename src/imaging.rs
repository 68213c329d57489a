//! Images from and to bytes, masks, resizing, and what files say of their origin. Runs off the worker thread.
//!
//! Invariant: sizes are checked before anything is decoded, so a hostile file costs its own bytes and no more.

mod alpha;
mod blur;
mod colors;
mod decode;
mod encode;
#[cfg(feature = "c2pa")]
mod manifest;
mod mask;
mod metadata;
mod part;
mod provenance;
mod resize;
mod shrink;
mod signature;
mod views;

pub use alpha::{on_white, stored_colors_under, transparency};
pub use blur::blur;
pub use colors::match_colors;
pub use decode::{
    DecodeError, DecodeLimits, DecodedSize, UprightImage, decode, decode_mask, decode_upright, decode_with_alpha,
    from_png, measure, measure_mask, thumbnail,
};
pub use encode::{EncodeError, Encoder, Sign, to_png};
#[cfg(feature = "c2pa")]
pub use manifest::{CredentialError, ManifestSigner};
pub use mask::{Edge, composite};
pub use metadata::Metadata;
pub use part::crop;
pub use provenance::{DigitalSource, Origin};
pub use resize::{fit_mask, resize, resize_soft_mask};
pub use shrink::shrink;
pub use signature::has_image_signature;
pub use views::views;
