//! Texts that are drawn in another language than they were sent in.
//!
//! Invariant: the original is kept beside the translation, so that answers can say what was drawn and what was asked for.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use super::named::{impl_names, unknown_name};

/// Which texts of a request are translated before they are drawn.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum TranslateWhen {
    /// Those whose letters are, for the most part, of the script of the language that is translated from.
    Auto,
    /// All.
    Always,
    /// None.
    Off,
}

impl_names!(TranslateWhen);

/// Which text encoders read translations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum ApplyTo {
    /// The prior's and the decoder's.
    Both,
    /// The prior's, which is CLIP's; the decoder's, which is multilingual, reads the originals.
    Clip,
}

impl_names!(ApplyTo);

/// A text that was translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranslatedText {
    /// JSON pointer to its field.
    pub field: String,
    /// As it was sent, with the words of the style, if there is one.
    pub original: String,
    /// As it is drawn.
    pub drawn: String,
}
