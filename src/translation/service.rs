//! The translation of requests' texts: which are translated, and what keeps a slow or failing translator from slowing everything.
//!
//! Invariant: a text that was translated once is not asked for again while it is remembered, and a translator that keeps failing is
//! not asked for a while; no caller waits longer than the timeout.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::translator::{BegunFlag, LanguagePair, TranslationError, Translator};
use crate::domain::{ApplyTo, Script, TranslateWhen};
use crate::lru::Lru;
use crate::retry::{Breaker, BreakerPolicy};

/// How translators are asked.
#[derive(Debug, Clone)]
pub struct TranslationConfig {
    pub languages: LanguagePair,
    /// Which texts are translated where a request does not say.
    pub when: TranslateWhen,
    /// Which text encoders read the translations.
    pub apply_to: ApplyTo,
    /// Go on with the original where there is no translation, rather than refuse the request.
    pub fail_open: bool,
    pub timeout: Duration,
    pub breaker: BreakerPolicy,
    /// Bytes of texts and translations that are remembered.
    pub cache_bytes: usize,
}

/// A translator as the configuration says.
pub struct Translation {
    config: TranslationConfig,
    script: Option<Script>,
    translator: Arc<dyn Translator>,
    breaker: Breaker,
    known: Mutex<Lru<String, String>>,
}

impl Translation {
    /// Texts from the one language of `config` into the other, by this translator.
    #[must_use]
    pub fn new(config: TranslationConfig, translator: Arc<dyn Translator>) -> Self {
        Self {
            script: Script::of(&config.languages.from),
            breaker: Breaker::new(config.breaker),
            known: Mutex::new(Lru::new(config.cache_bytes)),
            translator,
            config,
        }
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &TranslationConfig {
        &self.config
    }

    /// The name of the translator.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.translator.name()
    }

    /// Which texts are translated of a request that asks for this.
    #[must_use]
    pub fn when(&self, asked: Option<TranslateWhen>) -> TranslateWhen {
        asked.unwrap_or(self.config.when)
    }

    /// Whether a text is to be translated. By its letters alone no language with Latin ones is told from English.
    #[must_use]
    pub fn applies_to(&self, text: &str, when: TranslateWhen) -> bool {
        match when {
            TranslateWhen::Off => false,
            TranslateWhen::Always => text.chars().any(char::is_alphabetic),
            TranslateWhen::Auto => self.script.is_some_and(|script| script.prevails_in(text)),
        }
    }

    /// The translations of texts, in their order.
    pub async fn translate(&self, texts: &[String]) -> Result<Vec<String>, TranslationError> {
        let found: Vec<Option<String>> = {
            let mut known = self.known.lock();
            texts.iter().map(|text| known.get(text)).collect()
        };
        let mut missing: Vec<String> = Vec::new();
        for (text, found) in texts.iter().zip(&found) {
            if found.is_none() && !missing.contains(text) {
                missing.push(text.clone());
            }
        }
        let translations = if missing.is_empty() { Vec::new() } else { self.ask(missing.clone()).await? };
        let mut known = self.known.lock();
        for (text, translation) in missing.iter().zip(&translations) {
            known.insert(text.clone(), translation.clone(), text.len() + translation.len());
        }
        let new = |text: &String| missing.iter().zip(&translations).find(|(other, _)| *other == text);
        let all = texts.iter().zip(found);
        let texts = all.map(|(text, found)| found.or_else(|| new(text).map(|(_, translation)| translation.clone())));
        let complete: Option<Vec<String>> = texts.collect();
        complete.ok_or_else(|| TranslationError::Failed("it gave fewer texts than it was asked for".to_owned()))
    }

