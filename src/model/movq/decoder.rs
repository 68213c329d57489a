//! MoVQ's decoder: every norm is modulated by the latents (diffusers' `Decoder` with `norm_type: spatial`).

use candle_core::Tensor;

use super::MovqConfig;
use super::layers::{ATTENTION_UP, MidBlock, Norm, NormKind, Stage};
use crate::model::error::Result;
use crate::model::ops::{Conv2d, ConvShape};
use crate::model::probe;
use crate::model::weights::Vars;

pub(super) struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<(Stage, Option<Conv2d>)>,
    conv_norm_out: Norm,
    conv_out: Conv2d,
}

impl Decoder {
    pub(super) fn load(vars: &Vars<'_>, config: &MovqConfig) -> Result<Self> {
        let kind = NormKind::Spatial(config.embed_dim());
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let up_blocks = (0..channels.len())
            .map(|i| {
                let vars = vars.sub("up_blocks").sub(i);
                let (inputs, outputs) = (channels[i.saturating_sub(1)], channels[i]);
                let attention = config.up_block_types[i] == ATTENTION_UP;
                let stage = Stage::load(&vars, kind, (inputs, outputs), config.layers_per_block + 1, attention)?;
                let upsampler = (i + 1 < channels.len())
                    .then(|| Conv2d::load(&vars.sub("upsamplers.0.conv"), outputs, outputs, ConvShape::SAME_3X3))
                    .transpose()?;
                Ok((stage, upsampler))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            conv_in: Conv2d::load(&vars.sub("conv_in"), config.latent_channels, first, ConvShape::SAME_3X3)?,
            mid_block: MidBlock::load(&vars.sub("mid_block"), kind, first, config.mid_block_add_attention)?,
            up_blocks,
            conv_norm_out: Norm::load(&vars.sub("conv_norm_out"), kind, last)?,
            conv_out: Conv2d::load(&vars.sub("conv_out"), last, config.out_channels, ConvShape::SAME_3X3)?,
        })
    }

    /// `x` are the latents after `post_quant_conv`, `zq` before it.
    pub(super) fn forward(&self, x: &Tensor, zq: &Tensor) -> Result<Tensor> {
        let x = self.conv_in.forward(x)?;
        probe::picture("conv_in", &x);
        let mut x = probe::within("mid_block", || self.mid_block.forward(&x, Some(zq)))?;
        for (i, (stage, upsampler)) in self.up_blocks.iter().enumerate() {
            x = stage.forward(&x, Some(zq))?;
            if let Some(upsampler) = upsampler {
                x = upsampler.forward_upsampled(&x)?;
            }
            probe::picture(format_args!("up_blocks.{i}"), &x);
        }
        self.conv_out.forward(&self.conv_norm_out.forward(&x, Some(zq), true)?)
    }

    pub(super) fn conv_norm_out(&self, f: &Tensor, zq: &Tensor) -> Result<Tensor> {
        self.conv_norm_out.forward(f, Some(zq), false)
    }
}
