//! `/v1/jobs/{id}/images/{index}`: the file of a finished image.
//!
//! Invariant: a file never changes as long as its job exists, so clients may keep it until the job expires.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::ImageMeta;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::job::find_visible_job;
use crate::http::extract::request_context::RequestContext;
use crate::http::middleware::security_headers::RESOURCE_POLICY;
use crate::http::openapi::responses::{JobProblems, PictureFile};
use crate::http::respond::image::add_blurred;
use crate::http::respond::reencode::{Reencode, reencode};
use crate::records::Job;

/// Quality of thumbnails that are lossy.
const THUMBNAIL_QUALITY: u8 = 85;
/// Widest thumbnail, px.
const MAX_THUMBNAIL_WIDTH: u32 = 4096;

/// How a picture is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImageQuery {
    /// px; a smaller copy of this width.
    #[param(minimum = 1, maximum = 4096)]
    width: Option<u32>,
    /// With `signature`: until when the address needs no key, s since 1970. Answers have such addresses where keys are on.
    #[expect(dead_code, reason = "checked before the request comes here")]
    expires: Option<String>,
    #[expect(dead_code, reason = "checked before the request comes here")]
    signature: Option<String>,
}

/// A finished picture's file.
#[utoipa::path(get, path = "/v1/jobs/{id}/images/{index}", tag = "jobs", params(
    ("id" = Uuid, Path, description = "Of the job"),
    ("index" = u32, Path, description = "Of the picture, from 0"),
    ("If-None-Match" = Option<String>, Header, description = "The ETag of a copy"),
    ImageQuery,
), responses(
    PictureFile,
    (status = 304, description = "The copy is good"),
    (status = 400, description = "Not parseable", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Out of range", body = Problem, content_type = "application/problem+json"),
    JobProblems,
))]
pub(crate) async fn job_image(
    State(state): State<AppState>,
    context: RequestContext,
    headers: HeaderMap,
    Path((id, index)): Path<(String, String)>,
    query: Result<Query<ImageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    if query.width.is_some_and(|width| !(1..=MAX_THUMBNAIL_WIDTH).contains(&width)) {
        return Err(Problem::invalid("/width", format!("must be 1 to {MAX_THUMBNAIL_WIDTH} px")));
    }
    let job = find_visible_job(&state, &context.caller, &id).await?;
    let index = index.parse::<u32>().map_err(|_| Problem::not_found("image"))?;
    let Some(meta) = job.images.iter().find(|image| image.index == index) else {
        return Err(Problem::not_found("image"));
    };
    let etag = format!("\"{}-{index}-{}\"", job.id.simple(), query.width.unwrap_or(0));
    let caching = caching_headers(&job, meta, &etag)?;
    if is_cached(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let file = state.jobs.file(&job, index).await?.ok_or_else(|| Problem::not_found("image"))?;
    let media_type = HeaderValue::from_static(meta.format.media_type());
    let file = match query.width.filter(|width| *width < meta.width) {
        Some(width) => {
            let mut output = job.spec.output;
            (output.quality, output.embed_metadata) = (output.quality.min(THUMBNAIL_QUALITY), false);
            reencode(&state, file, Reencode { job: &job, image: meta, output, width: Some(width) }).await?
        }
        None => file,
    };
    Ok(([(header::CONTENT_TYPE, media_type)], caching, file).into_response())
}

/// How long and where the image may be cached, and who may embed it.
fn caching_headers(job: &Job, image: &ImageMeta, etag: &str) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    let seconds = job.expires_at.map_or(0, |at| (at - jiff::Timestamp::now().as_millisecond()).max(0) / 1000);
    for (name, value) in [
        (header::ETAG, etag.to_owned()),
        (header::CACHE_CONTROL, format!("private, max-age={seconds}, immutable")),
        // Pages of other sites may show an image that they may load.
        (RESOURCE_POLICY, "cross-origin".to_owned()),
    ] {
        headers.insert(name, HeaderValue::from_str(&value).map_err(|_| Problem::internal())?);
    }
    add_blurred(image, &mut headers);
    Ok(headers)
}

/// Whether the client has the representation of this tag (`If-None-Match`).
fn is_cached(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
}
