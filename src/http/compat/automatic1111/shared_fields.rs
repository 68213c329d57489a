//! The fields of both calls that make images, translated to the native ones.
//!
//! Invariant: every field is translated, refused, or named in a warning.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::sampler::find_scheduler;
use super::scripts::check_scripts;
use super::unread::read_others;
use crate::domain::{Common, Violations, Warning, WarningCode};
use crate::modes::request::names::PriorName;
use crate::modes::request::{CommonBody, PriorBody, object};

/// Previews of a job, for those who ask how far it is.
const PREVIEWS: u32 = 8;
/// Settings that are read out of `override_settings`.
const CHECKPOINT: &str = "sd_model_checkpoint";
const FORMAT: &str = "samples_format";
/// Settings that say nothing of the image.
const SD_VAE: &str = "sd_vae";

/// Fields of both calls. Others are taken: what has no effect is named in `info.warnings`, and what would give another kind of
/// image (`tiling`, a refiner, scripts, extensions) is refused.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SharedFields {
    /// English or Russian. Default: empty.
    #[serde(default)]
    #[schema(example = "red heart on a blue background")]
    pub(super) prompt: String,
    pub(super) negative_prompt: Option<String>,
    /// At most one name from `/sdapi/v1/prompt-styles`, whose words are added to the prompt.
    pub(super) styles: Option<Vec<String>>,
    /// Default, and -1: random. Always returned.
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub(super) seed: Option<i64>,
    /// A name from `/sdapi/v1/samplers`. Default: the model's own.
    #[schema(example = "Euler a")]
    pub(super) sampler_name: Option<String>,
    /// An older name of `sampler_name`.
    pub(super) sampler_index: Option<String>,
    /// A name from `/sdapi/v1/schedulers`. Default: what the sampler's name says.
    #[schema(example = "karras")]
    pub(super) scheduler: Option<String>,
    /// Images at once; as many as this times `n_iter` are made, image i with the seed `seed + i`. Default: 1.
    #[schema(minimum = 1)]
    pub(super) batch_size: Option<u32>,
    /// Default: 1.
    #[schema(minimum = 1)]
    pub(super) n_iter: Option<u32>,
    /// Default: 50.
    #[schema(minimum = 1, example = 10)]
    pub(super) steps: Option<u32>,
    /// Default: 4.
    #[schema(minimum = 0, maximum = 100)]
    pub(super) cfg_scale: Option<f32>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub(super) width: Option<u32>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub(super) height: Option<u32>,
    /// Of the sampler DDIM: 0 is deterministic, 1 is as noisy as DDPM. Default: 0.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) eta: Option<f32>,
    /// 0 keeps the image, 1 ignores it. Default: 0.75.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) denoising_strength: Option<f64>,
    /// Whether to return the images. Default: true.
    pub(super) send_images: Option<bool>,
    /// `sd_model_checkpoint` must be the loaded model; `samples_format` is `png`, `jpeg` or `webp`.
    #[schema(value_type = Option<Object>)]
    pub(super) override_settings: Option<BTreeMap<String, Value>>,
    /// There are no scripts: must be empty.
    pub(super) script_name: Option<String>,
    /// There are no extensions: those that are named must be switched off.
    #[schema(value_type = Option<Object>)]
    pub(super) alwayson_scripts: Option<BTreeMap<String, Value>>,
    /// An extension of this server.
    #[serde(default, deserialize_with = "object::optional")]
    pub(super) prior: Option<PriorBody>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub(super) others: BTreeMap<String, Value>,
}

impl SharedFields {
    /// The native fields that these translate to.
    pub(super) fn into_common(self, violations: &mut Violations) -> CommonBody {
        let mut warnings = Vec::new();
        check_scripts(self.script_name.as_deref(), self.alwayson_scripts.as_ref(), violations);
        read_others(&self.others, "/", violations, &mut warnings);
        let settings = Settings::read(self.override_settings.unwrap_or_default(), violations, &mut warnings);
        let name = self.sampler_name.filter(|name| !name.is_empty()).or(self.sampler_index);
        let scheduler = find_scheduler(name.as_deref(), self.scheduler.as_deref());
        let scheduler = scheduler.map_err(|violation| violations.0.push(violation)).ok().flatten();
        let styles: Vec<String> = self.styles.into_iter().flatten().filter(|name| !name.trim().is_empty()).collect();
        violations.require(styles.len() <= 1, "/style", "must have at most one name");
        let n = self.batch_size.unwrap_or(1).saturating_mul(self.n_iter.unwrap_or(1));
        let steps = self.steps.unwrap_or(Common::default().steps);
        CommonBody {
            negative_prompt: self.negative_prompt,
            width: self.width,
            height: self.height,
            n: Some(n),
            seed: self.seed.and_then(|seed| u64::try_from(seed).ok()),
            steps: self.steps,
            guidance_scale: self.cfg_scale,
            scheduler: scheduler.map(|info| info.name.to_owned()),
            eta: self.eta,
            prior: self.prior,
            style: styles.into_iter().next(),
            model: settings.checkpoint,
            output_format: settings.format,
            preview_interval: Some(steps.saturating_mul(n).div_ceil(PREVIEWS).clamp(1, steps.max(1))),
            warnings,
            ..CommonBody::default()
        }
    }
}

/// Settings of the program that a request overrides.
struct Settings {
    checkpoint: Option<String>,
    format: Option<String>,
}

impl Settings {
    fn read(mut given: BTreeMap<String, Value>, violations: &mut Violations, warnings: &mut Vec<Warning>) -> Self {
        let mut take = |name: &str| match given.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            Some(Value::String(_) | Value::Null) | None => None,
            Some(_) => {
                violations.add(format!("/override_settings/{name}"), "must be a text");
                None
            }
        };
        let (checkpoint, format) = (take(CHECKPOINT), take(FORMAT));
        read_others(&given, "/override_settings/", violations, warnings);
        Self { checkpoint, format: format.map(|format| format.to_ascii_lowercase()) }
    }
}
