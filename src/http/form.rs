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

use super::problem::Problem;

/// Names whose values are written as JSON. All other text fields are texts.
const STRUCTURED: [&str; 28] = [
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
];
/// Most parts of a form.
const PARTS: usize = 64;

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
            let bytes = field.bytes().await.map_err(|error| broken(error.status(), error.body_text()))?;
            if is_file {
                form.files.entry(name).or_default().push(Value::String(STANDARD.encode(&bytes)));
            } else {
                let Ok(text) = String::from_utf8(bytes.to_vec()) else {
                    wrong.get_or_insert(Problem::invalid(&format!("/{name}"), "must be UTF-8"));
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

    /// One value per name; `a.b` is `b` within `a`. A name with several values is an error here.
    pub(super) fn into_json(self) -> Result<Value, Problem> {
        let mut object = Map::new();
        for (name, mut values) in self.texts.into_iter().chain(self.files) {
            if values.len() > 1 || object.contains_key(&name) {
                return Err(Problem::invalid(&format!("/{name}"), "may be given once"));
            }
            let Some(value) = values.pop() else { continue };
            match name.split_once('.') {
                Some((outer, inner)) => {
                    let outer_value = object.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(outer) = outer_value {
                        outer.insert(inner.to_owned(), value);
                    } else {
                        return Err(Problem::invalid(&format!("/{outer}"), "is given both whole and in parts"));
                    }
                }
                None => drop(object.insert(name, value)),
            }
        }
        Ok(Value::Object(object))
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
    serde_json::from_str(text)
        .map_err(|error| Problem::invalid(&format!("/{}", name.replace('.', "/")), format!("is not readable: {error}")))
}
