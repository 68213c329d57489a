//! The fields that all generation requests share, as they come over the wire.

use serde_json::Value;
use utoipa::ToSchema;

use super::names::{
    AspectRatioName, FormatName, PriorName, PriorityName, PromptSyntaxName, ResponseFormatName, SchedulerName,
    TranslateName, WebhookEventName,
};
use super::{Fields, Place, ReadValue, Seed};
use crate::domain::{Size, Warning};

/// Fields of every generation request.
#[derive(Debug, Default, ToSchema)]
pub struct CommonBody {
    /// What to keep out of the image: becomes the negative image embedding, and the decoder's unconditional text.
    pub negative_prompt: Option<String>,
    /// The unconditional text of the prior's guidance.
    pub negative_prior_prompt: Option<String>,
    /// The unconditional text of the decoder's guidance. Default: the negative prompt.
    pub negative_decoder_prompt: Option<String>,
    /// How brackets in all texts are read: `weights` takes `(word:1.3)`, `((word))` and `[word]` as AUTOMATIC1111 does. Default: `plain`.
    #[schema(value_type = Option<PromptSyntaxName>)]
    pub prompt_syntax: Option<String>,
    /// Which texts are translated before they are drawn, where the server translates (`/v1/capabilities`): `auto` those that are, by
    /// their letters, in the language that it translates from; `always` all; `off` none. Default: as the server is configured.
    #[schema(value_type = Option<TranslateName>)]
    pub translate: Option<String>,
    /// px. Default: with a height, the width that keeps the proportions of the image that the mode works on; without one, of
    /// inpainting the image's own size, and of image-to-image and image-variations its proportions at about the model's own area.
    /// Modes without such an image, and fusions, have the model's own size.
    /// Image-to-image and inpainting crop an image of other proportions than width and height, and say so in `warnings`.
    #[schema(minimum = 1, example = 64)]
    pub width: Option<u32>,
    /// px. Default: as of the width.
    #[schema(minimum = 1, example = 64)]
    pub height: Option<u32>,
    /// Instead of width and height.
    #[schema(value_type = Option<AspectRatioName>)]
    pub aspect_ratio: Option<String>,
    /// Number of images; image i uses the seed `seed + i`. Default: 1.
    #[schema(minimum = 1)]
    pub n: Option<u32>,
    /// Default, or -1: random. Always returned.
    #[schema(minimum = -1, value_type = Option<i64>)]
    pub seed: Option<u64>,
    /// Decoder steps. Default: 50.
    #[schema(minimum = 1, example = 10)]
    pub steps: Option<u32>,
    /// Classifier-free guidance of the decoder. Default: 4.
    #[schema(minimum = 0, maximum = 100)]
    pub guidance_scale: Option<f32>,
    /// Default: the model's own.
    #[schema(value_type = Option<SchedulerName>)]
    pub scheduler: Option<String>,
    pub prior: Option<PriorBody>,
    /// DDIM's eta: 0 is deterministic, 1 is as noisy as DDPM. Default: 0.
    #[schema(minimum = 0, maximum = 1)]
    pub eta: Option<f32>,
    pub acceleration: Option<AccelerationBody>,
    /// Decode through the codebook. Default: false.
    pub quantize_latents: Option<bool>,
    /// A name from `/v1/styles`, whose words are added to the prompts.
    pub style: Option<String>,
    /// Default: `png`.
    #[schema(value_type = Option<FormatName>)]
    pub output_format: Option<String>,
    /// Quality of JPEG and WebP; WebP is lossless at 100. Default: 95.
    #[schema(minimum = 1, maximum = 100)]
    pub output_quality: Option<u32>,
    /// Write the parameters and the seed into the file. Default: true. If the parameters are too long for a JPEG's EXIF (64 KB, with
    /// non-ASCII characters escaped), only the seed is written. The mark that a model made the image is always written.
    pub embed_metadata: Option<bool>,
    /// Default: `b64_json`.
    #[schema(value_type = Option<ResponseFormatName>)]
    pub response_format: Option<String>,
    /// Send a preview to listeners every this many decoder steps; 0 sends none. Default: 0.
    #[schema(minimum = 0)]
    pub preview_interval: Option<u32>,
    /// Default: `normal`, or the highest that the API key allows.
    #[schema(value_type = Option<PriorityName>)]
    pub priority: Option<String>,
    pub webhook: Option<WebhookBody>,
    /// The id of the loaded model.
    #[schema(example = "kandinsky-mini")]
    pub model: Option<String>,
    /// The size at which the model draws, if results are to be enlarged from it.
    #[serde(skip)]
    #[schema(ignore)]
    pub drawn: Option<Size>,
    /// What was already said about the body when it was brought into this shape.
    #[serde(skip)]
    #[schema(ignore)]
    pub warnings: Vec<Warning>,
}

