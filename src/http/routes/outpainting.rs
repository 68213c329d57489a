//! `POST /v1/outpainting`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Expand, Extent, Input, Outpainting, Window};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::image::ImageBody;
use crate::http::problem::Problem;

/// A picture extended beyond its borders: either `expand` or `window`.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct OutpaintingBody {
    image: ImageBody,
    expand: Option<ExpandBody>,
    window: Option<WindowBody>,
    /// English or Russian; absent: what the picture suggests.
    prompt: Option<String>,
    /// Return the known pixels bit by bit.
    #[schema(default = true)]
    composite: Option<bool>,
    #[serde(flatten)]
    common: CommonBody,
}

/// Pixels to add on each side.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct ExpandBody {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

/// The window to return, in the picture's own coordinates; it may be negative or reach beyond.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WindowBody {
    x: i64,
    y: i64,
    width: u32,
    height: u32,
}

/// Extend a picture beyond its borders.
///
/// The known pixels are returned as they were. With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/outpainting", request_body = OutpaintingBody, responses(GenerationResponses))]
pub(in crate::http) async fn outpainting(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<OutpaintingBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |images| {
        let extent = match (request.expand, request.window) {
            (Some(ExpandBody { left, top, right, bottom }), None) => {
                Extent::Expand(Expand { left, top, right, bottom })
            }
            (None, Some(WindowBody { x, y, width, height })) => Extent::Window(Window { x, y, width, height }),
            _ => {
                images.violations.add("/expand", "must be given, or else window, and not both");
                return None;
            }
        };
        Some(Input::Outpainting(Outpainting {
            prompt: request.prompt,
            image: images.picture(&request.image, "/image")?,
            extent,
            composite: request.composite.unwrap_or(true),
        }))
    })
    .await
}
