//! What Hugging Face's clients send: one address takes both tasks, about a prompt and about an image.
//!
//! Invariant: an image in base64 is never drawn as a prompt: what `inputs` is decides the task, and what looks like base64 and
//! is no image is refused.

use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{MaskConvention, Violations};
use crate::modes::request::masks::Mask;
use crate::modes::request::{
    CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, Place, ReadFields, ReadValue, Unknown, is_base64,
    is_encoded_image,
};
use crate::modes::{ImageToImage, ImageVariations, Inpainting, Input, Mode, TextToImage};
use crate::schedulers;

/// The tasks that paths name, and whether each is about an image.
pub(super) const TASKS: [(Mode, bool); 2] = [(Mode::TextToImage, false), (Mode::ImageToImage, true)];
/// How much an image is changed by its prompt, unless a request says otherwise: as by OpenAI's edits.
const DEFAULT_STRENGTH: f64 = 0.7;
/// From this length on, base64 that is no image is not taken for a prompt.
const LONG: usize = 200;

/// A task.
#[derive(Debug, ToSchema)]
pub(crate) struct TaskBody {
    /// The prompt, English or Russian; or an image in base64, which is then redrawn.
    #[schema(value_type = String, example = "red heart on a blue background")]
    inputs: Inputs,
    parameters: Option<TaskParameters>,
}

/// Parameters of the task: also those of this server's own routes.
#[derive(Debug, Default, ToSchema)]
pub(crate) struct TaskParameters {
    /// Of an image: what it is to become. Without a prompt the result is a variation of it.
    prompt: Option<String>,
    /// Of an image: white is repainted, black is kept.
    mask_image: Option<ImageBody>,
    /// Of an image: 0 keeps it, 1 ignores it. Default: 0.7.
    #[schema(minimum = 0, maximum = 1)]
    strength: Option<f64>,
    /// px
    target_size: Option<TargetSize>,
    /// Default: 50.
    #[schema(minimum = 1)]
    num_inference_steps: Option<u32>,
    /// A name of this server, or the class name of diffusers.
    #[serde(flatten)]
    own: CommonBody,
}

/// A size, px.
#[derive(Debug, Clone, Copy, ToSchema)]
struct TargetSize {
    width: Option<u32>,
    height: Option<u32>,
}

/// What the task is about.
#[derive(Debug)]
enum Inputs {
    Text(String),
    Image(ImageBody),
}

impl Default for Inputs {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Whether a text is an image rather than a prompt, judged by its beginning and its characters.
fn is_image(text: &str) -> Result<bool, &'static str> {
    let is_url = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) && !text.contains(' ');
    if is_url || is_encoded_image(text) {
        return Ok(true);
    }
    let is_long = is_base64(text) && text.len() >= LONG;
    if is_long { Err("must be a prompt or an image in base64; this base64 is no image") } else { Ok(false) }
}

impl ReadValue for Inputs {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Value::String(text) => match is_image(&text) {
                Ok(true) => Some(Self::Image(ImageBody::Text(text))),
                Ok(false) => Some(Self::Text(text)),
                Err(message) => at.refuse(message),
            },
            Value::Object(_) => ImageBody::read(value, at).map(Self::Image),
            _ => at.refuse("must be a prompt, or an image in base64"),
        }
    }
}

impl ReadValue for TargetSize {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| Self { width: fields.optional("width"), height: fields.optional("height") })
    }
}

impl ReadValue for TaskParameters {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.open_object(value, |fields| {
            let steps = if fields.is_given("num_inference_steps") { "num_inference_steps" } else { "steps" };
            fields.note_name("steps", steps);
            fields.rename("n", &["num_images_per_prompt"]);
            for name in CommonBody::NAMES {
                fields.note_name(name, name);
            }
            fields.note_name("mask", "mask_image");
            fields.note_name("strength", "strength");
            Self {
                prompt: fields.optional("prompt"),
                mask_image: fields.optional("mask_image"),
                strength: fields.optional("strength"),
                target_size: fields.optional("target_size"),
                num_inference_steps: fields.optional("num_inference_steps"),
                own: CommonBody::read(fields),
            }
        })
    }
}

