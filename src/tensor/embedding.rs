//! Embedding tables: rows looked up by id. A table stays in the precision it is stored in.

use candle_core::{DType, Device, Tensor};

use crate::tensor::error::{Error, Result};
use crate::tensor::weights::Vars;

/// `torch.nn.Embedding`.
pub struct Embedding {
    table: Tensor,
    device: Device,
    dtype: DType,
}

impl Embedding {
    /// Load `weight` `[rows, width]` below `vars`.
    pub fn load(vars: &Vars<'_>, rows: usize, width: usize) -> Result<Self> {
        let compute = vars.compute();
        Ok(Self {
            table: vars.stored_tensor("weight", &[rows, width])?,
            device: compute.device.clone(),
            dtype: compute.dtype,
        })
    }

    /// `[batch, tokens]` ids to `[batch, tokens, width]`. All id lists must have one length.
    pub fn forward(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let (rows, width) = self.table.dims2()?;
        let tokens = ids.first().map_or(0, Vec::len);
        let flat: Vec<u32> = ids.iter().flatten().copied().collect();
        if flat.len() != tokens * ids.len() {
            return Err(Error::Request("token lists of one batch must have one length".into()));
        }
        if let Some(id) = flat.iter().find(|id| **id as usize >= rows) {
            return Err(Error::Request(format!("token id {id} is outside of the vocabulary of {rows}")));
        }
        let index = Tensor::new(flat, &self.device)?;
        let found = self.table.index_select(&index, 0)?.to_dtype(self.dtype)?;
        Ok(found.reshape((ids.len(), tokens, width))?)
    }
}
