//! From the shared fields of a request to values: defaults filled in, names read.

use uuid::Uuid;

use crate::domain::{
    Acceleration, Common, Format, Output, PriorKind, PriorSettings, Priority, Size, TranslateWhen, VariantArray as _,
    Violations, Warning, Webhook, WebhookEvent, excerpt,
};
use crate::http::context::AppState;
use crate::modes::Style;
use crate::modes::request::names::{ASPECT_RATIOS, RESPONSE_FORMATS};
use crate::modes::request::{CommonBody, WebhookBody};
use crate::schedulers;

/// Where the images of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ResponseFormat {
    #[default]
    B64Json,
    Url,
}

/// A request's shared fields: defaults filled in, names read, ranges not yet checked.
pub(super) struct Resolved {
    pub(super) common: Common,
    /// Width and height as they are given, px: if only one is, the other depends on the images.
    pub(super) sides: (Option<u32>, Option<u32>),
    pub(super) output: Output,
    pub(super) response_format: ResponseFormat,
    pub(super) preview_interval: u32,
    /// `None`: not given.
    pub(super) priority: Option<Priority>,
    pub(super) webhook: Option<Webhook>,
    pub(super) style: Option<Style>,
    /// `None`: not given.
    pub(super) translate: Option<TranslateWhen>,
    pub(super) warnings: Vec<Warning>,
}

