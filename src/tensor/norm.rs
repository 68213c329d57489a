//! Normalisations: layer norm, and group norm over NHWC images.

use candle_core::Tensor;

use crate::backend::{AfterNorm, GroupNormOperation, LayerNormOperation};
use crate::error::{Error, Result};
use crate::modulation::Modulation;
use crate::vars::Vars;

/// `torch.nn.LayerNorm` over the last dimension.
pub struct LayerNorm {
    operation: Box<dyn LayerNormOperation>,
    width: usize,
}

impl LayerNorm {
    /// Load `weight` and `bias`, both `[width]`, below `vars`.
    pub fn load(vars: &Vars<'_>, width: usize, eps: f64) -> Result<Self> {
        let (weight, bias) = (vars.stored("weight", &[width])?, vars.stored("bias", &[width])?);
        Ok(Self { operation: vars.compute().backend().layer_norm(&weight, &bias, eps)?, width })
    }

    /// Normalise the last dimension: `[..., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.dims().last() != Some(&self.width) {
            return Err(Error::shape(format!("a layer norm of width {} was given {:?}", self.width, x.dims())));
        }
        self.operation.forward(x)
    }
}

/// `torch.nn.GroupNorm` over NHWC images or `[batch, tokens, channels]`.
pub struct GroupNorm {
    operation: Box<dyn GroupNormOperation>,
    channels: usize,
}

impl GroupNorm {
    /// Load `weight` and `bias`, both `[channels]`, below `vars`.
    pub fn load(vars: &Vars<'_>, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(vars.bad_config(format!("{channels} channels cannot be split into {groups} groups")));
        }
        let (weight, bias) = (vars.stored("weight", &[channels])?, vars.stored("bias", &[channels])?);
        Ok(Self { operation: vars.compute().backend().group_norm(&weight, &bias, groups, eps)?, channels })
    }

    /// Normalise each group of channels of each sample: `[batch, ..., channels]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, AfterNorm::Nothing)
    }

    /// Normalise, then SiLU: `[batch, ..., channels]` to the same shape.
    pub fn forward_silu(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, AfterNorm::Silu)
    }

    /// Normalise, `y * (1 + scale) + shift` per sample, then SiLU: `[batch, ..., channels]` to the same shape;
    /// `scale_shift` is `[batch, 2 * channels]`.
    pub fn forward_scale_shift_silu(&self, x: &Tensor, scale_shift: &Tensor) -> Result<Tensor> {
        let batch = x.dims().first().copied().unwrap_or(0);
        if scale_shift.dims() != [batch, 2 * self.channels] {
            return Err(Error::shape(format!("scales and shifts of {:?} for {:?}", scale_shift.dims(), x.dims())));
        }
        self.apply(x, AfterNorm::ScaleShiftSilu(scale_shift))
    }

    /// Normalise an image `[batch, height, width, channels]`, then modulate it, to the same shape.
    pub fn forward_modulate(&self, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
        modulation.check(x)?;
        self.apply(x, AfterNorm::Modulate(modulation))
    }

    fn apply(&self, x: &Tensor, then: AfterNorm<'_>) -> Result<Tensor> {
        if x.rank() < 2 || x.dims().last() != Some(&self.channels) {
            return Err(Error::shape(format!("a group norm of {} channels was given {:?}", self.channels, x.dims())));
        }
        self.operation.forward(x, then)
    }
}
