//! Forms (`multipart/form-data`): the names of the JSON, with files for images.
//!
//! Invariant: a part that holds an image is a file, however it was sent, and never a prompt. Any other stays text unless the body's schema has a number, a boolean or a structure under its name.

use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use utoipa::ToSchema;

use super::strict_json::read_json;
use crate::http::error::problem::Problem;
use crate::imaging::has_image_signature;
use crate::modes::request::{Form, FormBody, FormSchema, pointer};

/// Most parts of a form.
const MAX_PARTS: usize = 64;
/// Most levels of a name such as `images[0][image][job]`.
const MAX_LEVELS: usize = 4;

/// A form instead of JSON: the same names, files for images; structures are written as JSON or as `prior[steps]`. The fields
/// are those of the JSON, which depend on the mode.
#[derive(ToSchema)]
#[schema(as = GenerationForm)]
#[expect(dead_code, reason = "for the contract alone; forms are read into the JSON's shape")]
pub(crate) struct GenerationForm {
    #[schema(example = "red heart on a blue background")]
    prompt: Option<String>,
    /// A PNG, JPEG, WebP, GIF, BMP or TIFF file; several for fusions.
    #[schema(value_type = Option<String>, format = Binary)]
    image: Option<Vec<u8>>,
    #[schema(value_type = Option<String>, format = Binary)]
    mask: Option<Vec<u8>>,
    /// Of a fusion: one for each image in their order, then for each prompt.
    weight: Option<f32>,
    /// Default, or -1: random.
    #[schema(minimum = -1)]
    seed: Option<i64>,
    #[schema(minimum = 1)]
    steps: Option<u32>,
    #[schema(minimum = 1)]
    n: Option<u32>,
    #[schema(minimum = 1)]
    width: Option<u32>,
    #[schema(minimum = 1)]
    height: Option<u32>,
}

/// Read all parts of a form for the body `T`.
pub(crate) async fn read_form<T: FormBody, S: Send + Sync>(request: Request, state: &S) -> Result<Form, Problem> {
    let schema = FormSchema::of::<T>();
    let broken = |status: StatusCode, text: String| {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::too_large("the body is too large")
        } else {
            Problem::malformed(format!("invalid form: {text}"))
        }
    };
    let mut multipart = Multipart::from_request(request, state)
        .await
        .map_err(|rejection| broken(rejection.status(), rejection.body_text()))?;
    let mut form = Form::default();
    // Errors are reported at the end: a client that is still sending would not read them.
    let mut wrong = None;
    let mut count = 0;
    while let Some(field) = multipart.next_field().await.map_err(|error| broken(error.status(), error.body_text()))? {
        count += 1;
        if count > MAX_PARTS {
            wrong.get_or_insert(Problem::malformed(format!("a form may have at most {MAX_PARTS} parts")));
            continue;
        }
        let Some(name) = field.name().map(str::to_owned) else {
            wrong.get_or_insert(Problem::malformed("a part of the form has no name"));
            continue;
        };
        let sent = SentAs::of(&field);
        // `a[]` is one of several, `a[b]` is `b` within `a`.
        let name = name.strip_suffix("[]").unwrap_or(&name).replace('[', ".").replace(']', "");
        if name.split('.').count() > MAX_LEVELS {
            wrong.get_or_insert(Problem::malformed("a part's name is nested too deeply"));
            continue;
        }
        let bytes = field.bytes().await.map_err(|error| broken(error.status(), error.body_text()))?;
        // A file that was not chosen.
        if bytes.is_empty() && sent != SentAs::Text {
            continue;
        }
        if sent.is_file(&bytes) && !schema.is_plain_text(&name) {
            form.files.entry(name).or_default().push(Value::String(STANDARD.encode(&bytes)));
        } else {
            let Ok(text) = String::from_utf8(bytes.to_vec()) else {
                wrong.get_or_insert(Problem::invalid(&pointer(&name), "must be a text in UTF-8"));
                continue;
            };
            // An empty field of a form was not filled in; scripts also write what they have no value for.
            if ["", "undefined"].contains(&text.as_str()) && !name.ends_with("prompt") {
                continue;
            }
            let value = text_value(&schema, &name, text);
            form.texts.entry(name).or_default().push(value);
        }
    }
    match wrong {
        Some(problem) => Err(problem),
        None => Ok(form),
    }
}

/// What a part says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SentAs {
    /// By a name of its own, or by its media type.
    File,
    Text,
    /// Its media type is that of any bytes.
    Bytes,
}

impl SentAs {
    fn of(field: &Field<'_>) -> Self {
        if field.file_name().is_some() {
            return Self::File;
        }
        let media_type = field.content_type().unwrap_or_default().to_ascii_lowercase();
        match media_type.split('/').next() {
            Some("image" | "video" | "audio") => Self::File,
            Some("application") if media_type.starts_with("application/octet-stream") => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// Whether it is a file: a file's name is optional (RFC 7578), and so is a media type.
    fn is_file(self, bytes: &[u8]) -> bool {
        match self {
            Self::File => true,
            Self::Bytes => has_image_signature(bytes) || std::str::from_utf8(bytes).is_err(),
            Self::Text => has_image_signature(bytes),
        }
    }
}

/// The value of a text part: JSON where the field is no text. What is not readable as that stays a text, which the field's own
/// reader then judges.
fn text_value(schema: &FormSchema, name: &str, text: String) -> Value {
    if schema.is_text(name) {
        return Value::String(text);
    }
    read_json(text.as_bytes()).unwrap_or(Value::String(text))
}
