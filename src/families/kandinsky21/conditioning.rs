//! From a mode's inputs to the decoder's conditioning: one file a mode, all giving a [`Plan`], and the list of them.
//!
//! Invariant: random numbers are drawn in the order of the reference's combined pipelines: the prior's, text by text in
//! the order given, then the decoder's.

mod conditioner;
mod image_fusion;
mod image_to_image;
mod image_variations;
mod inpainting;
mod needs;
mod outpainting;
mod plan;
mod text_image_fusion;
mod text_to_image;

pub(super) use conditioner::Conditioner;
pub(super) use needs::Needs;
pub(super) use plan::{Plan, Source, Start};

use crate::modes::{Input, Mode};
use crate::tensor::error::{Error, Result};

/// Lists the modes that this family draws: the variant of [`Input`] and the file with its needs and its plan.
macro_rules! conditionings {
    ($($Mode:ident: $module:ident),* $(,)?) => {
        /// What a mode needs; `None`: this family does not draw it.
        #[allow(unreachable_patterns, reason = "this family draws all modes that there are")]
        pub(super) fn needs(mode: Mode) -> Option<Needs> {
            match mode {
                $(Mode::$Mode => Some($module::NEEDS),)*
                _ => None,
            }
        }

        /// Encode the inputs and draw the prior's random numbers.
        #[allow(unreachable_patterns, reason = "this family draws all modes that there are")]
        pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &Input) -> Result<Plan> {
            match input {
                $(Input::$Mode(input) => $module::plan(conditioner, input),)*
                _ => Err(Error::Request("Kandinsky 2.1 does not have this mode".to_owned())),
            }
        }
    };
}

conditionings! {
    TextToImage: text_to_image,
    ImageToImage: image_to_image,
    ImageVariations: image_variations,
    ImageFusion: image_fusion,
    TextImageFusion: text_image_fusion,
    Inpainting: inpainting,
    Outpainting: outpainting,
}
