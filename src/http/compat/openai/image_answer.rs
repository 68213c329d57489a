//! The response of `/v1/images/...`: all images at once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::shared_fields::SharedFields;
use crate::http::context::AppState;
use crate::http::extract::request_context::RequestContext;
use crate::http::respond::image_url::image_url;
use crate::http::respond::job::ImageModeration;
use crate::http::respond::warning::{WarningAnswer, warnings_of};
use crate::http::submission::resolve::ResponseFormat;
use crate::jobs::Files;
use crate::records::Job;

/// Images as OpenAI's SDKs read them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagesAnswer {
    /// An extension of this server: the id of the job.
    id: uuid::Uuid,
    /// s since 1970.
    created: i64,
    data: Vec<ImageData>,
    #[schema(example = "opaque")]
    background: &'static str,
    #[schema(example = "png")]
    output_format: &'static str,
    #[schema(example = "medium")]
    quality: &'static str,
    #[schema(example = "64x64")]
    size: String,
    usage: Usage,
    /// An extension of this server: what was done otherwise than asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningAnswer>,
}

/// An image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageData {
    #[serde(skip_serializing_if = "Option::is_none")]
    b64_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The prompt as it was drawn, if it was translated.
    #[serde(skip_serializing_if = "Option::is_none")]
    revised_prompt: Option<String>,
    /// An extension of this server: the seed that gives this image alone.
    seed: u64,
    /// An extension of this server: the findings of moderation, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<ImageModeration>,
}

/// Always 0: this server does not count tokens.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct Usage {
    total_tokens: u32,
    input_tokens: u32,
    output_tokens: u32,
    input_tokens_details: UsageDetails,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct UsageDetails {
    text_tokens: u32,
    image_tokens: u32,
}

/// What a response repeats of its request.
#[derive(Debug, Clone)]
pub(crate) struct Echo {
    pub(crate) response_format: ResponseFormat,
    pub(crate) quality: &'static str,
    pub(crate) partial_images: u32,
    /// `image_generation` or `image_edit`.
    pub(crate) event: &'static str,
}

impl Echo {
    pub(crate) fn new(shared: &SharedFields, event: &'static str) -> Self {
        Self {
            response_format: shared.response_format(),
            quality: shared.quality_name(),
            partial_images: shared.partial_images(),
            event,
        }
    }
}

fn size_of(job: &Job) -> String {
    job.images.first().map_or_else(|| "auto".to_owned(), |image| format!("{}x{}", image.width, image.height))
}

impl ImagesAnswer {
    /// The images of a job that has succeeded.
    pub(crate) fn new(state: &AppState, context: &RequestContext, job: &Job, files: &Files, echo: &Echo) -> Self {
        let revised = job.spec.translations.iter().find(|text| text.field == "/prompt");
        let data = job.images.iter().zip(files.iter()).map(|(image, file)| {
            let inline = echo.response_format == ResponseFormat::B64Json;
            ImageData {
                b64_json: inline.then(|| STANDARD.encode(file)),
                url: (!inline).then(|| image_url(state, context, job.id, image.index)),
                revised_prompt: revised.map(|text| text.drawn.clone()),
                seed: image.seed,
                moderation: ImageModeration::of(image),
            }
        });
        Self {
            id: job.id,
            created: job.created_at / 1000,
            data: data.collect(),
            background: "opaque",
            output_format: job.spec.output.format.name(),
            quality: echo.quality,
            size: size_of(job),
            usage: Usage::default(),
            warnings: warnings_of(job),
        }
    }
}
