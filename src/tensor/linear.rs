//! Linear layers: `y = x W^T + b` over the last dimension.

use candle_core::Tensor;

use crate::activation::Activation;
use crate::backend::{AfterLinear, LinearOperation};
use crate::error::{Error, Result};
use crate::vars::Vars;

/// `torch.nn.Linear`.
///
/// ```
/// use std::collections::HashMap;
///
/// use candle_core::{Device, Tensor};
/// use kandinsky_tensor::files::Folder;
/// use kandinsky_tensor::weights::Weights;
/// use kandinsky_tensor::{Compute, Linear, to_vec};
///
/// // A checkpoint with one layer of two inputs and three outputs.
/// let folder = tempfile::tempdir()?;
/// let weight = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu)?;
/// let bias = Tensor::new(&[0.5_f32, 0.0, -0.5], &Device::Cpu)?;
/// let tensors = HashMap::from([("proj.weight", weight), ("proj.bias", bias)]);
/// candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors"))?;
///
/// let compute = Compute::cpu();
/// let weights = Weights::open(&Folder::Disk(folder.path().to_owned()), "model")?;
/// let proj = Linear::load(&weights.vars(&compute).sub("proj"), 2, 3)?;
/// let y = proj.forward(&compute.tensor(vec![1.0, -1.0], &[1, 2])?)?;
/// assert_eq!(to_vec(&y)?, [-0.5, -1.0, -1.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Linear {
    operation: Box<dyn LinearOperation>,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// Load `weight` `[outputs, inputs]` and `bias` `[outputs]` below `vars`.
    pub fn load(vars: &Vars<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, true)
    }

    /// Load `weight` `[outputs, inputs]` alone.
    pub fn load_no_bias(vars: &Vars<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, false)
    }

    fn load_with(vars: &Vars<'_>, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        let weight = vars.stored("weight", &[outputs, inputs])?;
        let bias = bias.then(|| vars.stored("bias", &[outputs])).transpose()?;
        let operation = vars.compute().backend().linear(&weight, bias.as_ref())?;
        Ok(Self { operation, inputs, outputs })
    }

    /// `[..., inputs]` to `[..., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.output(x)?;
        self.operation.forward(x, AfterLinear::Nothing)
    }

    /// `residual + linear(x)`: `x` is `[..., inputs]`, `residual` and the result are `[..., outputs]`.
    pub fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let output = self.output(x)?;
        if residual.dims() != output {
            return Err(Error::shape(format!("a residual of {:?} for an output of {output:?}", residual.dims())));
        }
        self.operation.forward(x, AfterLinear::Add(residual))
    }

    /// The activation of `linear(x)`, `[..., inputs]` to `[..., outputs]`.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.output(x)?;
        self.operation.forward(x, AfterLinear::Activate(activation))
    }

    /// The shape of the output for `x`.
    fn output(&self, x: &Tensor) -> Result<Vec<usize>> {
        let mut shape = x.dims().to_vec();
        if shape.pop() != Some(self.inputs) {
            return Err(Error::shape(format!("a linear layer of {} inputs was given {:?}", self.inputs, x.dims())));
        }
        shape.push(self.outputs);
        Ok(shape)
    }
}
