//! `POST /v1/image-variations`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::AppState;
use crate::http::client::Client;
use crate::http::common::CommonBody;
use crate::http::contract::GenerationResponses;
use crate::http::form::GenerationForm;
use crate::http::generate::{self, GenerationHeaders, ModeBody};
use crate::http::image::{ImageBody, Images};
use crate::http::problem::Problem;
use crate::http::request::{Body, FormBody};
use crate::modes::{ImageVariations, Input};

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
    client: Client,
    body: Body<ImageVariationsBody>,
) -> Result<Response, Problem> {
    generate::generate(&state, &client, body).await
}
