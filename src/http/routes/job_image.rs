//! `/v1/jobs/{id}/images/{index}`: the file of a finished image.
//!
//! Invariant: a file never changes as long as its job exists, so clients may keep it until the job expires.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::ImageMeta;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::image_name::read_name;
use crate::http::extract::job::find_visible_job;
use crate::http::extract::request_context::RequestContext;
use crate::http::middleware::security_headers::RESOURCE_POLICY;
use crate::http::openapi::responses::StoredImageResponses;
use crate::http::respond::files::reserve_files;
use crate::http::respond::image::{add_blurred, add_file_name};
use crate::http::respond::reencode::{Reencode, reencode};
use crate::records::Job;

/// Quality of thumbnails that are lossy.
const THUMBNAIL_QUALITY: u8 = 85;
/// Widest thumbnail, px.
const MAX_THUMBNAIL_WIDTH: u32 = 4096;

/// Options of an image's file.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImageQuery {
    /// Width of a smaller copy, px.
    #[param(minimum = 1, maximum = 4096)]
    width: Option<u32>,
    /// With `signature`: until when the URL needs no API key, s since 1970. If the server requires keys, the URLs in responses are
    /// signed this way.
    #[expect(dead_code, reason = "checked by the authentication middleware")]
    expires: Option<String>,
    #[expect(dead_code, reason = "checked by the authentication middleware")]
    signature: Option<String>,
}

/// Read the file of a finished image.
#[utoipa::path(get, path = "/v1/jobs/{id}/images/{index}", tag = "jobs", params(
    ("id" = Uuid, Path, description = "Id of the job"),
    ("index" = u32, Path, description = "Index of the image, from 0; the extension of its format may follow: `0.png`"),
    ("If-None-Match" = Option<String>, Header, description = "ETag of a cached copy"),
    ImageQuery,
), responses(StoredImageResponses))]
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
    let (index, fits) = read_name(&index).ok_or_else(|| Problem::not_found("image"))?;
    let image = job.images.iter().find(|image| image.index == index && fits(image.format));
    let meta = image.ok_or_else(|| Problem::not_found("image"))?;
    let etag = format!("\"{}-{index}-{}\"", job.id.simple(), query.width.unwrap_or(0));
    let etag = etag.parse::<ETag>().map_err(|_| Problem::internal())?;
    let is_cached = headers.typed_get::<IfNoneMatch>().is_some_and(|cached| !cached.precondition_passes(&etag));
    let caching = caching_headers(&job, meta, etag)?;
    if is_cached {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    reserve_files(&context, std::slice::from_ref(meta)).await?;
    let file = state.jobs.file(&job, index).await?.ok_or_else(|| Problem::gone("file of the image"))?;
    let media_type = HeaderValue::from_static(meta.format.media_type());
    let file = match query.width.filter(|width| *width < meta.width) {
        Some(width) => {
            let mut output = job.spec.output;
            (output.quality, output.embed_metadata) = (output.quality.min(THUMBNAIL_QUALITY), false);
            reencode(
                &state,
                file,
                Reencode { client: &context.client, job: &job, image: meta, output, width: Some(width) },
            )
            .await?
        }
        None => file,
    };
    Ok(([(header::CONTENT_TYPE, media_type)], caching, file).into_response())
}

/// How long the image may be cached, and who may embed it.
fn caching_headers(job: &Job, image: &ImageMeta, etag: ETag) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    headers.typed_insert(etag);
    let seconds = job.expires_at.map_or(0, |at| (at - jiff::Timestamp::now().as_millisecond()).max(0) / 1000);
    let cache_control = HeaderValue::try_from(format!("private, max-age={seconds}, immutable"));
    headers.insert(header::CACHE_CONTROL, cache_control.map_err(|_| Problem::internal())?);
    add_file_name(job, image.index, image.format, &mut headers);
    // Pages of other sites may show an image that they may load.
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    add_blurred(image, &mut headers);
    Ok(headers)
}
