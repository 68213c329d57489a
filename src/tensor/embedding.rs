//! Embedding tables: rows looked up by id. A table stays in the precision it is stored in.

use candle_core::Tensor;

use crate::backend::EmbeddingOperation;
use crate::error::{Error, Result};
use crate::vars::Vars;

/// `torch.nn.Embedding`.
pub struct Embedding {
    operation: Box<dyn EmbeddingOperation>,
    rows: usize,
    width: usize,
}

impl Embedding {
    /// Load `weight` `[rows, width]` below `vars`.
    pub fn load(vars: &Vars<'_>, rows: usize, width: usize) -> Result<Self> {
        let table = vars.stored("weight", &[rows, width])?;
        Ok(Self { operation: vars.compute().backend().embedding(&table)?, rows, width })
    }

    /// `[batch, tokens]` ids to `[batch, tokens, width]`. All id lists must have one length.
    pub fn forward(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let tokens = ids.first().map_or(0, Vec::len);
        let flat: Vec<u32> = ids.iter().flatten().copied().collect();
        if ids.iter().any(|list| list.len() != tokens) {
            return Err(Error::Request("token lists of one batch must have one length".into()));
        }
        if let Some(id) = flat.iter().find(|id| **id as usize >= self.rows) {
            return Err(Error::Request(format!("token id {id} is outside of the vocabulary of {}", self.rows)));
        }
        Ok(self.operation.forward(&flat)?.reshape((ids.len(), tokens, self.width))?)
    }
}
