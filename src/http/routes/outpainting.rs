//! `POST /v1/outpainting`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Expand, Extent, Input, Outpainting, Window};
use crate::http::common::CommonBody;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::{Body, FormBody};
use crate::http::extract::image::{ImageBody, Images};
use crate::http::extract::object;
use crate::http::extract::request_context::RequestContext;
use crate::http::form::GenerationForm;
use crate::http::openapi::responses::GenerationResponses;
use crate::http::routes::generate::{GenerationHeaders, generate};
use crate::http::submission::mode_body::ModeBody;

/// A picture extended beyond its borders: either `expand` or `window`.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct OutpaintingBody {
    image: ImageBody,
    #[serde(default, deserialize_with = "object::optional")]
    expand: Option<ExpandBody>,
    #[serde(default, deserialize_with = "object::optional")]
    window: Option<WindowBody>,
    /// English or Russian; absent: what the picture suggests.
    prompt: Option<String>,
    /// Return the known pixels bit by bit; so unless said otherwise.
    composite: Option<bool>,
    #[serde(flatten)]
    common: CommonBody,
}

/// Pixels to add on each side.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct ExpandBody {
    left: u32,
    top: u32,
    #[schema(example = 16)]
    right: u32,
    bottom: u32,
}

/// The window to return, in the picture's own coordinates; it may be negative or reach beyond.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct WindowBody {
    x: i64,
    y: i64,
    width: u32,
    height: u32,
}

impl FormBody for OutpaintingBody {}

impl ModeBody for OutpaintingBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>) {
        let extent = match (self.expand, self.window) {
            (Some(ExpandBody { left, top, right, bottom }), None) => {
                Extent::Expand(Expand { left, top, right, bottom })
            }
            (None, Some(WindowBody { x, y, width, height })) => Extent::Window(Window { x, y, width, height }),
            _ => {
                images.violations.add("/expand", "must be given, or else window, and not both");
                return (self.common, None);
            }
        };
        let input = images.picture(&self.image, "/image").map(|image| {
            let composite = self.composite.unwrap_or(true);
            Input::Outpainting(Outpainting { prompt: self.prompt, image, extent, composite })
        });
        (self.common, input)
    }
}

/// Extend a picture beyond its borders.
///
/// The known pixels are returned as they were. With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is
/// the picture itself, with `text/event-stream` events; with `Prefer: respond-async` it is the job, at once.
#[utoipa::path(post, path = "/v1/outpainting", tag = "generation", params(GenerationHeaders), request_body(content(
    (OutpaintingBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn outpainting(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<OutpaintingBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
