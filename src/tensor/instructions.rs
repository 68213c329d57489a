//! Names of the instruction sets that CPU kernels are written for.
//!
//! Invariant: plain names; whether a machine has one is asked of [`has_instructions`](crate::has_instructions).

/// A set of instructions that CPU kernels are written for, the fastest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum InstructionSet {
    /// As the next, with AMX's tiles for products in bf16.
    Amx,
    /// AVX-512F and F16C, with AVX512-BF16 for products in bf16 where it is there.
    Avx512,
    /// AVX2, FMA and F16C.
    Avx2,
    /// NEON of 64-bit ARM.
    Neon,
    /// No special instructions.
    Portable,
}
