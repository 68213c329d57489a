//! Named styles: words that are added to prompts.

use serde::{Deserialize, Serialize};

use super::Generation;
use crate::domain::{Violations, is_blank};

/// A style, as users choose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Style {
    /// The name in requests.
    pub name: String,
    pub title_en: String,
    pub title_ru: String,
    /// Words added to every prompt.
    #[serde(default)]
    pub prompt: String,
    /// Words added to the negative prompt.
    #[serde(default)]
    pub negative_prompt: String,
}

impl Style {
    /// The violation of a style without a prompt.
    pub const NEEDS_PROMPT: &'static str = "needs a prompt to add its words to";

    /// Add the words to a request's prompts. A request without prompts is a violation.
    pub fn apply(&self, generation: &mut Generation, violations: &mut Violations) {
        let mut prompts = generation.prompts_mut();
        if prompts.is_empty() {
            violations.add("/style", Self::NEEDS_PROMPT);
            return;
        }
        for (_, prompt) in &mut prompts {
            append(prompt, &self.prompt);
        }
        if !self.negative_prompt.is_empty() {
            append(generation.common.negative_prompt.get_or_insert_default(), &self.negative_prompt);
        }
    }
}

fn append(text: &mut String, words: &str) {
    if !is_blank(text) && !words.is_empty() {
        text.push_str(", ");
    }
    text.push_str(words);
}
