//! What a translator is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

/// Translates texts from the one language that it was made for into the other.
#[async_trait]
pub trait Translator: Send + Sync {
    /// Its name in the configuration and in answers.
    fn name(&self) -> &'static str;

    /// The translations of these texts, as many, in their order.
    async fn translate(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError>;

    /// The same, and note it once the work has begun. Where texts may have to wait for others, this is to be implemented.
    async fn translate_noting(&self, texts: Vec<String>, begun: BegunFlag) -> Result<Vec<String>, TranslationError> {
        begun.set();
        self.translate(texts).await
    }
}

/// Whether the translation of some texts has begun, or they still wait for others.
#[derive(Debug, Clone, Default)]
pub struct BegunFlag(Arc<AtomicBool>);

impl BegunFlag {
    /// It has begun.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why there is no translation, in words that may be logged, but not shown to callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslationError {
    /// It is asked too often at present.
    #[error("too many texts are waiting to be translated")]
    Busy,
    /// It took too long.
    #[error("no translation within {0} s")]
    Timeout(u64),
    /// It failed before, several times, and is not asked for a while.
    #[error("the translator failed before, and is not asked for a while")]
    Paused,
    #[error("{0}")]
    Failed(String),
}

/// Two languages, by their codes (ISO 639-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguagePair {
    pub from: String,
    pub to: String,
}

impl fmt::Display for LanguagePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}
