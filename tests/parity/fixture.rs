//! Reading fixtures: `cases.json`, and per case a safetensors file with `in.*` and `out.*` tensors.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use kandinsky::tensor::Compute;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::Deserialize;
use serde_json::Value as Json;

#[derive(Deserialize)]
pub struct Cases {
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub runner: String,
    pub file: String,
    pub params: Json,
    pub tolerance: f64,
    pub pngs: Vec<String>,
}

/// Numbers with a shape.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Data,
}

#[derive(Clone, Debug)]
pub enum Data {
    Float(Vec<f32>),
    Int(Vec<i64>),
}

impl Array {
    pub fn float(data: Vec<f32>, shape: &[usize]) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>(), "shape {shape:?}");
        Self { shape: shape.to_vec(), data: Data::Float(data) }
    }

    pub fn vector(data: Vec<f32>) -> Self {
        let shape = [data.len()];
        Self::float(data, &shape)
    }

    pub fn scalar(value: f32) -> Self {
        Self::float(vec![value], &[])
    }

    pub fn int(data: Vec<i64>, shape: &[usize]) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>(), "shape {shape:?}");
        Self { shape: shape.to_vec(), data: Data::Int(data) }
    }

    pub fn floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Float(values) => values.clone(),
            Data::Int(values) => values.iter().map(|v| *v as f32).collect(),
        }
    }

    pub fn ints(&self) -> Vec<i64> {
        match &self.data {
            Data::Int(values) => values.clone(),
            Data::Float(values) => values.iter().map(|v| *v as i64).collect(),
        }
    }

    /// Entry `index` along the first dimension.
    pub fn row(&self, index: usize) -> Vec<f32> {
        let size = self.shape[1..].iter().product::<usize>();
        self.floats()[index * size..(index + 1) * size].to_vec()
    }

    pub fn tokens(&self) -> Vec<Vec<u32>> {
        self.ints().chunks(self.shape[1]).map(|row| row.iter().map(|id| *id as u32).collect()).collect()
    }

    pub fn masks(&self) -> Vec<Vec<bool>> {
        self.ints().chunks(self.shape[1]).map(|row| row.iter().map(|x| *x != 0).collect()).collect()
    }
}

/// One case with its tensors, and what to compute it with.
pub struct Fixture {
    pub compute: Compute,
    pub root: PathBuf,
    pub params: Json,
    pub inputs: HashMap<String, Array>,
    pub outputs: BTreeMap<String, Array>,
}

impl Fixture {
    pub fn load(root: &Path, case: &Case, compute: &Compute) -> Result<Self> {
        let (mut inputs, mut outputs) = (HashMap::new(), BTreeMap::new());
        for (name, array) in read_arrays(&root.join(&case.file))? {
            if let Some(name) = name.strip_prefix("in.") {
                inputs.insert(name.to_owned(), array);
            } else if let Some(name) = name.strip_prefix("out.") {
                outputs.insert(name.to_owned(), array);
            }
        }
        let (root, params, compute) = (root.to_owned(), case.params.clone(), compute.clone());
        Ok(Self { compute, root, params, inputs, outputs })
    }

    pub fn input(&self, name: &str) -> Result<&Array> {
        self.inputs.get(name).with_context(|| format!("the fixture has no input {name}"))
    }

    /// `noise.0`, `noise.1`, ... in order.
    pub fn noise(&self) -> Vec<Array> {
        (0..).map_while(|k| self.inputs.get(&format!("noise.{k}")).cloned()).collect()
    }

    pub fn text(&self, name: &str) -> Result<&str> {
        self.params[name].as_str().with_context(|| format!("no text parameter {name}"))
    }

    pub fn number(&self, name: &str) -> Result<f64> {
        self.params[name].as_f64().with_context(|| format!("no number parameter {name}"))
    }

    /// A prompt parameter: one text or several, or nothing.
    pub fn texts(&self, name: &str) -> Vec<String> {
        texts_of(&self.params[name])
    }
}

pub fn texts_of(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(list) => list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

pub fn read_arrays(path: &Path) -> Result<HashMap<String, Array>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = SafeTensors::deserialize(&bytes)?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let bytes = view.data();
            let data = match view.dtype() {
                Dtype::F32 => Data::Float(bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()),
                Dtype::F64 => {
                    Data::Float(bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()) as f32).collect())
                }
                Dtype::I64 => Data::Int(bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()),
                Dtype::U8 | Dtype::BOOL => Data::Int(bytes.iter().map(|b| i64::from(*b)).collect()),
                other => bail!("{name} has dtype {other:?}"),
            };
            Ok((name, Array { shape: view.shape().to_vec(), data }))
        })
        .collect()
}