    async fn ask(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError> {
        if self.breaker.is_open() {
            return Err(TranslationError::Paused);
        }
        let wanted = texts.len();
        let begun = BegunFlag::default();
        let asking = self.translator.translate_noting(texts, begun.clone());
        let asked = match tokio::time::timeout(self.config.timeout, asking).await {
            Ok(Ok(translations)) if translations.len() == wanted => Ok(translations),
            Ok(Ok(translations)) => Err(TranslationError::Failed(format!(
                "it gave {} texts where there should be {wanted}",
                translations.len()
            ))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(TranslationError::Timeout(self.config.timeout.as_secs())),
        };
        match asked {
            // What never began says nothing about the translator.
            Err(TranslationError::Timeout(_)) if !begun.is_set() => {}
            // That many are waiting is no fault of the translator's.
            Ok(_) | Err(TranslationError::Busy) => self.breaker.record(true),
            Err(_) => self.breaker.record(false),
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Writes texts in upper case, or fails; counts what it is asked for.
    struct Loud {
        works: bool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Translator for Loud {
        fn name(&self) -> &'static str {
            "loud"
        }

        async fn translate(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError> {
            self.asked.fetch_add(texts.len(), Ordering::SeqCst);
            if !self.works {
                return Err(TranslationError::Failed("no".to_owned()));
            }
            Ok(texts.iter().map(|text| text.to_uppercase()).collect())
        }
    }

    fn translation(works: bool) -> (Translation, Arc<Loud>) {
        let loud = Arc::new(Loud { works, asked: AtomicUsize::new(0) });
        let config = TranslationConfig {
            languages: LanguagePair { from: "ru".to_owned(), to: "en".to_owned() },
            when: TranslateWhen::Auto,
            apply_to: ApplyTo::Both,
            fail_open: true,
            timeout: Duration::from_secs(5),
            breaker: BreakerPolicy { after: 2, pause: Duration::from_hours(1) },
            cache_bytes: 100,
        };
        (Translation::new(config, loud.clone()), loud)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_text_is_asked_for_once() {
        let (translation, loud) = translation(true);
        let translated = translation.translate(&texts(&["кот", "пёс", "кот"])).await.unwrap();
        assert_eq!(translated, texts(&["КОТ", "ПЁС", "КОТ"]));
        let translated = translation.translate(&texts(&["лиса", "кот"])).await.unwrap();
        assert_eq!(translated, texts(&["ЛИСА", "КОТ"]));
        assert_eq!(loud.asked.load(Ordering::SeqCst), 3);
    }

    /// Never answers.
    struct Silent;

    #[async_trait]
    impl Translator for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }

        async fn translate(&self, _: Vec<String>) -> Result<Vec<String>, TranslationError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn no_text_waits_longer_than_the_timeout() {
        let config = TranslationConfig { timeout: Duration::from_millis(5), ..translation(true).0.config().clone() };
        let silent = Translation::new(config, Arc::new(Silent));
        for expected in [TranslationError::Timeout(0), TranslationError::Timeout(0), TranslationError::Paused] {
            assert_eq!(silent.translate(&texts(&["кот"])).await, Err(expected));
        }
    }

    /// Has a line that does not get shorter.
    struct Crowded;

    #[async_trait]
    impl Translator for Crowded {
        fn name(&self) -> &'static str {
            "crowded"
        }

        async fn translate(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError> {
            self.translate_noting(texts, BegunFlag::default()).await
        }

        async fn translate_noting(&self, _: Vec<String>, _: BegunFlag) -> Result<Vec<String>, TranslationError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn texts_that_only_waited_are_not_held_against_the_translator() {
        let config = TranslationConfig { timeout: Duration::from_millis(5), ..translation(true).0.config().clone() };
        let crowded = Translation::new(config, Arc::new(Crowded));
        for _ in 0..4 {
            assert_eq!(crowded.translate(&texts(&["кот"])).await, Err(TranslationError::Timeout(0)));
        }
    }

    #[tokio::test]
    async fn a_translator_that_fails_is_not_asked_for_a_while() {
        let (translation, loud) = translation(false);
        let failed = TranslationError::Failed("no".to_owned());
        for expected in [failed.clone(), failed, TranslationError::Paused, TranslationError::Paused] {
            assert_eq!(translation.translate(&texts(&["кот"])).await, Err(expected));
        }
        assert_eq!(loud.asked.load(Ordering::SeqCst), 2);
    }
}
