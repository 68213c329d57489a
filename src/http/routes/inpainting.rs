//! `POST /v1/inpainting`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Inpainting, Input, MaskConvention};
use crate::http::common::CommonBody;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::{Body, FormBody};
use crate::http::extract::image::{ImageBody, Images};
use crate::http::extract::request_context::RequestContext;
use crate::http::form::GenerationForm;
use crate::http::names::MaskConventionName;
use crate::http::openapi::responses::GenerationResponses;
use crate::http::routes::generate::{GenerationHeaders, generate};
use crate::http::submission::mode_body::ModeBody;

/// A picture with a part repainted.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct InpaintingBody {
    image: ImageBody,
    /// As large as the image.
    mask: ImageBody,
    /// What of the mask is repainted: white unless said otherwise; alpha stands for what is transparent.
    #[schema(value_type = Option<MaskConventionName>)]
    mask_convention: Option<String>,
    /// English or Russian; absent: what the rest of the picture suggests.
    prompt: Option<String>,
    /// Return the pixels outside of the mask bit by bit (of a picture with transparency: as they look on white); so unless
    /// said otherwise.
    composite: Option<bool>,
    /// Width of the soft edge inside the repainted area, px.
    #[schema(maximum = 256)]
    feather: Option<u32>,
    #[serde(flatten)]
    common: CommonBody,
}

impl FormBody for InpaintingBody {}

impl ModeBody for InpaintingBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image), ("/mask".to_owned(), &mut self.mask)]
    }

    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>) {
        let convention = match self.mask_convention.as_deref().map(str::parse::<MaskConvention>) {
            None => MaskConvention::default(),
            Some(Ok(convention)) => convention,
            Some(Err(message)) => {
                images.violations.add("/mask_convention", message);
                return (self.common, None);
            }
        };
        let image = images.picture(&self.image, "/image");
        let mask = images.mask(&self.mask, convention, "/mask");
        let input = image.zip(mask).map(|(image, mask)| {
            let (composite, feather) = (self.composite.unwrap_or(true), self.feather.unwrap_or(0));
            Input::Inpainting(Inpainting { prompt: self.prompt, image, mask, composite, feather })
        });
        (self.common, input)
    }
}

/// Repaint the masked part of a picture.
///
/// Pixels outside of the mask are returned as they were. With `Accept: image/png`, `image/jpeg` or `image/webp` the
/// answer is the picture itself, with `text/event-stream` events; with `Prefer: respond-async` it is the job, at once.
#[utoipa::path(post, path = "/v1/inpainting", tag = "generation", params(GenerationHeaders), request_body(content(
    (InpaintingBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn inpainting(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<InpaintingBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
