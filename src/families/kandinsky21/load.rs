//! From a checkpoint's folders to a resident model.
//!
//! Invariant: a component that is there but damaged, or that does not fit the others, is an error here, never later.

use std::cell::OnceCell;
use std::sync::Arc;

use super::capabilities::model_info;
use super::checkpoint::{Checkpoint, is_present};
use super::clip_text::ClipText;
use super::clip_vision::ClipVision;
use super::components::{Components, Decoder, DiffusionPrior};
use super::encodings::Encodings;
use super::image_processor::ImageProcessor;
use super::kandinsky::Kandinsky;
use super::movq::Movq;
use super::multilingual_clip::MultilingualClip;
use super::prior_transformer::PriorTransformer;
use super::regression_prior::{LinearPrior, ResidualPrior};
use super::tokenizer::Tokenizer;
use super::unet::UNet;
use crate::families::source::LoadOptions;
use crate::schedulers::{SamplerOptions, SchedulerConfig};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::{self, Compute};

impl Kandinsky {
    /// Load a checkpoint. `report` is called with the name of each component before it is loaded.
    pub fn load(
        checkpoint: &Checkpoint,
        compute: &Compute,
        options: LoadOptions,
        report: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let (main, inpaint) = (&checkpoint.main, &checkpoint.inpaint);
        let prior = |name: &str| checkpoint.prior_part(name);
        let shared = |name: &str| checkpoint.shared_part(name);
        let mut part = |name: &str, folder: &Folder| -> bool {
            let there = is_present(folder);
            if there {
                report(name);
            }
            there
        };
        let folder = prior("text_encoder");
        let prior_text = part("CLIP text encoder", &folder)
            .then(|| {
                Ok::<_, Error>((Arc::new(Tokenizer::clip(&prior("tokenizer"))?), ClipText::load(&folder, compute)?))
            })
            .transpose()?;
        let folder = prior("image_encoder");
        let vision = part("CLIP image encoder", &folder)
            .then(|| {
                let processor = ImageProcessor::load(&prior("image_processor"))?;
                Ok::<_, Error>((processor, ClipVision::load(&folder, compute)?))
            })
            .transpose()?;
        let folder = prior("prior");
        let diffusion = part("diffusion prior", &folder)
            .then(|| {
                let scheduler = scheduler(&prior("scheduler"))?;
                Ok::<_, Error>(DiffusionPrior { network: PriorTransformer::load(&folder, compute)?, scheduler })
            })
            .transpose()?;
        let linear_prior = part("linear prior", &checkpoint.linear_prior)
            .then(|| LinearPrior::load(&checkpoint.linear_prior, compute))
            .transpose()?;
        let residual_prior = part("residual prior", &checkpoint.residual_prior)
            .then(|| ResidualPrior::load(&checkpoint.residual_prior, compute))
            .transpose()?;
        let folder = shared("text_encoder");
        let decoder_text = part("multilingual text encoder", &folder)
            .then(|| {
                let tokenizer = Tokenizer::xlm_roberta(&shared("tokenizer"))?;
                Ok::<_, Error>((Arc::new(tokenizer), MultilingualClip::load(&folder, compute)?))
            })
            .transpose()?;
        let folder = main.join("unet");
        let decoder = part("UNet", &folder).then(|| load_decoder(&folder, main, main, compute)).transpose()?;
        let folder = inpaint.join("unet");
        let inpainting = (options.inpainting && part("inpainting UNet", &folder))
            .then(|| load_decoder(&folder, inpaint, main, compute))
            .transpose()?;
        let folder = shared("movq");
        let movq = part("MoVQ", &folder).then(|| Movq::load(&folder, compute)).transpose()?;
        let ddpm_scheduler = Some(main.join("ddpm_scheduler")).filter(is_present).map(|f| scheduler(&f)).transpose()?;
        let zero_embed = match &vision {
            Some((_, encoder)) => Some(tensor::to_vec(&encoder.zero_embedding()?)?),
            None => None,
        };
        let components = Components {
            prior_text,
            vision,
            zero_embed,
            prior: diffusion,
            linear_prior,
            residual_prior,
            decoder_text,
            decoder,
            inpainting,
            ddpm_scheduler,
            movq,
        };
        let folder = main.name();
        components.check_fit(&folder)?;
        Ok(Self {
            compute: compute.clone(),
            info: model_info(&checkpoint.name, &components, options),
            folder,
            components,
            encodings: Encodings::new(options.cache_bytes),
            preview: OnceCell::new(),
        })
    }
}

/// What is wrong with what the components that are there need beside their weights: tokenizers, noise schedules, the image
/// processor.
pub(super) fn problems_beside_weights(checkpoint: &Checkpoint) -> Vec<Error> {
    let (prior, shared) = (|name: &str| checkpoint.prior_part(name), |name: &str| checkpoint.shared_part(name));
    let unet = checkpoint.main.join("unet");
    let checks: [(Folder, &dyn Fn() -> Option<Error>); 5] = [
        (prior("text_encoder"), &|| Tokenizer::clip(&prior("tokenizer")).err()),
        (prior("image_encoder"), &|| ImageProcessor::load(&prior("image_processor")).err()),
        (prior("prior"), &|| scheduler(&prior("scheduler")).err()),
        (shared("text_encoder"), &|| Tokenizer::xlm_roberta(&shared("tokenizer")).err()),
        (unet, &|| scheduler(&checkpoint.main.join("scheduler")).err()),
    ];
    checks.iter().filter(|(folder, _)| is_present(folder)).filter_map(|(_, check)| check()).collect()
}

fn scheduler(folder: &Folder) -> Result<SchedulerConfig> {
    let config: SchedulerConfig = folder.json("scheduler_config.json", "a noise schedule")?;
    // Find unknown values now rather than at the first request.
    config
        .sampler(1, SamplerOptions::default())
        .map_err(|error| Error::config(folder.name_of("scheduler_config.json"), error.to_string()))?;
    Ok(config)
}

/// The noise schedule of a UNet's folder, or else of the main one.
pub(super) fn decoder_schedule(own: &Folder, main: &Folder) -> Result<SchedulerConfig> {
    scheduler(&Some(own.join("scheduler")).filter(is_present).unwrap_or_else(|| main.join("scheduler")))
}

fn load_decoder(unet: &Folder, own: &Folder, main: &Folder, compute: &Compute) -> Result<Decoder> {
    Ok(Decoder { scheduler: decoder_schedule(own, main)?, unet: UNet::load(unet, compute)? })
}
