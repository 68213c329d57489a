//! Responses of AUTOMATIC1111's API, for the contract.

use utoipa::IntoResponses;

use crate::http::error::kind::ProblemKind;
use crate::http::openapi::problems::{ACCESS, BODY, ErrorForm, GENERATION, Responses, problems};

/// The form in which its programs read problems.
const FORM: ErrorForm = ErrorForm {
    media_type: "application/json",
    schema: "WebuiError",
    status: |status| status,
    code: |kind| Some(kind.name().to_owned()),
};

/// The problems of a call without a body.
pub(super) struct WebuiErrors;
/// The problems of a call that stops jobs.
pub(super) struct WebuiInterruptErrors;
/// The problems of a call that changes settings.
pub(super) struct WebuiOptionsErrors;
/// The problems of a call that makes images.
pub(super) struct WebuiImageErrors;

impl IntoResponses for WebuiErrors {
    fn responses() -> Responses {
        problems(&FORM, &[&ACCESS])
    }
}

impl IntoResponses for WebuiInterruptErrors {
    fn responses() -> Responses {
        problems(&FORM, &[&ACCESS, &[ProblemKind::StorageFull.usual()]])
    }
}

impl IntoResponses for WebuiOptionsErrors {
    fn responses() -> Responses {
        problems(&FORM, &[&ACCESS, &BODY])
    }
}

impl IntoResponses for WebuiImageErrors {
    fn responses() -> Responses {
        problems(&FORM, &[&ACCESS, &BODY, &GENERATION])
    }
}
