//! The seam between layers and devices: what a backend must be able to do for every network to run on it.
//!
//! Invariant: a layer has checked all shapes before it asks its backend, and two backends that are given the same numbers
//! in f32 differ by rounding only. A new device is a new implementation of [`Backend`] and a constructor of
//! [`Compute`](super::Compute); layers and networks stay as they are.
//!
//! A layer with weights is made by the backend, which keeps them in whatever form its device reads fastest: that costs one
//! virtual call a layer.

use candle_core::{DType, Device, Tensor};

use crate::activation::Activation;
use crate::attention::Attention;
use crate::conv_shape::ConvShape;
use crate::error::Result;
use crate::modulation::Modulation;
use crate::stored::StoredTensor;

/// The operations that networks are made of, on one device and in one dtype.
pub trait Backend: Send + Sync {
    /// For logs and error messages: `cpu avx512`, `candle cuda:0`.
    fn name(&self) -> String;

    /// Where activations are.
    fn device(&self) -> &Device;

    /// The dtype of activations.
    fn dtype(&self) -> DType;

    /// Whether several threads may compute some rows of a batch each, rather than all of them one layer.
    fn splits_batches(&self) -> bool;

    /// Operations of f32 a second, two a multiply-add, that this thread reaches at best, measured; 0 where that is not known.
    fn operations_a_second(&self) -> f64 {
        0.0
    }

    /// A linear layer: `weight` is `[outputs, inputs]`, `bias` `[outputs]`.
    fn linear(&self, weight: &StoredTensor<'_>, bias: Option<&StoredTensor<'_>>) -> Result<Box<dyn LinearOperation>>;

    /// A convolution: `weight` is `[outputs, inputs, kernel, kernel]`, `bias` `[outputs]`.
    fn conv2d(
        &self,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
        shape: ConvShape,
    ) -> Result<Box<dyn ConvOperation>>;

    /// A layer norm: `weight` and `bias` are `[width]`.
    fn layer_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        eps: f64,
    ) -> Result<Box<dyn LayerNormOperation>>;

    /// A group norm: `weight` and `bias` are `[channels]`, which `groups` divides.
    fn group_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        groups: usize,
        eps: f64,
    ) -> Result<Box<dyn GroupNormOperation>>;

    /// An embedding table `[rows, width]`.
    fn embedding(&self, table: &StoredTensor<'_>) -> Result<Box<dyn EmbeddingOperation>>;

    /// `softmax(q k^T / sqrt(head_width) + bias) v`, `[batch, queries, heads * head_width]`.
    fn attention(&self, inputs: &Attention<'_>) -> Result<Tensor>;

    /// The activation of every element.
    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor>;

    /// `a + b`, same shapes.
    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// `x * scale + shift` of an image `[batch, height, width, channels]`.
    fn modulate(&self, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor>;

    /// An image `[batch, height, width, channels]` in another size by nearest neighbour, `floor(i * in / out)`.
    fn upsample_nearest(&self, x: &Tensor, height: usize, width: usize) -> Result<Tensor>;

    /// As `Compute::concat_channels`.
    fn concat_channels(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// 2x2 average pooling of an image `[batch, height, width, channels]`.
    fn average_pool_2x(&self, x: &Tensor) -> Result<Tensor>;
}

/// A loaded linear layer.
pub trait LinearOperation: Send + Sync {
    /// `[..., inputs]` to `[..., outputs]`, `then` included.
    fn forward(&self, x: &Tensor, then: AfterLinear<'_>) -> Result<Tensor>;
}

/// What follows a linear layer, on each part of the output as soon as it is there.
#[derive(Clone, Copy)]
pub enum AfterLinear<'a> {
    Nothing,
    /// A tensor of the output's shape is added.
    Add(&'a Tensor),
    Activate(Activation),
}

/// A loaded convolution.
pub trait ConvOperation: Send + Sync {
    /// `[batch, height, width, inputs]` to `[batch, height', width', outputs]`, over the input as it is or enlarged
    /// twofold by nearest neighbour; `residual` has the output's shape and is added to it.
    fn forward(&self, x: &Tensor, enlarged: bool, residual: Option<&Tensor>) -> Result<Tensor>;
}

/// A loaded layer norm.
pub trait LayerNormOperation: Send + Sync {
    /// `[..., width]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

/// A loaded group norm.
pub trait GroupNormOperation: Send + Sync {
    /// `[batch, ..., channels]` to the same shape, `then` included.
    fn forward(&self, x: &Tensor, then: AfterNorm<'_>) -> Result<Tensor>;
}

/// What follows a group norm in the same pass over the image.
#[derive(Clone, Copy)]
pub enum AfterNorm<'a> {
    Nothing,
    Silu,
    /// `silu(y * (1 + scale) + shift)`, with scales and shifts as one `[batch, 2 * channels]`.
    ScaleShiftSilu(&'a Tensor),
    /// The modulation of the image `[batch, height, width, channels]` that the norm gives.
    Modulate(&'a Modulation<'a>),
}

/// A loaded embedding table.
pub trait EmbeddingOperation: Send + Sync {
    /// The rows of `ids`, `[ids, width]`, in the dtype of activations. Every id is below the number of rows.
    fn forward(&self, ids: &[u32]) -> Result<Tensor>;
}
