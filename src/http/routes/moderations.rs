//! `/v1/moderations`: this server's judgement of texts, in OpenAI's shape.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::CATEGORIES;
use crate::http::AppState;
use crate::http::client::Client;
use crate::http::contract::KeyErrors;
use crate::http::openai::error::OpenAiError;
use crate::http::problem::Problem;
use crate::http::request::{Body, FormBody};

/// Most texts, and the longest one in characters.
const TEXTS: usize = 64;
const LONGEST: usize = 100_000;

/// Texts to judge.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ModerationBody {
    input: ModerationInput,
    /// Taken and not looked at.
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

/// A part of a text with pictures, of which only texts are judged.
#[derive(Debug, Deserialize, ToSchema)]
struct ModerationPart {
    text: Option<String>,
}

/// Judgements in the order of the texts.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ModerationList {
    id: String,
    #[schema(example = "kandinsky")]
    model: &'static str,
    results: Vec<ModerationResult>,
}

/// A judgement.
#[derive(Debug, Serialize, ToSchema)]
struct ModerationResult {
    flagged: bool,
    categories: BTreeMap<String, bool>,
    category_scores: BTreeMap<String, f32>,
    category_applied_input_types: BTreeMap<String, Vec<&'static str>>,
}

/// Judge texts without making a picture.
#[utoipa::path(post, path = "/v1/moderations", tag = "openai", request_body = ModerationBody, responses(
    (status = 200, description = "A judgement per text", body = ModerationList),
    (status = 400, description = "Not parseable or out of range", body = OpenAiError),
    (status = 413, description = "Body too large", body = OpenAiError),
    (status = 415, description = "Not JSON", body = OpenAiError),
    (status = 503, description = "A moderation elsewhere does not answer; see Retry-After", body = OpenAiError),
    KeyErrors,
))]
pub(in crate::http) async fn moderations(
    State(state): State<AppState>,
    client: Client,
    body: Result<Body<ModerationBody>, Problem>,
) -> Response {
    let input = match body {
        Ok(body) if body.violations.0.is_empty() => body.value.input,
        Ok(body) => return OpenAiError::from(Problem::from(body.violations)).into_response(),
        Err(problem) => return OpenAiError::from(problem).into_response(),
    };
    // The parts of one input are judged together.
    let texts = match input {
        ModerationInput::One(text) => vec![text],
        ModerationInput::Many(texts) => texts,
        ModerationInput::Parts(parts) => {
            vec![parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n")]
        }
    };
    if texts.len() > TEXTS || texts.iter().any(|text| text.chars().count() > LONGEST) {
        let message = format!("must have at most {TEXTS} texts of at most {LONGEST} characters");
        return OpenAiError::from(Problem::invalid("/input", message)).into_response();
    }
    let mut known: BTreeSet<String> = CATEGORIES.iter().map(|category| (*category).to_owned()).collect();
    known.extend(state.moderation.categories());
    let mut results = Vec::with_capacity(texts.len());
    for text in &texts {
        let Ok(ruling) = state.moderation.review(&[text], client.caller.moderation_policy()).await else {
            return OpenAiError::from(Problem::unmoderated()).into_response();
        };
        let mut scores: BTreeMap<String, f32> = known.iter().map(|category| (category.clone(), 0.0)).collect();
        let (flagged, found) = (ruling.refused, ruling.categories());
        for finding in ruling.into_findings() {
            let score = scores.entry(finding.category).or_default();
            *score = score.max(finding.score);
        }
        results.push(ModerationResult {
            flagged,
            categories: scores.keys().map(|category| (category.clone(), found.contains(category))).collect(),
            category_applied_input_types: scores.keys().map(|category| (category.clone(), vec!["text"])).collect(),
            category_scores: scores,
        });
    }
    let id = format!("modr-{}", Uuid::now_v7().simple());
    Json(ModerationList { id, model: "kandinsky", results }).into_response()
}
