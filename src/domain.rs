//! What users ask for and get, free of transport, storage and tensors.
//!
//! Invariant: a value of these types has been checked; nothing here does I/O.

mod common;
mod error;
mod fusion;
mod image_to_image;
mod image_variations;
mod inpainting;
mod outpainting;
mod picture;
mod text_to_image;

pub use common::{Common, Limits, PriorKind, PriorSettings, Scheduler, Size};
pub use error::{Failure, FailureKind, Violation, Violations};
pub use fusion::{FusionInput, ImageFusion, TextImageFusion, Weighted};
pub use image_to_image::ImageToImage;
pub use image_variations::ImageVariations;
pub use inpainting::{Inpainting, MaskConvention};
pub use outpainting::{Expand, Extent, Outpainting, Window};
pub use picture::{Mask, Picture};
pub use text_to_image::TextToImage;

use serde::{Deserialize, Serialize};

/// The ways of making a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    TextToImage,
    ImageToImage,
    ImageVariations,
    ImageFusion,
    TextImageFusion,
    Inpainting,
    Outpainting,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TextToImage,
        Self::ImageToImage,
        Self::ImageVariations,
        Self::ImageFusion,
        Self::TextImageFusion,
        Self::Inpainting,
        Self::Outpainting,
    ];

    /// The name in routes and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TextToImage => "text-to-image",
            Self::ImageToImage => "image-to-image",
            Self::ImageVariations => "image-variations",
            Self::ImageFusion => "image-fusion",
            Self::TextImageFusion => "text-image-fusion",
            Self::Inpainting => "inpainting",
            Self::Outpainting => "outpainting",
        }
    }
}

/// The mode's own inputs.
#[derive(Debug, Clone)]
pub enum Input {
    TextToImage(TextToImage),
    ImageToImage(ImageToImage),
    ImageVariations(ImageVariations),
    ImageFusion(ImageFusion),
    TextImageFusion(TextImageFusion),
    Inpainting(Inpainting),
    Outpainting(Outpainting),
}

/// One request: a mode's inputs, and what all modes share.
#[derive(Debug, Clone)]
pub struct Generation {
    pub input: Input,
    pub common: Common,
}

impl Generation {
    /// Check everything for a model whose own size is `native` px (if that is known by now), and give all violations at once.
    pub fn check(&self, limits: &Limits, native: Option<u32>) -> Result<(), Violations> {
        let mut violations = Violations::default();
        self.common.check(limits, &mut violations);
        if let (None, Some(native)) = (self.common.size, native) {
            common::check_size(self.size(native), ("/width", "/height"), limits, &mut violations);
        }
        match &self.input {
            Input::TextToImage(input) => input.check(limits, &mut violations),
            Input::ImageToImage(input) => input.check(limits, &mut violations),
            Input::ImageVariations(_) => {}
            Input::ImageFusion(input) => input.check(&mut violations),
            Input::TextImageFusion(input) => input.check(limits, &mut violations),
            Input::Inpainting(input) => input.check(limits, &mut violations),
            Input::Outpainting(input) => input.check(limits, &mut violations),
        }
        violations.into_result()
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match &self.input {
            Input::TextToImage(_) => Mode::TextToImage,
            Input::ImageToImage(_) => Mode::ImageToImage,
            Input::ImageVariations(_) => Mode::ImageVariations,
            Input::ImageFusion(_) => Mode::ImageFusion,
            Input::TextImageFusion(_) => Mode::TextImageFusion,
            Input::Inpainting(_) => Mode::Inpainting,
            Input::Outpainting(_) => Mode::Outpainting,
        }
    }

    /// Size of the pictures, px: as asked for, else that of the picture that is kept, else the model's own square.
    #[must_use]
    pub fn size(&self, native: u32) -> Size {
        let kept = match &self.input {
            Input::Inpainting(input) => Some(Size { width: input.image.width, height: input.image.height }),
            Input::Outpainting(input) => Some(input.extent.size(&input.image)),
            _ => None,
        };
        self.common.size.or(kept).unwrap_or(Size { width: native, height: native })
    }
}
