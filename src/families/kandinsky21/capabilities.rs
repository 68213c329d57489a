//! What a checkpoint can do with the components that it has.
//!
//! Invariant: a mode that is not listed as unavailable has all the components that its requests need.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, Component, is_present};
use super::components::Components;
use super::conditioning::{self, Needs};
use super::model::STAGES;
use super::reading::PromptReading;
use crate::diffusion::{Inventory, ModelInfo};
use crate::domain::{PriorKind, VariantArray as _};
use crate::families::source::LoadOptions;
use crate::modes::Mode;
use crate::schedulers::SchedulerInfo;
use crate::tensor::files::Folder;

/// The description of a model that the engine works with.
pub(super) fn model_info(name: &str, components: &Components, options: LoadOptions) -> ModelInfo {
    let available = Available::of(components);
    let decoder = components.decoder.as_ref().or(components.inpainting.as_ref());
    let scheduler = decoder.and_then(|decoder| decoder.scheduler.info().ok()).filter(|info| info.selectable);
    ModelInfo {
        name: name.to_owned(),
        native_size: components.native_size(),
        size_step: components.size_step(),
        weight_bytes: components.weight_bytes(),
        unavailable: unavailable(&available, options),
        clip_width: components.prior_text.as_ref().map(|(_, encoder)| encoder.projection_dim()),
        embeds_images: available.vision,
        priors: priors(&available),
        scheduler: scheduler.map(SchedulerInfo::scheduler),
        stages: &STAGES,
        reader: Some(Arc::new(PromptReading {
            prior: components.prior_text.as_ref().map(|(tokenizer, _)| tokenizer.clone()),
            decoder: components.decoder_text.as_ref().map(|(tokenizer, _)| tokenizer.clone()),
        })),
    }
}

/// What can be told of a checkpoint without loading it.
pub(super) fn inventory(checkpoint: &Checkpoint, options: LoadOptions) -> Inventory {
    let available = Available::in_checkpoint(checkpoint);
    let wanted = |component: &Component| options.inpainting || component.name != "inpainting UNet";
    let absent = checkpoint.components().into_iter().filter(|component| !is_present(&component.folder));
    Inventory {
        absent: absent.filter(wanted).map(|component| (component.name, component.folder.name())).collect(),
        unavailable: unavailable(&available, options),
    }
}

pub(super) fn unavailable(available: &Available, options: LoadOptions) -> Vec<(Mode, String)> {
    let modes = Mode::ALL.into_iter();
    modes.filter_map(|mode| Some((mode, missing(mode, available, options.inpainting)?))).collect()
}

/// Which components a checkpoint has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Available {
    pub(super) prior_text: bool,
    pub(super) vision: bool,
    pub(super) diffusion_prior: bool,
    pub(super) linear_prior: bool,
    pub(super) residual_prior: bool,
    pub(super) decoder_text: bool,
    pub(super) decoder: bool,
    /// The 9-channel UNet.
    pub(super) inpainting: bool,
    pub(super) movq: bool,
}

impl Available {
    /// Those that have a folder.
    pub(super) fn in_checkpoint(checkpoint: &Checkpoint) -> Self {
        let [prior_text, vision, diffusion_prior, decoder_text, decoder, inpainting, movq] =
            checkpoint.components().map(|component| is_present(&component.folder));
        let linear_prior = is_present(&checkpoint.linear_prior);
        let residual_prior = is_present(&checkpoint.residual_prior);
        Self {
            prior_text,
            vision,
            diffusion_prior,
            linear_prior,
            residual_prior,
            decoder_text,
            decoder,
            inpainting,
            movq,
        }
    }

