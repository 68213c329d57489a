//! The bytes of an image as the response.
//!
//! Invariant: an image that moderation blurred says so in `x-moderation`.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::reencode::{Reencode, reencode};
use super::warning::add_warnings;
use crate::domain::{Format, ImageMeta, Output};
use crate::http::client::ClientId;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::image_name::extensions;
use crate::jobs::Files;
use crate::records::Job;

/// The bytes of a job's one image.
pub(crate) async fn image_response(
    (state, client): (&AppState, &ClientId),
    job: &Job,
    files: &Files,
    wanted: Option<Format>,
) -> Result<Response, Problem> {
    let (Some(image), Some(file)) = (job.images.first(), files.first()) else { return Err(Problem::internal()) };
    let file = file.clone();
    let (format, file) = match wanted {
        // The job is an earlier one of the same idempotency key.
        Some(format) if format != image.format => {
            let how = Reencode { client, job, image, output: Output { format, ..job.spec.output }, width: None };
            (format, reencode(state, file, how).await?)
        }
        _ => (image.format, file),
    };
    let mut response = ([(header::CONTENT_TYPE, format.media_type())], file).into_response();
    let headers = response.headers_mut();
    headers.insert("x-seed", HeaderValue::from(image.seed));
    add_blurred(image, headers);
    add_file_name(job, image.index, format, headers);
    add_warnings(job, headers);
    if let Ok(id) = HeaderValue::from_str(&job.id.to_string()) {
        headers.insert("x-job-id", id);
    }
    Ok(response)
}

/// Name the file for those who save it.
pub(crate) fn add_file_name(job: &Job, index: u32, format: Format, headers: &mut HeaderMap) {
    let extension = extensions(format)[0];
    if let Ok(value) = HeaderValue::from_str(&format!("inline; filename=\"{}-{index}.{extension}\"", job.id)) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
}

/// Say of an image's file that moderation blurred it, if it did.
pub(crate) fn add_blurred(image: &ImageMeta, headers: &mut HeaderMap) {
    if image.blurred {
        headers.insert("x-moderation", HeaderValue::from_static("blurred"));
    }
}
