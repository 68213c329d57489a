//! Translation of a request's texts, between the moderation of what was sent and that of what is drawn.
//!
//! Invariant: whether a text was translated is never left unsaid: the answer has the translation, or a warning that there is none.

use super::resolve::Resolved;
use crate::domain::{TranslateWhen, TranslatedText, Violations, Warning, WarningCode};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::metrics::{TRANSLATION_DURATION, TRANSLATIONS};
use crate::modes::{CheckedGeneration, Generation, Input};
use crate::translation::TranslationError;

/// Translate the texts of a request, whose inputs are given without the words of its style. `None`: all stay as they are.
pub(super) async fn translate_texts(
    state: &AppState,
    context: &RequestContext,
    input: Input,
    resolved: &mut Resolved,
) -> Result<Option<Input>, Problem> {
    let Some(translation) = &state.translation else {
        if resolved.translate.is_some_and(|when| when != TranslateWhen::Off) {
            let message = "this server does not translate; the texts are drawn as they are";
            resolved.warnings.push(Warning::new(WarningCode::FieldIgnored, message).at("/translate"));
        }
        return Ok(None);
    };
    let when = translation.when(resolved.translate);
    let mut generation = Generation { input, common: resolved.common.clone() };
    let (texts, syntax) = (generation.texts(), generation.common.prompt_syntax);
    let sent: Vec<String> = texts.iter().map(|(_, text)| text.clone()).collect();
    let started = std::time::Instant::now();
    let translated = translation.translate_prompts(&sent, syntax, when).await;
    let translated = translated.and_then(|translations| check_translations(state, translations));
    let translations = match translated {
        Ok(translations) if translations.iter().all(Option::is_none) => return Ok(None),
        Ok(translations) => translations,
        Err(error) => {
            TRANSLATIONS.add(1, ["failed"]);
            let fails_open = translation.config().fail_open;
            tracing::warn!(request.id = context.request_id, %error, fails_open, "a prompt was not translated");
            if !fails_open {
                return Err(Problem::untranslated());
            }
            let left = texts.iter().filter(|(_, text)| translation.applies_to(text, when));
            resolved.warnings.extend(left.map(|(pointer, _)| Warning::not_translated(pointer)));
            return Ok(None);
        }
    };
    TRANSLATION_DURATION.record(started.elapsed().as_secs_f64(), []);
    TRANSLATIONS.add(translations.iter().flatten().count() as u64, ["translated"]);
    generation.set_translations(translations);
    resolved.common = generation.common;
    Ok(Some(generation.input))
}

/// The translations, if they could have been sent. The sender of a text is not to blame for what was made of it.
fn check_translations(
    state: &AppState,
    translations: Vec<Option<String>>,
) -> Result<Vec<Option<String>>, TranslationError> {
    let mut violations = Violations::default();
    for translation in translations.iter().flatten() {
        state.limits.check_text(translation, "", &mut violations);
    }
    match violations.0.first() {
        None => Ok(translations),
        Some(violation) => Err(TranslationError::Failed(format!("a translation {}", violation.message))),
    }
}

/// The texts that differ between a request as it was sent and as it is drawn.
pub(super) fn translated_texts(sent: &CheckedGeneration, drawn: &CheckedGeneration) -> Vec<TranslatedText> {
    let both = sent.texts().into_iter().zip(drawn.texts());
    let changed = both.filter(|((_, original), (_, drawn))| original != drawn);
    changed.map(|((field, original), (_, drawn))| TranslatedText { field, original, drawn }).collect()
}

/// What was translated of a request as it is drawn, as moderation reads it, each text with its JSON pointer.
pub(super) fn texts_to_moderate(drawn: &CheckedGeneration, translations: &[TranslatedText]) -> Vec<(String, String)> {
    let mut texts = drawn.texts_to_review();
    texts.retain(|(pointer, _)| translations.iter().any(|text| text.field == *pointer));
    texts
}
