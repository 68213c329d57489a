//! What attention asks of keys and values that are packed for one kind of products.
//!
//! Invariant: a query's numbers depend on itself, on keys and on values, not on what is asked together with it.

use crate::attention::AttentionShape;
use crate::cpu::buffers::SharedOutput;
use crate::cpu::kernels::{MR, NR};

/// Keys and values of every head, packed.
pub(super) trait Heads: Sync {
    /// Numbers of working memory of a task of `rows` queries, beside their scores.
    fn working_numbers(&self, rows: usize) -> usize;

    /// The scores of some queries with all keys: a row each, `padded` apart.
    fn score(&self, head: usize, queries: &Queries<'_>, scores: &mut [f32], working: &mut [f32]);

    /// The sums of the values, weighted by scores as [`Heads::score`] lays them out.
    fn sum(&self, head: usize, scores: &[f32], working: &mut [f32], out: &Sums<'_>);
}

/// Some queries of one head.
pub(super) struct Queries<'a> {
    pub(super) values: &'a [f32],
    /// The first value of the first one.
    pub(super) at: usize,
    /// Between two of them.
    pub(super) width: usize,
    pub(super) rows: usize,
}

impl Queries<'_> {
    pub(super) fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let rows = self.rows;
        (0..rows).step_by(MR).map(move |row| (row, MR.min(rows - row)))
    }

    /// The `head_width` values of one.
    pub(super) fn row(&self, row: usize, head_width: usize) -> &[f32] {
        &self.values[self.at + row * self.width..][..head_width]
    }
}

/// Where the sums of some queries go, which nothing else writes.
pub(super) struct Sums<'a> {
    pub(super) out: SharedOutput<'a>,
    pub(super) at: usize,
    pub(super) width: usize,
    pub(super) rows: usize,
}

impl Sums<'_> {
    pub(super) fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let rows = self.rows;
        (0..rows).step_by(MR).map(move |row| (row, MR.min(rows - row)))
    }
}

/// Between the scores of two queries.
pub(super) fn padded(shape: &AttentionShape) -> usize {
    shape.keys.next_multiple_of(NR)
}
