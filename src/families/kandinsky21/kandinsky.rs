//! A resident Kandinsky 2.1.
//!
//! Invariant: a component that is absent turns off what needs it, with the reason; all others were checked when they were
//! loaded.

use std::cell::OnceCell;

use super::components::{Components, Decoder, DiffusionPrior};
use super::encodings::Encodings;
use super::movq::Movq;
use super::preview::LatentsToRgb;
use super::regression_prior::{LinearPrior, ResidualPrior};
use crate::diffusion::ModelInfo;
use crate::schedulers::SchedulerConfig;
use crate::tensor::Compute;
use crate::tensor::error::{Error, Result, check_finite};

/// The model: its components, and what it remembers between requests.
pub struct Kandinsky {
    pub compute: Compute,
    pub(super) info: ModelInfo,
    /// For messages.
    pub(super) folder: String,
    pub(super) components: Components,
    pub(super) encodings: Encodings,
    pub(super) preview: OnceCell<LatentsToRgb>,
}

impl Kandinsky {
    /// CLIP's embedding of all-zero pixels, if there is an image encoder.
    #[must_use]
    pub fn zero_embed(&self) -> Option<&[f32]> {
        self.components.zero_embed.as_deref()
    }

    /// The diffusion prior.
    pub fn prior(&self) -> Result<&DiffusionPrior> {
        self.need(self.components.prior.as_ref(), "diffusion prior")
    }

    /// The paper's linear prior.
    pub fn linear_prior(&self) -> Result<&LinearPrior> {
        self.need(self.components.linear_prior.as_ref(), "linear prior")
    }

    /// The paper's residual prior.
    pub fn residual_prior(&self) -> Result<&ResidualPrior> {
        self.need(self.components.residual_prior.as_ref(), "residual prior")
    }

    /// The decoder: the 4-channel UNet, or the 9-channel one for inpainting.
    pub fn decoder(&self, inpainting: bool) -> Result<&Decoder> {
        if inpainting {
            self.need(self.components.inpainting.as_ref(), "inpainting UNet")
        } else {
            self.need(self.components.decoder.as_ref(), "UNet")
        }
    }

    /// The autoencoder.
    pub fn movq(&self) -> Result<&Movq> {
        self.need(self.components.movq.as_ref(), "MoVQ")
    }

    /// The checkpoint's own configuration of ancestral sampling, if it has one.
    #[must_use]
    pub fn ddpm_scheduler(&self) -> Option<&SchedulerConfig> {
        self.components.ddpm_scheduler.as_ref()
    }

    /// From latents to a rough image, fitted to this checkpoint at the first call.
    pub fn preview(&self) -> Result<&LatentsToRgb> {
        if let Some(map) = self.preview.get() {
            return Ok(map);
        }
        let map = LatentsToRgb::fit(self.movq()?)?;
        Ok(self.preview.get_or_init(|| map))
    }

    /// Check that all values are finite; `stage` made them.
    pub(super) fn finite(&self, values: Vec<f32>, stage: &'static str) -> Result<Vec<f32>> {
        check_finite(&values, stage, &self.folder)?;
        Ok(values)
    }

    /// The component, or the error that names it.
    pub(super) fn need<'a, T>(&self, component: Option<&'a T>, name: &'static str) -> Result<&'a T> {
        component.ok_or_else(|| Error::MissingComponent { path: self.folder.clone(), component: name })
    }
}
