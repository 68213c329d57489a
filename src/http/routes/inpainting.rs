//! `POST /v1/inpainting`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Inpainting, Input, MaskConvention};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::image::ImageBody;
use crate::http::problem::Problem;

/// A picture with a part repainted.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct InpaintingBody {
    image: ImageBody,
    /// As large as the image.
    mask: ImageBody,
    /// What of the mask is repainted: `white`, `black`, or `alpha` (what is transparent).
    #[schema(default = "white")]
    mask_convention: Option<String>,
    /// English or Russian; absent: what the rest of the picture suggests.
    prompt: Option<String>,
    /// Return the pixels outside of the mask bit by bit.
    #[schema(default = true)]
    composite: Option<bool>,
    /// Width of the soft edge inside the repainted area, px.
    #[schema(default = 0, maximum = 256)]
    feather: Option<u32>,
    #[serde(flatten)]
    common: CommonBody,
}

/// Repaint the masked part of a picture.
///
/// Pixels outside of the mask are returned as they were. With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/inpainting", request_body = InpaintingBody, responses(GenerationResponses))]
pub(in crate::http) async fn inpainting(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<InpaintingBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |images| {
        let convention = match request.mask_convention.as_deref().map(str::parse::<MaskConvention>) {
            None => MaskConvention::default(),
            Some(Ok(convention)) => convention,
            Some(Err(message)) => {
                images.violations.add("/mask_convention", message);
                return None;
            }
        };
        let image = images.picture(&request.image, "/image");
        let mask = images.mask(&request.mask, convention, "/mask");
        Some(Input::Inpainting(Inpainting {
            prompt: request.prompt,
            image: image?,
            mask: mask?,
            composite: request.composite.unwrap_or(true),
            feather: request.feather.unwrap_or(0),
        }))
    })
    .await
}
