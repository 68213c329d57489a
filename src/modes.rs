//! The generation modes: one file a mode, and the one list of them.
//!
//! A mode's file has all that is particular to it: inputs, checks, request body, command-line flags, example request. Names, key
//! scopes, routes, the OpenAPI contract, the command line and the load generator are derived from the list. A mode that cannot
//! be expressed by another one ([`ModeInput::reduce`]) also needs its conditioning in each model family that supports it.
//!
//! Invariant: nothing outside of a mode's file, this list and the families' conditioning depends on a particular mode, except
//! the compatible APIs, whose calls stand for particular modes.

#[macro_use]
mod table;

mod canvas;
mod cover;
mod flags;
mod fusion;
mod generation;
mod input;
pub mod parameters;
mod repainting;
pub mod request;
mod style;

pub use canvas::CanvasRequest;
pub use flags::Flag;
pub use fusion::{FusionInput, Weighted};
pub use generation::{CheckedGeneration, Generation};
pub use image_to_image::DEFAULT_STRENGTH;
pub use image_variations::of_image;
pub use inpainting::MAX_FEATHER;
pub use input::{Composite, GenerationMode, ModeInput, ModeVisitor, Samples};
pub use outpainting::{Expand, Extent, Window};
use parameters::Parameters;
pub use repainting::{Repainting, Work};
pub use style::Style;
pub use text_to_image::of_prompt;

modes! {
    text_to_image::TextToImage = "text-to-image",
    image_to_image::ImageToImage = "image-to-image",
    image_variations::ImageVariations = "image-variations",
    image_fusion::ImageFusion = "image-fusion",
    text_image_fusion::TextImageFusion = "text-image-fusion",
    inpainting::Inpainting = "inpainting",
    outpainting::Outpainting = "outpainting",
}
