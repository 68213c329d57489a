//! The inputs of multi-head attention with optional added keys and values (a text and image context) and an additive bias.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// The inputs of an attention layer.
pub struct Attention<'a> {
    /// `[batch, queries, heads * head_width]`.
    pub query: &'a Tensor,
    /// `[batch, keys, heads * head_width]`.
    pub key: &'a Tensor,
    /// As `key`.
    pub value: &'a Tensor,
    /// Added keys and values, attended before `key`: one `[tokens, heads * head_width]` pair a sample, or none.
    pub context: &'a [(&'a Tensor, &'a Tensor)],
    pub heads: usize,
    /// Added to the scores, `[batch or 1, queries or 1, added and own keys]`.
    pub bias: Option<&'a Tensor>,
}

/// The sizes of one call, after its inputs have been checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) queries: usize,
    /// Added and own keys.
    pub(crate) keys: usize,
    pub(crate) heads: usize,
    pub(crate) head_width: usize,
}

impl Attention<'_> {
    /// Keys that have no weight may be left out, bit by bit, if the others keep their places modulo this.
    pub const LANES: usize = 16;

    /// The sizes of this call; an error if the inputs do not fit each other.
    pub(crate) fn check(&self) -> Result<AttentionShape> {
        let (batch, queries, width) = self.query.dims3()?;
        let (_, own_keys, _) = self.key.dims3()?;
        if self.heads == 0 || !width.is_multiple_of(self.heads) {
            return Err(Error::shape(format!("{width} channels cannot be split into {} heads", self.heads)));
        }
        if self.key.dims() != [batch, own_keys, width] || self.value.dims() != self.key.dims() {
            return Err(Error::shape(format!(
                "queries of {:?}, keys of {:?} and values of {:?}",
                self.query.dims(),
                self.key.dims(),
                self.value.dims()
            )));
        }
        let added = self.context.first().map_or(Ok(0), |(key, _)| key.dim(0))?;
        let fits = |part: &Tensor| part.dims() == [added, width];
        if !self.context.is_empty()
            && (self.context.len() != batch || !self.context.iter().all(|(key, value)| fits(key) && fits(value)))
        {
            return Err(Error::shape(format!(
                "{} contexts for {batch} samples, or one that is not [{added}, {width}]",
                self.context.len()
            )));
        }
        let keys = added + own_keys;
        if let Some(bias) = self.bias {
            let (samples, rows, columns) = bias.dims3()?;
            if columns != keys || (samples != batch && samples != 1) || (rows != queries && rows != 1) {
                return Err(Error::shape(format!(
                    "a bias of {:?} for {batch} x {queries} x {keys} scores",
                    bias.dims()
                )));
            }
        }
        Ok(AttentionShape { batch, queries, keys, heads: self.heads, head_width: width / self.heads })
    }
}

impl AttentionShape {
    pub(crate) fn width(&self) -> usize {
        self.heads * self.head_width
    }
}
