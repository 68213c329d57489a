//! Embedding tables in the precision they are stored in, widened row by row.

use candle_core::{DType, Tensor};
use half::vec::HalfBitsVecExt as _;
use half::{bf16, f16};

use crate::backend::EmbeddingOperation;
use crate::cpu::buffers;
use crate::error::Result;
use crate::parallel;
use crate::stored::StoredTensor;

/// Numbers that one task copies.
const PIECE: usize = 1 << 20;

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
        Self {
            width: table.shape()[1],
            table: match table.dtype() {
                DType::F16 => Table::F16(bits_of(table).reinterpret_into()),
                DType::BF16 => Table::Bf16(bits_of(table).reinterpret_into()),
                _ => Table::F32(table.to_f32()),
            },
        }
    }
}

/// A copy of the bits of a table that is stored in 16 bits.
fn bits_of(table: &StoredTensor<'_>) -> Vec<u16> {
    let mut bits = vec![0_u16; table.len()];
    let (stored, _) = table.bytes().as_chunks::<2>();
    parallel::for_each_piece(&mut bits, PIECE, |number, bits| {
        bits.iter_mut().zip(&stored[number * PIECE..]).for_each(|(bits, bytes)| *bits = u16::from_le_bytes(*bytes));
    });
    bits
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
