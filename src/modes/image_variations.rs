//! Image variations (paper section 3): images with the content of one image.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::flags::{self, Flag};
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, ReadFields};
use super::{GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Image, Limits, Size, Violations};
use crate::imaging::DigitalSource;

/// Inputs of image variations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageVariations {
    pub image: Image,
}

/// What draws images like one image and takes nothing else, for tools.
#[must_use]
pub fn of_image(image: Image) -> ImageVariations {
    ImageVariations { image }
}

impl ModeInput for ImageVariations {
    fn check(&self, _: &Limits, _: &mut Violations) {}

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (vec![&mut self.image], None)
    }

    /// The proportions of the image at about the model's own area.
    fn default_size(&self, native: u32) -> Option<Size> {
        Some(self.image.size().of_area(native))
    }

    fn describe(&self, _: &mut Parameters) {}
}

impl GenerationMode for ImageVariations {
    type Body = ImageVariationsBody;

    const SUMMARY: &'static str = "Make images like a given image.";
    // The result keeps no pixel and no outline of the image, only what CLIP sees in it: that is a prompt, not a source.
    const SOURCE: DigitalSource = DigitalSource::TrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[flags::IMAGE];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        json!({"image": samples.image(size)})
    }
}

/// Images like a given image.
#[derive(Debug, ToSchema)]
pub struct ImageVariationsBody {
    image: ImageBody,
    #[serde(flatten)]
    common: CommonBody,
}

impl ReadFields for ImageVariationsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { image: fields.required("image"), common: CommonBody::read(fields) }
    }
}

impl FormBody for ImageVariationsBody {}

impl ModeBody for ImageVariationsBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::ImageVariations)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        Vec::new()
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let image = decoder.image(&self.image, "/image");
        image.map(|image| ImageVariations { image }.into())
    }
}
