//! What a product reads and writes: rows given by pointers, and rectangles of its output.
//!
//! Invariant: tasks write disjoint rectangles.

use std::ops::Range;

/// Where the rows of the left operand lie.
///
/// # Safety
/// [`Rows::pointer`] must give a pointer to [`Rows::depth`] readable values, which stay readable and unchanged while the
/// implementor is borrowed.
pub(super) unsafe trait Rows: Sync {
    /// Values of a row.
    fn depth(&self) -> usize;

    /// The values of `row` seen through `tap`.
    fn pointer(&self, row: usize, tap: usize) -> *const f32;
}

/// Rows of a plain `[rows, depth]` matrix.
pub(super) struct Dense<'a> {
    values: &'a [f32],
    depth: usize,
}

impl<'a> Dense<'a> {
    pub(super) fn new(values: &'a [f32], depth: usize) -> Self {
        Self { values, depth }
    }
}

// SAFETY: a row is a checked range of `depth` borrowed values.
unsafe impl Rows for Dense<'_> {
    fn depth(&self) -> usize {
        self.depth
    }

    #[inline]
    fn pointer(&self, row: usize, _tap: usize) -> *const f32 {
        self.values[row * self.depth..(row + 1) * self.depth].as_ptr()
    }
}

/// The rectangle of the output that one task makes.
pub(super) struct Block {
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
}
