//! What `/v1/moderations` takes: texts, or parts with texts and images.
//!
//! Invariant: what is wrong with a request is found here, before anything is moderated.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::modes::request::FormBody;
use crate::modes::request::ImageBody;

/// Most texts, and the longest one in characters.
const MAX_TEXTS: usize = 64;
const MAX_TEXT_CHARS: usize = 100_000;
/// Most images.
const MAX_IMAGES: usize = 16;

/// Texts and images to moderate.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ModerationBody {
    input: ModerationInput,
    /// Accepted and ignored.
    #[expect(dead_code, reason = "part of the shape that clients send")]
    model: Option<String>,
}

impl FormBody for ModerationBody {}

/// One text or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a text, a list of texts, or a list of parts")]
enum ModerationInput {
    #[schema(example = "a cat")]
    One(String),
    Many(Vec<String>),
    Parts(Vec<ModerationPart>),
}

/// A part of an input: a text, an image, or both.
#[derive(Debug, Deserialize, ToSchema)]
struct ModerationPart {
    text: Option<String>,
    /// Moderated as finished images are.
    image_url: Option<ModerationImage>,
}

/// An image to moderate.
#[derive(Debug, Deserialize, ToSchema)]
struct ModerationImage {
    url: ImageBody,
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
        let mut texts = subjects.iter().filter_map(|subject| subject.text.as_ref());
        if subjects.len() > MAX_TEXTS || texts.any(|text| text.chars().count() > MAX_TEXT_CHARS) {
            let message = format!("must have at most {MAX_TEXTS} texts of at most {MAX_TEXT_CHARS} characters");
            return Err(Problem::invalid("/input", message));
        }
        Ok(subjects)
    }
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
