//! The fields of all three calls of `/v1/images/...`, translated to the native ones.
//!
//! Invariant: a field that has no meaning here is accepted and ignored; one that has, and cannot be honored, is a violation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::Violations;
use crate::http::submission::resolve::ResponseFormat;
use crate::modes::request::names::{FormatName, PriorityName, ResponseFormatName, SchedulerName};
use crate::modes::request::{CommonBody, PriorBody};

/// Decoder steps by `quality`; other qualities use the default.
const QUALITY_STEPS: [(&str, u32); 3] = [("low", 25), ("high", 75), ("hd", 75)];
/// Prefixes of OpenAI's model names, which are aliases of the loaded model.
const ALIASES: [&str; 3] = ["dall-e", "gpt-image", "chatgpt-image"];
/// Most partial images of a stream.
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
    /// Default: `b64_json`.
    #[schema(value_type = Option<ResponseFormatName>)]
    response_format: Option<String>,
    /// Default: `png`.
    #[schema(value_type = Option<FormatName>)]
    output_format: Option<String>,
    /// Quality of JPEG and WebP.
    #[schema(minimum = 0, maximum = 100)]
    output_compression: Option<u32>,
    /// `auto`, `low`, `medium`, `high`, `standard` or `hd`: chooses the number of steps.
    quality: Option<String>,
    /// `auto` or `opaque`.
    background: Option<String>,
    /// Respond with events.
    stream: Option<bool>,
    /// Number of previews in a stream.
    #[schema(minimum = 0, maximum = 3)]
    partial_images: Option<u32>,
    /// An extension of this server.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// An extension of this server.
    negative_prompt: Option<String>,
    /// An extension of this server.
    #[schema(minimum = 1)]
    steps: Option<u32>,
    /// An extension of this server.
    guidance_scale: Option<f32>,
    /// An extension of this server.
    #[schema(value_type = Option<SchedulerName>)]
    scheduler: Option<String>,
    /// An extension of this server.
    prior: Option<PriorBody>,
    /// An extension of this server.
    #[schema(value_type = Option<PriorityName>)]
    priority: Option<String>,
    /// Accepted and ignored: `user`, `style`, `moderation`, ...
    #[serde(flatten)]
    #[schema(ignore)]
    _others: BTreeMap<String, Value>,
}

impl SharedFields {
    pub(crate) fn wants_stream(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// The quality that responses name.
    pub(crate) fn quality_name(&self) -> &'static str {
        match self.quality.as_deref() {
            Some("low") => "low",
            Some("high" | "hd") => "high",
            _ => "medium",
        }
    }

    /// The requested model, unless it is the loaded one of this name or an alias of it.
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

    /// The native fields that these translate to.
    pub(crate) fn into_common(self, violations: &mut Violations) -> CommonBody {
        let (width, height) = self.sides(violations);
        violations.require(
            self.partial_images.is_none_or(|n| n <= MAX_PARTIAL_IMAGES),
            "/partial_images",
            format!("must be 0 to {MAX_PARTIAL_IMAGES}"),
        );
        violations.require(
            self.background.as_deref() != Some("transparent"),
            "/background",
            "must be auto or opaque: the model does not support transparency",
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
