//! What `/v1/moderations` takes: texts, or parts with texts and images.
//!
//! Invariant: what is wrong with a request is found here, before anything is moderated.

use serde_json::Value;
use utoipa::ToSchema;

use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::modes::request::{Fields, FormBody, ImageBody, Place, ReadFields, ReadValue, Unknown};

/// Most texts, and most characters of all of them.
const MAX_TEXTS: usize = 64;
const MAX_CHARS: usize = 100_000;
/// Most images.
const MAX_IMAGES: usize = 16;

/// Texts and images to moderate.
#[derive(Debug, ToSchema)]
pub(crate) struct ModerationBody {
    input: ModerationInput,
    /// Accepted and ignored.
    #[expect(dead_code, reason = "part of the shape that clients send")]
    model: Option<String>,
}

impl ReadFields for ModerationBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { input: fields.required("input"), model: fields.optional("model") }
    }
}

impl FormBody for ModerationBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

/// One text or several.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
enum ModerationInput {
    #[schema(example = "a cat")]
    One(String),
    Many(Vec<String>),
    Parts(Vec<ModerationPart>),
}

/// A part of an input: a text, an image, or both.
#[derive(Debug, ToSchema)]
struct ModerationPart {
    text: Option<String>,
    /// Moderated as finished images are.
    image_url: Option<ModerationImage>,
}

/// An image to moderate.
#[derive(Debug, ToSchema)]
struct ModerationImage {
    url: ImageBody,
}

impl Default for ModerationInput {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl ReadValue for ModerationInput {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::One(text)),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                Vec::read(Value::Array(items), at).map(Self::Many)
            }
            Value::Array(items) if items.iter().all(Value::is_object) => {
                Vec::read(Value::Array(items), at).map(Self::Parts)
            }
            _ => at.refuse("must be a text, a list of texts, or a list of parts"),
        }
    }
}

impl ReadValue for ModerationPart {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| {
            // It follows from what the part has.
            fields.take("type");
            Self { text: fields.optional("text"), image_url: fields.optional("image_url") }
        })
    }
}

impl ReadValue for ModerationImage {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| Self { url: fields.required("url") })
    }
}

/// What is moderated together, and gives one result.
#[derive(Default)]
pub(crate) struct Subject {
    /// None: there are only images.
    pub(crate) text: Option<String>,
    /// With their JSON pointers.
    pub(crate) images: Vec<(String, ImageBody)>,
}

impl ModerationBody {
    /// One subject per text, or one of all parts.
    pub(crate) fn into_subjects(self, state: &AppState) -> Result<Vec<Subject>, Problem> {
        let subjects = match self.input {
            ModerationInput::One(text) => vec![Subject { text: Some(text), ..Subject::default() }],
            ModerationInput::Many(texts) => {
                texts.into_iter().map(|text| Subject { text: Some(text), ..Subject::default() }).collect()
            }
            ModerationInput::Parts(parts) => vec![join_parts(state, parts)?],
        };
        if subjects.len() > MAX_TEXTS || characters(&subjects) > MAX_CHARS {
            let message = format!("must have at most {MAX_TEXTS} texts of together at most {MAX_CHARS} characters");
            return Err(Problem::invalid("/input", message));
        }
        Ok(subjects)
    }
}

/// Characters of all texts.
pub(crate) fn characters(subjects: &[Subject]) -> usize {
    subjects.iter().filter_map(|subject| subject.text.as_ref()).map(|text| text.chars().count()).sum()
}

/// The parts of one input.
fn join_parts(state: &AppState, parts: Vec<ModerationPart>) -> Result<Subject, Problem> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for (i, ModerationPart { text, image_url }) in parts.into_iter().enumerate() {
        if text.is_none() && image_url.is_none() {
            return Err(Problem::invalid(&format!("/input/{i}"), "must have a text or an image_url"));
        }
        texts.extend(text);
        images.extend(image_url.map(|image| (format!("/input/{i}/image_url/url"), image.url)));
    }
    if let Some((pointer, _)) = images.first()
        && state.output_moderation.is_none()
    {
        return Err(Problem::invalid(pointer, "image moderation is disabled (moderation.results)"));
    }
    if images.len() > MAX_IMAGES {
        return Err(Problem::invalid("/input", format!("must have at most {MAX_IMAGES} images")));
    }
    Ok(Subject { text: (!texts.is_empty()).then(|| texts.join("\n")), images })
}
