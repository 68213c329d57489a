//! Everything that can be wrong with a request.

use tokio::sync::OwnedSemaphorePermit;

use super::mode_body::ModeBody;
use super::moderate::moderate_texts;
use crate::domain::{Format, Generation, JobSpec, Violations};
use crate::http::common::ResponseFormat;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::image::{Images, fetch_images};
use crate::http::extract::request_context::RequestContext;
use crate::http::parameters::Parameters;

/// A checked request.
pub(crate) struct Checked {
    pub(crate) spec: JobSpec,
    pub(crate) response_format: ResponseFormat,
    /// Keeps other requests from decoding images until these are admitted or refused.
    pub(crate) decoding: Option<OwnedSemaphorePermit>,
}

/// Read the images of a request, fill in defaults, check and moderate it.
pub(crate) async fn check_request<B: ModeBody>(
    state: &AppState,
    context: &RequestContext,
    mut body: B,
    mut violations: Violations,
    format: Option<Format>,
) -> Result<Checked, Problem> {
    context.caller.check_any_mode()?;
    fetch_images(state, &context.caller, body.images(), &mut violations).await?;
    let permit = if body.images().is_empty() { None } else { Some(state.decoding.clone().acquire_owned().await) };
    let permit = permit.transpose().map_err(|_| Problem::internal())?;
    let limits = state.limits.clone();
    let decoding = tokio::task::spawn_blocking(move || {
        let mut images = Images::new(&limits, violations);
        let (common, input) = body.into_input(&mut images);
        (common, input, images)
    });
    let (common, input, images) = decoding.await.map_err(|error| {
        tracing::error!(%error, "decoding a request's images failed");
        Problem::internal()
    })?;
    let mut violations = images.into_problem()?;
    let mut resolved = common.resolve(state, &mut violations);
    let response_format = resolved.response_format;
    let Some(input) = input else { return Err(violations.into()) };
    let info = state.engine.info();
    let generation = Generation { input, common: resolved.common.clone() };
    let mode = generation.mode();
    context.caller.check_mode(mode)?;
    resolved.priority = Some(context.caller.priority(resolved.priority)?);
    if let Some((_, reason)) = info.unavailable.iter().find(|(other, _)| *other == mode) {
        return Err(Problem::unsupported(reason.clone()));
    }
    let mut spec = resolved.into_spec(generation, state, format, &mut violations);
    if let Err(more) = spec.generation.check(&state.limits, Some(info.native_size)) {
        violations.0.extend(more.0);
    }
    if !violations.0.is_empty() {
        return Err(violations.into());
    }
    if state.output_moderation.is_some() {
        // Previews bypass output moderation, so they are disabled when it is on.
        spec.preview_interval = 0;
    }
    spec.moderation_policy = context.caller.moderation_policy().map(str::to_owned);
    spec.findings = moderate_texts(state, context, &spec.generation.texts()).await?;
    spec.parameters = serde_json::to_string(&Parameters::of(&spec, info)).unwrap_or_default();
    Ok(Checked { spec, response_format, decoding: permit })
}
