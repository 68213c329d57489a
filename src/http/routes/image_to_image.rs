//! `POST /v1/image-to-image`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{ImageToImage, Input};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::image::ImageBody;
use crate::http::problem::Problem;

/// A picture redrawn from one picture.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ImageToImageBody {
    image: ImageBody,
    /// English or Russian.
    #[schema(example = "smiling face on a red background")]
    prompt: String,
    /// 0 keeps the picture, 1 ignores it.
    #[schema(minimum = 0, maximum = 1, default = 0.3)]
    strength: Option<f64>,
    #[serde(flatten)]
    common: CommonBody,
}

/// Redraw a picture.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/image-to-image", request_body = ImageToImageBody, responses(GenerationResponses))]
pub(in crate::http) async fn image_to_image(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<ImageToImageBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |images| {
        let image = images.picture(&request.image, "/image")?;
        Some(Input::ImageToImage(ImageToImage::new(request.prompt, image, request.strength)))
    })
    .await
}
