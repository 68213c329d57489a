//! The fields that all generation requests share, as they come over the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::context::AppState;
use super::extract::object;
use super::names::{
    AspectRatioName, FormatName, PriorName, PriorityName, ResponseFormatName, SchedulerName, WebhookEventName,
};
use crate::domain::{
    Common, Format, Generation, JobSpec, Output, PriorKind, PriorSettings, Priority, Size, Violations, Webhook,
    WebhookEvent,
};
use crate::engine::schedulers;

/// Sides of pictures by aspect ratio.
pub(super) const ASPECT_RATIOS: [(&str, u32, u32); 5] =
    [("1:1", 1, 1), ("2:3", 2, 3), ("3:2", 3, 2), ("9:16", 9, 16), ("16:9", 16, 9)];

/// Fields of every generation request.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct CommonBody {
    /// What to keep out of the picture: becomes the negative image embedding, and what guidance leads away from in the
    /// decoder's text.
    pub negative_prompt: Option<String>,
    /// What guidance leads away from inside the prior.
    pub negative_prior_prompt: Option<String>,
    /// What guidance leads away from in the decoder's text; absent: the negative prompt.
    pub negative_decoder_prompt: Option<String>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub width: Option<u32>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub height: Option<u32>,
    /// In place of width and height.
    #[schema(value_type = Option<AspectRatioName>)]
    pub aspect_ratio: Option<String>,
    /// Pictures (1 unless said otherwise); number i uses seed + i.
    #[schema(minimum = 1)]
    pub n: Option<u32>,
    /// Absent: random. Always returned.
    #[schema(minimum = 0)]
    pub seed: Option<u64>,
    /// Decoder steps; 50 unless said otherwise.
    #[schema(minimum = 1, example = 10)]
    pub steps: Option<u32>,
    /// Classifier-free guidance of the decoder; 4 unless said otherwise.
    #[schema(minimum = 0, maximum = 100)]
    pub guidance_scale: Option<f32>,
    /// Absent: the model's own.
    #[schema(value_type = Option<SchedulerName>)]
    pub scheduler: Option<String>,
    #[serde(default, deserialize_with = "object::optional")]
    pub prior: Option<PriorBody>,
    /// DDIM's eta: 0 (unless said otherwise) is deterministic, 1 as noisy as DDPM.
    #[schema(minimum = 0, maximum = 1)]
    pub eta: Option<f32>,
    /// Decode through the codebook; not unless said so.
    pub quantize_latents: Option<bool>,
    /// A name from `/v1/styles`, whose words are added to the prompts.
    pub style: Option<String>,
    /// PNG unless said otherwise.
    #[schema(value_type = Option<FormatName>)]
    pub output_format: Option<String>,
    /// Of JPEG and WebP, 95 unless said otherwise; WebP is lossless at 100.
    #[schema(minimum = 1, maximum = 100)]
    pub output_quality: Option<u32>,
    /// Write the parameters and the seed into the file; so unless said otherwise. Of parameters that are too long for a JPEG's
    /// EXIF (64 KB, with what is not ASCII escaped) the seed remains. What marks it as made by a model stays.
    pub embed_metadata: Option<bool>,
    /// Base64 unless said otherwise.
    #[schema(value_type = Option<ResponseFormatName>)]
    pub response_format: Option<String>,
    /// A preview every so many decoder steps to listeners; 0 (unless said otherwise): none.
    #[schema(minimum = 0)]
    pub preview_interval: Option<u32>,
    /// Normal unless said otherwise, or the highest that the key may ask for.
    #[schema(value_type = Option<PriorityName>)]
    pub priority: Option<String>,
    #[serde(default, deserialize_with = "object::optional")]
    pub webhook: Option<WebhookBody>,
    /// The id of the loaded model.
    #[schema(example = "kandinsky-mini")]
    pub model: Option<String>,
    /// Whatever else was sent, to be refused by name.
    #[serde(flatten)]
    #[schema(ignore)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// How text becomes an image embedding.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriorBody {
    /// Diffusion unless said otherwise.
    #[schema(value_type = Option<PriorName>)]
    pub kind: Option<String>,
    /// 25 unless said otherwise.
    #[schema(minimum = 1, example = 5)]
    pub steps: Option<u32>,
    /// 4 unless said otherwise.
    #[schema(minimum = 0, maximum = 100)]
    pub guidance_scale: Option<f32>,
}

