//! Sizes that kernels and those who call them agree on.
//!
//! Invariant: the same for every instruction set, so that weights are packed and numbers are added in one order.

/// Rows in a full tile.
pub(in crate::cpu) const MR: usize = 12;
/// Outputs in one panel of weights: two AVX-512 registers of f32, four of AVX2, eight of NEON.
pub(in crate::cpu) const NR: usize = 32;
/// Values of a cache line in f32: the channels that are next to each other in a transformed input.
pub(in crate::cpu) const LINE: usize = 16;
/// Values of a cache line in bf16, a step of products of pairs.
pub(in crate::cpu) const PAIR_LINE: usize = 32;
/// Most products of a tile.
pub(in crate::cpu) const MOST_PRODUCTS: usize = 36;
/// Most lines of a packed tile.
pub(in crate::cpu) const PACKED_LINES: usize = 8;
