//! What the transforms of a convolution in tiles are given (see `winograd.rs`).
//!
//! Invariant: distances are in values, and who makes one vouches for what its pointers reach.

use half::{bf16, f16};

use crate::cpu::kernels::sizes::{MOST_PRODUCTS, NR};

/// Which tiles a convolution is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cpu) enum TileSize {
    /// F(2x2, 3x3).
    Two,
    /// F(4x4, 3x3).
    Four,
}

impl TileSize {
    /// Outputs of a side.
    pub(in crate::cpu) const fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Inputs of a side.
    pub(in crate::cpu) const fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// Products of a tile, for each pair of channels.
    pub(in crate::cpu) const fn products(self) -> usize {
        self.inputs() * self.inputs()
    }
}

/// The transform of some channels of one tile of the input.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct InputTile<'a, T> {
    pub(in crate::cpu) size: TileSize,
    /// One pointer an input pixel, row by row, to `channels` values.
    pub(in crate::cpu) pixels: &'a [*const f32; MOST_PRODUCTS],
    pub(in crate::cpu) channels: usize,
    /// `[product][stride]`: a cache line of values at the start of each `line` of each product.
    pub(in crate::cpu) out: *mut T,
    /// Distance between products.
    pub(in crate::cpu) product_stride: usize,
    /// Distance between the lines of a product.
    pub(in crate::cpu) line_stride: usize,
}

/// The transform of some depth of one panel of weights.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct WeightBlock<T> {
    pub(in crate::cpu) size: TileSize,
    pub(in crate::cpu) weights: WeightPointer,
    /// Distance between the taps of a panel.
    pub(in crate::cpu) tap_stride: usize,
    pub(in crate::cpu) depth: usize,
    /// `[product][depth][NR]`; in bf16 in pairs, `[product][depth / 2][NR][2]`, a zero after an odd depth.
    pub(in crate::cpu) out: *mut T,
    pub(in crate::cpu) product_stride: usize,
}

/// Where the weights are, `[tap][depth][NR]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) enum WeightPointer {
    F32(*const f32),
    F16(*const f16),
    Bf16(*const bf16),
}

/// The transform of the products of one tile to a panel of its outputs.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct OutputTile<'a> {
    pub(in crate::cpu) size: TileSize,
    /// `[product][stride]`: [`NR`] values each.
    pub(in crate::cpu) products: *const f32,
    pub(in crate::cpu) product_stride: usize,
    /// Added to every pixel.
    pub(in crate::cpu) bias: &'a [f32; NR],
    /// The first output pixel, and what is added to it, which lies likewise; or null.
    pub(in crate::cpu) out: *mut f32,
    pub(in crate::cpu) residual: *const f32,
    pub(in crate::cpu) row_stride: usize,
    pub(in crate::cpu) pixel_stride: usize,
    /// Rows, columns and channels that exist: at most the tile's side and [`NR`].
    pub(in crate::cpu) rows: usize,
    pub(in crate::cpu) columns: usize,
    pub(in crate::cpu) width: usize,
}
