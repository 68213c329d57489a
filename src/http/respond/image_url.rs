//! URLs of finished images.

use uuid::Uuid;

use super::signed_url::signed_url;
use crate::http::context::AppState;
use crate::http::extract::request_context::RequestContext;

/// The URL of a job's image.
pub(crate) fn image_url(state: &AppState, context: &RequestContext, job: Uuid, index: u32) -> String {
    signed_url(state, context, &format!("/v1/jobs/{job}/images/{index}"))
}
