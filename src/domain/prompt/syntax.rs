//! How prompts may be written.
//!
//! Invariant: the default reads brackets as text.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::domain::named::{impl_names, unknown_name};

/// How brackets in prompts are read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum PromptSyntax {
    /// As text.
    #[default]
    Plain,
    /// As AUTOMATIC1111's weights: `(word)` counts 1.1 times, `(word:1.3)` 1.3 times, `[word]` 1/1.1 times.
    Weights,
}

impl_names!(PromptSyntax);

impl PromptSyntax {
    /// Whether it is the usual one.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}
