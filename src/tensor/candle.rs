//! The layers in plain candle operations: every device that candle knows, and the oracle of the `cpu` backend.
//!
//! Invariants: norms and softmax are computed in f32, whatever the dtype of activations; what candle's CUDA device would
//! refuse, or compute wrongly, fails on every device, so that tests on the CPU find it.

mod attention;
mod backend;
mod checks;
mod layers;
mod operations;
mod products;

pub(super) use backend::CandleBackend;