impl CommonBody {
    /// The names of the fields, but for the prompts of modes.
    pub const NAMES: [&str; 26] = [
        "negative_prompt",
        "negative_prior_prompt",
        "negative_decoder_prompt",
        "prompt_syntax",
        "translate",
        "width",
        "height",
        "aspect_ratio",
        "n",
        "seed",
        "steps",
        "guidance_scale",
        "scheduler",
        "prior",
        "eta",
        "acceleration",
        "quantize_latents",
        "style",
        "output_format",
        "output_quality",
        "embed_metadata",
        "response_format",
        "preview_interval",
        "priority",
        "webhook",
        "model",
    ];

    /// What answers say beside the fields of requests. Sent again, it is ignored.
    const ANSWERED: [&str; 6] = [
        "translation_applies_to",
        "prompt_translated",
        "decoder_prompt_translated",
        "negative_prompt_translated",
        "negative_prior_prompt_translated",
        "negative_decoder_prompt_translated",
    ];

    /// Take the fields that all requests share.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        for name in Self::ANSWERED {
            fields.take(name);
        }
        Self {
            negative_prompt: fields.optional("negative_prompt"),
            negative_prior_prompt: fields.optional("negative_prior_prompt"),
            negative_decoder_prompt: fields.optional("negative_decoder_prompt"),
            prompt_syntax: fields.name("prompt_syntax"),
            translate: fields.name("translate"),
            width: fields.optional("width"),
            height: fields.optional("height"),
            aspect_ratio: fields.name("aspect_ratio"),
            n: fields.optional("n"),
            seed: fields.optional("seed").and_then(|Seed(seed)| seed),
            steps: fields.optional("steps"),
            guidance_scale: fields.optional("guidance_scale"),
            scheduler: fields.name("scheduler"),
            prior: fields.optional("prior"),
            eta: fields.optional("eta"),
            acceleration: fields.optional("acceleration"),
            quantize_latents: fields.optional("quantize_latents"),
            style: fields.name("style"),
            output_format: fields.name("output_format"),
            output_quality: fields.optional("output_quality"),
            embed_metadata: fields.optional("embed_metadata"),
            response_format: fields.name("response_format"),
            preview_interval: fields.optional("preview_interval"),
            priority: fields.name("priority"),
            webhook: fields.optional("webhook"),
            model: fields.name("model"),
            drawn: None,
            warnings: Vec::new(),
        }
    }
}

/// How text becomes an image embedding.
#[derive(Debug, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorBody {
    /// Default: `diffusion`.
    #[schema(value_type = Option<PriorName>)]
    pub kind: Option<String>,
    /// Default: 25.
    #[schema(minimum = 1, example = 5)]
    pub steps: Option<u32>,
    /// Default: 4.
    #[schema(minimum = 0, maximum = 100)]
    pub guidance_scale: Option<f32>,
}

/// Ways to draw with less work. They change the image and are off unless a request asks for them; `docs/accelerations.md` has what
/// each gives and takes.
#[derive(Debug, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccelerationBody {
    /// Compute all of the decoder at every so many steps only, and take the features of its deep layers from the last of those in
    /// between (DeepCache). Default: 1, at every step.
    #[schema(minimum = 1, maximum = 10, example = 3)]
    pub cache_interval: Option<u32>,
    /// Where the decoder's guidance begins: 0 is pure noise, 1 the finished image. Steps without guidance take half the work.
    /// Default: 0.
    #[schema(minimum = 0, maximum = 1, example = 0)]
    pub guidance_start: Option<f32>,
    /// Where the decoder's guidance ends, likewise. Default: 1.
    #[schema(minimum = 0, maximum = 1, example = 0.8)]
    pub guidance_end: Option<f32>,
}

/// Where to send a message when the job has ended. Messages are signed as Standard Webhooks specifies; this document describes
/// them under `webhooks`.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookBody {
    #[schema(example = "https://example.com/hooks/pictures")]
    pub url: String,
    /// Default: all events.
    #[schema(value_type = Option<Vec<WebhookEventName>>)]
    pub events: Option<Vec<String>>,
}

impl ReadValue for PriorBody {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| Self {
            kind: fields.name("kind"),
            steps: fields.optional("steps"),
            guidance_scale: fields.optional("guidance_scale"),
        })
    }
}

impl ReadValue for AccelerationBody {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| Self {
            cache_interval: fields.optional("cache_interval"),
            guidance_start: fields.optional("guidance_start"),
            guidance_end: fields.optional("guidance_end"),
        })
    }
}

impl ReadValue for WebhookBody {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        if value.is_string() {
            return at.refuse("must be an object, such as {\"url\": \"https://example.com/hook\"}");
        }
        at.object(value, |fields| Self { url: fields.required("url"), events: fields.optional("events") })
    }
}
