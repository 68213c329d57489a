//! What the text encoders read of a request's texts: 77 tokens each, and no more.
//!
//! Invariant: the texts that are told of are those that the modes' conditioning encodes.

use std::sync::Arc;

use super::tokenizer::{TEXT_TOKENS, Tokenizer};
use crate::diffusion::PromptReader;
use crate::domain::{PriorKind, PromptText, Warning, WarningCode};
use crate::modes::CheckedGeneration;

/// What joins several texts into the decoder's prompt.
pub(super) const DECODER_SEPARATOR: &str = ", ";
/// The field that only the decoder reads.
pub(super) const DECODER_PROMPT: &str = "/decoder_prompt";
/// Most of a text that a message repeats, characters.
const SHOWN: usize = 60;

/// The tokenizers of both text encoders, as far as a checkpoint has them.
pub(super) struct PromptReading {
    pub(super) prior: Option<Arc<Tokenizer>>,
    pub(super) decoder: Option<Arc<Tokenizer>>,
}

impl std::fmt::Debug for PromptReading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptReading").finish_non_exhaustive()
    }
}

impl PromptReader for PromptReading {
    fn unread(&self, generation: &CheckedGeneration) -> Vec<Warning> {
        let common = &generation.common;
        let (decoder_only, both): (Vec<_>, Vec<_>) =
            generation.prompts().into_iter().partition(|(pointer, _)| pointer == DECODER_PROMPT);

        let guided = common.prior.guidance_scale > 1.0 && common.prior.kind == PriorKind::Diffusion;
        let negative = [
            ("/negative_prompt", common.negative_prompt.as_ref()),
            ("/negative_prior_prompt", common.negative_prior_prompt.as_ref().filter(|_| guided)),
        ];
        let negative =
            negative.into_iter().filter_map(|(pointer, text)| Some((pointer.to_owned(), common.read(text?))));
        let prompts = both.iter().map(|(pointer, text)| (pointer.clone(), common.read(text)));
        let of_prior = prompts.chain(negative);
        let mut warnings: Vec<Warning> =
            of_prior.filter_map(|(pointer, text)| warning(self.prior.as_deref()?, "prior", &pointer, &text)).collect();

        let of_decoder = if decoder_only.is_empty() { both } else { decoder_only };
        let pointer = match of_decoder.as_slice() {
            [] => None,
            [(pointer, _)] => Some(pointer.clone()),
            _ => Some("/inputs".to_owned()),
        };
        let texts: Vec<PromptText> =
            of_decoder.iter().map(|(pointer, text)| common.read_for_decoder(pointer, text)).collect();
        let positive = pointer.map(|pointer| (pointer, PromptText::join(&texts, DECODER_SEPARATOR)));
        let avoided = common.decoder_negative().filter(|_| common.guidance_scale > 1.0);
        let avoided = avoided.map(|(pointer, text)| (pointer.to_owned(), common.read_for_decoder(pointer, text)));
        let of_decoder = positive.into_iter().chain(avoided);
        warnings.extend(
            of_decoder.filter_map(|(pointer, text)| warning(self.decoder.as_deref()?, "decoder", &pointer, &text)),
        );
        warnings
    }
}

/// The warning that this encoder does not read a text to its end.
fn warning(tokenizer: &Tokenizer, encoder: &str, pointer: &str, text: &PromptText) -> Option<Warning> {
    // A text that cannot be tokenized fails later, with a message of its own.
    let (tokens, from) = tokenizer.cut(text.as_str()).ok().flatten()?;
    let rest = text.as_str().get(from..)?.trim();
    let shown: String = rest.chars().take(SHOWN).collect();
    let dots = if shown.len() < rest.len() { "…" } else { "" };
    let message = format!(
        "the text has {tokens} tokens, of which the {encoder}'s text encoder reads {TEXT_TOKENS}; it does not read \"{shown}{dots}\""
    );
    Some(Warning::new(WarningCode::PromptCut, message).at(pointer).cutting(rest))
}
