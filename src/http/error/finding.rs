//! What moderation found, as problems and jobs show it.
//!
//! Invariant: it is the same shape wherever moderation is reported.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Finding;

/// A finding of moderation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FindingAnswer {
    #[schema(example = "violence/graphic")]
    pub(crate) category: String,
    /// Confidence, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    score: f32,
    /// The moderator and its rule.
    #[schema(example = "lexicon: gore")]
    rule: String,
    /// JSON pointer to the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/prompt")]
    pointer: Option<String>,
}

impl From<Finding> for FindingAnswer {
    fn from(finding: Finding) -> Self {
        let Finding { category, score, rule } = finding;
        Self { category, score, rule, pointer: None }
    }
}

impl FindingAnswer {
    /// The same, found in the text at this JSON pointer.
    pub(crate) fn at(self, pointer: Option<String>) -> Self {
        Self { pointer, ..self }
    }
}
