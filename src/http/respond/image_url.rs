//! URLs of finished images.

use jiff::Timestamp;
use uuid::Uuid;

use crate::http::context::AppState;
use crate::http::extract::request_context::RequestContext;

/// The URL of a job's image: absolute if the server's origin is known, and signed where keys are on, so that pages can show
/// the image without one for a while.
pub(crate) fn image_url(state: &AppState, context: &RequestContext, job: Uuid, index: u32) -> String {
    let origin = if state.public_url.is_empty() { context.origin.as_str() } else { state.public_url.as_str() };
    let path = format!("/v1/jobs/{job}/images/{index}");
    let path = match &state.auth {
        Some(auth) => auth.urls.sign(&path, Timestamp::now().as_second()),
        None => path,
    };
    format!("{}{path}", origin.trim_end_matches('/'))
}
