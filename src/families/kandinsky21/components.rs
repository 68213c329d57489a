//! The parts of a checkpoint: networks, tokenizers and noise schedules.
//!
//! Invariant: what is there fits together, once [`Components::check_fit`] has said so.

use std::sync::Arc;

use super::clip_text::ClipText;
use super::clip_vision::ClipVision;
use super::image_processor::ImageProcessor;
use super::movq::Movq;
use super::multilingual_clip::MultilingualClip;
use super::prior_transformer::PriorTransformer;
use super::regression_prior::{LinearPrior, ResidualPrior};
use super::tokenizer::Tokenizer;
use super::unet::UNet;
use crate::domain::Size;
use crate::schedulers::{SchedulerConfig, UNCLIP};
use crate::tensor::error::{Error, Result};

/// The diffusion prior with its noise schedule.
pub struct DiffusionPrior {
    pub network: PriorTransformer,
    pub scheduler: SchedulerConfig,
}

/// A UNet with its noise schedule.
pub struct Decoder {
    pub unet: UNet,
    pub scheduler: SchedulerConfig,
}

/// Whatever a checkpoint has.
pub(super) struct Components {
    pub(super) prior_text: Option<(Arc<Tokenizer>, ClipText)>,
    pub(super) vision: Option<(ImageProcessor, ClipVision)>,
    /// CLIP's embedding of all-zero pixels.
    pub(super) zero_embed: Option<Vec<f32>>,
    pub(super) prior: Option<DiffusionPrior>,
    pub(super) linear_prior: Option<LinearPrior>,
    pub(super) residual_prior: Option<ResidualPrior>,
    pub(super) decoder_text: Option<(Arc<Tokenizer>, MultilingualClip)>,
    /// The 4-channel UNet.
    pub(super) decoder: Option<Decoder>,
    /// The 9-channel UNet.
    pub(super) inpainting: Option<Decoder>,
    /// The checkpoint's own configuration of ancestral sampling.
    pub(super) ddpm_scheduler: Option<SchedulerConfig>,
    pub(super) movq: Option<Movq>,
}

impl Components {
    /// Whether the components fit each other, so that no request finds out later. `folder` is for messages.
    pub(super) fn check_fit(&self, folder: &str) -> Result<()> {
        let bad = |message: String| Err(Error::config(folder, message));
        let mut widths: Vec<(&str, usize)> = Vec::new();
        if let Some((_, text)) = &self.prior_text {
            widths.push(("the CLIP text encoder's projection", text.projection_dim()));
        }
        if let Some((processor, vision)) = &self.vision {
            let (Size { width, height }, size) = (processor.crop_size(), vision.image_size());
            if (width as usize, height as usize) != (size, size) {
                return bad(format!("the image processor crops to {width}x{height}, the image encoder takes {size}"));
            }
            widths.push(("the CLIP image encoder's projection", self.zero_embed.as_ref().map_or(0, Vec::len)));
        }
        if let Some(prior) = &self.prior {
            prior.network.check_fit().map_err(|message| Error::config(folder, message))?;
            if *prior.scheduler.info()? != UNCLIP {
                return bad(format!("the prior's scheduler is not {}", UNCLIP.class));
            }
            widths.push(("the prior's embedding", prior.network.embedding_dim()));
        }
        if let Some((_, text)) = &self.decoder_text {
            widths.push(("the multilingual encoder's embedding", text.widths().0));
        }
        for (channels, decoder) in [(1, &self.decoder), (2, &self.inpainting)] {
            let (Some(decoder), Some(movq)) = (decoder, &self.movq) else { continue };
            let (config, latent) = (decoder.unet.config(), movq.latent_channels());
            let inputs = if channels == 1 { latent } else { 2 * latent + 1 };
            if config.in_channels != inputs || (config.out_channels != latent && !config.predicts_variance(latent)) {
                let (got_in, got_out) = (config.in_channels, config.out_channels);
                return bad(format!("a UNet of {got_in} input and {got_out} output channels, latents of {latent}"));
            }
            if !(movq.scale_factor() as usize).is_multiple_of(decoder.unet.size_multiple()) {
                return bad("the UNet has more levels than MoVQ".to_owned());
            }
            let hidden = self.decoder_text.as_ref().map_or(config.encoder_hid_dim, |(_, text)| text.widths().1);
            if config.encoder_hid_dim != hidden {
                return bad(format!("encoder_hid_dim is {}, text states have {hidden}", config.encoder_hid_dim));
            }
            widths.push(("the UNet's cross_attention_dim", config.cross_attention_dim));
        }
        if let Some((other, first)) = widths.iter().find_map(|w| (w.1 != widths[0].1).then_some((w, widths[0]))) {
            return bad(format!("{} is {}, {} is {}", first.0, first.1, other.0, other.1));
        }
        Ok(())
    }

    /// Bytes of all networks' weights, as stored (the small regression priors aside).
    pub(super) fn weight_bytes(&self) -> usize {
        self.prior_text.as_ref().map_or(0, |(_, m)| m.weight_bytes())
            + self.vision.as_ref().map_or(0, |(_, m)| m.weight_bytes())
            + self.prior.as_ref().map_or(0, |p| p.network.weight_bytes())
            + self.decoder_text.as_ref().map_or(0, |(_, m)| m.weight_bytes())
            + self.decoder.as_ref().map_or(0, |d| d.unet.weight_bytes())
            + self.inpainting.as_ref().map_or(0, |d| d.unet.weight_bytes())
            + self.movq.as_ref().map_or(0, Movq::weight_bytes)
    }

    /// Side of the square image that the decoder was made for, px.
    pub(super) fn native_size(&self) -> u32 {
        const PUBLISHED: u32 = 512;
        let Some(movq) = &self.movq else { return PUBLISHED };
        let decoder = self.decoder.as_ref().or(self.inpainting.as_ref());
        decoder.and_then(|d| d.unet.config().sample_size).map_or(PUBLISHED, |size| size * movq.scale_factor())
    }

    /// Sides that are multiples of this many px need no cropping.
    pub(super) fn size_step(&self) -> u32 {
        self.movq.as_ref().map_or(1, |movq| movq.scale_factor() * movq.scale_factor())
    }
}
