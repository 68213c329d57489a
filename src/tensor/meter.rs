//! What each kind of layer takes of a network's time: a backend that passes everything on to another one, and keeps account.
//!
//! Invariant: results are those of the other backend, bit for bit. Seconds are the sum over the threads that computed at once;
//! on a device that works on its own, the clock stops when the device is done.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use serde::Serialize;

use crate::activation::Activation;
use crate::attention::Attention;
use crate::backend::{
    AfterLinear, AfterNorm, Backend, ConvOperation, EmbeddingOperation, GroupNormOperation, LayerNormOperation,
    LinearOperation,
};
use crate::conv_shape::ConvShape;
use crate::error::Result;
use crate::modulation::Modulation;
use crate::stored::StoredTensor;

/// What one kind of layer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Account {
    /// Times that it was asked for.
    pub calls: u64,
    pub seconds: f64,
    /// Operations of f32 as by definition, two a multiply-add, whatever way they were avoided; of products of matrices,
    /// convolutions and attention.
    pub operations: f64,
    /// Bytes of activations and weights that it read and wrote, each once.
    pub bytes: f64,
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.operations += other.operations;
        self.bytes += other.bytes;
    }
}

/// The accounts of a backend, by kind of layer.
#[derive(Clone, Default)]
pub struct Meter {
    accounts: Arc<Mutex<BTreeMap<String, Account>>>,
}

impl Meter {
    /// What was taken since the last call, by kind of layer.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, Account> {
        std::mem::take(&mut *self.accounts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Run `f`, and put down what it took. `bytes` come with those of the output.
    fn put_down(
        &self,
        kind: &str,
        (operations, bytes): (impl FnOnce(&Tensor) -> f64, f64),
        device: &Device,
        f: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let start = Instant::now();
        let output = f()?;
        if !device.is_cpu() {
            device.synchronize()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if !accounts.contains_key(kind) {
            accounts.insert(kind.to_owned(), Account::default());
        }
        if let Some(account) = accounts.get_mut(kind) {
            account.calls += 1;
            account.seconds += seconds;
            account.operations += operations(&output);
            account.bytes += bytes + size(&output);
        }
        Ok(output)
    }
}

/// Bytes of a tensor.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn size(tensor: &Tensor) -> f64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as f64
}

/// Bytes of tensors, of which some may be missing.
fn sizes<'a>(tensors: impl IntoIterator<Item = Option<&'a Tensor>>) -> f64 {
    tensors.into_iter().flatten().map(size).sum()
}

/// A backend with an account.
pub(super) struct Metered {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) meter: Meter,
}

/// A layer of the other backend, and what it is called.
struct Layer<T: ?Sized> {
    inner: Box<T>,
    kind: String,
    /// Of the weights.
    bytes: f64,
    /// For each number of the output.
    operations: f64,
    meter: Meter,
    device: Device,
}

impl Metered {
    fn layer<T: ?Sized>(
        &self,
        inner: Box<T>,
        kind: impl Into<String>,
        weight: &StoredTensor<'_>,
        operations: f64,
    ) -> Layer<T> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = weight.bytes().len() as f64;
        Layer { inner, kind: kind.into(), bytes, operations, meter: self.meter.clone(), device: self.device().clone() }
    }

    fn operation(&self, kind: &str, bytes: f64, f: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        self.meter.put_down(kind, (|_: &Tensor| 0.0, bytes), self.device(), f)
    }
}

#[expect(clippy::cast_precision_loss, reason = "estimates")]
impl Backend for Metered {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn device(&self) -> &Device {
        self.inner.device()
    }

    fn dtype(&self) -> DType {
        self.inner.dtype()
    }

    fn splits_batches(&self) -> bool {
        self.inner.splits_batches()
    }

    fn operations_a_second(&self) -> f64 {
        self.inner.operations_a_second()
    }

    fn linear(&self, weight: &StoredTensor<'_>, bias: Option<&StoredTensor<'_>>) -> Result<Box<dyn LinearOperation>> {
        let operations = 2.0 * weight.shape()[1] as f64;
        Ok(Box::new(self.layer(self.inner.linear(weight, bias)?, "linear", weight, operations)))
    }

