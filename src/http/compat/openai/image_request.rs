//! What OpenAI's SDKs send, as a mode and its shared fields.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{MaskConvention, Violation, Violations};
use crate::http::submission::resolve::ResponseFormat;
use crate::modes::request::Form;
use crate::modes::request::FormBody;
use crate::modes::request::ModeBody;
use crate::modes::request::names::{FormatName, PriorityName, ResponseFormatName, SchedulerName};
use crate::modes::request::{CommonBody, PriorBody};
use crate::modes::request::{ImageBody, ImageDecoder};
use crate::modes::{
    FusionInput, ImageToImage, ImageVariations, Inpainting, Input, Mode, TextImageFusion, TextToImage, Weighted,
};

/// How much of a picture an edit without a mask changes, unless `strength` says.
const EDIT_STRENGTH: f64 = 0.7;
/// Steps by quality, unless `steps` says. The others take the usual number.
const QUALITY_STEPS: [(&str, u32); 3] = [("low", 25), ("high", 75), ("hd", 75)];
/// Names of OpenAI's models, which stand for the loaded one.
const ALIASES: [&str; 3] = ["dall-e", "gpt-image", "chatgpt-image"];
/// Most partial pictures of a stream.
const MAX_PARTIAL_IMAGES: u32 = 3;

/// Fields of all three calls.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SharedFields {
    #[schema(example = "kandinsky-mini")]
    model: Option<String>,
    #[schema(minimum = 1, maximum = 8)]
    n: Option<u32>,
    /// `auto` or `WIDTHxHEIGHT`.
    #[schema(example = "auto")]
    size: Option<String>,
    /// Base64 unless said otherwise.
    #[schema(value_type = Option<ResponseFormatName>)]
    response_format: Option<String>,
    /// PNG unless said otherwise.
    #[schema(value_type = Option<FormatName>)]
    output_format: Option<String>,
    /// Quality of JPEG and WebP.
    #[schema(minimum = 0, maximum = 100)]
    output_compression: Option<u32>,
    /// `auto`, `low`, `medium`, `high`, `standard` or `hd`: how many steps are taken.
    quality: Option<String>,
    /// `auto` or `opaque`.
    background: Option<String>,
    /// Answer with events.
    stream: Option<bool>,
    /// Previews in a stream.
    #[schema(minimum = 0, maximum = 3)]
    partial_images: Option<u32>,
    /// Of this server.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Of this server.
    negative_prompt: Option<String>,
    /// Of this server.
    #[schema(minimum = 1)]
    steps: Option<u32>,
    /// Of this server.
    guidance_scale: Option<f32>,
    /// Of this server.
    #[schema(value_type = Option<SchedulerName>)]
    scheduler: Option<String>,
    /// Of this server.
    prior: Option<PriorBody>,
    /// Of this server.
    #[schema(value_type = Option<PriorityName>)]
    priority: Option<String>,
    /// Taken and not looked at: `user`, `style`, `moderation`, ...
    #[serde(flatten)]
    #[schema(ignore)]
    _others: BTreeMap<String, Value>,
}

impl SharedFields {
    pub(crate) fn wants_stream(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// The quality as answers name it.
    pub(crate) fn quality_name(&self) -> &'static str {
        match self.quality.as_deref() {
            Some("low") => "low",
            Some("high" | "hd") => "high",
            _ => "medium",
        }
    }

    /// The model asked for, if it is not the loaded one of this name.
    pub(crate) fn unknown_model(&self, loaded: &str) -> Option<&str> {
        let is_alias = |model: &str| ALIASES.iter().any(|alias| model.starts_with(alias));
        self.model.as_deref().filter(|model| *model != loaded && !is_alias(model))
    }

    pub(crate) fn partial_images(&self) -> u32 {
        self.partial_images.unwrap_or(0).min(MAX_PARTIAL_IMAGES)
    }