/// The value of a field with named values, or the default; an unknown name is a violation.
fn parse_name<T: std::str::FromStr<Err = String> + Default>(
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

/// Fill in defaults and read names.
pub(super) fn resolve_common(body: CommonBody, state: &AppState, violations: &mut Violations) -> Resolved {
    let native = state.engine.info().native_size;
    let defaults = Common::default();
    let name = &state.engine.info().name;
    if let Some(model) = body.model.as_ref().filter(|model| *model != name) {
        violations.add("/model", format!("{} is not loaded; {name} is", excerpt(model)));
    }
    let sides = (body.width, body.height);
    let size = requested_size(&body, native, state.engine.info().size_step, violations);
    let scheduler = body
        .scheduler
        .and_then(|name| schedulers::parse(&name).map_err(|message| violations.add("/scheduler", message)).ok());
    let prior = body.prior.unwrap_or_default();
    let acceleration = body.acceleration.unwrap_or_default();
    let kind: PriorKind = parse_name(prior.kind.as_deref(), "/prior/kind", violations);
    let usual = PriorSettings::default();
    let format: Format = parse_name(body.output_format.as_deref(), "/output_format", violations);
    let quality = body.output_quality.map_or(Ok(Output::default().quality), u8::try_from).unwrap_or(0);
    violations.require((1..=100).contains(&quality), "/output_quality", "must be 1 to 100");
    let response_format = match body.response_format.as_deref() {
        None | Some("b64_json") => ResponseFormat::B64Json,
        Some("url") => ResponseFormat::Url,
        Some(_) => {
            violations.add("/response_format", format!("must be {}", RESPONSE_FORMATS.join(" or ")));
            ResponseFormat::default()
        }
    };
    let style = body.style.and_then(|name| {
        let known = state.styles.iter().find(|style| style.name == name);
        violations.require(known.is_some(), "/style", "is not one of the names from /v1/styles");
        known.cloned()
    });
    Resolved {
        common: Common {
            negative_prompt: body.negative_prompt,
            negative_prior_prompt: body.negative_prior_prompt,
            negative_decoder_prompt: body.negative_decoder_prompt,
            size,
            drawn: body.drawn,
            n: body.n.unwrap_or(defaults.n),
            seed: body.seed.unwrap_or_else(random_seed),
            steps: body.steps.unwrap_or(defaults.steps),
            guidance_scale: body.guidance_scale.unwrap_or(defaults.guidance_scale),
            scheduler,
            eta: body.eta.unwrap_or(defaults.eta),
            prior: PriorSettings {
                kind,
                steps: prior.steps.unwrap_or(usual.steps),
                guidance_scale: prior.guidance_scale.unwrap_or(usual.guidance_scale),
            },
            quantize_latents: body.quantize_latents.unwrap_or(false),
            acceleration: Acceleration {
                cache_interval: acceleration.cache_interval.unwrap_or(defaults.acceleration.cache_interval),
                guidance_start: acceleration.guidance_start.unwrap_or(defaults.acceleration.guidance_start),
                guidance_end: acceleration.guidance_end.unwrap_or(defaults.acceleration.guidance_end),
            },
            prompt_syntax: parse_name(body.prompt_syntax.as_deref(), "/prompt_syntax", violations),
            decoder_originals: Vec::new(),
        },
        sides,
        output: Output { format, quality, embed_metadata: body.embed_metadata.unwrap_or(state.embed_metadata) },
        response_format,
        preview_interval: body.preview_interval.unwrap_or(0),
        priority: body
            .priority
            .and_then(|name| name.parse::<Priority>().map_err(|message| violations.add("/priority", message)).ok()),
        webhook: body.webhook.and_then(|webhook| resolve_webhook(webhook, state, violations)),
        style,
        translate: body
            .translate
            .and_then(|name| name.parse().map_err(|message: String| violations.add("/translate", message)).ok()),
        warnings: body.warnings,
    }
}

/// The size that a request asks for, px: by both of its sides or by an aspect ratio. `None`: neither is given.
fn requested_size(body: &CommonBody, native: u32, step: u32, violations: &mut Violations) -> Option<Size> {
    let given = body.width.is_some() || body.height.is_some();
    let Some(ratio) = &body.aspect_ratio else {
        return body.width.zip(body.height).map(|(width, height)| Size { width, height });
    };
    violations.require(!given, "/aspect_ratio", "cannot be given together with width or height");
    let known = ASPECT_RATIOS.into_iter().find(|(name, ..)| name == ratio);
    violations.require(
        known.is_some(),
        "/aspect_ratio",
        format!("must be one of {}", ASPECT_RATIOS.map(|(name, ..)| name).join(", ")),
    );
    known.map(|(_, width, height)| size_of_ratio(native, step, width, height))
}

/// The size of a ratio, exactly: cropped from about as many pixels as the model's own square, in steps of what it makes without
/// cropping.
pub(crate) fn size_of_ratio(native: u32, step: u32, width: u32, height: u32) -> Size {
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
    let (canvas_width, canvas_height) = (side(width, height), side(height, width));
    let unit = (canvas_width / width.max(1)).min(canvas_height / height.max(1)).max(1);
    Size { width: unit * width, height: unit * height }
}

fn resolve_webhook(body: WebhookBody, state: &AppState, violations: &mut Violations) -> Option<Webhook> {
    let Some(check) = &state.check_webhook else {
        violations.add("/webhook", "webhooks are disabled (webhooks.enabled)");
        return None;
    };
    if let Err(message) = check(&body.url) {
        violations.add("/webhook/url", message);
    }
    let mut events = Vec::new();
    for (i, name) in body.events.iter().flatten().enumerate() {
        match name.parse::<WebhookEvent>() {
            Ok(event) => events.push(event),
            Err(message) => violations.add(format!("/webhook/events/{i}"), message),
        }
    }
    if body.events.is_none() {
        events.extend(WebhookEvent::VARIANTS);
    }
    Some(Webhook { url: body.url, events })
}

/// 32 random bits: PyTorch's generator uses no more of a seed.
fn random_seed() -> u64 {
    u64::from(Uuid::new_v4().as_fields().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aspect_ratios_are_exact_and_have_about_the_models_area() {
        let sizes = ASPECT_RATIOS.map(|(_, width, height)| size_of_ratio(512, 64, width, height));
        let sizes = sizes.map(|size| (size.width, size.height));
        assert_eq!(sizes, [(512, 512), (426, 639), (639, 426), (378, 672), (672, 378)]);
        let sizes = ASPECT_RATIOS.map(|(_, width, height)| size_of_ratio(64, 16, width, height));
        let sizes = sizes.map(|size| (size.width, size.height));
        assert_eq!(sizes, [(64, 64), (48, 72), (72, 48), (45, 80), (80, 45)]);
    }
}
