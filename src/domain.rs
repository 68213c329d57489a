//! What users ask for and get, free of transport, storage and tensors.
//!
//! Invariant: a value of these types has been checked; nothing here does I/O.

mod common;
mod device;
mod error;
mod finding;
mod fusion;
mod image;
mod image_to_image;
mod image_variations;
mod inpainting;
mod job;
mod key;
mod outpainting;
mod style;
mod text_to_image;

pub use common::{Common, Limits, PriorKind, PriorSettings, Scheduler};
pub use device::{DeviceChoice, Dtype};
pub use error::{Failure, FailureKind, Violation, Violations};
pub use finding::{CATEGORIES, Finding};
pub use fusion::{FusionInput, ImageFusion, TextImageFusion, Weighted};
pub use image::{Image, Size};
pub use image_to_image::ImageToImage;
pub use image_variations::ImageVariations;
pub use inpainting::{Inpainting, MaskConvention};
pub use job::{Format, ImageMeta, Job, JobSpec, JobState, Outcome, Output, Priority, Timings, Webhook, WebhookEvent};
pub use key::{ApiKey, KeyDigest, KeyLimits, Scope};
pub use outpainting::{Expand, Extent, Outpainting, Window};
pub use style::Style;
pub use text_to_image::TextToImage;

use serde::{Deserialize, Serialize};

/// The ways of making a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// Whether it repaints a part of a picture, which takes the second UNet.
    #[must_use]
    pub fn is_inpainting(self) -> bool {
        matches!(self, Self::Inpainting | Self::Outpainting)
    }

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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Generation {
    pub input: Input,
    pub common: Common,
}

impl Generation {
    /// Check everything for a model whose own size is `native` px (if that is known by now), and give all violations at once.
    pub fn check(&self, limits: &Limits, native: Option<u32>) -> Result<(), Violations> {
        let mut violations = Violations::default();
        self.common.check(limits, &mut violations);
        // These say themselves where their sizes come from.
        let has_own = matches!(self.input, Input::Inpainting(_) | Input::Outpainting(_));
        if let (None, Some(native), false) = (self.common.size, native, has_own) {
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

    /// What it costs, in decoder steps of one pixel: pictures x steps x area. (Latents are as many pixels for every
    /// picture of a model; prior steps and decoding are small beside the decoder's.)
    #[must_use]
    pub fn cost(&self, native: u32) -> u64 {
        let Size { width, height } = self.size(native);
        let pixels = u64::from(width).saturating_mul(u64::from(height));
        u64::from(self.common.n).saturating_mul(u64::from(self.common.steps)).saturating_mul(pixels).max(1)
    }

    /// The prompts of the mode, without the negative ones, each with its JSON pointer.
    pub fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        let named = |name: &str, text| (format!("/{name}"), text);
        match &mut self.input {
            Input::TextToImage(input) => vec![named("prompt", &mut input.prompt)],
            Input::ImageToImage(input) => vec![named("prompt", &mut input.prompt)],
            Input::ImageVariations(_) | Input::ImageFusion(_) => Vec::new(),
            Input::TextImageFusion(input) => {
                let texts = input.inputs.iter_mut().enumerate().filter_map(|(i, input)| match &mut input.value {
                    FusionInput::Text(text) => Some((format!("/inputs/{i}/prompt"), text)),
                    FusionInput::Image(_) => None,
                });
                let decoder = input.decoder_prompt.as_mut().map(|text| named("decoder_prompt", text));
                texts.chain(decoder).collect()
            }
            Input::Inpainting(input) => input.prompt.iter_mut().map(|text| named("prompt", text)).collect(),
            Input::Outpainting(input) => input.prompt.iter_mut().map(|text| named("prompt", text)).collect(),
        }
    }

    /// All texts of the request, each with its JSON pointer.
    pub fn texts(&mut self) -> Vec<(String, String)> {
        let common = [
            ("/negative_prompt", &self.common.negative_prompt),
            ("/negative_prior_prompt", &self.common.negative_prior_prompt),
            ("/negative_decoder_prompt", &self.common.negative_decoder_prompt),
        ];
        let mut texts: Vec<(String, String)> = common
            .into_iter()
            .filter_map(|(pointer, text)| text.as_ref().map(|text| (pointer.to_owned(), text.clone())))
            .collect();
        texts.extend(self.prompts_mut().into_iter().map(|(pointer, text)| (pointer, text.clone())));
        texts
    }

    /// A copy without pixels, as it is after serialisation.
    #[must_use]
    pub fn without_pixels(&self) -> Self {
        let mut copy = self.clone();
        let (images, masks) = copy.images_mut();
        images.into_iter().chain(masks).for_each(|image| *image = image.without_pixels());
        copy
    }

    /// Bytes of all pixels.
    #[must_use]
    pub fn pixel_bytes(&mut self) -> usize {
        let (images, masks) = self.images_mut();
        images.into_iter().chain(masks).map(|image| image.pixels().len()).sum()
    }

    /// All images and masks, each in a fixed order.
    pub fn images_mut(&mut self) -> (Vec<&mut Image>, Vec<&mut Image>) {
        match &mut self.input {
            Input::TextToImage(_) => (Vec::new(), Vec::new()),
            Input::ImageToImage(input) => (vec![&mut input.image], Vec::new()),
            Input::ImageVariations(input) => (vec![&mut input.image], Vec::new()),
            Input::ImageFusion(input) => (input.images.iter_mut().map(|image| &mut image.value).collect(), Vec::new()),
            Input::TextImageFusion(input) => {
                let images = input.inputs.iter_mut().filter_map(|input| match &mut input.value {
                    FusionInput::Image(image) => Some(image),
                    FusionInput::Text(_) => None,
                });
                (images.collect(), Vec::new())
            }
            Input::Inpainting(input) => (vec![&mut input.image], vec![&mut input.mask]),
            Input::Outpainting(input) => (vec![&mut input.image], Vec::new()),
        }
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
            Input::Inpainting(input) => Some(input.image.size()),
            Input::Outpainting(input) => Some(input.extent.size(&input.image)),
            _ => None,
        };
        self.common.size.or(kept).unwrap_or(Size { width: native, height: native })
    }
}
