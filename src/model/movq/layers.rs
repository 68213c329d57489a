//! Pieces that MoVQ's encoder and decoder share: residual blocks and one-head attention, over a plain or a spatially
//! modulated group norm.

use candle_core::Tensor;

use crate::model::error::Result;
use crate::model::ops::{self, Attention, Conv2d, ConvShape, GroupNorm, Linear};
use crate::model::probe;
use crate::model::weights::Vars;

pub(super) const DOWN: &str = "DownEncoderBlock2D";
pub(super) const ATTENTION_DOWN: &str = "AttnDownEncoderBlock2D";
pub(super) const UP: &str = "UpDecoderBlock2D";
pub(super) const ATTENTION_UP: &str = "AttnUpDecoderBlock2D";

/// Epsilon of all of MoVQ's norms.
pub(super) const EPS: f64 = 1e-6;
/// Groups of the spatial norms, whatever the configuration says of the others.
const SPATIAL_GROUPS: usize = 32;

/// What kind of norms a network has.
#[derive(Clone, Copy)]
pub(super) enum NormKind {
    /// Group norms with this many groups.
    Group(usize),
    /// Group norms modulated by latents of this many channels.
    Spatial(usize),
}

#[expect(clippy::large_enum_variant, reason = "a handful of long-lived layers")]
/// A group norm, or diffusers' `SpatialNorm`: `norm(f) * conv_y(zq) + conv_b(zq)`.
pub(super) enum Norm {
    Group(GroupNorm),
    Spatial { norm_layer: GroupNorm, conv_y: Conv2d, conv_b: Conv2d },
}

impl Norm {
    pub(super) fn load(vars: &Vars<'_>, kind: NormKind, channels: usize) -> Result<Self> {
        Ok(match kind {
            NormKind::Group(groups) => Self::Group(GroupNorm::load(vars, groups, channels, EPS)?),
            NormKind::Spatial(latent) => Self::Spatial {
                norm_layer: GroupNorm::load(&vars.sub("norm_layer"), SPATIAL_GROUPS, channels, EPS)?,
                conv_y: Conv2d::load(&vars.sub("conv_y"), latent, channels, ConvShape::POINTWISE)?,
                conv_b: Conv2d::load(&vars.sub("conv_b"), latent, channels, ConvShape::POINTWISE)?,
            },
        })
    }

    /// Normalise `f`; `zq` are the latents of a spatial norm.
    pub(super) fn forward(&self, f: &Tensor, zq: Option<&Tensor>, then_silu: bool) -> Result<Tensor> {
        match (self, zq) {
            (Self::Spatial { norm_layer, conv_y, conv_b }, Some(zq)) => {
                // A 1x1 convolution and nearest enlargement commute, so the convolutions run on the small latents.
                ops::modulate(&norm_layer.forward(f)?, &conv_y.forward(zq)?, &conv_b.forward(zq)?, then_silu)
            }
            (Self::Group(norm) | Self::Spatial { norm_layer: norm, .. }, _) if then_silu => norm.forward_silu(f),
            (Self::Group(norm) | Self::Spatial { norm_layer: norm, .. }, _) => norm.forward(f),
        }
    }
}

/// Residual block without time conditioning.
pub(super) struct Resnet {
    norm1: Norm,
    conv1: Conv2d,
    norm2: Norm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl Resnet {
    pub(super) fn load(vars: &Vars<'_>, kind: NormKind, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            norm1: Norm::load(&vars.sub("norm1"), kind, inputs)?,
            conv1: Conv2d::load(&vars.sub("conv1"), inputs, outputs, ConvShape::SAME_3X3)?,
            norm2: Norm::load(&vars.sub("norm2"), kind, outputs)?,
            conv2: Conv2d::load(&vars.sub("conv2"), outputs, outputs, ConvShape::SAME_3X3)?,
            conv_shortcut: (inputs != outputs)
                .then(|| Conv2d::load(&vars.sub("conv_shortcut"), inputs, outputs, ConvShape::POINTWISE))
                .transpose()?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let h = self.conv1.forward(&self.norm1.forward(x, zq, true)?)?;
        let h = self.norm2.forward(&h, zq, true)?;
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x)?,
            None => x.clone(),
        };
        let out = self.conv2.forward_add(&h, &shortcut)?;
        probe::picture("", &out);
        Ok(out)
    }
}

/// Attention of one head over all pixels, residual included.
pub(super) struct PixelAttention {
    norm: Norm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl PixelAttention {
    pub(super) fn load(vars: &Vars<'_>, kind: NormKind, channels: usize) -> Result<Self> {
        let name = match kind {
            NormKind::Group(_) => "group_norm",
            NormKind::Spatial(_) => "spatial_norm",
        };
        let projection = |name: &str| Linear::load(&vars.sub(name), channels, channels);
        Ok(Self {
            norm: Norm::load(&vars.sub(name), kind, channels)?,
            to_q: projection("to_q")?,
            to_k: projection("to_k")?,
            to_v: projection("to_v")?,
            to_out: projection("to_out.0")?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let h = self.norm.forward(x, zq, false)?.flatten(1, 2)?;
        let attended = ops::attention(&Attention {
            query: &self.to_q.forward(&h)?,
            key: &self.to_k.forward(&h)?,
            value: &self.to_v.forward(&h)?,
            context: &[],
            heads: 1,
            bias: None,
        })?;
        let out = self.to_out.forward_add(&attended.reshape(x.shape())?, x)?;
        probe::picture("", &out);
        Ok(out)
    }
}

/// The middle of both networks: residual block, attention if configured, residual block.
pub(super) struct MidBlock {
    resnets: [Resnet; 2],
    attention: Option<PixelAttention>,
}

impl MidBlock {
    pub(super) fn load(vars: &Vars<'_>, kind: NormKind, channels: usize, attention: bool) -> Result<Self> {
        let resnet = |i: usize| Resnet::load(&vars.sub("resnets").sub(i), kind, channels, channels);
        Ok(Self {
            resnets: [resnet(0)?, resnet(1)?],
            attention: attention
                .then(|| PixelAttention::load(&vars.sub("attentions.0"), kind, channels))
                .transpose()?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let [before, after] = &self.resnets;
        let mut x = probe::within("resnets.0", || before.forward(x, zq))?;
        if let Some(attention) = &self.attention {
            x = probe::within("attentions.0", || attention.forward(&x, zq))?;
        }
        let x = after.forward(&x, zq)?;
        probe::picture("", &x);
        Ok(x)
    }
}

/// A run of residual blocks with or without attention behind each.
pub(super) struct Stage {
    resnets: Vec<Resnet>,
    attentions: Vec<PixelAttention>,
}

impl Stage {
    pub(super) fn load(
        vars: &Vars<'_>,
        kind: NormKind,
        (inputs, outputs): (usize, usize),
        count: usize,
        attention: bool,
    ) -> Result<Self> {
        Ok(Self {
            resnets: (0..count)
                .map(|i| {
                    let from = if i == 0 { inputs } else { outputs };
                    Resnet::load(&vars.sub("resnets").sub(i), kind, from, outputs)
                })
                .collect::<Result<_>>()?,
            attentions: (0..if attention { count } else { 0 })
                .map(|i| PixelAttention::load(&vars.sub("attentions").sub(i), kind, outputs))
                .collect::<Result<_>>()?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(&x, zq)?;
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(&x, zq)?;
            }
        }
        Ok(x)
    }
}
