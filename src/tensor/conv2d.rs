//! Two-dimensional convolutions over NHWC images, optionally reading the input enlarged twofold.

use candle_core::Tensor;

use crate::backend::ConvOperation;
use crate::conv_shape::ConvShape;
use crate::error::{Error, Result};
use crate::vars::Vars;

/// `torch.nn.Conv2d`.
pub struct Conv2d {
    operation: Box<dyn ConvOperation>,
    shape: ConvShape,
    inputs: usize,
    outputs: usize,
}

impl Conv2d {
    /// Load `weight` `[outputs, inputs, kernel, kernel]` and `bias` `[outputs]` below `vars`.
    pub fn load(vars: &Vars<'_>, inputs: usize, outputs: usize, shape: ConvShape) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, shape, true)
    }

    /// Load `weight` `[outputs, inputs, kernel, kernel]` alone.
    pub fn load_no_bias(vars: &Vars<'_>, inputs: usize, outputs: usize, shape: ConvShape) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, shape, false)
    }

    fn load_with(vars: &Vars<'_>, inputs: usize, outputs: usize, shape: ConvShape, bias: bool) -> Result<Self> {
        let weight = vars.stored("weight", &[outputs, inputs, shape.kernel, shape.kernel])?;
        let bias = bias.then(|| vars.stored("bias", &[outputs])).transpose()?;
        let operation = vars.compute().backend().conv2d(&weight, bias.as_ref(), shape)?;
        Ok(Self { operation, shape, inputs, outputs })
    }

    /// Multiplications that `pixels` output pixels take.
    #[must_use]
    pub fn cost(&self, pixels: usize) -> u64 {
        (pixels * self.shape.kernel * self.shape.kernel * self.inputs * self.outputs) as u64
    }

    /// `[batch, height, width, inputs]` to `[batch, height', width', outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.output(x, false)?;
        self.operation.forward(x, false, None)
    }

    /// `residual + conv(x)`: `x` is `[batch, height, width, inputs]`, `residual` and the result are
    /// `[batch, height', width', outputs]`.
    pub fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let output = self.output(x, false)?;
        if residual.dims() != output {
            return Err(Error::shape(format!("a residual of {:?} for an output of {output:?}", residual.dims())));
        }
        self.operation.forward(x, false, Some(residual))
    }

    /// The convolution of `x` enlarged twofold by nearest neighbour, without making the enlarged image where the backend
    /// can avoid it: `[batch, height, width, inputs]` to `[batch, height', width', outputs]`.
    pub fn forward_upsampled(&self, x: &Tensor) -> Result<Tensor> {
        self.output(x, true)?;
        self.operation.forward(x, true, None)
    }

    /// The shape of the output for `x`.
    fn output(&self, x: &Tensor, enlarged: bool) -> Result<[usize; 4]> {
        let (batch, height, width, channels) = x.dims4()?;
        let factor = if enlarged { 2 } else { 1 };
        match (self.shape.output(height * factor), self.shape.output(width * factor)) {
            (Some(height), Some(width)) if channels == self.inputs => Ok([batch, height, width, self.outputs]),
            _ => Err(Error::shape(format!(
                "a convolution of {} channels and kernel {} was given {:?}",
                self.inputs,
                self.shape.kernel,
                x.dims()
            ))),
        }
    }
}
