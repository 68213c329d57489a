//! What moderation objects to.

use serde::{Deserialize, Serialize};

/// One objection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// OpenAI's names where there is one: `sexual`, `violence/graphic`, ...
    pub category: String,
    /// 0 to 1: how sure.
    pub score: f32,
    /// Who says so, and by what: `lexicon: nude`.
    pub rule: String,
}

/// OpenAI's categories: its SDKs' types have all of them.
pub const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

impl Finding {
    /// The link that found it.
    #[must_use]
    pub fn link(&self) -> &str {
        self.rule.split(':').next().unwrap_or_default()
    }

    /// The category, for metrics: one of OpenAI's, or `other`. Services make up names.
    #[must_use]
    pub fn known_category(&self) -> &'static str {
        CATEGORIES.into_iter().find(|known| *known == self.category).unwrap_or("other")
    }
}
