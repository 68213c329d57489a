//! Weights by name: safetensors (one file, fp16 variant, sharded by an index) or a PyTorch `.bin`, checked for shape.
//!
//! Invariant: a tensor is handed out as the bytes of its mapped file; converting and packing happens tensor by tensor,
//! so two copies of all weights never exist.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::Deserialize;

use crate::tensor::error::{Error, Result};
use crate::tensor::files::{Contents, Folder};
use crate::tensor::{Compute, WeightPrecision};

/// All weights of one component.
pub struct Weights {
    files: Vec<WeightFile>,
    /// Tensor name to file.
    index: HashMap<String, usize>,
    /// Bytes of weights handed out, as stored.
    loaded: Cell<usize>,
}

struct WeightFile {
    path: String,
    data: Data,
}

enum Data {
    Safetensors { contents: Contents, entries: HashMap<String, Entry> },
    Pickle(PthTensors),
}

struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Weights {
    /// Open the weights in `folder` whose files are called `stem` (`model`, `diffusion_pytorch_model`).
    pub fn open(folder: &Folder, stem: &str) -> Result<Self> {
        // Full precision comes first: it is what the configuration's dtype is then cast from. A folder that holds
        // only the fp16 variant is just as good.
        for variant in ["", ".fp16"] {
            let file = format!("{stem}{variant}.safetensors");
            if folder.has(&file) {
                return Self::from_files(folder, &[file]);
            }
            let index = format!("{stem}.safetensors.index{variant}.json");
            if folder.has(&index) {
                let shards: ShardIndex = folder.json(&index, "the list of weight shards")?;
                let names: BTreeSet<String> = shards.weight_map.into_values().collect();
                return Self::from_files(folder, &names.into_iter().collect::<Vec<_>>());
            }
        }
        for file in ["pytorch_model.bin".to_owned(), format!("{stem}.bin"), format!("{stem}.fp16.bin")] {
            if let Folder::Disk(path) = folder
                && folder.has(&file)
            {
                return Self::from_pickle(path, &file);
            }
        }
        Err(Error::MissingFile {
            path: folder.name_of(&format!("{stem}.safetensors")),
            what: "weights, in one file, sharded, or as PyTorch .bin".to_owned(),
        })
    }

    fn from_files(folder: &Folder, names: &[String]) -> Result<Self> {
        let mut files = Vec::with_capacity(names.len());
        let mut index = HashMap::new();
        for (number, name) in names.iter().enumerate() {
            let path = folder.name_of(name);
            if name.contains("..") || name.starts_with('/') {
                return Err(Error::DamagedWeights { path, message: "a shard outside of its folder".to_owned() });
            }
            let contents = folder.require(name, "a weights file")?;
            let entries = read_header(&contents, &path)?;
            index.extend(entries.keys().map(|tensor| (tensor.clone(), number)));
            files.push(WeightFile { path, data: Data::Safetensors { contents, entries } });
        }
        Ok(Self { files, index, loaded: Cell::new(0) })
    }

    fn from_pickle(folder: &std::path::Path, file: &str) -> Result<Self> {
        let path = folder.join(file);
        let shown = path.display().to_string();
        let tensors = PthTensors::new(&path, None)
            .map_err(|error| Error::DamagedWeights { path: shown.clone(), message: error.to_string() })?;
        let index = tensors.tensor_infos().keys().map(|name| (name.clone(), 0)).collect();
        Ok(Self { files: vec![WeightFile { path: shown, data: Data::Pickle(tensors) }], index, loaded: Cell::new(0) })
    }

    /// The root of the tensors' names.
    #[must_use]
    pub fn vars<'a>(&'a self, compute: &'a Compute) -> Vars<'a> {
        Vars { weights: self, compute, prefix: String::new() }
    }

    /// Bytes of all tensors that were asked for so far, as stored.
    #[must_use]
    pub fn loaded_bytes(&self) -> usize {
        self.loaded.get()
    }

    /// The file (or first shard), for messages.
    #[must_use]
    pub fn path(&self) -> &str {
        self.files.first().map_or("", |file| &file.path)
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<Raw<'_>> {
        let missing = |path: &str| Error::MissingTensor { path: path.to_owned(), tensor: name.to_owned() };
        let number = *self.index.get(name).ok_or_else(|| missing(self.path()))?;
        let file = &self.files[number];
        let (got, raw) = match &file.data {
            Data::Safetensors { contents, entries } => {
                let entry = entries.get(name).ok_or_else(|| missing(&file.path))?;
                (entry.shape.clone(), Raw::new(entry.dtype, Cow::Borrowed(&contents[entry.range.clone()])))
            }
            Data::Pickle(tensors) => {
                let known = tensors.tensor_infos().get(name).map(|info| info.layout.dims());
                if known != Some(shape) {
                    return Err(Error::TensorShape {
                        path: file.path.clone(),
                        tensor: name.to_owned(),
                        got: known.unwrap_or_default().to_vec(),
                        want: shape.to_vec(),
                    });
                }
                let tensor = tensors
                    .get(name)
                    .map_err(|error| Error::DamagedWeights {
                        path: file.path.clone(),
                        message: format!("tensor {name}: {error}"),
                    })?
                    .ok_or_else(|| missing(&file.path))?;
                (tensor.dims().to_vec(), Raw::from_tensor(&tensor)?)
            }
        };
        if got != shape || shape.contains(&0) {
            return Err(Error::TensorShape {
                path: file.path.clone(),
                tensor: name.to_owned(),
                got,
                want: shape.to_vec(),
            });
        }
        let raw = raw.ok_or_else(|| Error::DamagedWeights {
            path: file.path.clone(),
            message: format!("tensor {name} is not of floating point"),
        })?;
        self.loaded.set(self.loaded.get() + raw.bytes());
        Ok(raw)
    }
}

