//! A picture from a prompt.

use serde::{Deserialize, Serialize};

use super::Violations;
use super::common::{Limits, check_text};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextToImage {
    /// English or Russian.
    pub prompt: String,
}

impl TextToImage {
    pub(super) fn check(&self, limits: &Limits, violations: &mut Violations) {
        check_text(&self.prompt, "/prompt", limits, violations);
    }
}
