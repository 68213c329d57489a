//! Forms (`multipart/form-data`): the names of the JSON, with files for pictures.
//!
//! Invariant: a text field stays text unless the JSON has a number, a truth value or a structure under its name.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::error::problem::Problem;
use super::extract::strict_json::StrictJson;

/// Names whose values are written as JSON. All other text fields are texts.
const STRUCTURED: [&str; 29] = [
    "width",
    "height",
    "n",
    "seed",
    "steps",
    "guidance_scale",
    "prior",
    "eta",
    "quantize_latents",
    "strength",
    "composite",
    "feather",
    "expand",
    "window",
    "images",
    "inputs",
    "output_quality",
    "output_compression",
    "embed_metadata",
    "preview_interval",
    "partial_images",
    "stream",
    "webhook",
    "left",
    "top",
    "right",
    "bottom",
    "weight",
    "weights",
];
/// Most parts of a form.
const PARTS: usize = 64;
/// Most levels of a name such as `images[0][image][job]`.
const LEVELS: usize = 4;

/// A form in place of JSON: the same names, files for pictures; structures are written as JSON or as `prior[steps]`. Which
/// fields there are depends on the mode; the JSON says it.
#[derive(ToSchema)]
#[schema(as = GenerationForm)]
#[expect(dead_code, reason = "for the contract alone; forms are read into the JSON's shape")]
pub(super) struct GenerationForm {
    #[schema(example = "red heart on a blue background")]
    prompt: Option<String>,
    /// A PNG, JPEG or WebP file; several for the fusions.
    #[schema(value_type = Option<String>, format = Binary)]
    image: Option<Vec<u8>>,
    #[schema(value_type = Option<String>, format = Binary)]
    mask: Option<Vec<u8>>,
    /// Of a fusion: one for each of the pictures in their order, then of the prompts.
    weight: Option<f32>,
    #[schema(minimum = 0)]
    seed: Option<u64>,
    #[schema(minimum = 1)]
    steps: Option<u32>,
    #[schema(minimum = 1)]
    n: Option<u32>,
    #[schema(minimum = 1)]
    width: Option<u32>,
    #[schema(minimum = 1)]
    height: Option<u32>,
}

/// The parts of a form by name, in their order; `name[]` counts as `name`, `a[b]` as `a.b`.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) files: BTreeMap<String, Vec<Value>>,
    pub(super) texts: BTreeMap<String, Vec<Value>>,
}

impl Form {
    /// Read all parts.
    pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Self, Problem> {
        let broken = |status: StatusCode, text: String| {
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large("the body is too long")
            } else {
                Problem::malformed(format!("not a readable form: {text}"))
            }
        };
        let mut multipart = Multipart::from_request(request, state)
            .await
            .map_err(|rejection| broken(rejection.status(), rejection.body_text()))?;
        let mut form = Self::default();
        // What is wrong is said at the end: a client that is still sending would not hear it.
        let mut wrong = None;
        let mut count = 0;
        while let Some(field) =
            multipart.next_field().await.map_err(|error| broken(error.status(), error.body_text()))?
        {
            count += 1;
            if count > PARTS {
                wrong.get_or_insert(Problem::malformed(format!("a form has at most {PARTS} parts")));
                continue;
            }
            let Some(name) = field.name().map(str::to_owned) else {
                wrong.get_or_insert(Problem::malformed("a part of the form has no name"));
                continue;
            };
            let is_file = field.file_name().is_some();
            // `a[]` is one of several, `a[b]` is `b` within `a`.
            let name = name.strip_suffix("[]").unwrap_or(&name).replace('[', ".").replace(']', "");
            if name.split('.').count() > LEVELS {
                wrong.get_or_insert(Problem::malformed("a part's name is nested too deeply"));
                continue;
            }
            let bytes = field.bytes().await.map_err(|error| broken(error.status(), error.body_text()))?;
            if is_file {
                form.files.entry(name).or_default().push(Value::String(STANDARD.encode(&bytes)));
            } else {
                let Ok(text) = String::from_utf8(bytes.to_vec()) else {
                    wrong.get_or_insert(Problem::invalid(&pointer(&name), "must be UTF-8"));
                    continue;
                };
                // An empty field of a form is one that was not filled in.
                if text.is_empty() && !name.ends_with("prompt") {
                    continue;
                }
                match text_value(&name, text) {
                    Ok(value) => form.texts.entry(name).or_default().push(value),
                    Err(problem) => drop(wrong.get_or_insert(problem)),
                }
            }
        }
        match wrong {
            Some(problem) => Err(problem),
            None => Ok(form),
        }
    }

    /// One value per name; `a.b` is `b` within `a`, and `a.0`, `a.1` and so on make a list. A name with several values is an
    /// error here.
    pub(super) fn into_json(self) -> Result<Value, Problem> {
        let mut object = Map::new();
        for (name, mut values) in self.texts.into_iter().chain(self.files) {
            if values.len() > 1 {
                return Err(Problem::invalid(&pointer(&name), "may be given once"));
            }
            if let Some(value) = values.pop() {
                put(&mut object, &name, value).map_err(|message| Problem::invalid(&pointer(&name), message))?;
            }
        }
        Ok(Value::Object(object.into_iter().map(|(name, value)| (name, with_lists(value))).collect()))
    }

    /// Whether there is a value under a name, in one piece or in parts.
    pub(super) fn is_given(&self, name: &str) -> bool {
        let part = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.texts.contains_key(name) || self.texts.keys().chain(self.files.keys()).any(part)
    }

    /// The weights of a fusion's parts: each a `weight`, or all of them as `weights`.
    pub(super) fn take_weights(&mut self) -> Vec<Value> {
        let mut weights = self.take_texts("weight");
        for value in self.take_texts("weights") {
            match value {
                Value::Array(list) => weights.extend(list),
                other => weights.push(other),
            }
        }
        weights
    }

    /// All pictures under a name: files, and texts (base64 or `data:` URLs).
    pub(super) fn take_images(&mut self, name: &str) -> Vec<Value> {
        let mut images = self.files.remove(name).unwrap_or_default();
        images.extend(self.texts.remove(name).unwrap_or_default());
        images
    }

    /// All texts under a name.
    pub(super) fn take_texts(&mut self, name: &str) -> Vec<Value> {
        self.texts.remove(name).unwrap_or_default()
    }
}

/// The JSON pointer of a name such as `prior.steps`.
fn pointer(name: &str) -> String {
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

/// The value of a text field.
fn text_value(name: &str, text: String) -> Result<Value, Problem> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let in_prior = name.starts_with("prior.") && last != "kind";
    if !STRUCTURED.contains(&last) && !in_prior {
        return Ok(Value::String(text));
    }
    // Python writes truth values so.
    let text = match text.trim() {
        "True" => "true",
        "False" => "false",
        other => other,
    };
    let read = serde_json::from_str::<StrictJson>(text).map(|StrictJson(value)| value);
    read.map_err(|error| Problem::invalid(&pointer(name), format!("is not readable: {error}")))
}
