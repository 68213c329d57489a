//! The translation of prompts in their syntax.
//!
//! Invariant: what counts more or less than the rest does so in the translation, too, and spaces between parts stay.

use super::service::Translation;
use super::translator::TranslationError;
use crate::domain::{PromptSyntax, PromptText, TranslateWhen, write_parts};

/// A part of a prompt: the spaces before it, its words, the spaces behind them, and how often it counts.
struct Part<'a> {
    before: &'a str,
    words: &'a str,
    behind: &'a str,
    weight: f32,
}

impl<'a> Part<'a> {
    fn new((text, weight): (&'a str, f32)) -> Self {
        let words = text.trim();
        let start = text.len() - text.trim_start().len();
        Self { before: &text[..start], words, behind: &text[start + words.len()..], weight }
    }

    /// Whether there is anything to translate.
    fn has_words(&self) -> bool {
        self.words.chars().any(char::is_alphabetic)
    }
}

impl Translation {
    /// The translations of prompts as they were sent. `None`: that one stays as it is.
    pub async fn translate_prompts(
        &self,
        prompts: &[String],
        syntax: PromptSyntax,
        when: TranslateWhen,
    ) -> Result<Vec<Option<String>>, TranslationError> {
        let read: Vec<PromptText> = prompts.iter().map(|prompt| PromptText::read(prompt, syntax)).collect();
        let parts: Vec<Option<Vec<Part<'_>>>> = read
            .iter()
            .map(|text| self.applies_to(text.as_str(), when).then(|| text.parts().into_iter().map(Part::new).collect()))
            .collect();
        let asked = parts.iter().flatten().flatten().filter(|part| part.has_words());
        let asked: Vec<String> = asked.map(|part| part.words.to_owned()).collect();
        if asked.is_empty() {
            return Ok(vec![None; prompts.len()]);
        }
        let mut translations = self.translate(&asked).await?.into_iter();
        let mut write = |part: &Part<'_>| {
            let words = if part.has_words() { translations.next().unwrap_or_default() } else { part.words.to_owned() };
            (format!("{}{words}{}", part.before, part.behind), part.weight)
        };
        let written = parts.iter().map(|parts| {
            let parts: Vec<(String, f32)> = parts.as_ref()?.iter().map(&mut write).collect();
            Some(write_parts(&parts, syntax))
        });
        let written: Vec<Option<String>> = written.collect();
        // A translation without any words would draw something else without a word about it.
        if written.iter().flatten().any(|text| text.trim().is_empty()) {
            return Err(TranslationError::Failed("a translation is empty".to_owned()));
        }
        Ok(written)
    }
}
