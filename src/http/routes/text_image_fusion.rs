//! `POST /v1/text-image-fusion`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{FusionInput, Input, TextImageFusion, Weighted};
use crate::http::AppState;
use crate::http::body::{self, CommonBody, GenerationResponses};
use crate::http::image::ImageBody;
use crate::http::problem::Problem;

/// A picture guided by pictures and texts together.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TextImageFusionBody {
    /// Two to eight, each an image or a prompt.
    inputs: Vec<FusionPart>,
    /// Text of the decoder; absent: the prompts, joined by commas.
    decoder_prompt: Option<String>,
    #[serde(flatten)]
    common: CommonBody,
}

/// An image or a prompt, and how much of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FusionPart {
    image: Option<ImageBody>,
    prompt: Option<String>,
    /// Absent: equal parts.
    weight: Option<f32>,
}

/// Make a picture guided by pictures and texts together.
///
/// With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself.
#[utoipa::path(post, path = "/v1/text-image-fusion", request_body = TextImageFusionBody, responses(GenerationResponses))]
pub(in crate::http) async fn text_image_fusion(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Result<Json<TextImageFusionBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    body::generate(&state, &headers, request.common, move |images| {
        let mut values = Vec::with_capacity(request.inputs.len());
        for (i, part) in request.inputs.into_iter().enumerate() {
            let value = match (part.image, part.prompt) {
                (Some(image), None) => FusionInput::Image(images.picture(&image, &format!("/inputs/{i}/image"))?),
                (None, Some(prompt)) => FusionInput::Text(prompt),
                _ => {
                    images.violations.add(format!("/inputs/{i}"), "must have either an image or a prompt");
                    return None;
                }
            };
            values.push((value, part.weight));
        }
        let decoder_prompt = request.decoder_prompt;
        Some(Input::TextImageFusion(TextImageFusion { inputs: Weighted::list(values), decoder_prompt }))
    })
    .await
}
