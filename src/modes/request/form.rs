//! A form's parts, and how they become the shape of the JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::Violation;

/// The parts of a form by name, in their order; `name[]` counts as `name`, `a[b]` as `a.b`.
#[derive(Debug, Default)]
pub struct Form {
    /// Contents of files in base64.
    pub files: BTreeMap<String, Vec<Value>>,
    /// Other values.
    pub texts: BTreeMap<String, Vec<Value>>,
}

impl Form {
    /// One value per name; `a.b` is `b` within `a`, and `a.0`, `a.1` and so on make a list. A name with several values is a
    /// violation.
    pub fn into_json(self) -> Result<Value, Violation> {
        let mut object = Map::new();
        for (name, mut values) in self.texts.into_iter().chain(self.files) {
            let violation = |message: &str| Violation { pointer: pointer(&name), message: message.to_owned() };
            if values.len() > 1 {
                return Err(violation("may be given once"));
            }
            if let Some(value) = values.pop() {
                put(&mut object, &name, value).map_err(violation)?;
            }
        }
        Ok(Value::Object(object.into_iter().map(|(name, value)| (name, with_lists(value))).collect()))
    }

    /// Whether there is a value under a name, in one piece or in parts.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        let part = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.texts.contains_key(name) || self.texts.keys().chain(self.files.keys()).any(part)
    }

    /// The weights of a fusion's parts: each a `weight`, or all of them as `weights`.
    pub fn take_weights(&mut self) -> Vec<Value> {
        let mut weights = self.take_texts("weight");
        for value in self.take_texts("weights") {
            match value {
                Value::Array(list) => weights.extend(list),
                other => weights.push(other),
            }
        }
        weights
    }

    /// All images under a name: files, and texts (base64 or `data:` URLs).
    pub fn take_images(&mut self, name: &str) -> Vec<Value> {
        let mut images = self.files.remove(name).unwrap_or_default();
        images.extend(self.texts.remove(name).unwrap_or_default());
        images
    }

    /// All texts under a name.
    pub fn take_texts(&mut self, name: &str) -> Vec<Value> {
        self.texts.remove(name).unwrap_or_default()
    }
}

/// The JSON pointer of a name such as `prior.steps`.
#[must_use]
pub fn pointer(name: &str) -> String {
    format!("/{}", name.replace('.', "/"))
}

/// Put a value where its name says.
fn put(object: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), &'static str> {
    let Some((outer, inner)) = name.split_once('.') else {
        return match object.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err("may be given once"),
        };
    };
    match object.entry(outer).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(outer) => put(outer, inner, value),
        _ => Err("is given both whole and in parts"),
    }
}

/// Objects whose keys are 0, 1 and so on become lists.
fn with_lists(value: Value) -> Value {
    let Value::Object(mut object) = value else { return value };
    if !object.is_empty() && (0..object.len()).all(|i| object.contains_key(&i.to_string())) {
        let items = (0..object.len()).filter_map(|i| object.remove(&i.to_string()));
        return Value::Array(items.map(with_lists).collect());
    }
    Value::Object(object.into_iter().map(|(name, value)| (name, with_lists(value))).collect())
}
