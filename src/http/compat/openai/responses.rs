//! Responses of the OpenAI API, for the contract.

use utoipa::IntoResponses;
use utoipa::openapi::ResponseBuilder;

use super::error::{code_of, status_of};
use crate::http::error::kind::ProblemKind;
use crate::http::openapi::headers::{warnings, with_headers};
use crate::http::openapi::problems::{ACCESS, BODY, ErrorForm, GENERATION, Responses, problems};
use crate::http::openapi::responses::{content_of, with_problems};

/// The form in which OpenAI's SDKs read problems.
const FORM: ErrorForm = ErrorForm {
    media_type: "application/json",
    schema: "OpenAiError",
    status: status_of,
    code: |kind| Some(code_of(kind)),
};

/// All responses of a route of images.
pub(super) struct ImagesResponses;
/// The problems of a route that only looks something up.
pub(super) struct AccessErrors;
/// The problems of one model.
pub(super) struct ModelErrors;
/// The problems of moderation.
pub(super) struct ModerationErrors;

impl IntoResponses for ImagesResponses {
    fn responses() -> Responses {
        let success = ResponseBuilder::new()
            .description("The images, or events if the request sets stream")
            .content("application/json", content_of("ImagesAnswer"))
            .content("text/event-stream", content_of("ServerSentEvent"));
        let success =
            with_headers(success, [warnings("The codes of the answer's warnings, each once, separated by commas.")]);
        let own = [ProblemKind::ModelNotFound.usual()];
        with_problems([("200", success)], problems(&FORM, &[&ACCESS, &BODY, &GENERATION, &own]))
    }
}

impl IntoResponses for AccessErrors {
    fn responses() -> Responses {
        problems(&FORM, &[&ACCESS])
    }
}

impl IntoResponses for ModelErrors {
    fn responses() -> Responses {
        problems(&FORM, &[&ACCESS, &[ProblemKind::ModelNotFound.usual()]])
    }
}

impl IntoResponses for ModerationErrors {
    fn responses() -> Responses {
        let own = [ProblemKind::MissingScope.usual(), ProblemKind::ModerationUnavailable.usual()];
        problems(&FORM, &[&ACCESS, &BODY, &own])
    }
}
