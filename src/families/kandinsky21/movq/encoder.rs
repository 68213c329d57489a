//! MoVQ's encoder (diffusers' `Encoder` with `double_z: false`).

use candle_core::Tensor;

use crate::families::kandinsky21::movq::config::MovqConfig;
use crate::families::kandinsky21::movq::layers::{ATTENTION_DOWN, MidBlock, Norm, NormKind, ResnetStack};
use crate::tensor::error::Result;
use crate::tensor::probe;
use crate::tensor::{Conv2d, ConvShape, Vars};

pub(super) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<(ResnetStack, Option<Conv2d>)>,
    mid_block: MidBlock,
    conv_norm_out: Norm,
    conv_out: Conv2d,
}

impl Encoder {
    pub(super) fn load(vars: &Vars<'_>, config: &MovqConfig) -> Result<Self> {
        let kind = NormKind::Group(config.norm_num_groups);
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let down_blocks = (0..channels.len())
            .map(|i| {
                let vars = vars.sub("down_blocks").sub(i);
                let (inputs, outputs) = (channels[i.saturating_sub(1)], channels[i]);
                let attention = config.down_block_types[i] == ATTENTION_DOWN;
                let stage = ResnetStack::load(&vars, kind, (inputs, outputs), config.layers_per_block, attention)?;
                let downsampler = (i + 1 < channels.len())
                    .then(|| Conv2d::load(&vars.sub("downsamplers.0.conv"), outputs, outputs, ConvShape::HALVE_3X3))
                    .transpose()?;
                Ok((stage, downsampler))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            conv_in: Conv2d::load(&vars.sub("conv_in"), config.in_channels, first, ConvShape::SAME_3X3)?,
            down_blocks,
            mid_block: MidBlock::load(&vars.sub("mid_block"), kind, last, config.mid_block_add_attention)?,
            conv_norm_out: Norm::load(&vars.sub("conv_norm_out"), kind, last)?,
            conv_out: Conv2d::load(&vars.sub("conv_out"), last, config.latent_channels, ConvShape::SAME_3X3)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(x)?;
        probe::image("conv_in", &x);
        for (i, (stage, downsampler)) in self.down_blocks.iter().enumerate() {
            x = stage.forward(&x, None)?;
            if let Some(downsampler) = downsampler {
                x = downsampler.forward(&x)?;
            }
            probe::image(format_args!("down_blocks.{i}"), &x);
        }
        let x = probe::within("mid_block", || self.mid_block.forward(&x, None))?;
        let x = self.conv_out.forward(&self.conv_norm_out.forward(&x, None, true)?)?;
        probe::image("conv_out", &x);
        Ok(x)
    }
}
