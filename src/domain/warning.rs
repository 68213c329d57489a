//! What a request asked for and did not get, although it was done.
//!
//! Invariant: a request with warnings succeeded otherwise; what makes it fail is a violation or a failure.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::named::{impl_names, unknown_name};

/// Longest message, and longest text that was cut, as they are repeated: characters.
const MAX_CHARS: usize = 300;

/// One thing that was done otherwise than asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: WarningCode,
    /// Fit for the client to see.
    pub message: String,
    /// JSON pointer to the field; `None`: the request as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Of [`WarningCode::PromptCut`]: the text that was not read, from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

/// What sort of warning it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum WarningCode {
    /// A text is longer than an encoder reads.
    PromptCut,
    /// A text has the syntax of weights or of other programs, and was read as plain text.
    PromptSyntaxNotRead,
    /// A text asks for something that this server does not do, and was drawn without it.
    PromptSyntaxUnsupported,
    /// A text was to be translated, and was drawn as it is.
    PromptNotTranslated,
    /// A field was accepted and has no effect.
    FieldIgnored,
    /// A value was replaced by another one.
    ValueAdjusted,
    /// An image was read otherwise than as it is stored.
    InputConverted,
}

impl_names!(WarningCode);

impl Warning {
    /// A warning about the request as a whole.
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: shorten(&message.into()), field: None, cut: None }
    }

    /// The text at this JSON pointer was to be translated, and could not be.
    #[must_use]
    pub fn not_translated(pointer: &str) -> Self {
        Self::new(WarningCode::PromptNotTranslated, "the text could not be translated, and is drawn as it is")
            .at(pointer)
    }

    /// The same about the field at this JSON pointer.
    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self { field: Some(pointer.into()), ..self }
    }

    /// The same, of this text that was not read.
    #[must_use]
    pub fn cutting(self, text: &str) -> Self {
        Self { cut: Some(shorten(text)), ..self }
    }
}

/// A text cut to what an answer repeats.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
