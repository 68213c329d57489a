//! A job's request as it is kept: with its long texts once, though the parameters repeat them.
//!
//! Invariant: what is read is what was written, byte for byte; a request that was kept whole is read as well.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::records::JobSpec;
use crate::store::error::StoreError;

/// Texts that are shorter, bytes, are repeated.
const SHORT: usize = 32;
/// Around the number of a text in the parameters. JSON has no such characters but escaped, so they mean nothing else there.
const OPEN: char = '\u{1}';
const CLOSE: char = '\u{2}';

/// The request as JSON.
pub(super) fn write(spec: &JobSpec) -> Result<String, StoreError> {
    if spec.parameters.contains([OPEN, CLOSE]) {
        return to_json(spec);
    }
    let generation = serde_json::to_value(&spec.generation).map_err(|why| StoreError::Failed(why.to_string()))?;
    let mut parameters = spec.parameters.clone();
    for (number, text) in long_texts(&generation).iter().enumerate() {
        parameters = parameters.replace(text, &format!("{OPEN}{number}{CLOSE}"));
    }
    if parameters == spec.parameters {
        return to_json(spec);
    }
    to_json(&JobSpec { parameters, ..spec.clone() })
}

/// The request of such JSON.
pub(super) fn read(json: &str) -> Result<JobSpec, String> {
    let mut spec: JobSpec = serde_json::from_str(json).map_err(|why| why.to_string())?;
    if spec.parameters.contains(OPEN) {
        let generation = serde_json::to_value(&spec.generation).map_err(|why| why.to_string())?;
        for (number, text) in long_texts(&generation).iter().enumerate() {
            spec.parameters = spec.parameters.replace(&format!("{OPEN}{number}{CLOSE}"), text);
        }
    }
    Ok(spec)
}

fn to_json(spec: &JobSpec) -> Result<String, StoreError> {
    serde_json::to_string(spec).map_err(|why| StoreError::Failed(why.to_string()))
}

/// The long texts of a request as JSON has them, the longest first, so that none is found within another.
fn long_texts(generation: &Value) -> Vec<String> {
    let mut texts = BTreeSet::new();
    let mut left = vec![generation];
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) if text.len() >= SHORT => drop(texts.insert(Value::from(text.as_str()).to_string())),
            Value::Array(values) => left.extend(values),
            Value::Object(fields) => left.extend(fields.values()),
            _ => {}
        }
    }
    let mut texts: Vec<String> = texts.into_iter().collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts
}
