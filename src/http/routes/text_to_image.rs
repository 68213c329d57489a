//! `POST /v1/text-to-image`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Input, TextToImage};
use crate::http::common::CommonBody;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::{Body, FormBody};
use crate::http::extract::image::{ImageBody, Images};
use crate::http::extract::request_context::RequestContext;
use crate::http::form::GenerationForm;
use crate::http::openapi::responses::GenerationResponses;
use crate::http::routes::generate::{GenerationHeaders, generate};
use crate::http::submission::mode_body::ModeBody;

/// A picture from a prompt.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TextToImageBody {
    /// English or Russian.
    #[schema(example = "red heart on a blue background")]
    prompt: String,
    #[serde(flatten)]
    common: CommonBody,
}

impl FormBody for TextToImageBody {}

impl ModeBody for TextToImageBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut Images) -> (CommonBody, Option<Input>) {
        (self.common, Some(Input::TextToImage(TextToImage { prompt: self.prompt })))
    }
}

/// Make a picture from a prompt.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself, with `text/event-stream`
/// events; with `Prefer: respond-async` it is the job, at once.
#[utoipa::path(post, path = "/v1/text-to-image", tag = "generation", params(GenerationHeaders), request_body(content(
    (TextToImageBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn text_to_image(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<TextToImageBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
