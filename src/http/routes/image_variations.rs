//! `POST /v1/image-variations`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{ImageVariations, Input};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::image::ImageBody;
use crate::http::problem::Problem;

/// Pictures like one picture.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ImageVariationsBody {
    image: ImageBody,
    #[serde(flatten)]
    common: CommonBody,
}

/// Make pictures like one picture.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/image-variations", request_body = ImageVariationsBody, responses(GenerationResponses))]
pub(in crate::http) async fn image_variations(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<ImageVariationsBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |images| {
        let image = images.picture(&request.image, "/image")?;
        Some(Input::ImageVariations(ImageVariations { image }))
    })
    .await
}
