//! Two-dimensional convolutions over NHWC pictures, optionally reading the input enlarged twofold.

use candle_core::Tensor;

use crate::tensor::error::{Error, Result};
use crate::tensor::gemm::{self, Rows};
use crate::tensor::packed::Packed;
use crate::tensor::weights::Vars;
use crate::tensor::{cpu, reference};

/// Geometry of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    pub kernel: usize,
    pub stride: usize,
    /// Zeros above and left of the picture.
    pub pad_before: usize,
    /// Zeros below and right of it.
    pub pad_after: usize,
}

impl ConvShape {
    /// 3x3, same size.
    pub const SAME_3X3: Self = Self { kernel: 3, stride: 1, pad_before: 1, pad_after: 1 };
    /// 1x1.
    pub const POINTWISE: Self = Self { kernel: 1, stride: 1, pad_before: 0, pad_after: 0 };
    /// 3x3 with stride 2 and padding below and right only: half the size (MoVQ's encoder).
    pub const HALVE_3X3: Self = Self { kernel: 3, stride: 2, pad_before: 0, pad_after: 1 };

    /// Non-overlapping square patches (vision transformers).
    #[must_use]
    pub const fn patches(size: usize) -> Self {
        Self { kernel: size, stride: size, pad_before: 0, pad_after: 0 }
    }

    fn output(self, input: usize) -> Option<usize> {
        (input + self.pad_before + self.pad_after).checked_sub(self.kernel).map(|room| room / self.stride + 1)
    }
}

/// `torch.nn.Conv2d`.
pub struct Conv2d {
    weight: Weight,
    shape: ConvShape,
    inputs: usize,
    outputs: usize,
}

enum Weight {
    Cpu { packed: Packed, bias: Option<Vec<f32>>, zeros: Vec<f32> },
    Other { weight: Tensor, bias: Option<Tensor> },
}

impl Conv2d {
    /// Load `weight` `[outputs, inputs, kernel, kernel]` and `bias` below `vars`.
    pub fn load(vars: &Vars<'_>, inputs: usize, outputs: usize, shape: ConvShape) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, shape, true)
    }

    /// Load `weight` alone.
    pub fn load_no_bias(vars: &Vars<'_>, inputs: usize, outputs: usize, shape: ConvShape) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, shape, false)
    }

    fn load_with(vars: &Vars<'_>, inputs: usize, outputs: usize, shape: ConvShape, bias: bool) -> Result<Self> {
        let dims = [outputs, inputs, shape.kernel, shape.kernel];
        let weight = if vars.compute().device.is_cpu() {
            let taps = shape.kernel * shape.kernel;
            Weight::Cpu {
                packed: Packed::new(&vars.raw("weight", &dims)?, outputs, inputs, taps, vars.compute().weights),
                bias: if bias { Some(vars.values("bias", &[outputs])?) } else { None },
                zeros: vec![0.0; inputs],
            }
        } else {
            Weight::Other {
                weight: vars.tensor("weight", &dims)?,
                bias: if bias { Some(vars.tensor("bias", &[outputs])?) } else { None },
            }
        };
        Ok(Self { weight, shape, inputs, outputs })
    }

    /// Multiplications for so many output pixels.
    #[must_use]
    pub fn cost(&self, pixels: usize) -> u64 {
        (pixels * self.shape.kernel * self.shape.kernel * self.inputs * self.outputs) as u64
    }

    /// `[batch, height, width, inputs]` to `[batch, height', width', outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, None, 1)
    }

    /// `residual + conv(x)`.
    pub fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.apply(x, Some(residual), 1)
    }

    /// The convolution of `x` enlarged twofold by nearest neighbour, without making the enlarged picture.
    pub fn forward_upsampled(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, None, 2)
    }

    fn apply(&self, x: &Tensor, residual: Option<&Tensor>, enlarge: usize) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        let sizes = (self.shape.output(height * enlarge), self.shape.output(width * enlarge));
        let ((Some(out_height), Some(out_width)), true) = (sizes, channels == self.inputs) else {
            return Err(Error::Tensor(candle_core::Error::Msg(format!(
                "a convolution of {} channels and kernel {} was given {:?}",
                self.inputs,
                self.shape.kernel,
                x.dims()
            ))));
        };
        match &self.weight {
            Weight::Cpu { packed, bias, zeros } => {
                let x = x.contiguous()?;
                let rows = batch * out_height * out_width;
                let mut out = vec![0.0; rows * self.outputs];
                cpu::with(&x, |values| {
                    let source = Pixels {
                        values,
                        zeros,
                        shape: self.shape,
                        enlarge,
                        channels,
                        height,
                        width,
                        out_height,
                        out_width,
                    };
                    match residual {
                        None => gemm::product(&source, rows, packed, bias.as_deref(), None, &mut out),
                        Some(residual) => cpu::with(&residual.contiguous()?, |residual| {
                            gemm::product(&source, rows, packed, bias.as_deref(), Some(residual), &mut out);
                            Ok(())
                        })?,
                    }
                    Ok(())
                })?;
                cpu::tensor(out, &[batch, out_height, out_width, self.outputs])
            }
            Weight::Other { weight, bias } => {
                let x = if enlarge == 2 { super::upsample_nearest(x, 2 * height, 2 * width)? } else { x.clone() };
                let y = reference::conv2d(&x, weight, bias.as_ref(), self.shape)?;
                Ok(match residual {
                    Some(residual) => (y + residual)?,
                    None => y,
                })
            }
        }
    }
}

/// Rows of the product: one per output pixel, one tap per kernel position.
struct Pixels<'a> {
    values: &'a [f32],
    zeros: &'a [f32],
    shape: ConvShape,
    enlarge: usize,
    channels: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
}

impl Rows for Pixels<'_> {
    #[inline]
    fn pointer(&self, row: usize, tap: usize) -> *const f32 {
        let (pixel, x) = (row / self.out_width, row % self.out_width);
        let (sample, y) = (pixel / self.out_height, pixel % self.out_height);
        // Below zero wraps around and is then outside, too.
        let above = (y * self.shape.stride + tap / self.shape.kernel).wrapping_sub(self.shape.pad_before);
        let left = (x * self.shape.stride + tap % self.shape.kernel).wrapping_sub(self.shape.pad_before);
        if above >= self.height * self.enlarge || left >= self.width * self.enlarge {
            return self.zeros.as_ptr();
        }
        let index = (sample * self.height + above / self.enlarge) * self.width + left / self.enlarge;
        self.values[index * self.channels..(index + 1) * self.channels].as_ptr()
    }
}
