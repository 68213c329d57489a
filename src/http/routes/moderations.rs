//! `/v1/moderations`: this server's judgement of texts and pictures, in OpenAI's shape.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{CATEGORIES, Finding, Picture, Violations};
use crate::http::AppState;
use crate::http::client::Client;
use crate::http::contract::KeyErrors;
use crate::http::image::{ImageBody, Images, fetch as fetch_images};
use crate::http::openai::error::OpenAiError;
use crate::http::problem::Problem;
use crate::http::request::{Body, FormBody};

/// Most texts, and the longest one in characters.
const TEXTS: usize = 64;
const LONGEST: usize = 100_000;
/// Most pictures.
const PICTURES: usize = 16;

/// Texts and pictures to judge.
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

/// A part of a text with pictures.
#[derive(Debug, Deserialize, ToSchema)]
struct ModerationPart {
    text: Option<String>,
    /// Judged where finished pictures are, by the same chain.
    image_url: Option<ModerationImage>,
}

/// A picture to judge.
#[derive(Debug, Deserialize, ToSchema)]
struct ModerationImage {
    url: ImageBody,
}

/// What is judged together.
#[derive(Default)]
struct Subject {
    /// None: there is none, only pictures.
    text: Option<String>,
    /// With their pointers.
    images: Vec<(String, ImageBody)>,
}

/// Judgements in the order of the inputs.
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

/// Judge texts and pictures without making one.
#[utoipa::path(post, path = "/v1/moderations", tag = "openai", request_body = ModerationBody, responses(
    (status = 200, description = "A judgement per text; one of all parts", body = ModerationList),
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
    match judge(&state, &client, body).await {
        Ok(list) => Json(list).into_response(),
        Err(problem) => OpenAiError::from(problem).into_response(),
    }
}

async fn judge(
    state: &AppState,
    client: &Client,
    body: Result<Body<ModerationBody>, Problem>,
) -> Result<ModerationList, Problem> {
    client.caller.check_any_mode()?;
    let Body { value, violations, permit: _permit, .. } = body?;
    if !violations.0.is_empty() {
        return Err(violations.into());
    }
    let mut subjects = match value.input {
        ModerationInput::One(text) => vec![Subject { text: Some(text), ..Subject::default() }],
        ModerationInput::Many(texts) => {
            texts.into_iter().map(|text| Subject { text: Some(text), ..Subject::default() }).collect()
        }
        ModerationInput::Parts(parts) => vec![together(state, parts)?],
    };
    let texts = || subjects.iter().filter_map(|subject| subject.text.as_ref());
    if subjects.len() > TEXTS || texts().any(|text| text.chars().count() > LONGEST) {
        let message = format!("must have at most {TEXTS} texts of at most {LONGEST} characters");
        return Err(Problem::invalid("/input", message));
    }
    let mut known: BTreeSet<String> = CATEGORIES.iter().map(|category| (*category).to_owned()).collect();
    known.extend(state.moderation.categories());
    known.extend(state.output_moderation.iter().flat_map(|moderation| moderation.categories()));
    let mut results = Vec::with_capacity(subjects.len());
    for subject in &mut subjects {
        let (flagged, findings) = review(state, client, subject).await?;
        let mut scores: BTreeMap<String, f32> = known.iter().map(|category| (category.clone(), 0.0)).collect();
        let mut found = BTreeSet::new();
        for Finding { category, score, .. } in findings {
            let highest = scores.entry(category.clone()).or_default();
            *highest = highest.max(score);
            found.insert(category);
        }
        let kinds = [(subject.text.is_some(), "text"), (!subject.images.is_empty(), "image")];
        let kinds: Vec<&str> = kinds.into_iter().filter_map(|(there, kind)| there.then_some(kind)).collect();
        results.push(ModerationResult {
            flagged,
            categories: scores.keys().map(|category| (category.clone(), found.contains(category))).collect(),
            category_applied_input_types: scores.keys().map(|category| (category.clone(), kinds.clone())).collect(),
            category_scores: scores,
        });
    }
    Ok(ModerationList { id: format!("modr-{}", Uuid::now_v7().simple()), model: "kandinsky", results })
}

/// The parts of one input.
fn together(state: &AppState, parts: Vec<ModerationPart>) -> Result<Subject, Problem> {
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
        return Err(Problem::invalid(pointer, "this server judges no pictures (moderation.results)"));
    }
    if images.len() > PICTURES {
        return Err(Problem::invalid("/input", format!("must have at most {PICTURES} pictures")));
    }
    Ok(Subject { text: (!texts.is_empty()).then(|| texts.join("\n")), images })
}

/// Whether it would be refused, and all that is found.
async fn review(state: &AppState, client: &Client, subject: &mut Subject) -> Result<(bool, Vec<Finding>), Problem> {
    let policy = client.caller.moderation_policy();
    let (mut refused, mut findings) = (false, Vec::new());
    if let Some(text) = &subject.text {
        let ruling = state.moderation.review(&[text], policy).await.map_err(|_| Problem::unmoderated())?;
        refused |= ruling.refused;
        findings.extend(ruling.into_findings());
    }
    let Some(moderation) = state.output_moderation.as_ref().filter(|_| !subject.images.is_empty()) else {
        return Ok((refused, findings));
    };
    // One picture at a time of few requests: nothing else bounds what they hold.
    let _judging = state.judging.acquire().await.map_err(|_| Problem::internal())?;
    for (pointer, image) in &mut subject.images {
        let picture = picture(state, client, pointer, image).await?;
        let verdict = moderation.review(&picture, policy).await.map_err(|_| Problem::unmoderated())?;
        refused |= verdict.refused;
        findings.extend(verdict.findings);
    }
    Ok((refused, findings))
}

/// Fetch and decode a picture.
async fn picture(state: &AppState, client: &Client, pointer: &str, image: &mut ImageBody) -> Result<Picture, Problem> {
    let mut violations = Violations::default();
    fetch_images(state, client, vec![(pointer.to_owned(), image)], &mut violations).await?;
    let image = std::mem::replace(image, ImageBody::Missing);
    let permit = state.decoding.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
    let (limits, pointer) = (state.limits.clone(), pointer.to_owned());
    let decoding = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut images = Images::new(&limits, violations);
        (images.picture(&image, &pointer), images)
    });
    let (picture, images) = decoding.await.map_err(|error| {
        tracing::error!(%error, "reading a picture to judge failed");
        Problem::internal()
    })?;
    let violations = images.into_problem()?;
    picture.ok_or_else(|| violations.into())
}