    pub(crate) fn response_format(&self) -> ResponseFormat {
        if self.response_format.as_deref() == Some("url") { ResponseFormat::Url } else { ResponseFormat::B64Json }
    }

    /// Steps of the decoder.
    fn decoder_steps(&self) -> Option<u32> {
        let by_quality = QUALITY_STEPS.into_iter().find(|(name, _)| self.quality.as_deref() == Some(*name));
        self.steps.or(by_quality.map(|(_, steps)| steps))
    }

    /// Width and height, where `size` names them.
    fn sides(&self, violations: &mut Violations) -> (Option<u32>, Option<u32>) {
        let Some(size) = self.size.as_deref().filter(|size| *size != "auto") else { return (None, None) };
        let sides = size.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        violations.require(sides.is_some(), "/size", "must be auto or WIDTHxHEIGHT");
        sides.unzip()
    }

    /// The native fields that these stand for.
    fn into_common(self, violations: &mut Violations) -> CommonBody {
        let (width, height) = self.sides(violations);
        violations.require(
            self.partial_images.is_none_or(|n| n <= MAX_PARTIAL_IMAGES),
            "/partial_images",
            format!("must be 0 to {MAX_PARTIAL_IMAGES}"),
        );
        violations.require(
            self.background.as_deref() != Some("transparent"),
            "/background",
            "must be auto or opaque: the model draws no transparency",
        );
        let steps = self.decoder_steps();
        let usual = crate::domain::Common::default().steps;
        let preview_interval = match self.partial_images() {
            0 => None,
            partial if self.wants_stream() => Some(steps.unwrap_or(usual).div_ceil(partial + 1).max(1)),
            _ => None,
        };
        CommonBody {
            negative_prompt: self.negative_prompt,
            width,
            height,
            n: self.n,
            seed: self.seed,
            steps,
            guidance_scale: self.guidance_scale,
            scheduler: self.scheduler,
            prior: self.prior,
            output_format: self.output_format,
            output_quality: self.output_compression.map(|quality| quality.max(1)),
            response_format: self.response_format,
            preview_interval,
            priority: self.priority,
            ..CommonBody::default()
        }
    }
}

/// The form that the SDKs send for edits and variations. This server's own fields may be sent along.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the contract alone; forms are read into the JSON's shape")]
pub(crate) struct ImagesForm {
    /// A PNG, JPEG or WebP file; `image[]` for several.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// What is transparent in it is repainted.
    #[schema(value_type = Option<String>, format = Binary)]
    mask: Option<Vec<u8>>,
    #[schema(example = "red heart on a blue background")]
    prompt: Option<String>,
    #[schema(example = "kandinsky-mini")]
    model: Option<String>,
    #[schema(minimum = 1, maximum = 8)]
    n: Option<u32>,
    #[schema(example = "auto")]
    size: Option<String>,
    response_format: Option<String>,
    output_format: Option<String>,
    #[schema(minimum = 0, maximum = 100)]
    output_compression: Option<u32>,
    stream: Option<bool>,
    #[schema(minimum = 0, maximum = 3)]
    partial_images: Option<u32>,
}

/// One of the three calls.
pub(crate) trait ImagesBody: ModeBody {
    fn shared(&self) -> &SharedFields;
}

/// `images.generate`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct GenerationsBody {
    /// English or Russian.
    #[schema(example = "red heart on a blue background")]
    prompt: String,
    #[serde(flatten)]
    shared: SharedFields,
}

impl FormBody for GenerationsBody {}

impl ImagesBody for GenerationsBody {
    fn shared(&self) -> &SharedFields {
        &self.shared
    }
}

impl ModeBody for GenerationsBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::TextToImage)
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.shared).into_common(violations)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.prompt)]
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut ImageDecoder) -> Option<Input> {
        Some(TextToImage { prompt: self.prompt }.into())
    }
}

