//! Attention as Marian has it: four linear layers around scaled dot products.

use candle_core::Tensor;

use crate::tensor::error::Result;
use crate::tensor::{Attention as Inputs, Compute, Linear, Vars};

/// One attention layer.
pub(super) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    compute: Compute,
}

/// Keys and values, `[batch, tokens, width]` each.
#[derive(Clone)]
pub(super) struct KeyValues {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

impl Attention {
    /// Load below `vars`, with transformers' names.
    pub(super) fn load(vars: &Vars<'_>, width: usize, heads: usize) -> Result<Self> {
        vars.check_heads(width, heads)?;
        let linear = |name: &str| Linear::load(&vars.sub(name), width, width);
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            output: linear("out_proj")?,
            heads,
            compute: vars.compute().clone(),
        })
    }

    /// The keys and values of `x`, `[batch, tokens, width]`.
    pub(super) fn key_values(&self, x: &Tensor) -> Result<KeyValues> {
        Ok(KeyValues { keys: self.key.forward(x)?, values: self.value.forward(x)? })
    }

    /// `x + attention(x)` over these keys and values; `x` is `[batch, queries, width]`.
    pub(super) fn forward_add(&self, x: &Tensor, memory: &KeyValues) -> Result<Tensor> {
        let query = self.query.forward(x)?;
        let (key, value) = (&memory.keys, &memory.values);
        let inputs = Inputs { query: &query, key, value, context: &[], heads: self.heads, bias: None };
        self.output.forward_add(&self.compute.attention(&inputs)?, x)
    }
}

impl KeyValues {
    /// These with those of one more token, behind them.
    pub(super) fn extended(before: Option<Self>, new: Self) -> Result<Self> {
        let Some(before) = before else { return Ok(new) };
        Ok(Self {
            keys: Tensor::cat(&[before.keys, new.keys], 1)?,
            values: Tensor::cat(&[before.values, new.values], 1)?,
        })
    }

    /// The rows of the batch with these numbers.
    pub(super) fn select(&self, rows: &Tensor) -> Result<Self> {
        Ok(Self { keys: self.keys.index_select(rows, 0)?, values: self.values.index_select(rows, 0)? })
    }
}