fn read_header(contents: &[u8], path: &str) -> Result<HashMap<String, Entry>> {
    let damaged = |error: safetensors::SafeTensorError| Error::DamagedWeights {
        path: path.to_owned(),
        message: error.to_string(),
    };
    // Checks that every tensor lies inside the file.
    SafeTensors::deserialize(contents).map_err(damaged)?;
    let (header, metadata) = SafeTensors::read_metadata(contents).map_err(damaged)?;
    let start = header + size_of::<u64>();
    Ok(metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (from, to) = info.data_offsets;
            (name, Entry { dtype: info.dtype, shape: info.shape.clone(), range: start + from..start + to })
        })
        .collect())
}

/// The little-endian numbers of a tensor as it is stored.
pub enum Raw<'a> {
    F32(Cow<'a, [u8]>),
    F16(Cow<'a, [u8]>),
    Bf16(Cow<'a, [u8]>),
}

impl<'a> Raw<'a> {
    fn new(dtype: Dtype, bytes: Cow<'a, [u8]>) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32(bytes)),
            Dtype::F16 => Some(Self::F16(bytes)),
            Dtype::BF16 => Some(Self::Bf16(bytes)),
            _ => None,
        }
    }

    fn from_tensor(tensor: &Tensor) -> Result<Option<Self>> {
        let flat = tensor.flatten_all()?;
        Ok(Some(match tensor.dtype() {
            DType::F16 => {
                Self::F16(flat.to_vec1::<f16>()?.into_iter().flat_map(f16::to_le_bytes).collect::<Vec<_>>().into())
            }
            DType::BF16 => {
                Self::Bf16(flat.to_vec1::<bf16>()?.into_iter().flat_map(bf16::to_le_bytes).collect::<Vec<_>>().into())
            }
            DType::F32 | DType::F64 => Self::F32(
                flat.to_dtype(DType::F32)?
                    .to_vec1::<f32>()?
                    .into_iter()
                    .flat_map(f32::to_le_bytes)
                    .collect::<Vec<_>>()
                    .into(),
            ),
            _ => return Ok(None),
        }))
    }

    fn data(&self) -> &[u8] {
        match self {
            Self::F32(bytes) | Self::F16(bytes) | Self::Bf16(bytes) => bytes,
        }
    }

    fn bytes(&self) -> usize {
        self.data().len()
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(bytes) => bytes.len() / 4,
            Self::F16(bytes) | Self::Bf16(bytes) => bytes.len() / 2,
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The precision of the stored values.
    #[must_use]
    pub fn precision(&self) -> WeightPrecision {
        match self {
            Self::F32(_) => WeightPrecision::F32,
            Self::F16(_) => WeightPrecision::F16,
            Self::Bf16(_) => WeightPrecision::Bf16,
        }
    }

    /// Value number `index`, which must exist.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(b) => {
                let b = &b[4 * index..4 * index + 4];
                f32::from_le_bytes([b[0], b[1], b[2], b[3]])
            }
            Self::F16(b) => f16::from_le_bytes([b[2 * index], b[2 * index + 1]]).to_f32(),
            Self::Bf16(b) => bf16::from_le_bytes([b[2 * index], b[2 * index + 1]]).to_f32(),
        }
    }

    /// All values, widened.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        (0..self.len()).map(|i| self.get(i)).collect()
    }

    fn tensor(&self, shape: &[usize]) -> Result<Tensor> {
        let dtype = match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::BF16,
        };
        Ok(Tensor::from_raw_buffer(self.data(), dtype, shape, &Device::Cpu)?)
    }
}

/// A place in the tree of tensor names.
#[derive(Clone)]
pub struct Vars<'a> {
    weights: &'a Weights,
    compute: &'a Compute,
    prefix: String,
}

impl<'a> Vars<'a> {
    /// The place called `name` below this one.
    #[must_use]
    pub fn sub(&self, name: impl Display) -> Self {
        Self { prefix: self.name(&name.to_string()), ..self.clone() }
    }

    /// Where and how the model computes.
    #[must_use]
    pub fn compute(&self) -> &'a Compute {
        self.compute
    }

    /// Whether there is a tensor called `name` here.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.weights.index.contains_key(&self.name(name))
    }

    /// The stored numbers of a tensor, which must have this shape.
    pub fn raw(&self, name: &str, shape: &[usize]) -> Result<Raw<'a>> {
        self.weights.get(&self.name(name), shape)
    }

    /// The values of a tensor, widened to f32.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.raw(name, shape)?.to_f32())
    }

    /// A tensor on the device, in the dtype of activations.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.raw(name, shape)?.tensor(shape)?;
        Ok(tensor.to_device(&self.compute.device)?.to_dtype(self.compute.dtype)?)
    }

    /// A tensor on the device, in the precision it is stored in.
    pub fn stored_tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.raw(name, shape)?.tensor(shape)?.to_device(&self.compute.device)?)
    }

    /// An error about a configuration that does not fit these weights.
    #[must_use]
    pub fn bad_config(&self, message: impl Into<String>) -> Error {
        Error::config(self.weights.path(), format!("{}: {}", self.prefix, message.into()))
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}
