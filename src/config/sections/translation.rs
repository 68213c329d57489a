//! Whether and how prompts are translated.

use secrecy::SecretString;
use strum::{EnumString, VariantNames};

use super::moderation::OnFailure;
use crate::config::readers;
use crate::config::rules::{self, KIB, Rule};
use crate::config::section::section;
use crate::domain::{ApplyTo, TranslateWhen};

section! {
    /// Translation of prompts into the language that the checkpoint's text encoders know (docs/translation.md).
    struct Translate in "translate" {
        /// What translates: "off", "marian" (a model of Helsinki-NLP's, in this process) or "libretranslate" (a service).
        backend: TranslateBackend = "off", Rule::OneOf(TranslateBackend::VARIANTS);
        /// Which texts are translated where a request does not say: "auto" (those of whose letters more than 30 % are of
        /// the script of the language below), "always" (all) or "off" (none).
        when: TranslateWhen = "auto", Rule::OneOf(TranslateWhen::VARIANTS);
        /// Which text encoders read the translations: "both", or "clip" (the prior's alone: the decoder's, which is
        /// multilingual, reads the texts as they were sent).
        apply_to: ApplyTo = "both", Rule::OneOf(ApplyTo::VARIANTS);
        /// The language that is translated from, by its code.
        from: String = "ru", Rule::Text(rules::language);
        /// The language that is translated into, by its code.
        to: String = "en", Rule::Text(rules::language);
        /// The Marian model: a folder, or the id of one in the hub cache (see `kandinsky pull`). Empty: the tiny one inside the
        /// binary where the embedded model runs, else Helsinki-NLP/opus-mt-FROM-TO.
        model: String = "", Rule::Text(rules::any);
        /// Which language a Marian model of several writes, by the model's own name for it: "eng" for >>eng<<. Empty: it has
        /// one alone. "-": nothing is said to it.
        target: String = "", Rule::Text(rules::any);
        /// The address of LibreTranslate, without /translate.
        url: String as readers::base_url = "", Rule::Text(rules::optional_http_url);
        /// Its key, if it wants one.
        key: SecretString as readers::secret = "", Rule::Secret(rules::any);
        /// Timeout of the texts of one request together, s.
        timeout_s: u64 = 20, Rule::Whole(1..=600);
        /// Attempts at asking LibreTranslate after the first one. A translator that keeps failing is not asked for a while.
        retries: u32 = 1, Rule::Whole(0..=10);
        /// What happens to texts while there is no translation: "allow" (they are drawn as they are, with a warning) or "refuse".
        on_failure: OnFailure = "allow", Rule::OneOf(OnFailure::VARIANTS);
        /// Memory for texts and their translations, so that none is translated twice, bytes.
        cache_bytes: usize = 4_194_304, Rule::Whole(0..=1024 * 1024 * KIB);
    }
}

/// What translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum TranslateBackend {
    /// Texts are drawn as they are.
    Off,
    /// A Marian model in this process.
    Marian,
    /// A LibreTranslate service.
    LibreTranslate,
}
