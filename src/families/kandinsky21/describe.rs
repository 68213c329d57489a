//! What a checkpoint's model is, told from its small files.
//!
//! Invariant: it is what the loaded model says of itself, but for the bytes of its weights, which are not read.

use std::sync::Arc;

use super::capabilities::{Available, priors, unavailable};
use super::checkpoint::Checkpoint;
use super::clip_text::ClipTextConfig;
use super::load::decoder_schedule;
use super::model::STAGES;
use super::movq::MovqConfig;
use super::reading::PromptReading;
use super::tokenizer::Tokenizer;
use super::unet::UNetConfig;
use crate::diffusion::ModelInfo;
use crate::families::source::LoadOptions;
use crate::schedulers::SchedulerInfo;
use crate::tensor::error::Result;

/// The description of a checkpoint's model as its loaded model gives it, from its small files: no weights are read.
pub(super) fn describe(checkpoint: &Checkpoint, options: LoadOptions) -> Result<ModelInfo> {
    const PUBLISHED: u32 = 512;
    let available = Available::in_checkpoint(checkpoint);
    let (prior, shared) = (|name: &str| checkpoint.prior_part(name), |name: &str| checkpoint.shared_part(name));
    let scale = if available.movq {
        let config: MovqConfig = shared("movq").json("config.json", "MoVQ's configuration")?;
        Some(config.scale_factor())
    } else {
        None
    };
    let own = available.decoder_folder(checkpoint, options);
    let side = match own {
        Some(folder) => {
            let config: UNetConfig = folder.join("unet").json("config.json", "the UNet's configuration")?;
            config.sample_size
        }
        None => None,
    };
    let schedule = own.map(|own| decoder_schedule(own, &checkpoint.main)).transpose()?;
    let scheduler = schedule.and_then(|schedule| schedule.info().ok()).filter(|info| info.selectable);
    let clip_width = if available.prior_text {
        let folder = prior("text_encoder");
        let config: ClipTextConfig = folder.json("config.json", "the CLIP text encoder's configuration")?;
        Some(config.projection_dim)
    } else {
        None
    };
    let tokenizer =
        |is_there: bool, read: &dyn Fn() -> Result<Tokenizer>| is_there.then(|| read().map(Arc::new)).transpose();
    Ok(ModelInfo {
        name: checkpoint.name.clone(),
        native_size: scale.zip(side).map_or(PUBLISHED, |(scale, side)| side * scale),
        size_step: scale.map_or(1, |scale| scale * scale),
        weight_bytes: 0,
        unavailable: unavailable(&available, options),
        clip_width,
        embeds_images: available.vision,
        priors: priors(&available),
        scheduler: scheduler.map(SchedulerInfo::scheduler),
        stages: &STAGES,
        reader: Some(Arc::new(PromptReading {
            prior: tokenizer(available.prior_text, &|| Tokenizer::clip(&prior("tokenizer")))?,
            decoder: tokenizer(available.decoder_text, &|| Tokenizer::xlm_roberta(&shared("tokenizer")))?,
        })),
    })
}
