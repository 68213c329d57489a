//! MoVQ's decoder: every norm is modulated by the latents (diffusers' `Decoder` with `norm_type: spatial`).
//!
//! Invariant: it is its layers in their order; [`super::Decoding`] goes through them.

use candle_core::Tensor;

use crate::families::kandinsky21::movq::config::MovqConfig;
use crate::families::kandinsky21::movq::layers::{
    ATTENTION_UP, MidBlock, Norm, NormKind, PixelAttention, Resnet, ResnetStack,
};
use crate::tensor::error::Result;
use crate::tensor::{Conv2d, ConvShape, Vars};

/// A layer of the decoder.
pub(super) struct Layer<'a> {
    /// The module that it is in, where it is known by its own name.
    pub(super) scope: &'static str,
    pub(super) work: DecodeUnit<'a>,
    /// The module that it is the last layer of.
    pub(super) end_of: Option<String>,
}

/// What a layer does.
#[derive(Clone, Copy)]
pub(super) enum DecodeUnit<'a> {
    Conv(&'a Conv2d),
    /// To twice the size.
    Upsample(&'a Conv2d),
    Resnet(&'a Resnet),
    Attention(&'a PixelAttention),
    Out(&'a Norm, &'a Conv2d),
}

impl DecodeUnit<'_> {
    /// Multiplications for an input `[batch, h, w, channels]`, about; of attention those of its first part.
    pub(super) fn cost(self, x: &Tensor) -> Result<u64> {
        let (batch, height, width, _) = x.dims4()?;
        let pixels = batch * height * width;
        Ok(match self {
            DecodeUnit::Conv(conv) | DecodeUnit::Out(_, conv) => conv.cost(pixels),
            DecodeUnit::Upsample(conv) => conv.cost(4 * pixels),
            DecodeUnit::Resnet(resnet) => resnet.cost(pixels),
            DecodeUnit::Attention(attention) => attention.cost(batch, height * width),
        })
    }
}

pub(super) struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<(ResnetStack, Option<Conv2d>)>,
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
                let stage = ResnetStack::load(&vars, kind, (inputs, outputs), config.layers_per_block + 1, attention)?;
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

    /// All layers, first to last.
    pub(super) fn layers(&self) -> Vec<Layer<'_>> {
        let plain = |work| Layer { scope: "", work, end_of: None };
        let [before, after] = self.mid_block.resnets();
        let mut layers = vec![
            Layer { end_of: Some("conv_in".to_owned()), ..plain(DecodeUnit::Conv(&self.conv_in)) },
            Layer { scope: "mid_block.resnets.0", ..plain(DecodeUnit::Resnet(before)) },
        ];
        let attention = self.mid_block.attention().map(DecodeUnit::Attention);
        layers.extend(attention.map(|work| Layer { scope: "mid_block.attentions.0", ..plain(work) }));
        layers.push(Layer { end_of: Some("mid_block".to_owned()), ..plain(DecodeUnit::Resnet(after)) });
        for (i, (stage, upsampler)) in self.up_blocks.iter().enumerate() {
            for (resnet, attention) in stage.layers() {
                layers.push(plain(DecodeUnit::Resnet(resnet)));
                layers.extend(attention.map(|attention| plain(DecodeUnit::Attention(attention))));
            }
            layers.extend(upsampler.as_ref().map(|conv| plain(DecodeUnit::Upsample(conv))));
            if let Some(last) = layers.last_mut() {
                last.end_of = Some(format!("up_blocks.{i}"));
            }
        }
        layers.push(plain(DecodeUnit::Out(&self.conv_norm_out, &self.conv_out)));
        layers
    }

    pub(super) fn conv_norm_out(&self, f: &Tensor, zq: &Tensor) -> Result<Tensor> {
        self.conv_norm_out.forward(f, Some(zq), false)
    }
}
