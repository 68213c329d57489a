//! `POST /v1/text-image-fusion`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::domain::{FusionInput, Input, TextImageFusion, Weighted};
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

/// A picture guided by pictures and texts together.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TextImageFusionBody {
    /// Two to eight, each an image or a prompt.
    #[serde(deserialize_with = "object::list")]
    inputs: Vec<FusionPart>,
    /// Text of the decoder; absent: the prompts, joined by commas.
    decoder_prompt: Option<String>,
    #[serde(flatten)]
    common: CommonBody,
}

/// An image or a prompt, and how much of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct FusionPart {
    image: Option<ImageBody>,
    #[schema(example = "smiling face")]
    prompt: Option<String>,
    /// Absent: equal parts.
    weight: Option<f32>,
}

impl FormBody for TextImageFusionBody {
    /// Files named `image` and texts named `prompt`, weights in this order; or `inputs[0][image]` and so on.
    fn from_form(mut form: Form) -> Result<Value, Problem> {
        if !form.is_given("inputs") {
            let (images, prompts) = (form.take_images("image"), form.take_texts("prompt"));
            let images = images.into_iter().map(|image| json!({"image": image}));
            let mut inputs: Vec<Value> =
                images.chain(prompts.into_iter().map(|prompt| json!({"prompt": prompt}))).collect();
            for (input, weight) in inputs.iter_mut().zip(form.take_weights()) {
                input["weight"] = weight;
            }
            form.texts.insert("inputs".to_owned(), vec![Value::Array(inputs)]);
        }
        form.into_json()
    }
}

impl ModeBody for TextImageFusionBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let inputs = self.inputs.iter_mut().enumerate();
        inputs.filter_map(|(i, part)| part.image.as_mut().map(|image| (format!("/inputs/{i}/image"), image))).collect()
    }

    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>) {
        let mut values = Vec::with_capacity(self.inputs.len());
        for (i, part) in self.inputs.into_iter().enumerate() {
            let value = match (part.image, part.prompt) {
                (Some(image), None) => images.picture(&image, &format!("/inputs/{i}/image")).map(FusionInput::Image),
                (None, Some(prompt)) => Some(FusionInput::Text(prompt)),
                _ => {
                    images.violations.add(format!("/inputs/{i}"), "must have either an image or a prompt");
                    None
                }
            };
            values.push(value.map(|value| (value, part.weight)));
        }
        let decoder_prompt = self.decoder_prompt;
        let values = values.into_iter().collect::<Option<Vec<_>>>();
        let input = values
            .map(|values| Input::TextImageFusion(TextImageFusion { inputs: Weighted::list(values), decoder_prompt }));
        (self.common, input)
    }
}

/// Make a picture guided by pictures and texts together.
///
/// As a form: files named `image`, texts named `prompt`, and the `weight`s first of the images, then of the texts; or
/// `inputs[0][image]`, `inputs[1][prompt]`, `inputs[1][weight]` and so on. With `Accept: image/png`, `image/jpeg` or `image/webp` the answer is the picture itself, with `text/event-stream`
/// events; with `Prefer: respond-async` it is the job, at once.
#[utoipa::path(post, path = "/v1/text-image-fusion", tag = "generation", params(GenerationHeaders), request_body(content(
    (TextImageFusionBody = "application/json"), (GenerationForm = "multipart/form-data"),
)), responses(GenerationResponses))]
pub(in crate::http) async fn text_image_fusion(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<TextImageFusionBody>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}
