//! The UNet's residual block with scale-shift time conditioning and optional change of size (diffusers' `ResnetBlock2D`).

use candle_core::Tensor;

use crate::families::kandinsky21::unet::config::UNetConfig;
use crate::tensor::error::Result;
use crate::tensor::probe;
use crate::tensor::{Compute, Conv2d, ConvShape, GroupNorm, Linear, Vars};

/// Change of size inside a block, on both of its branches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    Keep,
    /// 2x2 average pooling.
    Down,
    /// Nearest neighbour, twofold.
    Up,
}

pub(super) struct Resnet {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    resize: Resize,
    compute: Compute,
}

impl Resnet {
    pub(super) fn load(
        vars: &Vars<'_>,
        config: &UNetConfig,
        inputs: usize,
        outputs: usize,
        resize: Resize,
    ) -> Result<Self> {
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Ok(Self {
            norm1: GroupNorm::load(&vars.sub("norm1"), groups, inputs, eps)?,
            conv1: Conv2d::load(&vars.sub("conv1"), inputs, outputs, ConvShape::SAME_3X3)?,
            time_emb_proj: Linear::load(&vars.sub("time_emb_proj"), config.time_embedding_width(), 2 * outputs)?,
            norm2: GroupNorm::load(&vars.sub("norm2"), groups, outputs, eps)?,
            conv2: Conv2d::load(&vars.sub("conv2"), outputs, outputs, ConvShape::SAME_3X3)?,
            conv_shortcut: (inputs != outputs)
                .then(|| Conv2d::load(&vars.sub("conv_shortcut"), inputs, outputs, ConvShape::POINTWISE))
                .transpose()?,
            resize,
            compute: vars.compute().clone(),
        })
    }

    /// `x` `[batch, height, width, inputs]`; `embedding` `[batch, time]`, already through SiLU.
    pub(super) fn forward(&self, x: &Tensor, embedding: &Tensor) -> Result<Tensor> {
        let h = self.norm1.forward_silu(x)?;
        let (h, x) = match self.resize {
            Resize::Keep => (self.conv1.forward(&h)?, x.clone()),
            Resize::Down => {
                let pool = |x: &Tensor| self.compute.average_pool_2x(x);
                (self.conv1.forward(&pool(&h)?)?, pool(x)?)
            }
            Resize::Up => {
                let (_, height, width, _) = x.dims4()?;
                (self.conv1.forward_upsampled(&h)?, self.compute.upsample_nearest(x, 2 * height, 2 * width)?)
            }
        };
        let scale_shift = self.time_emb_proj.forward(embedding)?;
        let h = self.norm2.forward_scale_shift_silu(&h, &scale_shift)?;
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(&x)?,
            None => x,
        };
        let out = self.conv2.forward_add(&h, &shortcut)?;
        probe::image("", &out);
        Ok(out)
    }
}
