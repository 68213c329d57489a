//! Layers of neural networks over a [`Backend`] that is chosen once, when a model is loaded. Networks are written in these
//! layers and know neither device, dtype nor memory layout.
//!
//! Invariants: images are NHWC inside (`[batch, height, width, channels]`), sequences `[batch, tokens, width]`. A layer
//! holds shapes and meaning only: it checks what it is given and asks the backend. All unsafe arithmetic code of the
//! project is in this crate, which is apart so that a change of the server does not compile it again.
//!
//! | backend | devices | weights | activations |
//! |---|---|---|---|
//! | `cpu` | the CPU, one set of kernels per instruction set | packed once, in the checkpoint's precision | f32 |
//! | `candle` | every device that candle knows; also the CPU, as the oracle of `cpu` | candle tensors | f32, bf16 or f16 |
//!
//! On the `cpu` backend every output element is one chain of additions whose order depends on the layer alone, so a row's
//! result is bit-equal alone and in any batch.

mod activation;
mod attention;
pub mod backend;
mod candle;
mod compute;
mod conv2d;
mod conv_shape;
mod cpu;
mod embedding;
pub mod error;
pub mod files;
mod instructions;
mod linear;
#[cfg(target_os = "linux")]
mod mapped;
mod meter;
mod modulation;
mod norm;
mod parallel;
pub mod probe;
mod recycling;
mod roofline;
mod rows;
mod stored;
mod values;
mod vars;
pub mod weight_files;
pub mod weights;

pub use activation::Activation;
pub use attention::Attention;
pub use backend::Backend;
pub use compute::Compute;
pub use conv_shape::ConvShape;
pub use conv2d::Conv2d;
pub use cpu::{Convolutions, CpuOptions, ProductPrecision, WeightPrecision, has_bf16_products, has_instructions};
pub use embedding::Embedding;
pub use error::{Error, Result};
pub use instructions::InstructionSet;
pub use linear::Linear;
#[cfg(target_os = "linux")]
pub use mapped::Mapped;
pub use meter::{Account, Meter};
pub use modulation::Modulation;
pub use norm::{GroupNorm, LayerNorm};
pub use recycling::{Recycling, keep_freed_memory};
pub use roofline::Roofline;
pub use stored::StoredTensor;
pub use values::{bytes, image_to_vec, to_vec};
pub use vars::Vars;
