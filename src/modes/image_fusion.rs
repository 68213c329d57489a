//! Image fusion (paper section 3): a mix of images.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::flags::{self, Flag};
use super::fusion::{RequestedWeights, Weighted, check_requested, check_weights, sums_to_one};
use super::parameters::FusionParameter;
use super::request::{CommonBody, Fields, Form, FormBody, ImageBody, ImageDecoder, ModeBody, Place, ReadFields, ReadValue};
use super::{GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Image, Limits, Size, Violation, Violations};
use crate::imaging::DigitalSource;

/// Inputs of image fusion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageFusion {
    pub images: Vec<Weighted<Image>>,
}

impl ModeInput for ImageFusion {
    fn check(&self, _: &Limits, violations: &mut Violations) {
        check_weights(self.images.iter().map(|image| Some(image.weight)), "/images", violations);
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (self.images.iter_mut().map(|image| &mut image.value).collect(), None)
    }

    fn describe(&self, parameters: &mut Parameters) {
        let weights: Vec<f32> = self.images.iter().map(|image| image.weight).collect();
        parameters.normalize_weights = (!sums_to_one(&weights)).then_some(false);
        parameters.inputs = weights.into_iter().map(|weight| FusionParameter { prompt: None, prompt_translated: None, weight }).collect();
    }
}

impl GenerationMode for ImageFusion {
    type Body = ImageFusionBody;

    const SUMMARY: &'static str = "Mix two to eight images.";
    const DESCRIPTION: &'static str = "As a form: files named `image`, and as many `weight`s in the same order; or `images[0][image]`, \
        `images[0][weight]` and so on.";
    const SOURCE: DigitalSource = DigitalSource::TrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[flags::IMAGE, flags::WEIGHT, flags::NO_NORMALIZE];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        json!({"images": [{"image": samples.image(size)}, {"image": samples.image(size)}]})
    }
}

/// A mix of images.
#[derive(Debug, ToSchema)]
pub struct ImageFusionBody {
    /// Two to eight.
    images: Vec<WeightedImage>,
    /// Scale the weights to a sum of 1. Default: true.
    normalize_weights: Option<bool>,
    #[serde(flatten)]
    common: CommonBody,
}

/// An image and how much of it.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedImage {
    image: ImageBody,
    /// Default: an equal share of what the other weights leave of 1.
    weight: Option<f32>,
}

impl ReadValue for WeightedImage {
    /// `{image, weight}`, or an image alone.
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Value::Object(object) if object.contains_key("image") || object.contains_key("weight") => at.object(Value::Object(object), |fields| Self {
                image: fields.required("image"),
                weight: fields.optional("weight"),
            }),
            Value::String(_) | Value::Object(_) => {
                ImageBody::read(value, at).map(|image| Self { image, weight: None })
            }
            _ => at.refuse("must be an image, or an object with an image and a weight"),
        }
    }
}

impl ReadFields for ImageFusionBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            images: fields.required("images"),
            normalize_weights: fields.optional("normalize_weights"),
            common: CommonBody::read(fields),
        }
    }
}

impl FormBody for ImageFusionBody {
    const FORM_JSON: &'static [&'static str] = &["weight", "weights"];

    /// Files named `image` (or `images`), each with the weight of its place; or `images[0][image]` and so on.
    fn from_form(mut form: Form) -> Result<Value, Violation> {
        if !form.is_given("images") {
            let mut images = form.take_images("image");
            images.extend(form.take_images("images"));
            let mut weights = form.take_weights().into_iter();
            let parts = images.into_iter().map(|image| json!({"image": image, "weight": weights.next()})).collect();
            form.texts.insert("images".to_owned(), vec![Value::Array(parts)]);
        }
        form.into_json()
    }
}

impl ImageFusionBody {
    fn weights(&self) -> RequestedWeights {
        let given = self.images.iter().map(|part| part.weight).collect();
        RequestedWeights { given, normalize: self.normalize_weights }
    }
}

impl ModeBody for ImageFusionBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::ImageFusion)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        Vec::new()
    }

    fn check(&self, violations: &mut Violations) {
        check_requested(&self.weights(), "/images", violations);
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let images = self.images.iter_mut().enumerate();
        images.map(|(i, part)| (format!("/images/{i}/image"), &mut part.image)).collect()
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let decode = |(i, part): (usize, &WeightedImage)| {
            decoder.image(&part.image, &format!("/images/{i}/image"))
        };
        // All of them are decoded, so that every invalid one is reported.
        let decoded: Vec<Option<_>> = self.images.iter().enumerate().map(decode).collect();
        let images = decoded.into_iter().collect::<Option<Vec<_>>>()?;
        let requested = self.weights();
        match requested.settle() {
            Ok(weights) => {
                decoder.warnings.extend(requested.warning(&weights, "/images"));
                Some(ImageFusion { images: Weighted::zip(images, weights) }.into())
            }
            Err(message) => {
                decoder.violations.add("/images", message);
                None
            }
        }
    }
}