impl ReadFields for TaskBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        // How Hugging Face's own service is to handle the request.
        fields.take("options");
        let inputs = fields.required("inputs");
        let parameters: Option<TaskParameters> = fields.optional("parameters");
        let given = parameters.as_ref();
        let is_about_image =
            given.is_some_and(|parameters| parameters.prompt.is_some() || parameters.mask_image.is_some());
        let inputs = match inputs {
            // What does not look like an image is refused when it is decoded.
            Inputs::Text(text) if is_about_image => Inputs::Image(ImageBody::Text(text)),
            other => other,
        };
        match inputs {
            Inputs::Text(_) => fields.note_name("prompt", "inputs"),
            Inputs::Image(_) => {
                fields.note_name("image", "inputs");
                fields.note_name("prompt", "parameters/prompt");
            }
        }
        if matches!(inputs, Inputs::Text(_)) && given.is_some_and(|parameters| parameters.strength.is_some()) {
            fields.ignore("parameters/strength", "parameters.strength has no effect on a prompt alone");
        }
        Self { inputs, parameters }
    }
}

impl FormBody for TaskBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

impl TaskBody {
    /// A task about the bytes of an image, without parameters.
    pub(super) fn of_image(bytes: Vec<u8>) -> Self {
        Self { inputs: Inputs::Image(ImageBody::Bytes(bytes)), parameters: None }
    }

    /// Whether it is about an image.
    pub(super) fn is_about_image(&self) -> bool {
        matches!(self.inputs, Inputs::Image(_))
    }

    fn prompt(&self) -> Option<&String> {
        self.parameters.as_ref().and_then(|parameters| parameters.prompt.as_ref())
    }
}

impl ModeBody for TaskBody {
    fn mode(&self) -> Option<Mode> {
        let has_mask = self.parameters.as_ref().is_some_and(|parameters| parameters.mask_image.is_some());
        Some(match (&self.inputs, self.prompt()) {
            (Inputs::Text(_), _) => Mode::TextToImage,
            (Inputs::Image(_), _) if has_mask => Mode::Inpainting,
            (Inputs::Image(_), Some(_)) => Mode::ImageToImage,
            (Inputs::Image(_), None) => Mode::ImageVariations,
        })
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        let Some(parameters) = &mut self.parameters else { return CommonBody::default() };
        let own = std::mem::take(&mut parameters.own);
        let target = parameters.target_size;
        CommonBody {
            steps: parameters.num_inference_steps.or(own.steps),
            width: own.width.or(target.and_then(|size| size.width)),
            height: own.height.or(target.and_then(|size| size.height)),
            scheduler: own.scheduler.map(schedulers::own_name),
            ..own
        }
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        let prompt = match &self.inputs {
            Inputs::Text(text) => Some(text),
            Inputs::Image(_) => self.prompt(),
        };
        prompt.map(|prompt| ("/prompt".to_owned(), prompt.as_str())).into_iter().collect()
    }

    fn check(&self, violations: &mut Violations) {
        let strength = self.parameters.as_ref().and_then(|parameters| parameters.strength);
        let is_valid = strength.is_none_or(|strength| (0.0..=1.0).contains(&strength));
        violations.require(is_valid, "/strength", "must be 0 to 1");
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let image = match &mut self.inputs {
            Inputs::Text(_) => None,
            Inputs::Image(image) => Some(("/image".to_owned(), image)),
        };
        let mask = self.parameters.as_mut().and_then(|parameters| parameters.mask_image.as_mut());
        image.into_iter().chain(mask.map(|mask| ("/mask".to_owned(), mask))).collect()
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let image = match self.inputs {
            Inputs::Text(prompt) => return Some(TextToImage { prompt }.into()),
            Inputs::Image(image) => image,
        };
        let TaskParameters { prompt, mask_image, strength, .. } = self.parameters.unwrap_or_default();
        if let Some(mask) = mask_image {
            let mask = Mask { body: &mask, pointer: "/mask", convention: MaskConvention::White, soft: false };
            let parts = decoder.image_and_mask((&image, "/image"), mask);
            return parts.map(|(image, mask)| Inpainting::new(prompt, image, mask).into());
        }
        let image = decoder.image(&image, "/image")?;
        Some(match prompt {
            Some(prompt) => ImageToImage::new(prompt, image, Some(strength.unwrap_or(DEFAULT_STRENGTH))).into(),
            None => ImageVariations { image }.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_that_is_no_image_is_no_prompt() {
        assert!(is_image(&"abcd".repeat(100)).is_err());
        assert_eq!(is_image(&"many words ".repeat(100)), Ok(false));
        assert_eq!(is_image("https://example.com/a.png"), Ok(true));
    }
}
