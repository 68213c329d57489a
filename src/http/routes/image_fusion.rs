//! `POST /v1/image-fusion`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{ImageFusion, Input, Weighted};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::image::ImageBody;
use crate::http::problem::Problem;

/// A mix of pictures.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ImageFusionBody {
    /// Two to eight.
    images: Vec<WeightedImage>,
    #[serde(flatten)]
    common: CommonBody,
}

/// A picture, and how much of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WeightedImage {
    image: ImageBody,
    /// Absent: equal parts.
    weight: Option<f32>,
}

/// Mix two to eight pictures.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/image-fusion", request_body = ImageFusionBody, responses(GenerationResponses))]
pub(in crate::http) async fn image_fusion(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<ImageFusionBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |images| {
        let mut values = Vec::with_capacity(request.images.len());
        for (i, part) in request.images.iter().enumerate() {
            values.push((images.picture(&part.image, &format!("/images/{i}/image"))?, part.weight));
        }
        Some(Input::ImageFusion(ImageFusion { images: Weighted::list(values) }))
    })
    .await
}
