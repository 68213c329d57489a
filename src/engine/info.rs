//! What the loaded model is and can do.
//!
//! Invariant: a mode that is not listed as unavailable has all the components that its requests need.

use crate::domain::{PriorKind, Scheduler, VariantArray as _};
use crate::families::kandinsky21::{Components, Kandinsky};
use crate::modes::Mode;
use crate::schedulers::SchedulerInfo;

/// What the loaded model is.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    pub name: String,
    /// Side of the square image it was made for, px.
    pub native_size: u32,
    /// Sides that are multiples of this are made without cropping, px.
    pub size_step: u32,
    /// Of one worker.
    pub weight_bytes: usize,
    /// In words, for logs: the devices and the precision.
    pub device: String,
    /// Modes that this checkpoint cannot do, and why.
    pub unavailable: Vec<(Mode, String)>,
    /// Numbers in CLIP's embeddings; None: it has no encoder of texts for the prior.
    pub clip_width: Option<usize>,
    /// Whether it has CLIP's image encoder.
    pub embeds_images: bool,
    /// Priors that it has.
    pub priors: Vec<PriorKind>,
    /// The checkpoint's own scheduler of the decoder, if requests may choose it.
    pub scheduler: Option<Scheduler>,
    /// Number of workers.
    pub workers: u32,
}

impl ModelInfo {
    /// Of a model that is resident.
    pub(super) fn new(model: &Kandinsky, inpainting_wanted: bool) -> Self {
        let components = model.components();
        Self {
            name: model.name.clone(),
            native_size: model.native_size(),
            size_step: model.size_step(),
            weight_bytes: model.weight_bytes(),
            device: format!("{:?} {:?}", model.compute.device().location(), model.compute.dtype()),
            unavailable: Mode::ALL
                .into_iter()
                .filter_map(|mode| Some((mode, missing(mode, &components, inpainting_wanted)?)))
                .collect(),
            clip_width: model.clip_width(),
            embeds_images: components.vision,
            priors: priors(&components),
            scheduler: model
                .decoder(false)
                .or_else(|_| model.decoder(true))
                .ok()
                .and_then(|decoder| decoder.scheduler.info().ok())
                .filter(|info| info.selectable)
                .map(SchedulerInfo::scheduler),
            workers: 1,
        }
    }

    /// Of several workers that loaded the same checkpoint; None of none.
    pub(super) fn of_all(infos: Vec<Self>) -> Option<Self> {
        let workers = u32::try_from(infos.len()).unwrap_or(u32::MAX);
        let device = infos.iter().map(|info| info.device.as_str()).collect::<Vec<_>>().join(", ");
        let first = infos.into_iter().next()?;
        Some(Self { device, workers, ..first })
    }
}

fn priors(components: &Components) -> Vec<PriorKind> {
    let has = |kind: &PriorKind| match kind {
        PriorKind::Diffusion => components.diffusion_prior,
        PriorKind::Linear => components.linear_prior,
        PriorKind::Residual => components.residual_prior,
        PriorKind::None => true,
    };
    if !components.prior_text {
        return Vec::new();
    }
    PriorKind::VARIANTS.iter().copied().filter(has).collect()
}

/// Why a mode cannot be done; None if it can.
fn missing(mode: Mode, components: &Components, inpainting_wanted: bool) -> Option<String> {
    let repaints = matches!(mode, Mode::Inpainting | Mode::Outpainting);
    if repaints && !inpainting_wanted {
        return Some("the inpainting network is turned off in the configuration".to_owned());
    }
    // An image's embedding must come from somewhere: modes of text have it from the text, the others from the image.
    // Without an image encoder there is no embedding of zeros either, and the empty text's takes its place.
    let (needs_text, needs_image) = match mode {
        // Repainting without a prompt: the image conditions itself, or the empty text does.
        Mode::TextToImage | Mode::ImageToImage | Mode::Inpainting | Mode::Outpainting => (true, false),
        Mode::ImageVariations | Mode::ImageFusion => (false, true),
        Mode::TextImageFusion => (true, true),
    };
    let needs = [
        (needs_text && !components.prior_text, "CLIP text encoder"),
        (needs_image && !components.vision, "CLIP image encoder"),
        (!components.decoder_text, "multilingual text encoder"),
        (!repaints && !components.decoder, "UNet"),
        (repaints && !components.inpainting, "inpainting UNet"),
        (!components.movq, "MoVQ"),
    ];
    let names: Vec<&str> = needs.into_iter().filter_map(|(missing, name)| missing.then_some(name)).collect();
    (!names.is_empty()).then(|| format!("the loaded model has no {}", names.join(", no ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Components = Components {
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

    fn off(components: Components, inpainting: bool) -> Vec<Mode> {
        Mode::ALL.into_iter().filter(|mode| missing(*mode, &components, inpainting).is_some()).collect()
    }

    #[test]
    fn what_is_missing_turns_off_what_needs_it_and_nothing_else() {
        assert_eq!(off(ALL, true), []);
        let no_vision = Components { vision: false, ..ALL };
        assert_eq!(off(no_vision, true), [Mode::ImageVariations, Mode::ImageFusion, Mode::TextImageFusion]);
        let no_inpainting = Components { inpainting: false, ..ALL };
        assert_eq!(off(no_inpainting, true), [Mode::Inpainting, Mode::Outpainting]);
        assert_eq!(off(Components { movq: false, ..ALL }, true), Mode::ALL);
    }

    #[test]
    fn the_reason_says_whether_the_checkpoint_or_the_operator_lacks_it() {
        let no_inpainting = Components { inpainting: false, ..ALL };
        let reason = |wanted| missing(Mode::Inpainting, &no_inpainting, wanted).unwrap();
        assert_eq!(reason(true), "the loaded model has no inpainting UNet");
        assert_eq!(reason(false), "the inpainting network is turned off in the configuration");
    }

    #[test]
    fn a_prior_needs_a_text_to_start_from() {
        assert_eq!(priors(&ALL), PriorKind::VARIANTS);
        assert_eq!(
            priors(&Components { diffusion_prior: false, residual_prior: false, ..ALL }),
            [PriorKind::Linear, PriorKind::None]
        );
        assert_eq!(priors(&Components { prior_text: false, ..ALL }), []);
    }
}