/// Whom to tell when the job has ended. Messages are signed as Standard Webhooks says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookBody {
    #[schema(example = "https://example.com/hooks/pictures")]
    pub url: String,
    /// Absent: all of them.
    #[schema(value_type = Option<Vec<WebhookEventName>>)]
    pub events: Option<Vec<String>>,
}

/// Where pictures of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) enum ResponseFormat {
    #[default]
    B64Json,
    Url,
}

/// A request's shared fields, resolved but not checked.
pub(super) struct Resolved {
    pub(super) common: Common,
    output: Output,
    pub(super) response_format: ResponseFormat,
    preview_interval: u32,
    /// None: it asks for none.
    pub(super) priority: Option<Priority>,
    webhook: Option<Webhook>,
    style: Option<String>,
}

/// The value of a field with named values, or the default; a name that is none is noted.
fn named<T: std::str::FromStr<Err = String> + Default>(
    field: Option<&str>,
    pointer: &str,
    violations: &mut Violations,
) -> T {
    match field.map(str::parse::<T>) {
        Some(Ok(value)) => value,
        Some(Err(message)) => {
            violations.add(pointer, message);
            T::default()
        }
        None => T::default(),
    }
}

impl CommonBody {
    /// Fill in defaults; the result is still to be checked.
    pub(super) fn resolve(self, state: &AppState, violations: &mut Violations) -> Resolved {
        let native = state.engine.info().native_size;
        let defaults = Common::default();
        for name in self.unknown.keys() {
            violations.add(format!("/{name}"), "is not a field of this request");
        }
        let name = &state.engine.info().name;
        if let Some(model) = self.model.as_ref().filter(|model| *model != name) {
            violations.add("/model", format!("{model} is not loaded; {name} is"));
        }
        let size = self.size(native, state.engine.info().size_step, violations);
        let scheduler = self
            .scheduler
            .and_then(|name| schedulers::parse(&name).map_err(|message| violations.add("/scheduler", message)).ok());
        let prior = self.prior.unwrap_or_default();
        let kind: PriorKind = named(prior.kind.as_deref(), "/prior/kind", violations);
        let usual = PriorSettings::default();
        let format: Format = named(self.output_format.as_deref(), "/output_format", violations);
        let quality = self.output_quality.map_or(Ok(Output::default().quality), u8::try_from).unwrap_or(0);
        violations.require((1..=100).contains(&quality), "/output_quality", "must be 1 to 100");
        let response_format = match self.response_format.as_deref() {
            None | Some("b64_json") => ResponseFormat::B64Json,
            Some("url") => ResponseFormat::Url,
            Some(_) => {
                violations.add("/response_format", "must be b64_json or url");
                ResponseFormat::default()
            }
        };
        let style = self.style.filter(|style| {
            let known = state.styles.iter().any(|known| known.name == *style);
            violations.require(known, "/style", "is not one of the names from /v1/styles");
            known
        });
        Resolved {
            common: Common {
                negative_prompt: self.negative_prompt,
                negative_prior_prompt: self.negative_prior_prompt,
                negative_decoder_prompt: self.negative_decoder_prompt,
                size,
                n: self.n.unwrap_or(defaults.n),
                seed: self.seed.unwrap_or_else(random_seed),
                steps: self.steps.unwrap_or(defaults.steps),
                guidance_scale: self.guidance_scale.unwrap_or(defaults.guidance_scale),
                scheduler,
                eta: self.eta.unwrap_or(defaults.eta),
                prior: PriorSettings {
                    kind,
                    steps: prior.steps.unwrap_or(usual.steps),
                    guidance_scale: prior.guidance_scale.unwrap_or(usual.guidance_scale),
                },
                quantize_latents: self.quantize_latents.unwrap_or(false),
            },
            output: Output { format, quality, embed_metadata: self.embed_metadata.unwrap_or(true) },
            response_format,
            preview_interval: self.preview_interval.unwrap_or(0),
            priority: self
                .priority
                .and_then(|name| name.parse::<Priority>().map_err(|message| violations.add("/priority", message)).ok()),
            webhook: self.webhook.and_then(|webhook| webhook.resolve(state, violations)),
            style,
        }
    }

