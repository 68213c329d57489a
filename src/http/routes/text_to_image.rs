//! `POST /v1/text-to-image`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Input, TextToImage};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::problem::Problem;

/// A picture from a prompt.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TextToImageBody {
    /// English or Russian.
    #[schema(example = "red heart on a blue background")]
    prompt: String,
    #[serde(flatten)]
    common: CommonBody,
}

/// Make a picture from a prompt.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/text-to-image", request_body = TextToImageBody, responses(GenerationResponses))]
pub(in crate::http) async fn text_to_image(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<TextToImageBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |_| {
        Some(Input::TextToImage(TextToImage { prompt: request.prompt }))
    })
    .await
}
