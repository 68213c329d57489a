//! Pieces that MoVQ's encoder and decoder share: residual blocks and one-head attention, over a plain or a spatially
//! modulated group norm.

use candle_core::Tensor;

use crate::tensor::error::Result;
use crate::tensor::probe;
use crate::tensor::{Attention, Compute, Conv2d, ConvShape, GroupNorm, Linear, Modulation, Vars};

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
                let (scale, shift) = (&conv_y.forward(zq)?, &conv_b.forward(zq)?);
                norm_layer.forward_modulate(f, &Modulation { scale, shift, then_silu })
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
        probe::image("", &out);
        Ok(out)
    }

    /// Multiplications for so many pixels, about.
    pub(super) fn cost(&self, pixels: usize) -> u64 {
        self.conv1.cost(pixels) + self.conv2.cost(pixels)
    }
}

/// Attention of one head over all pixels, residual included.
pub(super) struct PixelAttention {
    norm: Norm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    channels: usize,
    compute: Compute,
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
            channels,
            compute: vars.compute().clone(),
        })
    }

    /// Attention, in parts of some queries each.
    pub(super) fn begin(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Attending> {
        let h = self.norm.forward(x, zq, false)?.flatten(1, 2)?;
        Ok(Attending {
            query: self.to_q.forward(&h)?,
            key: self.to_k.forward(&h)?,
            value: self.to_v.forward(&h)?,
            attended: Vec::new(),
            next: 0,
            compute: self.compute.clone(),
        })
    }

    /// What it gives once all queries are done, the residual `x` included.
    pub(super) fn finish(&self, attending: &Attending, x: &Tensor) -> Result<Tensor> {
        let attended = Tensor::cat(&attending.attended, 1)?;
        let out = self.to_out.forward_add(&attended.reshape(x.shape())?, x)?;
        probe::image("", &out);
        Ok(out)
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let mut attending = self.begin(x, zq)?;
        while !attending.is_done() {
            attending.step()?;
        }
        self.finish(&attending, x)
    }

    /// Multiplications of the first part, for so many pixels.
    pub(super) fn cost(&self, batch: usize, pixels: usize) -> u64 {
        let queries = queries_at_once(batch, pixels, self.channels).min(pixels);
        2 * (batch * queries * pixels * self.channels) as u64
    }
}

/// Multiplications of one part of attention.
const PART: u64 = 1 << 32;
/// Fewest queries of a part: keys and values are rearranged for each.
const FEWEST_QUERIES: usize = 256;

/// Queries of a part.
fn queries_at_once(batch: usize, keys: usize, channels: usize) -> usize {
    let each = 2 * (batch * keys * channels).max(1) as u64;
    usize::try_from(PART / each).unwrap_or(usize::MAX).max(FEWEST_QUERIES)
}

/// Attention that has begun.
pub(super) struct Attending {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    /// Of the queries so far, in their order.
    attended: Vec<Tensor>,
    next: usize,
    compute: Compute,
}

impl Attending {
    pub(super) fn is_done(&self) -> bool {
        self.query.dim(1).is_ok_and(|queries| self.next >= queries)
    }

    /// Multiplications of the next part.
    pub(super) fn cost(&self) -> Result<u64> {
        let (batch, keys, channels) = self.key.dims3()?;
        Ok(2 * (batch * self.part()? * keys * channels) as u64)
    }

    /// Queries of the next part.
    fn part(&self) -> Result<usize> {
        let (batch, keys, channels) = self.key.dims3()?;
        Ok(queries_at_once(batch, keys, channels).min(self.query.dim(1)? - self.next))
    }

    /// The next part.
    pub(super) fn step(&mut self) -> Result<()> {
        let part = self.part()?;
        self.attended.push(self.compute.attention(&Attention {
            query: &self.query.narrow(1, self.next, part)?,
            key: &self.key,
            value: &self.value,
            context: &[],
            heads: 1,
            bias: None,
        })?);
        self.next += part;
        Ok(())
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

    pub(super) fn resnets(&self) -> &[Resnet; 2] {
        &self.resnets
    }

    pub(super) fn attention(&self) -> Option<&PixelAttention> {
        self.attention.as_ref()
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let [before, after] = &self.resnets;
        let mut x = probe::within("resnets.0", || before.forward(x, zq))?;
        if let Some(attention) = &self.attention {
            x = probe::within("attentions.0", || attention.forward(&x, zq))?;
        }
        let x = after.forward(&x, zq)?;
        probe::image("", &x);
        Ok(x)
    }
}

/// A run of residual blocks with or without attention behind each.
pub(super) struct ResnetStack {
    resnets: Vec<Resnet>,
    attentions: Vec<PixelAttention>,
}

impl ResnetStack {
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

    /// Its residual blocks, each with the attention behind it.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&Resnet, Option<&PixelAttention>)> {
        self.resnets.iter().enumerate().map(|(i, resnet)| (resnet, self.attentions.get(i)))
    }

    pub(super) fn forward(&self, x: &Tensor, zq: Option<&Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        for (resnet, attention) in self.layers() {
            x = resnet.forward(&x, zq)?;
            if let Some(attention) = attention {
                x = attention.forward(&x, zq)?;
            }
        }
        Ok(x)
    }
}
