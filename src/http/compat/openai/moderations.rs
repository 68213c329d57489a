//! `/v1/moderations`: this server's moderation of texts and images, in OpenAI's shape.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::moderation_request::{ModerationBody, Subject, characters};
use super::responses::ModerationErrors;
use crate::domain::{CATEGORIES, Finding, Image, Violations};
use crate::http::client::ClientId;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::Body;
use crate::http::extract::image::fetch_images;
use crate::http::extract::request_context::RequestContext;
use crate::http::middleware::body_permit::BodyPermit;
use crate::http::submission::check::blocking;
use crate::http::submission::moderate::review_texts;
use crate::modes::request::{ImageBody, ImageDecoder};

/// Characters that count as one request: as long as a prompt usually may be.
const COUNTED_CHARS: usize = 4000;

/// Results in the order of the inputs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModerationList {
    id: String,
    #[schema(example = "kandinsky")]
    model: &'static str,
    results: Vec<ModerationResult>,
}

/// The result for one input.
#[derive(Debug, Serialize, ToSchema)]
struct ModerationResult {
    flagged: bool,
    categories: BTreeMap<String, bool>,
    category_scores: BTreeMap<String, f32>,
    category_applied_input_types: BTreeMap<String, Vec<&'static str>>,
}

/// Moderate texts and images without generating any.
#[utoipa::path(post, path = "/v1/moderations", tag = "openai", request_body = ModerationBody, responses(
    (status = 200, description = "A result per text; one for all parts", body = ModerationList),
    ModerationErrors,
))]
pub(crate) async fn moderations(
    State(state): State<AppState>,
    context: RequestContext,
    body: Result<Body<ModerationBody>, Problem>,
) -> Result<Json<ModerationList>, Problem> {
    context.caller.check_any_mode()?;
    let Body { value, reading, permit, .. } = body?;
    if !reading.violations.0.is_empty() {
        return Err(reading.violations.into());
    }
    let mut subjects = value.into_subjects(&state)?;
    // A request counts as many requests as its texts would be prompts.
    let more = characters(&subjects).div_ceil(COUNTED_CHARS).saturating_sub(1);
    context.caller.charge_requests(&state, u32::try_from(more).unwrap_or(u32::MAX));
    let categories = known_categories(&state);
    let mut results = Vec::with_capacity(subjects.len());
    for subject in &mut subjects {
        let (flagged, findings) = review(&state, &context, subject, permit.as_ref()).await?;
        results.push(ModerationResult::new(subject, &categories, flagged, findings));
    }
    Ok(Json(ModerationList { id: format!("modr-{}", Uuid::now_v7().simple()), model: "kandinsky", results }))
}

/// All categories that a result may name.
fn known_categories(state: &AppState) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = CATEGORIES.iter().map(|category| (*category).to_owned()).collect();
    known.extend(state.moderation.categories());
    known.extend(state.output_moderation.iter().flat_map(|moderation| moderation.categories()));
    known
}

impl ModerationResult {
    fn new(subject: &Subject, categories: &BTreeSet<String>, flagged: bool, findings: Vec<Finding>) -> Self {
        let mut scores: BTreeMap<String, f32> = categories.iter().map(|category| (category.clone(), 0.0)).collect();
        let mut found = BTreeSet::new();
        for Finding { category, score, .. } in findings {
            let highest = scores.entry(category.clone()).or_default();
            *highest = highest.max(score);
            found.insert(category);
        }
        let types = [(subject.text.is_some(), "text"), (!subject.images.is_empty(), "image")];
        let types: Vec<&str> = types.into_iter().filter_map(|(there, name)| there.then_some(name)).collect();
        Self {
            flagged,
            categories: scores.keys().map(|category| (category.clone(), found.contains(category))).collect(),
            category_applied_input_types: scores.keys().map(|category| (category.clone(), types.clone())).collect(),
            category_scores: scores,
        }
    }
}

/// Whether a subject would be refused, and all findings.
async fn review(
    state: &AppState,
    context: &RequestContext,
    subject: &mut Subject,
    body_permit: Option<&BodyPermit>,
) -> Result<(bool, Vec<Finding>), Problem> {
    let policy = context.caller.moderation_policy();
    let (mut refused, mut findings) = (false, Vec::new());
    if let Some(text) = &subject.text {
        let ruling = review_texts(state, context, vec![text.clone()]).await?;
        refused |= ruling.refused;
        findings.extend(ruling.into_findings());
    }
    let Some(moderation) = state.output_moderation.as_ref().filter(|_| !subject.images.is_empty()) else {
        return Ok((refused, findings));
    };
    let images = subject.images.iter_mut().map(|(pointer, image)| (pointer.clone(), image)).collect();
    let mut violations = Violations::default();
    fetch_images(state, &context.caller, images, body_permit, &mut violations).await?;
    if !violations.0.is_empty() {
        return Err(violations.into());
    }
    // One image at a time, of a few requests: nothing else bounds the pixels that they hold.
    let _place = state.judging.enter(&context.client).await?;
    for (pointer, image) in &mut subject.images {
        let image = decode_image((state, &context.client), pointer, image, body_permit).await?;
        let verdict = moderation.review(&image, policy).await.map_err(|_| Problem::unmoderated())?;
        refused |= verdict.refused;
        findings.extend(verdict.findings);
    }
    Ok((refused, findings))
}

/// Decode an image.
async fn decode_image(
    (state, client): (&AppState, &ClientId),
    pointer: &str,
    image: &mut ImageBody,
    body_permit: Option<&BodyPermit>,
) -> Result<Image, Problem> {
    let image = std::mem::replace(image, ImageBody::Missing);
    let (mut decoder, pointer) = (ImageDecoder::new(&state.limits, Violations::default()), pointer.to_owned());
    let (mut image, measured, body_permit) = (image, pointer.clone(), body_permit.cloned());
    // Work goes on when the client is gone, and what it works on stays counted.
    let measuring = blocking(move || {
        let size = decoder.measure(vec![(measured, &mut image)]);
        (image, size, decoder, body_permit)
    });
    let (image, size, decoder, body_permit) = measuring.await?;
    let mut decoder = decoder.without_violations()?;
    let permit = state.decoding.reserve(client, size).await?;
    let (image, decoder) = blocking(move || {
        let _permits = (permit, body_permit);
        (decoder.image(&image, &pointer), decoder)
    })
    .await?;
    let violations = decoder.finish()?;
    image.ok_or_else(|| violations.into())
}
