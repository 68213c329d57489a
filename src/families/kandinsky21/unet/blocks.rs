//! The UNet's down, middle and up blocks, with attention or without.

use std::ops::Range;

use candle_core::Tensor;

use crate::families::kandinsky21::unet::attention::{AddedKvAttention, Cursor, Projections};
use crate::families::kandinsky21::unet::config::{ATTENTION_DOWN, ATTENTION_UP, UNetConfig};
use crate::families::kandinsky21::unet::resnet::{Resize, Resnet};
use crate::tensor::error::{Error, Result};
use crate::tensor::probe;
use crate::tensor::{Compute, Vars};

/// `ResnetDownsampleBlock2D` or `SimpleCrossAttnDownBlock2D`.
pub(super) struct DownBlock {
    resnets: Vec<Resnet>,
    attentions: Vec<AddedKvAttention>,
    downsampler: Option<Resnet>,
}

impl DownBlock {
    pub(super) fn load(vars: &Vars<'_>, config: &UNetConfig, index: usize) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (inputs, outputs) = (channels[index.saturating_sub(1)], channels[index]);
        let count = config.layers_per_block;
        let last = index + 1 == channels.len();
        Ok(Self {
            resnets: (0..count)
                .map(|i| {
                    let from = if i == 0 { inputs } else { outputs };
                    Resnet::load(&vars.sub("resnets").sub(i), config, from, outputs, Resize::Keep)
                })
                .collect::<Result<_>>()?,
            attentions: attentions(vars, config, config.down_block_types[index] == ATTENTION_DOWN, count, outputs)?,
            downsampler: (!last)
                .then(|| Resnet::load(&vars.sub("downsamplers.0"), config, outputs, outputs, Resize::Down))
                .transpose()?,
        })
    }

    pub(super) fn project_context(&self, tokens: &Tensor, into: &mut Projections) -> Result<()> {
        self.attentions.iter().try_for_each(|attention| attention.project_context(tokens, into))
    }

    pub(super) fn forward(
        &self,
        x: &Tensor,
        embedding: &Tensor,
        cursor: &mut Cursor<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        let first = skips.len();
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet_then_attention(resnet, self.attentions.get(i), i, &x, embedding, cursor)?;
            skips.push(x.clone());
        }
        if let Some(downsampler) = &self.downsampler {
            x = probe::within("downsamplers.0", || downsampler.forward(&x, embedding))?;
            skips.push(x.clone());
        }
        probe::image(0, &x);
        for (i, skip) in skips[first..].iter().enumerate() {
            probe::image(format_args!("1.{i}"), skip);
        }
        Ok(x)
    }
}

/// `UNetMidBlock2DSimpleCrossAttn`.
pub(super) struct MidBlock {
    resnets: [Resnet; 2],
    attention: AddedKvAttention,
}

impl MidBlock {
    pub(super) fn load(vars: &Vars<'_>, config: &UNetConfig, channels: usize) -> Result<Self> {
        let resnet = |i: usize| Resnet::load(&vars.sub("resnets").sub(i), config, channels, channels, Resize::Keep);
        Ok(Self {
            resnets: [resnet(0)?, resnet(1)?],
            attention: AddedKvAttention::load(&vars.sub("attentions.0"), config, channels)?,
        })
    }

    pub(super) fn project_context(&self, tokens: &Tensor, into: &mut Projections) -> Result<()> {
        self.attention.project_context(tokens, into)
    }

    pub(super) fn forward(&self, x: &Tensor, embedding: &Tensor, cursor: &mut Cursor<'_>) -> Result<Tensor> {
        let [before, after] = &self.resnets;
        let x = resnet_then_attention(before, Some(&self.attention), 0, x, embedding, cursor)?;
        let x = probe::within("resnets.1", || after.forward(&x, embedding))?;
        probe::image("", &x);
        Ok(x)
    }
}

