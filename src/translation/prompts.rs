//! The translation of prompts in their syntax.
//!
//! Invariant: what counts more or less than the rest does so in the translation, too, and spaces between parts stay.

use super::service::Translation;
use super::translator::TranslationError;
use crate::domain::{PromptSyntax, PromptText, TranslateWhen, is_blank, write_parts};

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
        let translations = self.translate(&asked).await?;
        // What is lost in translation would be missing from the image without a word about it.
        if translations.iter().any(|translation| is_blank(translation)) {
            return Err(TranslationError::Failed("a translation is empty".to_owned()));
        }
        let mut translations = translations.into_iter();
        let mut write = |part: &Part<'_>| {
            let words = if part.has_words() { translations.next().unwrap_or_default() } else { part.words.to_owned() };
            (format!("{}{words}{}", part.before, part.behind), part.weight)
        };
        let written = parts.iter().map(|parts| {
            let parts: Vec<(String, f32)> = parts.as_ref()?.iter().map(&mut write).collect();
            Some(write_parts(&parts, syntax))
        });
        Ok(written.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::ApplyTo;
    use crate::retry::BreakerPolicy;
    use crate::translation::service::TranslationConfig;
    use crate::translation::translator::{LanguagePair, Translator};

    /// Writes texts in upper case, but for one that it knows nothing for.
    struct Forgetful;

    #[async_trait]
    impl Translator for Forgetful {
        fn name(&self) -> &'static str {
            "forgetful"
        }

        async fn translate(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError> {
            let known = |text: &String| if text == "туман" { "\u{200b} ".to_owned() } else { text.to_uppercase() };
            Ok(texts.iter().map(known).collect())
        }
    }

    #[tokio::test]
    async fn no_part_of_a_prompt_is_lost_in_silence() {
        let config = TranslationConfig {
            languages: LanguagePair { from: "ru".to_owned(), to: "en".to_owned() },
            when: TranslateWhen::Auto,
            apply_to: ApplyTo::Both,
            fail_open: false,
            timeout: Duration::from_secs(5),
            breaker: BreakerPolicy { after: 2, pause: Duration::from_hours(1) },
            cache_bytes: 1000,
        };
        let translation = Translation::new(config, Arc::new(Forgetful));
        let translated = async |prompt: &str| {
            let prompts = [prompt.to_owned()];
            translation.translate_prompts(&prompts, PromptSyntax::Weights, TranslateWhen::Auto).await
        };
        assert_eq!(translated("кот, (лес:1.5) (42:1.2)").await, Ok(vec![Some("КОТ, (ЛЕС:1.5) (42:1.2)".to_owned())]));
        for prompt in ["туман", "кот (туман:1.5)", "(туман:1.5) кот", "кот (туман:1.5) лес"]
        {
            let lost = Err(TranslationError::Failed("a translation is empty".to_owned()));
            assert_eq!(translated(prompt).await, lost, "{prompt}");
        }
    }
}