    fn conv2d(
        &self,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
        shape: ConvShape,
    ) -> Result<Box<dyn ConvOperation>> {
        let kernel = shape.kernel;
        let stride = if shape.stride == 1 { String::new() } else { format!(", stride {}", shape.stride) };
        let operations = 2.0 * (weight.shape()[1] * kernel * kernel) as f64;
        let layer = self.inner.conv2d(weight, bias, shape)?;
        Ok(Box::new(self.layer(layer, format!("convolution {kernel}x{kernel}{stride}"), weight, operations)))
    }

    fn layer_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        eps: f64,
    ) -> Result<Box<dyn LayerNormOperation>> {
        Ok(Box::new(self.layer(self.inner.layer_norm(weight, bias, eps)?, "layer norm", weight, 0.0)))
    }

    fn group_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        groups: usize,
        eps: f64,
    ) -> Result<Box<dyn GroupNormOperation>> {
        Ok(Box::new(self.layer(self.inner.group_norm(weight, bias, groups, eps)?, "group norm", weight, 0.0)))
    }

    fn embedding(&self, table: &StoredTensor<'_>) -> Result<Box<dyn EmbeddingOperation>> {
        let mut layer = self.layer(self.inner.embedding(table)?, "embedding", table, 0.0);
        // Only the rows that are asked for are read.
        layer.bytes = 0.0;
        Ok(Box::new(layer))
    }

    fn attention(&self, inputs: &Attention<'_>) -> Result<Tensor> {
        let added = inputs.context.first().map_or(Ok(0), |(key, _)| key.dim(0))?;
        let (keys, queries) = (inputs.key.dim(1)? + added, inputs.query.elem_count());
        let context = inputs.context.iter().flat_map(|(key, value)| [Some(*key), Some(*value)]);
        let bytes = sizes([Some(inputs.query), Some(inputs.key), Some(inputs.value), inputs.bias]) + sizes(context);
        let costs = (|_: &Tensor| 4.0 * (keys * queries) as f64, bytes);
        self.meter.put_down("attention", costs, self.device(), || self.inner.attention(inputs))
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.operation("activation", size(x), || self.inner.activate(x, activation))
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.operation("addition", size(a) + size(b), || self.inner.add(a, b))
    }

    fn modulate(&self, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
        let bytes = sizes([Some(x), Some(modulation.scale), Some(modulation.shift)]);
        self.operation("modulation", bytes, || self.inner.modulate(x, modulation))
    }

    fn upsample_nearest(&self, x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
        self.operation("change of size", size(x), || self.inner.upsample_nearest(x, height, width))
    }

    fn concat_channels(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.operation("joining of channels", size(a) + size(b), || self.inner.concat_channels(a, b))
    }

    fn average_pool_2x(&self, x: &Tensor) -> Result<Tensor> {
        self.operation("change of size", size(x), || self.inner.average_pool_2x(x))
    }
}

impl<T: ?Sized> Layer<T> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn run(&self, bytes: f64, f: impl FnOnce(&T) -> Result<Tensor>) -> Result<Tensor> {
        let operations = |output: &Tensor| self.operations * output.elem_count() as f64;
        self.meter.put_down(&self.kind, (operations, self.bytes + bytes), &self.device, || f(&self.inner))
    }
}

impl LinearOperation for Layer<dyn LinearOperation> {
    fn forward(&self, x: &Tensor, then: AfterLinear<'_>) -> Result<Tensor> {
        let residual = if let AfterLinear::Add(residual) = then { Some(residual) } else { None };
        self.run(sizes([Some(x), residual]), |inner| inner.forward(x, then))
    }
}

impl ConvOperation for Layer<dyn ConvOperation> {
    fn forward(&self, x: &Tensor, enlarged: bool, residual: Option<&Tensor>) -> Result<Tensor> {
        self.run(sizes([Some(x), residual]), |inner| inner.forward(x, enlarged, residual))
    }
}

impl LayerNormOperation for Layer<dyn LayerNormOperation> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run(size(x), |inner| inner.forward(x))
    }
}

impl GroupNormOperation for Layer<dyn GroupNormOperation> {
    fn forward(&self, x: &Tensor, then: AfterNorm<'_>) -> Result<Tensor> {
        self.run(size(x), |inner| inner.forward(x, then))
    }
}

impl EmbeddingOperation for Layer<dyn EmbeddingOperation> {
    fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        self.run(0.0, |inner| inner.forward(ids))
    }
}
