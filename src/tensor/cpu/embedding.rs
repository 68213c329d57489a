//! Embedding tables in the precision they are stored in, widened row by row.

use candle_core::{DType, Tensor};
use half::{bf16, f16};

use crate::backend::EmbeddingOperation;
use crate::cpu::buffers;
use crate::error::Result;
use crate::stored::StoredTensor;

pub(super) struct CpuEmbedding {
    table: Table,
    width: usize,
}

enum Table {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl CpuEmbedding {
    pub(super) fn new(table: &StoredTensor<'_>) -> Self {
        let bits = || (0..table.len()).map(|i| table.half_bits(i));
        Self {
            width: table.shape()[1],
            table: match table.dtype() {
                DType::F16 => Table::F16(bits().map(f16::from_bits).collect()),
                DType::BF16 => Table::Bf16(bits().map(bf16::from_bits).collect()),
                _ => Table::F32(table.to_f32()),
            },
        }
    }
}

impl EmbeddingOperation for CpuEmbedding {
    fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let mut out = Vec::with_capacity(ids.len() * self.width);
        for id in ids {
            let row = *id as usize * self.width..(*id as usize + 1) * self.width;
            match &self.table {
                Table::F32(values) => out.extend_from_slice(&values[row]),
                Table::F16(values) => out.extend(values[row].iter().map(|x| x.to_f32())),
                Table::Bf16(values) => out.extend(values[row].iter().map(|x| x.to_f32())),
            }
        }
        buffers::tensor(out, &[ids.len(), self.width])
    }
}