/// `ResnetUpsampleBlock2D` or `SimpleCrossAttnUpBlock2D`.
pub(super) struct UpBlock {
    resnets: Vec<Resnet>,
    attentions: Vec<AddedKvAttention>,
    upsampler: Option<Resnet>,
    compute: Compute,
}

impl UpBlock {
    pub(super) fn load(vars: &Vars<'_>, config: &UNetConfig, index: usize) -> Result<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let outputs = channels[index];
        let before = channels[index.saturating_sub(1)];
        let mirrored = channels[(index + 1).min(channels.len() - 1)];
        // One more than on the way down: the skip of conv_in or of a downsampler comes on top.
        let count = config.layers_per_block + 1;
        let last = index + 1 == channels.len();
        Ok(Self {
            resnets: (0..count)
                .map(|i| {
                    let from = if i == 0 { before } else { outputs };
                    let skip = if i + 1 == count { mirrored } else { outputs };
                    Resnet::load(&vars.sub("resnets").sub(i), config, from + skip, outputs, Resize::Keep)
                })
                .collect::<Result<_>>()?,
            attentions: attentions(vars, config, config.up_block_types[index] == ATTENTION_UP, count, outputs)?,
            upsampler: (!last)
                .then(|| Resnet::load(&vars.sub("upsamplers.0"), config, outputs, outputs, Resize::Up))
                .transpose()?,
            compute: vars.compute().clone(),
        })
    }

    pub(super) fn project_context(&self, tokens: &Tensor, into: &mut Projections) -> Result<()> {
        self.attentions.iter().try_for_each(|attention| attention.project_context(tokens, into))
    }

    pub(super) fn forward(
        &self,
        x: &Tensor,
        embedding: &Tensor,
        cursor: &mut Cursor<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let x = self.forward_layers(0..self.resnets.len(), x, embedding, cursor, skips)?;
        self.finish(x, embedding)
    }

    /// Layers, each a resnet and its attention.
    pub(super) fn layers(&self) -> usize {
        self.resnets.len()
    }

    /// Whether the layers have attentions.
    pub(super) fn attends(&self) -> bool {
        !self.attentions.is_empty()
    }

    /// Some of the layers, without the change of size after the last one.
    pub(super) fn forward_layers(
        &self,
        layers: Range<usize>,
        x: &Tensor,
        embedding: &Tensor,
        cursor: &mut Cursor<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, resnet) in self.resnets.iter().enumerate().take(layers.end).skip(layers.start) {
            let skip = skips.pop().ok_or_else(|| Error::Request("a UNet with too few skips".to_owned()))?;
            x = self.compute.concat_channels(&x, &skip)?;
            x = resnet_then_attention(resnet, self.attentions.get(i), i, &x, embedding, cursor)?;
        }
        Ok(x)
    }

    /// What comes after the last layer.
    pub(super) fn finish(&self, mut x: Tensor, embedding: &Tensor) -> Result<Tensor> {
        if let Some(upsampler) = &self.upsampler {
            x = probe::within("upsamplers.0", || upsampler.forward(&x, embedding))?;
        }
        probe::image("", &x);
        Ok(x)
    }
}

fn attentions(
    vars: &Vars<'_>,
    config: &UNetConfig,
    wanted: bool,
    count: usize,
    channels: usize,
) -> Result<Vec<AddedKvAttention>> {
    let count = if wanted { count } else { 0 };
    (0..count).map(|i| AddedKvAttention::load(&vars.sub("attentions").sub(i), config, channels)).collect()
}

fn resnet_then_attention(
    resnet: &Resnet,
    attention: Option<&AddedKvAttention>,
    index: usize,
    x: &Tensor,
    embedding: &Tensor,
    cursor: &mut Cursor<'_>,
) -> Result<Tensor> {
    let x = probe::within(format_args!("resnets.{index}"), || resnet.forward(x, embedding))?;
    match attention {
        Some(attention) => probe::within(format_args!("attentions.{index}"), || attention.forward(&x, cursor)),
        None => Ok(x),
    }
}
