//! The fields of both calls that make images, translated to the native ones.
//!
//! Invariant: every field is translated, refused, or named in a warning.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::image_answer::WebuiEcho;
use super::sampler::find_scheduler;
use super::scripts::check_scripts;
use super::unread::read_others;
use crate::domain::{Common, PromptSyntax, Violations, Warning};
use crate::modes::request::{CommonBody, Fields, PriorBody, Seed};

/// Previews of a job, for those who ask how far it is.
const PREVIEWS: u32 = 8;
/// Settings that are read out of `override_settings`.
const CHECKPOINT: &str = "sd_model_checkpoint";
const FORMAT: &str = "samples_format";
/// Native fields, and those of this API that they are translated from.
const NAMES: [(&str, &str); 9] = [
    ("n", "batch_size"),
    ("guidance_scale", "cfg_scale"),
    ("style", "styles"),
    ("image", "init_images"),
    ("strength", "denoising_strength"),
    ("feather", "mask_blur"),
    ("padding", "inpaint_full_res_padding"),
    ("model", "override_settings/sd_model_checkpoint"),
    ("output_format", "override_settings/samples_format"),
];

/// Fields of both calls. Others are taken: what has no effect is named in `info.warnings`, and what would give another kind of
/// image (`tiling`, a refiner, scripts, extensions) is refused.
#[derive(Debug, Default, ToSchema)]
pub(crate) struct WebuiFields {
    /// English or Russian; `(words:1.3)` and `[words]` are weights. Default: empty.
    #[schema(value_type = Option<String>, example = "red heart on a blue background")]
    pub(super) prompt: String,
    negative_prompt: Option<String>,
    /// At most one name from `/sdapi/v1/prompt-styles`, whose words are added to the prompt.
    styles: Option<Vec<String>>,
    /// Default, or -1: random. Always returned.
    #[schema(value_type = Option<i64>, minimum = -1)]
    seed: Option<u64>,
    /// A name from `/sdapi/v1/samplers`; also as `sampler_index`. Default: the model's own.
    #[schema(example = "DPM++ 2M")]
    sampler_name: Option<String>,
    /// A name from `/sdapi/v1/schedulers`. Default: what the sampler's name says.
    #[schema(example = "karras")]
    scheduler: Option<String>,
    /// Images at once; as many as this times `n_iter` are made, image i with the seed `seed + i`. Default: 1.
    #[schema(minimum = 1)]
    batch_size: Option<u32>,
    /// Default: 1.
    #[schema(minimum = 1)]
    n_iter: Option<u32>,
    /// Default: 50.
    #[schema(minimum = 1, example = 10)]
    steps: Option<u32>,
    /// Default: 4.
    #[schema(minimum = 0, maximum = 100)]
    cfg_scale: Option<f32>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub(super) width: Option<u32>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub(super) height: Option<u32>,
    /// Of the sampler DDIM: 0 is deterministic, 1 is as noisy as DDPM. Default: 0.
    #[schema(minimum = 0, maximum = 1)]
    eta: Option<f32>,
    /// Whether to return the images. Default: true.
    send_images: Option<bool>,
    /// `sd_model_checkpoint` must be the loaded model; `samples_format` is `png`, `jpeg` or `webp`.
    #[schema(value_type = Option<Object>)]
    override_settings: Map<String, Value>,
    /// There are no scripts: must be empty.
    script_name: Option<String>,
    /// There are no extensions: those that are named must be switched off.
    #[schema(value_type = Option<Object>)]
    alwayson_scripts: Map<String, Value>,
    /// An extension of this server.
    prior: Option<PriorBody>,
    /// An extension of this server: which texts are translated before they are drawn, `auto`, `always` or `off`.
    #[schema(example = "auto")]
    translate: Option<String>,
    /// Fields that nothing was made of.
    #[schema(ignore)]
    others: Map<String, Value>,
}

impl WebuiFields {
    /// Take the fields of both calls, after those of the one.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        for (own, sent) in NAMES {
            fields.note_name(own, sent);
        }
        let sampler_index = fields.name("sampler_index");
        Self {
            prompt: fields.optional("prompt").unwrap_or_default(),
            negative_prompt: fields.optional("negative_prompt"),
            styles: fields.optional("styles"),
            seed: fields.optional("seed").and_then(|Seed(seed)| seed),
            sampler_name: fields.name("sampler_name").or(sampler_index),
            scheduler: fields.name("scheduler"),
            batch_size: fields.optional("batch_size"),
            n_iter: fields.optional("n_iter"),
            steps: fields.optional("steps"),
            cfg_scale: fields.optional("cfg_scale"),
            width: fields.optional("width"),
            height: fields.optional("height"),
            eta: fields.optional("eta"),
            send_images: fields.optional("send_images"),
            override_settings: fields.optional("override_settings").unwrap_or_default(),
            script_name: fields.name("script_name"),
            alwayson_scripts: fields.optional("alwayson_scripts").unwrap_or_default(),
            prior: fields.optional("prior"),
            translate: fields.name("translate"),
            others: fields.take_rest(),
        }
    }

    /// What the answer repeats.
    pub(super) fn echo(&self) -> WebuiEcho {
        WebuiEcho {
            send_images: self.send_images.unwrap_or(true),
            batch_size: self.batch_size.unwrap_or(1),
            n_iter: self.n_iter.unwrap_or(1),
        }
    }

    /// Take out the native fields that these translate to; the prompt and the size stay.
    pub(super) fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        let mut warnings = Vec::new();
        check_scripts(self.script_name.as_deref(), &self.alwayson_scripts, violations);
        read_others(&self.others, "/", violations, &mut warnings);
        let settings = Settings::read(std::mem::take(&mut self.override_settings), violations, &mut warnings);
        let scheduler = find_scheduler(self.sampler_name.as_deref(), self.scheduler.as_deref());
        let scheduler = scheduler.map_err(|violation| violations.0.push(violation)).ok().flatten();
        let styles: Vec<String> =
            self.styles.take().into_iter().flatten().filter(|name| !name.trim().is_empty()).collect();
        violations.require(styles.len() <= 1, "/styles", "must have at most one name");
        let n = self.batch_size.unwrap_or(1).saturating_mul(self.n_iter.unwrap_or(1));
        let steps = self.steps.unwrap_or(Common::default().steps);
        CommonBody {
            negative_prompt: self.negative_prompt.take(),
            prompt_syntax: Some(PromptSyntax::Weights.name().to_owned()),
            width: self.width,
            height: self.height,
            n: Some(n),
            seed: self.seed,
            steps: self.steps,
            guidance_scale: self.cfg_scale,
            scheduler: scheduler.map(|info| info.name.to_owned()),
            eta: self.eta,
            prior: self.prior.take(),
            translate: self.translate.take(),
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
    fn read(mut given: Map<String, Value>, violations: &mut Violations, warnings: &mut Vec<Warning>) -> Self {
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
