//! Convolutions over packed weights, without im2col: the kernels read the image through one pointer per pixel and tap.

use candle_core::Tensor;

use crate::backend::ConvOperation;
use crate::conv_shape::ConvShape;
use crate::cpu::buffers;
use crate::cpu::gemm::Product;
use crate::cpu::kernels::{Kernel, PairKernel, TileSize};
use crate::cpu::options::{Convolutions, CpuOptions};
use crate::cpu::packing::Packed;
use crate::cpu::pixels::Pixels;
use crate::cpu::products::{InBf16, InF32};
use crate::cpu::winograd::{self, Filtering};
use crate::error::{Error, Result};
use crate::stored::StoredTensor;

pub(super) struct CpuConv2d {
    kernel: &'static dyn Kernel,
    /// What multiplies in bf16, if it is to.
    pairs: Option<&'static dyn PairKernel>,
    weight: Packed,
    bias: Option<Vec<f32>>,
    /// A pixel outside of the image.
    zeros: Vec<f32>,
    shape: ConvShape,
    way: Convolutions,
}

impl CpuConv2d {
    pub(super) fn new(
        kernel: &'static dyn Kernel,
        options: CpuOptions,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
        shape: ConvShape,
    ) -> Self {
        let pairs = options.pairs(kernel, weight);
        let tiled = winograd::fits(shape) && options.convolutions != Convolutions::Plain;
        let weight = match pairs {
            // Weights of convolutions in tiles are transformed before they are rounded.
            Some(pairs) if !tiled => Packed::pairs(weight, pairs),
            _ => Packed::new(weight, options.weights),
        };
        let bias = bias.map(StoredTensor::to_f32);
        Self { kernel, pairs, zeros: vec![0.0; weight.depth], weight, bias, shape, way: options.convolutions }
    }

    /// The tiles to compute an image of `height` x `width` outputs in; none for plain sums.
    fn tiles(&self, height: usize, width: usize) -> Option<TileSize> {
        match self.way {
            Convolutions::Fastest => winograd::fastest(self.shape, &self.weight, self.pairs.is_some(), (height, width)),
            Convolutions::Plain => None,
            Convolutions::Tiles2 => winograd::fits(self.shape).then_some(TileSize::Two),
            Convolutions::Tiles4 => winograd::fits(self.shape).then_some(TileSize::Four),
        }
    }
}

impl ConvOperation for CpuConv2d {
    fn forward(&self, x: &Tensor, enlarged: bool, residual: Option<&Tensor>) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        let factor = if enlarged { 2 } else { 1 };
        let (Some(out_height), Some(out_width)) =
            (self.shape.output(height * factor), self.shape.output(width * factor))
        else {
            return Err(Error::shape(format!("{:?} over an image of {height}x{width}", self.shape)));
        };
        let rows = batch * out_height * out_width;
        let mut out = buffers::output(rows * self.weight.width);
        buffers::with_values(x, |values| {
            buffers::with_optional(residual, |residual| {
                let image = Pixels {
                    values,
                    zeros: &self.zeros,
                    shape: self.shape,
                    factor,
                    channels,
                    height,
                    width,
                    out_height,
                    out_width,
                };
                let (kernel, weights, bias) = (self.kernel, &self.weight, self.bias.as_deref());
                match self.tiles(out_height, out_width) {
                    Some(size) => {
                        let filtering = Filtering { kernel, size, weights, bias, residual, image };
                        match self.pairs {
                            Some(pairs) => filtering.run(&InBf16(pairs), batch, &mut out),
                            None => filtering.run(&InF32(kernel), batch, &mut out),
                        }
                    }
                    None => Product { kernel, weights, bias, residual, activation: None }.run(&image, rows, &mut out),
                }
            })
        })??;
        buffers::tensor(out, &[batch, out_height, out_width, self.weight.width])
    }
}
