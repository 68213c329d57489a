//! `POST /v1/image-fusion`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::domain::{ImageFusion, Input, Weighted};
use crate::http::common::CommonBody;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::{Body, FormBody};
use crate::http::extract::image::{ImageBody, Images};
use crate::http::extract::object;
use crate::http::extract::request_context::RequestContext;
use crate::http::form::{Form, GenerationForm};
use crate::http::openapi::responses::GenerationResponses;
use crate::http::routes::generate::{GenerationHeaders, generate};
use crate::http::submission::mode_body::ModeBody;

/// A mix of pictures.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ImageFusionBody {
    /// Two to eight.
    #[serde(deserialize_with = "object::list")]
    images: Vec<WeightedImage>,
    #[serde(flatten)]
    common: CommonBody,
}

/// A picture, and how much of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct WeightedImage {
    image: ImageBody,
    /// Absent: equal parts.
    weight: Option<f32>,
}

impl FormBody for ImageFusionBody {
    /// Files named `image` (or `images`), each with the weight of its place; or `images[0][image]` and so on.
    fn from_form(mut form: Form) -> Result<Value, Problem> {
        if !form.is_given("images") {
            let mut images = form.take_images("image");
            images.extend(form.take_images("images"));
            let mut weights = form.take_weights().into_iter();
            let parts = images.into_iter().map(|image| json!({"image": image, "weight": weights.next()})).collect();
            form.texts.insert("images".to_owned(), vec![Value::Array(parts)]);
        }
        form.into_json()
    }
}

impl ModeBody for ImageFusionBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let images = self.images.iter_mut().enumerate();
        images.map(|(i, part)| (format!("/images/{i}/image"), &mut part.image)).collect()
    }

    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>) {
        let decode = |(i, part): (usize, &WeightedImage)| {
            Some((images.picture(&part.image, &format!("/images/{i}/image"))?, part.weight))
        };
        // All of them are looked at, so that every bad one is named.
        let decoded: Vec<Option<_>> = self.images.iter().enumerate().map(decode).collect();
        let input = decoded.into_iter().collect::<Option<Vec<_>>>();
        (self.common, input.map(|values| Input::ImageFusion(ImageFusion { images: Weighted::list(values) })))
    }
}

/// Mix two to eight pictures.
///
/// As a form: files named `image`, and as many `weight`s in their order; or `images[0][image]`, `images[0][weight]` and so
/// on. With `Accept: image/png`, `image/jpeg` or
/// `image/webp` the answer is the picture itself, with `text/event-stream` events; with `Prefer: respond-async` it is
/// the job, at once.
#[utoipa::path(post, path = "/v1/image-fusion", tag = "generation", params(GenerationHeaders), request_body(content(
    (ImageFusionBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn image_fusion(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<ImageFusionBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
