//! Weights by name: safetensors (one file, a variant, sharded by an index) or PyTorch's `.bin` likewise, checked for shape.
//!
//! Invariant: a tensor is handed out as the bytes of its mapped file; converting and packing happens tensor by tensor,
//! so two copies of all weights never exist.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use candle_core::pickle::PthTensors;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::files::{Contents, Folder};
use crate::stored::StoredTensor;
use crate::weight_files::{Precision, choose_weights};

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
        let usual = format!("{stem}.safetensors");
        let Folder::Disk(path) = folder else {
            let half = format!("{stem}.fp16.safetensors");
            return Self::from_files(folder, &[if folder.has(&half) { half } else { usual }]);
        };
        let names = folder.files();
        let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        // Full precision comes first: it is what the configuration's dtype is then cast from. A folder that holds
        // only another variant is just as good.
        let Some(chosen) = choose_weights(&known, Precision::Full) else {
            let others: Vec<&str> = names
                .iter()
                .map(String::as_str)
                .filter(|name| Path::new(name).extension() != Some("json".as_ref()))
                .collect();
            let found = if others.is_empty() { "nothing else".to_owned() } else { others.join(", ") };
            let what = format!("weights, in one file, in all of their shards, or as PyTorch .bin; found {found}");
            return Err(Error::MissingFile { path: folder.name_of(&usual), what });
        };
        if chosen.pytorch {
            return Self::from_pickles(path, &chosen.files);
        }
        let files = match chosen.index {
            Some(index) => {
                let shards: ShardIndex = folder.json(index, "the list of weight shards")?;
                shards.weight_map.into_values().collect::<BTreeSet<_>>().into_iter().collect()
            }
            None => chosen.files.into_iter().map(str::to_owned).collect::<Vec<_>>(),
        };
        Self::from_files(folder, &files)
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

    fn from_pickles(folder: &std::path::Path, names: &[&str]) -> Result<Self> {
        let mut files = Vec::with_capacity(names.len());
        let mut index = HashMap::new();
        for (number, name) in names.iter().enumerate() {
            // The reader of pickles opens the file itself.
            Folder::Disk(folder.to_owned()).require(name, "a weights file")?;
            let path = folder.join(name);
            let shown = path.display().to_string();
            let tensors = PthTensors::new(&path, None)
                .map_err(|error| Error::DamagedWeights { path: shown.clone(), message: error.to_string() })?;
            index.extend(tensors.tensor_infos().keys().map(|name| (name.clone(), number)));
            files.push(WeightFile { path: shown, data: Data::Pickle(tensors) });
        }
        Ok(Self { files, index, loaded: Cell::new(0) })
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

    /// Whether there is a tensor of this full name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// The tensor of this full name, which must have this shape.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<StoredTensor<'_>> {
        let missing = |path: &str| Error::MissingTensor { path: path.to_owned(), tensor: name.to_owned() };
        let number = *self.index.get(name).ok_or_else(|| missing(self.path()))?;
        let file = &self.files[number];
        let (got, stored) = match &file.data {
            Data::Safetensors { contents, entries } => {
                let entry = entries.get(name).ok_or_else(|| missing(&file.path))?;
                let bytes = Cow::Borrowed(&contents[entry.range.clone()]);
                (entry.shape.clone(), StoredTensor::new(entry.dtype, bytes, &entry.shape))
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
                (tensor.dims().to_vec(), StoredTensor::from_tensor(&tensor)?)
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
        let stored = stored.ok_or_else(|| Error::DamagedWeights {
            path: file.path.clone(),
            message: format!("tensor {name} is not of floating point"),
        })?;
        self.loaded.set(self.loaded.get() + stored.bytes().len());
        Ok(stored)
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
