//! Image to image: an image redrawn by a prompt (the reference's `KandinskyImg2ImgPipeline`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::cover::covering_part;
use super::flags::{self, Flag};
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, ReadFields};
use super::{GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Common, Image, Limits, Size, Violations};
use crate::imaging::{self, DigitalSource};

/// How much is redrawn by default (the reference's default).
pub const DEFAULT_STRENGTH: f64 = 0.3;

/// Inputs of image to image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageToImage {
    pub prompt: String,
    pub image: Image,
    /// 0 keeps the image, 1 ignores it.
    pub strength: f64,
    /// The size of the image before it was cropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cropped_from: Option<Size>,
}

impl ImageToImage {
    /// `strength`: `None` is [`DEFAULT_STRENGTH`].
    #[must_use]
    pub fn new(prompt: String, image: Image, strength: Option<f64>) -> Self {
        Self { prompt, image, strength: strength.unwrap_or(DEFAULT_STRENGTH), cropped_from: None }
    }
}

fn check_strength(strength: f64, violations: &mut Violations) {
    violations.require((0.0..=1.0).contains(&strength), "/strength", "must be 0 to 1");
}

impl ModeInput for ImageToImage {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        limits.check_text(&self.prompt, "/prompt", violations);
        check_strength(self.strength, violations);
    }

    /// Crop the image to the proportions that are asked for.
    fn settle(&mut self, common: &mut Common, _: u32, _: &Limits) {
        let image = self.image.size();
        let part = covering_part(image, common.size.unwrap_or(image), None);
        if part.size() != image {
            self.image = imaging::crop(&self.image, part);
            self.cropped_from = Some(image);
        }
    }

    fn cropped(&self) -> Option<(Size, Size)> {
        self.cropped_from.map(|from| (from, self.image.size()))
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        vec![("/prompt".to_owned(), &mut self.prompt)]
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (vec![&mut self.image], None)
    }

    /// The proportions of the image at about the model's own area.
    fn default_size(&self, native: u32) -> Option<Size> {
        Some(self.image.size().of_area(native))
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.prompt = Some(self.prompt.clone());
        parameters.strength = Some(self.strength);
    }
}

impl GenerationMode for ImageToImage {
    type Body = ImageToImageBody;

    const SUMMARY: &'static str = "Redraw an image.";
    const SOURCE: DigitalSource = DigitalSource::CompositeWithTrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[
        flags::PROMPT,
        flags::IMAGE,
        Flag::json("strength", "STRENGTH", "image-to-image: 0 keeps the image, 1 ignores it [default: 0.3]"),
    ];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        json!({"prompt": samples.prompt(), "image": samples.image(size), "strength": 0.7})
    }
}

/// An image redrawn from another image.
#[derive(Debug, ToSchema)]
pub struct ImageToImageBody {
    image: ImageBody,
    /// English or Russian.
    #[schema(example = "smiling face on a red background")]
    prompt: String,
    /// 0 keeps the image, 1 ignores it. Default: 0.3.
    #[schema(minimum = 0, maximum = 1)]
    strength: Option<f64>,
    #[serde(flatten)]
    common: CommonBody,
}

impl ReadFields for ImageToImageBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            image: fields.required("image"),
            prompt: fields.required("prompt"),
            strength: fields.optional("strength"),
            common: CommonBody::read(fields),
        }
    }
}

impl FormBody for ImageToImageBody {}

impl ModeBody for ImageToImageBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::ImageToImage)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.prompt)]
    }

    fn check(&self, violations: &mut Violations) {
        check_strength(self.strength.unwrap_or(DEFAULT_STRENGTH), violations);
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let image = decoder.image(&self.image, "/image");
        image.map(|image| ImageToImage::new(self.prompt, image, self.strength).into())
    }
}
