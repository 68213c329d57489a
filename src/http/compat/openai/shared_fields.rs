//! The fields of all three calls of `/v1/images/...`, translated to the native ones.
//!
//! Invariant: a field is honored, refused or reported: none is ignored in silence, but for those that ask for nothing
//! (`user`, `safety_identifier`). Errors name fields as they were sent.

use serde_json::Value;
use utoipa::ToSchema;

use super::model_name::ModelName;
use crate::domain::{Common, Violations, is_blank};
use crate::http::submission::resolve::ResponseFormat;
use crate::modes::request::{CommonBody, Fields, Place, ReadValue};
use crate::schedulers;

/// Qualities and the decoder steps that they stand for; others use the default.
const QUALITIES: [(&str, Option<u32>); 6] =
    [("auto", None), ("low", Some(25)), ("medium", None), ("high", Some(75)), ("standard", None), ("hd", Some(75))];
/// Most partial images of a stream.
const MAX_PARTIAL_IMAGES: u32 = 3;

/// Fields of all three calls. This server's own fields may be sent along, also under the names that other servers have for
/// them: `num_inference_steps`, `cfg_scale`, `sampler`.
#[derive(Debug, Default, ToSchema)]
pub(crate) struct SharedFields {
    /// `auto` or `WIDTHxHEIGHT`.
    #[schema(value_type = Option<String>, example = "auto")]
    size: Option<RequestedSize>,
    /// Quality of JPEG and WebP.
    #[schema(minimum = 0, maximum = 100)]
    output_compression: Option<u32>,
    /// `auto`, `low`, `medium`, `high`, `standard` or `hd`: chooses the number of steps.
    quality: Option<String>,
    /// `auto` or `opaque`.
    #[expect(dead_code, reason = "part of the shape that clients send; there is one background")]
    background: Option<String>,
    /// Respond with events.
    stream: Option<bool>,
    /// Number of previews in a stream.
    #[schema(minimum = 0, maximum = 3)]
    partial_images: Option<u32>,
    #[serde(flatten)]
    own: CommonBody,
    #[schema(ignore)]
    model: ModelName,
}

/// The value of `size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestedSize {
    Auto,
    /// px
    Sides(u32, u32),
}

impl ReadValue for RequestedSize {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        let text = value.as_str().map(|text| text.trim().to_ascii_lowercase());
        let read = text.and_then(|text| match text.as_str() {
            "auto" => Some(Self::Auto),
            text => text.split_once(['x', '×', '*']).and_then(|(w, h)| Some(Self::Sides(side(w)?, side(h)?))),
        });
        read.or_else(|| at.refuse("must be auto or WIDTHxHEIGHT, such as \"64x64\""))
    }

    fn is_absent(value: &Value) -> bool {
        value.as_str().is_some_and(|text| ["", "undefined"].contains(&text.trim()))
    }
}

