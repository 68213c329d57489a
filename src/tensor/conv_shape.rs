//! The geometry of a convolution.

/// Geometry of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    pub kernel: usize,
    pub stride: usize,
    /// Zeros above and left of the image.
    pub pad_before: usize,
    /// Zeros below and right of it.
    pub pad_after: usize,
}

impl ConvShape {
    /// 3x3, same size.
    pub const SAME_3X3: Self = Self { kernel: 3, stride: 1, pad_before: 1, pad_after: 1 };
    /// 1x1.
    pub const POINTWISE: Self = Self { kernel: 1, stride: 1, pad_before: 0, pad_after: 0 };
    /// 3x3 with stride 2 and padding below and right only: half the size (MoVQ's encoder).
    pub const HALVE_3X3: Self = Self { kernel: 3, stride: 2, pad_before: 0, pad_after: 1 };

    /// Non-overlapping square patches (vision transformers).
    #[must_use]
    pub const fn patches(size: usize) -> Self {
        Self { kernel: size, stride: size, pad_before: 0, pad_after: 0 }
    }

    /// Pixels that a side of `input` pixels gives; `None` if the kernel does not fit.
    #[must_use]
    pub(crate) fn output(self, input: usize) -> Option<usize> {
        (input + self.pad_before + self.pad_after).checked_sub(self.kernel).map(|rest| rest / self.stride + 1)
    }
}
