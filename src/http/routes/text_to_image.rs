//! `POST /v1/text-to-image`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Generation, Input, TextToImage, Violations};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationAnswer};
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
#[utoipa::path(
    post,
    path = "/v1/text-to-image",
    request_body = TextToImageBody,
    responses(
        (status = 200, description = "The pictures", content(
            (GenerationAnswer = "application/json"),
            (Vec<u8> = "image/png"),
            (Vec<u8> = "image/jpeg"),
            (Vec<u8> = "image/webp")
        )),
        (status = 400, description = "Not parseable", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Body too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Out of range", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Queue full", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn text_to_image(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<TextToImageBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    let mut violations = Violations::default();
    let common = request.common.resolve(state.engine.info().native_size, &mut violations);
    let generation = Generation { input: Input::TextToImage(TextToImage { prompt: request.prompt }), common };
    if let Err(more) = generation.check(&state.limits) {
        violations.0.extend(more.0);
    }
    if !violations.0.is_empty() {
        return Err(violations.into());
    }
    body::answer(&state, generation, &headers).await
}