/// Digits as a number, the largest there is if they are too many.
fn side(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// The value of a field that has one of these; another one is refused.
fn choice(fields: &mut Fields<'_>, name: &str, allowed: &[&str]) -> Option<String> {
    let value = fields.name(name)?;
    if allowed.contains(&value.as_str()) {
        return Some(value);
    }
    fields.refuse(name, format!("must be one of {}", allowed.join(", ")));
    None
}

/// Fields of OpenAI's API that mean nothing here, or little.
fn read_without_effect(fields: &mut Fields<'_>) {
    fields.take("user");
    fields.take("safety_identifier");
    match fields.name("background").as_deref() {
        None | Some("auto" | "opaque") => {}
        Some("transparent") => {
            fields.refuse("background", "must be auto or opaque: the model does not support transparency");
        }
        Some(_) => fields.refuse("background", "must be auto or opaque"),
    }
    if choice(fields, "moderation", &["auto", "low"]).as_deref() == Some("low") {
        fields.ignore(
            "moderation",
            "moderation has no effect: the operator decides how strictly prompts and images are moderated",
        );
    }
    if choice(fields, "input_fidelity", &["high", "low"]).is_some() {
        fields.ignore("input_fidelity", "input_fidelity has no effect: strength says how much an edit changes");
    }
}

impl SharedFields {
    /// Take the fields; `url_by_default`: whether the call answers with URLs unless it is told otherwise.
    pub(super) fn read(fields: &mut Fields<'_>, url_by_default: bool) -> Self {
        fields.rename("steps", &["num_inference_steps"]);
        fields.rename("guidance_scale", &["cfg_scale"]);
        fields.rename("scheduler", &["sampler", "sampler_name"]);
        fields.rename("n", &["num_images", "num_images_per_prompt"]);
        read_without_effect(fields);
        let model = ModelName::new(fields.name("model"));
        let style = fields.name("style").filter(|style| {
            let is_openais = ["vivid", "natural"].contains(&style.as_str());
            if is_openais {
                fields.ignore("style", format!("style {style} has no effect"));
            }
            !is_openais
        });
        let size: Option<RequestedSize> = fields.optional("size");
        if let Some(RequestedSize::Sides(..)) = size {
            // Of sides this API's messages speak as size.
            for (side, other) in [("width", "width"), ("height", "height"), ("aspect_ratio", "size")] {
                if fields.is_given(side) {
                    fields.refuse(side, format!("cannot be given together with {other}"));
                }
            }
        }
        let qualities = QUALITIES.map(|(name, _)| name);
        let mut shared = Self {
            output_compression: fields.optional("output_compression"),
            quality: choice(fields, "quality", &qualities),
            background: None,
            stream: fields.optional("stream"),
            partial_images: fields.optional("partial_images"),
            own: CommonBody::read(fields),
            size,
            model,
        };
        if shared.partial_images.is_some_and(|n| n > 0) && !shared.wants_stream() {
            fields.ignore("partial_images", "partial_images has no effect without stream");
        }
        shared.note_names(fields);
        let own = &mut shared.own;
        own.style = style;
        own.scheduler = own.scheduler.take().map(schedulers::own_name);
        if own.response_format.is_none() && (url_by_default || shared.model.answers_url()) {
            own.response_format = Some("url".to_owned());
        }
        shared
    }

    /// Let errors name what was sent for the native fields.
    fn note_names(&self, fields: &mut Fields<'_>) {
        if let Some(RequestedSize::Sides(..)) = self.size {
            fields.note_name("width", "size");
            fields.note_name("height", "size");
        }
        if self.partial_images.is_some() {
            fields.note_name("preview_interval", "partial_images");
        }
        if self.output_compression.is_some() {
            fields.note_name("output_quality", "output_compression");
        }
    }

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

    pub(crate) fn model(&self) -> &ModelName {
        &self.model
    }

    pub(crate) fn partial_images(&self) -> u32 {
        self.partial_images.unwrap_or(0).min(MAX_PARTIAL_IMAGES)
    }

    pub(crate) fn response_format(&self) -> ResponseFormat {
        let is_url = self.own.response_format.as_deref() == Some("url");
        if is_url { ResponseFormat::Url } else { ResponseFormat::B64Json }
    }

    /// Check a prompt as OpenAI's API does for the model that is asked for.
    pub(super) fn check_prompt(&self, prompt: &str, violations: &mut Violations) {
        violations.require(!is_blank(prompt), "/prompt", "must not be empty");
        if let Some(most) = self.model.max_prompt_chars() {
            let fits = prompt.chars().count() <= most;
            violations.require(fits, "/prompt", format!("must have at most {most} characters for this model"));
        }
    }

    /// Steps of the decoder.
    fn decoder_steps(&self) -> Option<u32> {
        let by_quality = QUALITIES.into_iter().find(|(name, _)| self.quality.as_deref() == Some(*name));
        self.own.steps.or(by_quality.and_then(|(_, steps)| steps))
    }

    /// Take out the native fields that these translate to; the model's name stays, for the check of its bounds.
    pub(crate) fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        let model = self.model.clone();
        let common = std::mem::take(self).into_common(violations);
        self.model = model;
        common
    }

    /// The native fields that these translate to.
    fn into_common(self, violations: &mut Violations) -> CommonBody {
        violations.require(
            self.partial_images.is_none_or(|n| n <= MAX_PARTIAL_IMAGES),
            "/partial_images",
            format!("must be 0 to {MAX_PARTIAL_IMAGES}"),
        );
        let steps = self.decoder_steps();
        let preview_interval = match self.partial_images() {
            0 => None,
            partial if self.wants_stream() => {
                Some(steps.unwrap_or(Common::default().steps).div_ceil(partial + 1).max(1))
            }
            _ => None,
        };
        let own = self.own;
        let (width, height) = match self.size {
            Some(RequestedSize::Sides(width, height)) => (Some(width), Some(height)),
            Some(RequestedSize::Auto) | None => (own.width, own.height),
        };
        CommonBody {
            width,
            height,
            steps,
            output_quality: self.output_compression.map(|quality| quality.max(1)).or(own.output_quality),
            preview_interval: preview_interval.or(own.preview_interval),
            ..own
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::modes::request::Reading;

    fn size(value: Value) -> Result<RequestedSize, String> {
        let mut reading = Reading::default();
        let read = RequestedSize::read(value, &mut Place::new("/size".to_owned(), &mut reading));
        read.ok_or_else(|| reading.violations.to_string())
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size(json!("auto")), Ok(RequestedSize::Auto));
        for text in ["96x64", "96X64", " 96 x 64 ", "96×64"] {
            assert_eq!(size(json!(text)), Ok(RequestedSize::Sides(96, 64)), "{text}");
        }
        assert_eq!(size(json!("99999999999x1")), Ok(RequestedSize::Sides(u32::MAX, 1)), "out of range, not of form");
        for wrong in [json!([64, 64]), json!(64), json!("64"), json!("x64"), json!("-1x64"), json!({})] {
            assert!(size(wrong).unwrap_err().starts_with("/size: must be auto or WIDTHxHEIGHT"));
        }
    }
}
