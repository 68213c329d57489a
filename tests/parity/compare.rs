//! Comparing what a runner gives with what the reference gave.

use std::collections::BTreeMap;

use crate::fixture::{Array, Data};

/// Timesteps that are stored as floats must agree this well.
const TIMESTEP_LIMIT: f64 = 1e-5;
/// Not results: how close the reference's decisions were.
const INFORMATIVE: [&str; 1] = ["margin"];
/// Modules that are computed together with what follows them, so that their own output never exists here.
const FUSED: [&str; 3] = ["mod.conv_norm_out", "mod.transformer_blocks.0.attn1", "mod.transformer_blocks.0.ff"];

/// Beginnings of the names of what networks give on the way to their result.
const INNER: [&str; 4] = ["mod.", "hidden_states", "net0.", "step."];

/// What one case came to.
pub struct Outcome {
    /// The largest relative L2 error of a result.
    pub result: f64,
    /// The largest relative L2 error of all outputs, and the output that has it.
    pub worst: (f64, String),
    pub failures: Vec<String>,
}

impl Outcome {
    /// A case that could not be run.
    pub fn failed(failure: String) -> Self {
        Self { result: f64::NAN, worst: (f64::NAN, String::new()), failures: vec![failure] }
    }
}

pub fn compare(got: &BTreeMap<String, Array>, want: &BTreeMap<String, Array>, tolerance: f64) -> Outcome {
    let mut outcome = Outcome { result: 0.0, worst: (0.0, String::new()), failures: Vec::new() };
    for (name, want) in want {
        if INFORMATIVE.contains(&name.as_str()) || FUSED.contains(&name.as_str()) {
            continue;
        }
        let Some(got) = got.get(name) else {
            outcome.failures.push(format!("{name} was not computed"));
            continue;
        };
        if got.shape != want.shape {
            outcome.failures.push(format!("{name} has shape {:?}, not {:?}", got.shape, want.shape));
            continue;
        }
        match &want.data {
            Data::Int(want) => {
                let got = got.ints();
                let different = got.iter().zip(want).filter(|(a, b)| a != b).count();
                if different > 0 {
                    outcome.failures.push(format!("{name}: {different} of {} integers differ", want.len()));
                }
            }
            Data::Float(want) => {
                let error = relative_l2(&got.floats(), want);
                let limit = if name.starts_with("timesteps") { TIMESTEP_LIMIT } else { tolerance };
                if !INNER.iter().any(|inner| name.starts_with(inner)) {
                    outcome.result = outcome.result.max(error);
                }
                if error > outcome.worst.0 {
                    outcome.worst = (error, name.clone());
                }
                if error.is_nan() || error > limit {
                    outcome.failures.push(format!("{name}: {error:.2e} > {limit:.0e}"));
                }
            }
        }
    }
    outcome
}

/// `||got - want|| / ||want||`.
pub fn relative_l2(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = got.iter().zip(want).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = want.iter().map(|b| square(f64::from(*b))).sum();
    difference.sqrt() / norm.sqrt().max(1e-12)
}
