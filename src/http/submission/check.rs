//! Everything that can be wrong with a request.
//!
//! Invariant: what costs nothing is checked first, then what its images cost to fetch and to decode, then what moderation
//! costs; each step reports all of its violations at once.

use super::moderate::moderate_texts;
use super::resolve::{Resolved, ResponseFormat, resolve_common};
use super::translate::{texts_to_moderate, translate_texts, translated_texts};
use crate::domain::{ApplyTo, Format, Size, Violations, Warning};
use crate::http::client::ClientId;
use crate::http::context::AppState;
use crate::http::decoding::DecodePermit;
use crate::http::error::problem::Problem;
use crate::http::extract::body::Body;
use crate::http::extract::image::fetch_images;
use crate::http::extract::request_context::RequestContext;
use crate::http::middleware::body_permit::BodyPermit;
use crate::http::respond::parameters::metadata_of;
use crate::modes::request::{ImageDecoder, ModeBody, Reading, is_encoded_image};
use crate::modes::{CheckedGeneration, Generation, Input, Mode, Style};
use crate::records::JobSpec;

/// What the response is to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpectedResponse {
    /// The format of images that `Accept` asks for.
    pub(crate) format: Option<Format>,
    /// Whether it is the image itself, so that there can be only one.
    pub(crate) single_image: bool,
}

/// A checked request.
pub(crate) struct CheckedRequest {
    pub(crate) spec: JobSpec,
    pub(crate) response_format: ResponseFormat,
    /// Keeps other requests from decoding images until these are admitted or refused.
    pub(crate) decoding: Option<DecodePermit>,
}

/// Check a request, fetch and decode its images, and moderate its texts.
pub(crate) async fn check_request<B: ModeBody>(
    state: &AppState,
    context: &RequestContext,
    body: Body<B>,
    expected: ExpectedResponse,
) -> Result<CheckedRequest, Problem> {
    let names = body.reading.names.clone();
    check_body(state, context, body, expected).await.map_err(|problem| problem.with_names(&names))
}

async fn check_body<B: ModeBody>(
    state: &AppState,
    context: &RequestContext,
    body: Body<B>,
    expected: ExpectedResponse,
) -> Result<CheckedRequest, Problem> {
    context.caller.check_any_mode()?;
    let Body { value: mut body, permit, reading, .. } = body;
    check_any_of(state, context, &body.possible_modes())?;
    let Reading { mut violations, warnings, names } = reading;
    let mut resolved = resolve_common(body.take_common(&mut violations), state, &mut violations);
    resolved.warnings.extend(warnings);
    resolved.priority = Some(context.caller.priority(resolved.priority)?);
    check_fields(state, &body, &resolved, expected, &mut violations);
    if !violations.0.is_empty() {
        return Err(violations.into());
    }
    fetch_images(state, &context.caller, body.images(), permit.as_ref(), &mut violations).await?;
    let (input, decoded, decoding) = decode_images((state, &context.client), body, permit, violations).await?;
    resolved.warnings.extend(decoded);
    check_mode(state, context, input.mode())?;
    let sent = input.clone();
    let generation = check_generation(state, input, &resolved)?;
    resolved.warnings.extend(generation.size_warnings());
    let mut findings = moderate_texts(state, context, &generation.texts_to_review()).await?;
    let (generation, translations) = match translate_texts(state, context, sent, &mut resolved).await? {
        Some(input) => {
            let mut translated = check_generation(state, input, &resolved)?;
            let translations = translated_texts(&generation, &translated);
            if state.translation.as_ref().is_some_and(|translation| translation.config().apply_to == ApplyTo::Clip) {
                translated.set_decoder_originals(&translations);
            }
            let texts = texts_to_moderate(&translated, &translations);
            findings.extend(moderate_texts(state, context, &texts).await?);
            (translated, translations)
        }
        None => (generation, Vec::new()),
    };
    let generation = read_prompts((state, &context.client), generation, &mut resolved).await?;
    for warning in &mut resolved.warnings {
        let sent = warning.field.as_deref().and_then(|field| names.sent(field));
        warning.field = sent.or_else(|| warning.field.take());
    }
    let response_format = resolved.response_format;
    let spec = job_spec(state, context, resolved, generation, expected.format);
    let mut spec = JobSpec { findings, translations, ..spec };
    spec.parameters = metadata_of(&spec, state.engine.info());
    Ok(CheckedRequest { spec, response_format, decoding })
}

/// Whether one of the modes that a body may turn out to be can be used.
fn check_any_of(state: &AppState, context: &RequestContext, modes: &[Mode]) -> Result<(), Problem> {
    let mut checks = modes.iter().map(|mode| check_mode(state, context, *mode));
    let first = checks.next().unwrap_or(Ok(()));
    if first.is_ok() || checks.any(|check| check.is_ok()) { Ok(()) } else { first }
}

/// Whether the caller may use the mode, and the model can do it.
fn check_mode(state: &AppState, context: &RequestContext, mode: Mode) -> Result<(), Problem> {
    context.caller.check_mode(mode)?;
    match state.engine.info().unavailable.iter().find(|(other, _)| *other == mode) {
        Some((_, reason)) => Err(Problem::unsupported(reason.clone())),
        None => Ok(()),
    }
}

