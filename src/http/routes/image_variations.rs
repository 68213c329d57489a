//! `POST /v1/image-variations`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{ImageVariations, Input};
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

/// Pictures like one picture.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ImageVariationsBody {
    image: ImageBody,
    #[serde(flatten)]
    common: CommonBody,
}

impl FormBody for ImageVariationsBody {}

impl ModeBody for ImageVariationsBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>) {
        let image = images.picture(&self.image, "/image");
        (self.common, image.map(|image| Input::ImageVariations(ImageVariations { image })))
    }
}

/// Make pictures like one picture.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself, with `text/event-stream`
/// events; with `Prefer: respond-async` it is the job, at once.
#[utoipa::path(post, path = "/v1/image-variations", tag = "generation", params(GenerationHeaders), request_body(content(
    (ImageVariationsBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn image_variations(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<ImageVariationsBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
