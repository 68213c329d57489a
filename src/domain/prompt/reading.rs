//! Prompts as they were sent, read in their syntax.
//!
//! Invariant: a text without syntax is read the same in all of them.

use super::clean::clean;
use super::syntax::PromptSyntax;
use super::text::PromptText;
use super::{networks, schedules, weights};

impl PromptText {
    /// Read a prompt as it was sent.
    #[must_use]
    pub fn read(text: &str, syntax: PromptSyntax) -> Self {
        let cleaned = clean(text);
        let (text, _) = networks::strip(&cleaned);
        match syntax {
            PromptSyntax::Plain => Self::unweighted(text.into_owned()),
            PromptSyntax::Weights => weights::parse(&schedules::resolve(&text).0),
        }
    }

    /// Read a text without syntax.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::read(text, PromptSyntax::Plain)
    }
}
