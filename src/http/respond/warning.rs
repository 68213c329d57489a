//! Warnings as clients see them.
//!
//! Invariant: they are the same wherever a job is shown, and codes alone in headers, which have no room for texts.

use axum::http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{VariantArray as _, Warning, WarningCode};
use crate::modes::request::names::name_schema;
use crate::records::Job;

name_schema!(WarningCodeName, "What sort of warning it is. There may be more.", WarningCode::names());

/// Something that was done otherwise than asked: a text that was cut, a value that was adjusted, a field that has no effect.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Warning)]
pub(crate) struct WarningAnswer {
    #[schema(value_type = WarningCodeName)]
    code: &'static str,
    message: String,
    /// JSON pointer to the field; absent if the request as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/prompt")]
    field: Option<String>,
    /// The text that was not read, if a text was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
}

impl From<Warning> for WarningAnswer {
    fn from(warning: Warning) -> Self {
        let Warning { code, message, field, cut } = warning;
        Self { code: code.name(), message, field, cut }
    }
}

/// All warnings of a job.
pub(crate) fn warnings_of(job: &Job) -> Vec<WarningAnswer> {
    job.spec.warnings.iter().cloned().map(WarningAnswer::from).collect()
}

/// The codes of a job's warnings, each once, in `x-warnings`, if there are any.
pub(crate) fn add_warnings(job: &Job, headers: &mut HeaderMap) {
    let has = |code: &&WarningCode| job.spec.warnings.iter().any(|warning| warning.code == **code);
    let codes: Vec<&str> = WarningCode::VARIANTS.iter().filter(has).map(|code| code.name()).collect();
    if let (false, Ok(value)) = (codes.is_empty(), HeaderValue::from_str(&codes.join(", "))) {
        headers.insert("x-warnings", value);
    }
}
