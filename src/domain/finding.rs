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