/// What can be checked before the images are there.
fn check_fields<B: ModeBody>(
    state: &AppState,
    body: &B,
    resolved: &Resolved,
    expected: ExpectedResponse,
    violations: &mut Violations,
) {
    for (pointer, prompt) in body.prompts() {
        let is_image = is_encoded_image(prompt);
        violations.require(!is_image, &pointer, "must be a prompt; this is an image in base64");
        state.limits.check_text(prompt, &pointer, violations);
    }
    let has_prompt = resolved.style.is_none() || !body.prompts().is_empty();
    violations.require(has_prompt, "/style", Style::NEEDS_PROMPT);
    body.check(violations);
    resolved.common.check(&state.limits, violations);
    // Of one side alone it is known whether it can be drawn at all.
    let (width, height) = resolved.sides;
    let one_side = || {
        (width.is_some() || height.is_some()).then(|| Size { width: width.unwrap_or(1), height: height.unwrap_or(1) })
    };
    if let Some(size) = resolved.common.size.or_else(one_side) {
        // Where a part of an image is drawn, the size is checked once that part is known.
        let is_whole = body.mode().is_some_and(|mode| !mode.repaints());
        let limits = if is_whole { &state.limits } else { &state.limits.for_parts() };
        limits.check_result_size(size, ("/width", "/height"), violations);
    }
    let most = state.limits.max_steps;
    violations.require(resolved.preview_interval <= most, "/preview_interval", format!("must be 0 to {most}"));
    let single = !expected.single_image || resolved.common.n <= 1;
    violations.require(single, "/n", "must be 1 if the response is an image");
}

/// The mode's inputs, what is to be said of them, and the permit that they were decoded under. The headers of all images are
/// read before the first of them is decoded.
async fn decode_images<B: ModeBody>(
    (state, client): (&AppState, &ClientId),
    mut body: B,
    body_permit: Option<BodyPermit>,
    violations: Violations,
) -> Result<(Input, Vec<Warning>, Option<DecodePermit>), Problem> {
    let mut decoder = ImageDecoder::new(&state.limits, violations);
    if body.images().is_empty() {
        return finish_decoding(body, decoder, None, body_permit).await;
    }
    // Work goes on when the client is gone, and what it works on stays counted.
    let measuring = blocking(move || {
        let size = decoder.measure(body.images());
        (body, decoder, size, body_permit)
    });
    let (body, decoder, size, body_permit) = measuring.await?;
    let decoder = decoder.without_violations()?;
    let permit = state.decoding.reserve(client, size).await?;
    finish_decoding(body, decoder, Some(permit), body_permit).await
}

/// Decode images that were measured, under their permits.
async fn finish_decoding<B: ModeBody>(
    body: B,
    mut decoder: ImageDecoder,
    mut permit: Option<DecodePermit>,
    body_permit: Option<BodyPermit>,
) -> Result<(Input, Vec<Warning>, Option<DecodePermit>), Problem> {
    let (input, mut decoder, permit) = blocking(move || {
        let _body_permit = body_permit;
        let input = body.into_input(&mut decoder);
        if let Some(permit) = &mut permit {
            permit.end_decoding();
        }
        (input, decoder, permit)
    })
    .await?;
    let warnings = std::mem::take(&mut decoder.warnings);
    let violations = decoder.finish()?;
    match input {
        Some(input) if violations.0.is_empty() => Ok((input, warnings, permit)),
        _ => Err(violations.into()),
    }
}

/// Run image work off the async threads. It goes on when its caller is gone.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "decoding a request's images failed");
        Problem::internal()
    })
}

/// Add the style's words, and check the whole request.
fn check_generation(state: &AppState, input: Input, resolved: &Resolved) -> Result<CheckedGeneration, Problem> {
    let mut violations = Violations::default();
    let mut generation = Generation { input, common: resolved.common.clone() };
    let native = state.engine.info().native_size;
    generation.common.size = generation.common.size.or_else(|| generation.size_of_sides(resolved.sides, native));
    if let Some(style) = &resolved.style {
        style.apply(&mut generation, &mut violations);
    }
    match generation.check(&state.limits, Some(native)) {
        Ok(generation) if violations.0.is_empty() => Ok(generation),
        Ok(_) => Err(violations.into()),
        Err(more) => {
            violations.0.extend(more.0);
            Err(violations.into())
        }
    }
}

/// Note what the encoders do not read of the texts. Tokenizers take some time for long ones.
async fn read_prompts(
    (state, client): (&AppState, &ClientId),
    generation: CheckedGeneration,
    resolved: &mut Resolved,
) -> Result<CheckedGeneration, Problem> {
    let engine = state.engine.clone();
    let bytes = generation.texts_to_review().iter().map(|(_, text)| text.len()).sum();
    let place = state.judging.enter_with_texts(client, bytes).await?;
    let reading = tokio::task::spawn_blocking(move || {
        let _place = place;
        (engine.info().warnings(&generation), generation)
    });
    let (warnings, generation) = reading.await.map_err(|error| {
        tracing::error!(%error, "reading a request's texts failed");
        Problem::internal()
    })?;
    resolved.warnings.extend(warnings);
    Ok(generation)
}

/// The job to queue.
fn job_spec(
    state: &AppState,
    context: &RequestContext,
    resolved: Resolved,
    generation: CheckedGeneration,
    format: Option<Format>,
) -> JobSpec {
    let mut output = resolved.output;
    output.format = format.unwrap_or(output.format);
    // Previews bypass output moderation, so they are disabled when it is on.
    let preview_interval = if state.output_moderation.is_some() { 0 } else { resolved.preview_interval };
    JobSpec {
        generation,
        output,
        priority: resolved.priority.unwrap_or_default(),
        preview_interval,
        webhook: resolved.webhook,
        style: resolved.style.map(|style| style.name),
        findings: Vec::new(),
        warnings: resolved.warnings,
        translations: Vec::new(),
        translate: state.translation.as_ref().map(|translation| translation.when(resolved.translate)),
        moderation_policy: context.caller.moderation_policy().map(str::to_owned),
        parameters: String::new(),
    }
}
