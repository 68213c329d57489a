//! Random numbers against PyTorch's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use kandinsky::diffusion::random::Generator;
use serde::Deserialize;

use crate::compare::{Outcome, compare};
use crate::fixture::{Array, read_arrays};

/// The logarithm and the sine of the reference are vectorised ones; they differ in the last digit.
pub const LIMIT: f64 = 1e-6;

#[derive(Deserialize)]
struct Spec {
    seeds: Vec<u64>,
    shapes: Vec<Vec<usize>>,
}

pub fn check(root: &Path) -> Result<Outcome> {
    let spec: Spec = serde_json::from_slice(&std::fs::read(root.join("rng.json"))?)?;
    let want: BTreeMap<String, Array> = read_arrays(&root.join("rng.safetensors"))?.into_iter().collect();
    let mut got = BTreeMap::new();
    for seed in spec.seeds {
        let mut generator = Generator::new(seed);
        for (index, shape) in spec.shapes.iter().enumerate() {
            let values = generator.normal(shape.iter().product());
            got.insert(format!("{seed}.{index}"), Array::float(values, shape));
        }
    }
    Ok(compare(&got, &want, LIMIT))
}
