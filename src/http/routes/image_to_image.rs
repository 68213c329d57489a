//! `POST /v1/image-to-image`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{ImageToImage, Input};
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

/// A picture redrawn from one picture.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ImageToImageBody {
    image: ImageBody,
    /// English or Russian.
    #[schema(example = "smiling face on a red background")]
    prompt: String,
    /// 0 keeps the picture, 1 ignores it; 0.3 unless said otherwise.
    #[schema(minimum = 0, maximum = 1)]
    strength: Option<f64>,
    #[serde(flatten)]
    common: CommonBody,
}

impl FormBody for ImageToImageBody {}

impl ModeBody for ImageToImageBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>) {
        let image = images.picture(&self.image, "/image");
        let input = |image| Input::ImageToImage(ImageToImage::new(self.prompt, image, self.strength));
        (self.common, image.map(input))
    }
}

/// Redraw a picture.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself, with `text/event-stream`
/// events; with `Prefer: respond-async` it is the job, at once.
#[utoipa::path(post, path = "/v1/image-to-image", tag = "generation", params(GenerationHeaders), request_body(content(
    (ImageToImageBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn image_to_image(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<ImageToImageBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
