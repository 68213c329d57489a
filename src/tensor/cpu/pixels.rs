//! An image as the rows of a product: one a pixel of the output, read through one pointer a kernel position.
//!
//! Invariant: a pixel outside of the image is a row of zeros.

use crate::conv_shape::ConvShape;
use crate::cpu::operands::Rows;

/// Rows of a convolution's product: one per output pixel, one tap per kernel position.
pub(super) struct Pixels<'a> {
    pub(super) values: &'a [f32],
    pub(super) zeros: &'a [f32],
    pub(super) shape: ConvShape,
    /// How many times the image is read enlarged.
    pub(super) factor: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
}

impl Pixels<'_> {
    /// The channels of a pixel of the image as it is read. Coordinates below zero have wrapped around, and are outside, too.
    #[inline]
    pub(super) fn at(&self, sample: usize, y: usize, x: usize) -> *const f32 {
        if y >= self.height * self.factor || x >= self.width * self.factor {
            return self.zeros.as_ptr();
        }
        let index = (sample * self.height + y / self.factor) * self.width + x / self.factor;
        self.values[index * self.channels..(index + 1) * self.channels].as_ptr()
    }
}

// SAFETY: a row is a pixel of `values`, cut out by a checked range of `channels`, or `zeros`, of the same length.
unsafe impl Rows for Pixels<'_> {
    fn depth(&self) -> usize {
        self.channels.min(self.zeros.len())
    }

    #[inline]
    fn pointer(&self, row: usize, tap: usize) -> *const f32 {
        let (pixel, x) = (row / self.out_width, row % self.out_width);
        let (sample, y) = (pixel / self.out_height, pixel % self.out_height);
        let above = (y * self.shape.stride + tap / self.shape.kernel).wrapping_sub(self.shape.pad_before);
        let left = (x * self.shape.stride + tap % self.shape.kernel).wrapping_sub(self.shape.pad_before);
        self.at(sample, above, left)
    }
}
