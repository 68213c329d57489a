//! Responses of Hugging Face's tasks, for the contract.

use utoipa::IntoResponses;
use utoipa::openapi::ResponseBuilder;

use crate::http::error::kind::ProblemKind;
use crate::http::openapi::headers::{of_new_image, with_headers};
use crate::http::openapi::problems::{ACCESS, Cause, ErrorForm, GENERATION, Responses, problems};
use crate::http::openapi::responses::{with_images, with_problems};

/// The form in which Hugging Face's clients read problems.
const FORM: ErrorForm =
    ErrorForm { media_type: "application/json", schema: "TaskError", status: |status| status, code: |_| None };

/// All responses of a task.
pub(super) struct TaskResponses;
/// All responses of a task of a model.
pub(super) struct ModelTaskResponses;

/// Those of the body, which may be an image, too.
const BODY: [Cause; 4] = [
    ProblemKind::BodyTimeout.usual(),
    ProblemKind::TooLarge.usual(),
    ProblemKind::UnsupportedMediaType.said("the body is neither JSON, a form nor an image, or it is compressed"),
    ProblemKind::Validation.usual(),
];

fn responses(own: &[Cause]) -> Responses {
    let image = with_images(ResponseBuilder::new().description("The image"));
    with_problems([("200", with_headers(image, of_new_image()))], problems(&FORM, &[&ACCESS, &BODY, &GENERATION, own]))
}

impl IntoResponses for TaskResponses {
    fn responses() -> Responses {
        responses(&[])
    }
}

impl IntoResponses for ModelTaskResponses {
    fn responses() -> Responses {
        responses(&[ProblemKind::ModelNotFound.usual()])
    }
}
