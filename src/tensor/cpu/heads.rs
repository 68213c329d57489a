//! What attention asks of keys and values that are packed for one kind of products.
//!
//! Invariant: a query's numbers depend on itself, on keys and on values, not on what is asked together with it.

use crate::attention::AttentionShape;
use crate::cpu::buffers::{self, Number, SharedOutput};
use crate::cpu::kernels::{LINE, MR, NR};
use crate::parallel;

/// Keys and values of every head, packed.
pub(super) trait Heads: Sync {
    /// Numbers of working memory of a task of `rows` queries, beside their scores.
    fn working_numbers(&self, rows: usize) -> usize;

    /// The scores of some queries with all keys: a row each, `padded` apart.
    fn score(&self, head: usize, queries: &Queries<'_>, scores: &mut [f32], working: &mut [f32]);

    /// The sums of the values, weighted by `scores`, as [`Heads::score`] lays them out, each row of them times its factor.
    fn sum(&self, head: usize, scores: &mut [f32], factors: &[f32], working: &mut [f32], out: &Sums<'_>);
}

/// Keys or values of a batch: added tokens of every sample, and its own, which come after them.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// `[batch, added, width]`.
    pub(super) added: &'a [f32],
    /// `[batch, own, width]`.
    pub(super) own: &'a [f32],
}

/// Keys or values of one head, a row a token.
#[derive(Clone, Copy)]
pub(super) struct HeadRows<'a> {
    added: &'a [f32],
    own: &'a [f32],
    width: usize,
    /// The head's columns.
    first: usize,
    head_width: usize,
}

impl<'a> HeadRows<'a> {
    fn new(tokens: Tokens<'a>, shape: &AttentionShape, sample: usize, head: usize) -> Self {
        let of_sample = |values: &'a [f32]| {
            let len = values.len() / shape.batch;
            &values[sample * len..(sample + 1) * len]
        };
        let (width, head_width) = (shape.width(), shape.head_width);
        Self { added: of_sample(tokens.added), own: of_sample(tokens.own), width, first: head * head_width, head_width }
    }

    /// The `head_width` values of a token.
    #[inline]
    pub(super) fn row(&self, token: usize) -> &'a [f32] {
        let at = token * self.width;
        let row = if at < self.added.len() { &self.added[at..] } else { &self.own[at - self.added.len()..] };
        &row[self.first..self.first + self.head_width]
    }
}

/// Pack the keys and values of every head into `per_head` numbers each: `pack` gets the rows of both, and writes all of them.
pub(super) fn pack_heads<T: Number>(
    shape: &AttentionShape,
    (keys, values): (Tokens<'_>, Tokens<'_>),
    per_head: usize,
    pack: impl Fn(HeadRows<'_>, HeadRows<'_>, &mut [T]) + Sync,
) -> Vec<T> {
    let mut packed = buffers::output(shape.batch * shape.heads * per_head);
    parallel::for_each_piece(&mut packed, per_head, |index, out| {
        let rows = |tokens| HeadRows::new(tokens, shape, index / shape.heads, index % shape.heads);
        pack(rows(keys), rows(values), out);
    });
    packed
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

/// Between the scores of two queries: an odd number of cache lines, so that those of a tile's rows do not share places in the L1 cache.
pub(super) fn padded(shape: &AttentionShape) -> usize {
    shape.keys.next_multiple_of(NR) + LINE
}
