//! Convolutions over packed weights, without im2col: the kernels read the image through one pointer per pixel and tap.

use candle_core::Tensor;

use crate::backend::ConvOperation;
use crate::conv_shape::ConvShape;
use crate::cpu::buffers;
use crate::cpu::gemm::{Product, Rows};
use crate::cpu::kernels::Kernel;
use crate::cpu::packing::{Packed, WeightPrecision};
use crate::error::{Error, Result};
use crate::stored::StoredTensor;

pub(super) struct CpuConv2d {
    kernel: &'static dyn Kernel,
    weight: Packed,
    bias: Option<Vec<f32>>,
    /// A pixel outside of the image.
    zeros: Vec<f32>,
    shape: ConvShape,
}

impl CpuConv2d {
    pub(super) fn new(
        kernel: &'static dyn Kernel,
        precision: WeightPrecision,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
        shape: ConvShape,
    ) -> Self {
        let weight = Packed::new(weight, precision);
        Self { kernel, zeros: vec![0.0; weight.depth], weight, bias: bias.map(StoredTensor::to_f32), shape }
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
        let mut out = vec![0.0; rows * self.weight.width];
        buffers::with_values(x, |values| {
            buffers::with_optional(residual, |residual| {
                let source = Pixels {
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
                let product =
                    Product { kernel: self.kernel, weights: &self.weight, bias: self.bias.as_deref(), residual };
                product.run(&source, rows, &mut out);
            })
        })??;
        buffers::tensor(out, &[batch, out_height, out_width, self.weight.width])
    }
}

/// Rows of the product: one per output pixel, one tap per kernel position.
struct Pixels<'a> {
    values: &'a [f32],
    zeros: &'a [f32],
    shape: ConvShape,
    /// How many times the image is read enlarged.
    factor: usize,
    channels: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
}

// SAFETY: a row is a pixel of `values`, cut out by a checked range of `channels`, or `zeros`, of the same length.
unsafe impl Rows for Pixels<'_> {
    fn depth(&self) -> usize {
        self.channels.min(self.zeros.len())
    }

    #[inline]
    fn pointer(&self, row: usize, tap: usize) -> *const f32 {
        let (pixel, x) = (row / self.out_width, row % self.out_width);
        let (sample, y) = (pixel / self.out_height, pixel % self.out_height);
        // Below zero wraps around and is then outside, too.
        let above = (y * self.shape.stride + tap / self.shape.kernel).wrapping_sub(self.shape.pad_before);
        let left = (x * self.shape.stride + tap % self.shape.kernel).wrapping_sub(self.shape.pad_before);
        if above >= self.height * self.factor || left >= self.width * self.factor {
            return self.zeros.as_ptr();
        }
        let index = (sample * self.height + above / self.factor) * self.width + left / self.factor;
        self.values[index * self.channels..(index + 1) * self.channels].as_ptr()
    }
}
