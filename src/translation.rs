//! Translation of prompts for checkpoints whose text encoders know English alone.
//!
//! Invariant: what a text becomes depends on the text, the translator and its languages alone: never on the texts before it.

mod libretranslate;
pub mod marian;
mod prompts;
mod sentences;
mod service;
mod translator;

pub use libretranslate::{LibreTranslate, LibreTranslateConfig};
pub use marian::{Marian, Target};
pub use service::{Translation, TranslationConfig};
pub use translator::{BegunFlag, LanguagePair, TranslationError, Translator};