/// `images.edit`: inpainting with a mask (or a picture with transparent parts), else image-to-image, or a fusion of several
/// pictures and the prompt.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditsBody {
    /// One picture or several.
    image: OneOrMany,
    /// What is transparent in it is repainted.
    mask: Option<ImageBody>,
    /// English or Russian.
    #[schema(example = "red heart on a blue background")]
    prompt: String,
    /// Of this server: how much an edit without a mask changes; 0.7 unless said otherwise.
    #[schema(minimum = 0, maximum = 1)]
    strength: Option<f64>,
    #[serde(flatten)]
    shared: SharedFields,
}

/// Pictures as the SDKs send them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a picture or a list of pictures")]
pub(crate) enum OneOrMany {
    Many(Vec<ImageBody>),
    One(ImageBody),
}

impl OneOrMany {
    fn as_mut_slice(&mut self) -> &mut [ImageBody] {
        match self {
            Self::Many(images) => images,
            Self::One(image) => std::slice::from_mut(image),
        }
    }
}

impl FormBody for EditsBody {
    /// `image` once, or `image[]` several times.
    fn from_form(mut form: Form) -> Result<Value, Violation> {
        let images = form.take_images("image");
        if !images.is_empty() {
            form.texts.insert("image".to_owned(), vec![Value::Array(images)]);
        }
        form.into_json()
    }
}

impl ImagesBody for EditsBody {
    fn shared(&self) -> &SharedFields {
        &self.shared
    }
}

impl ModeBody for EditsBody {
    /// Known once the transparency of the image has been seen.
    fn mode(&self) -> Option<Mode> {
        None
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.shared).into_common(violations)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.prompt)]
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let images = self.image.as_mut_slice().iter_mut();
        let mask = self.mask.as_mut().map(|mask| ("/mask".to_owned(), mask));
        images.map(|image| ("/image".to_owned(), image)).chain(mask).collect()
    }

    fn into_input(mut self, decoder: &mut ImageDecoder) -> Option<Input> {
        let pictures: Option<Vec<_>> = self
            .image
            .as_mut_slice()
            .iter()
            .map(|image| decoder.image(image, "/image"))
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        let own = match self.image.as_mut_slice() {
            [only] if self.mask.is_none() => decoder.own_mask(only),
            _ => None,
        };
        let mask = match &self.mask {
            Some(mask) => match decoder.mask(mask, MaskConvention::Alpha, "/mask") {
                Some(mask) => Some(mask),
                None => return None,
            },
            None => own,
        };
        let Some(mut pictures) = pictures.filter(|pictures| !pictures.is_empty()) else {
            decoder.violations.require(!decoder.violations.0.is_empty(), "/image", "must be given");
            return None;
        };
        let prompt = self.prompt;
        let input = match mask {
            Some(mask) => {
                let image = pictures.swap_remove(0);
                Input::Inpainting(Inpainting { prompt: Some(prompt), image, mask, composite: true, feather: 0 })
            }
            None if pictures.len() == 1 => {
                let strength = self.strength.unwrap_or(EDIT_STRENGTH);
                Input::ImageToImage(ImageToImage::new(prompt, pictures.swap_remove(0), Some(strength)))
            }
            None => {
                let pictures = pictures.into_iter().map(|picture| (FusionInput::Image(picture), None));
                let inputs = pictures.chain([(FusionInput::Text(prompt), None)]).collect();
                Input::TextImageFusion(TextImageFusion { inputs: Weighted::list(inputs), decoder_prompt: None })
            }
        };
        Some(input)
    }
}

/// `images.create_variation`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct VariationsBody {
    image: ImageBody,
    #[serde(flatten)]
    shared: SharedFields,
}

impl FormBody for VariationsBody {}

impl ImagesBody for VariationsBody {
    fn shared(&self) -> &SharedFields {
        &self.shared
    }
}

impl ModeBody for VariationsBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::ImageVariations)
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.shared).into_common(violations)
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