    /// The folder of the UNet that the model's size is taken from.
    pub(super) fn decoder_folder<'a>(&self, checkpoint: &'a Checkpoint, options: LoadOptions) -> Option<&'a Folder> {
        match (self.decoder, self.inpainting && options.inpainting) {
            (true, _) => Some(&checkpoint.main),
            (false, true) => Some(&checkpoint.inpaint),
            (false, false) => None,
        }
    }

    fn of(components: &Components) -> Self {
        Self {
            prior_text: components.prior_text.is_some(),
            vision: components.vision.is_some(),
            diffusion_prior: components.prior.is_some(),
            linear_prior: components.linear_prior.is_some(),
            residual_prior: components.residual_prior.is_some(),
            decoder_text: components.decoder_text.is_some(),
            decoder: components.decoder.is_some(),
            inpainting: components.inpainting.is_some(),
            movq: components.movq.is_some(),
        }
    }
}

pub(super) fn priors(available: &Available) -> Vec<PriorKind> {
    let has = |kind: &PriorKind| match kind {
        PriorKind::Diffusion => available.diffusion_prior,
        PriorKind::Linear => available.linear_prior,
        PriorKind::Residual => available.residual_prior,
        PriorKind::None => true,
    };
    if !available.prior_text {
        return Vec::new();
    }
    PriorKind::VARIANTS.iter().copied().filter(has).collect()
}

/// Why a mode cannot be done; None if it can.
fn missing(mode: Mode, available: &Available, inpainting_wanted: bool) -> Option<String> {
    let Some(Needs { text, image, repaints }) = conditioning::needs(mode) else {
        return Some("Kandinsky 2.1 does not have this mode".to_owned());
    };
    if repaints && !inpainting_wanted {
        return Some("the inpainting network is turned off in the configuration".to_owned());
    }
    let lacks = [
        (text && !available.prior_text, "CLIP text encoder"),
        (image && !available.vision, "CLIP image encoder"),
        (!available.decoder_text, "multilingual text encoder"),
        (!repaints && !available.decoder, "UNet"),
        (repaints && !available.inpainting, "inpainting UNet"),
        (!available.movq, "MoVQ"),
    ];
    let names: Vec<&str> = lacks.into_iter().filter_map(|(missing, name)| missing.then_some(name)).collect();
    (!names.is_empty()).then(|| format!("the loaded model has no {}", names.join(", no ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Available = Available {
        prior_text: true,
        vision: true,
        diffusion_prior: true,
        linear_prior: true,
        residual_prior: true,
        decoder_text: true,
        decoder: true,
        inpainting: true,
        movq: true,
    };

    fn off(available: Available, inpainting: bool) -> Vec<Mode> {
        Mode::ALL.into_iter().filter(|mode| missing(*mode, &available, inpainting).is_some()).collect()
    }

    #[test]
    fn what_is_missing_turns_off_what_needs_it_and_nothing_else() {
        assert_eq!(off(ALL, true), []);
        let no_vision = Available { vision: false, ..ALL };
        assert_eq!(off(no_vision, true), [Mode::ImageVariations, Mode::ImageFusion, Mode::TextImageFusion]);
        let no_inpainting = Available { inpainting: false, ..ALL };
        assert_eq!(off(no_inpainting, true), [Mode::Inpainting, Mode::Outpainting]);
        assert_eq!(off(Available { movq: false, ..ALL }, true), Mode::ALL);
    }

    #[test]
    fn the_reason_says_whether_the_checkpoint_or_the_operator_lacks_it() {
        let no_inpainting = Available { inpainting: false, ..ALL };
        let reason = |wanted| missing(Mode::Inpainting, &no_inpainting, wanted).unwrap();
        assert_eq!(reason(true), "the loaded model has no inpainting UNet");
        assert_eq!(reason(false), "the inpainting network is turned off in the configuration");
    }

    #[test]
    fn a_prior_needs_a_text_to_start_from() {
        assert_eq!(priors(&ALL), PriorKind::VARIANTS);
        assert_eq!(
            priors(&Available { diffusion_prior: false, residual_prior: false, ..ALL }),
            [PriorKind::Linear, PriorKind::None]
        );
        assert_eq!(priors(&Available { prior_text: false, ..ALL }), []);
    }
}