    fn size(&self, native: u32, step: u32, violations: &mut Violations) -> Option<Size> {
        let given = self.width.is_some() || self.height.is_some();
        let Some(ratio) = &self.aspect_ratio else {
            return given.then(|| Size { width: self.width.unwrap_or(native), height: self.height.unwrap_or(native) });
        };
        violations.require(!given, "/aspect_ratio", "cannot be given together with width or height");
        let known = ASPECT_RATIOS.into_iter().find(|(name, ..)| name == ratio);
        violations.require(known.is_some(), "/aspect_ratio", "must be one of 1:1, 2:3, 3:2, 9:16, 16:9");
        known.map(|(_, width, height)| aspect(native, step, width, height))
    }
}

/// The size of a ratio: about as many pixels as the model's own square, in steps of what it makes without cropping.
pub(super) fn aspect(native: u32, step: u32, width: u32, height: u32) -> Size {
    if width == height {
        return Size { width: native, height: native };
    }
    let step = step.max(1);
    let side = |a: u32, b: u32| {
        let exact = f64::from(native) * (f64::from(a) / f64::from(b)).sqrt();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand px")]
        let steps = (exact / f64::from(step)).round() as u32;
        steps.max(1) * step
    };
    Size { width: side(width, height), height: side(height, width) }
}

impl WebhookBody {
    fn resolve(self, state: &AppState, violations: &mut Violations) -> Option<Webhook> {
        let Some(check) = &state.check_webhook else {
            violations.add("/webhook", "this server sends no webhooks");
            return None;
        };
        if let Err(message) = check(&self.url) {
            violations.add("/webhook/url", message);
        }
        let mut events = Vec::new();
        for (i, name) in self.events.iter().flatten().enumerate() {
            match name.parse::<WebhookEvent>() {
                Ok(event) => events.push(event),
                Err(message) => violations.add(format!("/webhook/events/{i}"), message),
            }
        }
        if self.events.is_none() {
            events.extend(WebhookEvent::ALL);
        }
        Some(Webhook { url: self.url, events })
    }
}

impl Resolved {
    /// The job that is asked for; `format` is one that `Accept` asks for.
    pub(super) fn into_spec(
        self,
        mut generation: Generation,
        state: &AppState,
        format: Option<Format>,
        violations: &mut Violations,
    ) -> JobSpec {
        let style = self.style.and_then(|name| state.styles.iter().find(|style| style.name == name));
        if let Some(style) = style {
            style.apply(&mut generation, violations);
        }
        let most = state.limits.max_steps;
        violations.require(self.preview_interval <= most, "/preview_interval", format!("must be 0 to {most}"));
        let output = Output { format: format.unwrap_or(self.output.format), ..self.output };
        JobSpec {
            generation,
            output,
            priority: self.priority.unwrap_or_default(),
            preview_interval: self.preview_interval,
            webhook: self.webhook,
            style: style.map(|style| style.name.clone()),
            findings: Vec::new(),
            moderation_policy: None,
            parameters: String::new(),
        }
    }
}

/// 32 random bits: PyTorch's generator uses no more of a seed.
fn random_seed() -> u64 {
    u64::from(Uuid::new_v4().as_fields().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aspect_ratios_have_the_models_area_in_its_steps() {
        let sizes = ASPECT_RATIOS.map(|(_, width, height)| aspect(512, 64, width, height));
        let sizes = sizes.map(|size| (size.width, size.height));
        assert_eq!(sizes, [(512, 512), (448, 640), (640, 448), (384, 704), (704, 384)]);
        assert_eq!(aspect(64, 16, 3, 2), Size { width: 80, height: 48 });
    }
}
