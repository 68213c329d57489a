//! A tensor of a checkpoint on its way to a backend: its bytes as they are stored, and its shape.
//!
//! Invariant: the bytes hold exactly the shape's number of values, little-endian, in f32, f16 or bf16.

use std::borrow::Cow;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use safetensors::tensor::Dtype;

use crate::error::Result;

/// The little-endian numbers of a stored tensor. Borrowed from the file where that is possible.
pub struct StoredTensor<'a> {
    numbers: Numbers<'a>,
    shape: Vec<usize>,
}

enum Numbers<'a> {
    F32(Cow<'a, [u8]>),
    F16(Cow<'a, [u8]>),
    Bf16(Cow<'a, [u8]>),
}

impl<'a> StoredTensor<'a> {
    /// `None` for a dtype that weights cannot have. `bytes` must hold the values of `shape`.
    pub(crate) fn new(dtype: Dtype, bytes: Cow<'a, [u8]>, shape: &[usize]) -> Option<Self> {
        let numbers = match dtype {
            Dtype::F32 => Numbers::F32(bytes),
            Dtype::F16 => Numbers::F16(bytes),
            Dtype::BF16 => Numbers::Bf16(bytes),
            _ => return None,
        };
        Some(Self { numbers, shape: shape.to_vec() })
    }

    /// A copy of the numbers of a candle tensor; `None` for a dtype that weights cannot have.
    pub(crate) fn from_tensor(tensor: &Tensor) -> Result<Option<Self>> {
        let flat = tensor.flatten_all()?;
        let numbers = match tensor.dtype() {
            DType::F16 => Numbers::F16(flat.to_vec1::<f16>()?.into_iter().flat_map(f16::to_le_bytes).collect()),
            DType::BF16 => Numbers::Bf16(flat.to_vec1::<bf16>()?.into_iter().flat_map(bf16::to_le_bytes).collect()),
            DType::F32 | DType::F64 => {
                let flat = flat.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                Numbers::F32(flat.into_iter().flat_map(f32::to_le_bytes).collect())
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { numbers, shape: tensor.dims().to_vec() }))
    }

    /// Its dimensions.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The dtype of the stored values: f32, f16 or bf16.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self.numbers {
            Numbers::F32(_) => DType::F32,
            Numbers::F16(_) => DType::F16,
            Numbers::Bf16(_) => DType::BF16,
        }
    }

    /// The stored bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.numbers {
            Numbers::F32(bytes) | Numbers::F16(bytes) | Numbers::Bf16(bytes) => bytes,
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len() / self.dtype().size_in_bytes()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value number `index`, widened. Panics if there is none.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> f32 {
        match &self.numbers {
            Numbers::F32(bytes) => {
                let b = &bytes[4 * index..4 * index + 4];
                f32::from_le_bytes([b[0], b[1], b[2], b[3]])
            }
            Numbers::F16(bytes) => f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32(),
            Numbers::Bf16(bytes) => bf16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32(),
        }
    }

    /// All values, widened.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        (0..self.len()).map(|index| self.get(index)).collect()
    }

    /// A copy on `device`, in the dtype it is stored in.
    pub(crate) fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        let tensor = Tensor::from_raw_buffer(self.bytes(), self.dtype(), &self.shape, &Device::Cpu)?;
        Ok(tensor.to_device(device)?)
    }
}
