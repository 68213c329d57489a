//! The layers on the CPU: weights packed once for the kernels, f32 activations, and kernels chosen by instruction set.
//!
//! Invariants: every output element is one chain of additions whose order depends on the layer alone, whatever the number
//! of threads, the rows of the batch, or the instruction set (`portable` rounds each product, all others fuse it with the
//! addition). Weights stay in f32, f16 or bf16 and are widened in registers.

mod attention;
mod attention_bf16;
mod backend;
mod buffers;
mod conv;
mod elementwise;
mod embedding;
mod gemm;
mod gemm_bf16;
mod heads;
mod kernels;
mod linear;
mod norms;
mod operands;
mod options;
mod packing;
mod pixels;
mod products;
mod resample;
mod scratch;
#[cfg(test)]
mod tests;
mod winograd;

pub(super) use backend::CpuBackend;
pub use kernels::{has_bf16_products, has_instructions};
pub use options::{Convolutions, CpuOptions, ProductPrecision};
pub use packing::WeightPrecision;
