//! A place in the tree of a checkpoint's tensor names, from which layers load their own tensors.

use std::fmt::Display;

use candle_core::Tensor;

use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::stored::StoredTensor;
use crate::weights::Weights;

/// All tensors whose names start with one prefix, and the [`Compute`] that they are loaded for.
#[derive(Clone)]
pub struct Vars<'a> {
    weights: &'a Weights,
    compute: &'a Compute,
    prefix: String,
}

impl Weights {
    /// The root of the tensors' names.
    #[must_use]
    pub fn vars<'a>(&'a self, compute: &'a Compute) -> Vars<'a> {
        Vars { weights: self, compute, prefix: String::new() }
    }
}

impl<'a> Vars<'a> {
    /// The place called `name` below this one.
    #[must_use]
    pub fn sub(&self, name: impl Display) -> Self {
        Self { prefix: self.full_name(&name.to_string()), ..self.clone() }
    }

    /// Where and how the model computes.
    #[must_use]
    pub fn compute(&self) -> &'a Compute {
        self.compute
    }

    /// Whether there is a tensor called `name` here.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.weights.has(&self.full_name(name))
    }

    /// A tensor as it is stored, which must have this shape.
    pub fn stored(&self, name: &str, shape: &[usize]) -> Result<StoredTensor<'a>> {
        self.weights.get(&self.full_name(name), shape)
    }

    /// The values of a tensor, widened to f32.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.stored(name, shape)?.to_f32())
    }

    /// A tensor on the device, in the dtype of activations.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.stored(name, shape)?.to_tensor(self.compute.device())?;
        Ok(tensor.to_dtype(self.compute.dtype())?)
    }

    /// An error about a configuration that does not fit these weights.
    #[must_use]
    pub fn bad_config(&self, message: impl Into<String>) -> Error {
        Error::config(self.weights.path(), format!("{}: {}", self.prefix, message.into()))
    }

    /// Whether `width` channels can be split into `heads` heads; if not, an error about the configuration.
    pub fn check_heads(&self, width: usize, heads: usize) -> Result<()> {
        if heads > 0 && width.is_multiple_of(heads) {
            return Ok(());
        }
        Err(self.bad_config(format!("{width} channels cannot be split into {heads} heads")))
    }

    fn full_name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}
