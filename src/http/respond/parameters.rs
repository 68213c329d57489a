//! The parameters of a job, as they were resolved.

use serde::Serialize;

use crate::domain::{ApplyTo, TranslateWhen, Warning};
use crate::engine::ModelInfo;
use crate::modes::Generation;
use crate::modes::parameters::{AccelerationParameters, Parameters, PriorParameters};
use crate::records::JobSpec;

/// What files say of their making.
#[derive(Serialize)]
struct FileMetadata<'a> {
    #[serde(flatten)]
    parameters: Parameters,
    #[serde(skip_serializing_if = "<[Warning]>::is_empty")]
    warnings: &'a [Warning],
}

/// The parameters of a job on this model and its warnings, as they are written into its files: JSON.
pub(crate) fn metadata_of(spec: &JobSpec, model: &ModelInfo) -> String {
    let metadata = FileMetadata { parameters: parameters_of(spec, model), warnings: &spec.warnings };
    serde_json::to_string(&metadata).unwrap_or_default()
}

/// The parameters of a job on this model.
pub(crate) fn parameters_of(spec: &JobSpec, model: &ModelInfo) -> Parameters {
    // As it was sent; what was drawn is said beside it.
    let mut sent = Generation::from(spec.generation.clone());
    for (pointer, text) in sent.texts_mut() {
        if let Some(translated) = spec.translations.iter().find(|translated| translated.field == pointer) {
            text.clone_from(&translated.original);
        }
    }
    let common = &sent.common;
    let size = spec.generation.size(model.native_size);
    let mut parameters = Parameters {
        prompt: None,
        decoder_prompt: None,
        negative_prompt: common.negative_prompt.clone(),
        negative_prior_prompt: common.negative_prior_prompt.clone(),
        negative_decoder_prompt: common.decoder_negative().map(|(_, text)| text.clone()),
        prompt_syntax: common.prompt_syntax,
        translate: spec.translate.map(TranslateWhen::name),
        translation_applies_to: (!common.decoder_originals.is_empty()).then(|| ApplyTo::Clip.name()),
        prompt_translated: None,
        decoder_prompt_translated: None,
        negative_prompt_translated: None,
        negative_prior_prompt_translated: None,
        negative_decoder_prompt_translated: None,
        inputs: Vec::new(),
        normalize_weights: None,
        strength: None,
        composite: None,
        feather: None,
        region: None,
        padding: None,
        match_colors: None,
        anchor: None,
        soft_mask: None,
        window: None,
        width: size.width,
        height: size.height,
        n: common.n,
        seed: common.seed,
        steps: common.steps,
        guidance_scale: common.guidance_scale,
        scheduler: common.scheduler.clone().or_else(|| model.scheduler.clone()),
        eta: common.eta,
        prior: PriorParameters {
            kind: common.prior.kind.name(),
            steps: common.prior.steps,
            guidance_scale: common.prior.guidance_scale,
        },
        acceleration: (!common.acceleration.is_off()).then_some(AccelerationParameters {
            cache_interval: common.acceleration.cache_interval,
            guidance_start: common.acceleration.guidance_start,
            guidance_end: common.acceleration.guidance_end,
        }),
        quantize_latents: common.quantize_latents,
        style: spec.style.clone(),
        output_format: spec.output.format.name(),
        output_quality: spec.output.quality,
        embed_metadata: spec.output.embed_metadata,
        preview_interval: spec.preview_interval,
    };
    sent.input.get().describe(&mut parameters);
    parameters.add_translations(&spec.translations);
    if common.negative_decoder_prompt.is_none() {
        parameters.negative_decoder_prompt_translated.clone_from(&parameters.negative_prompt_translated);
    }
    parameters
}
