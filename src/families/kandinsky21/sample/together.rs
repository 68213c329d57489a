//! What the samples of a batch are conditioned on, encoded in one call an encoder: its weights are read once for all of them.
//!
//! Invariant: an encoding depends on its text or image alone, so these are those that each sample would make for itself. They reach
//! the samples through the cache; where it is too small to keep them, samples encode again.

use std::rc::Rc;

use super::state::KandinskySample;
use crate::domain::{Image, PriorKind, PromptText};
use crate::families::kandinsky21::conditioning;
use crate::families::kandinsky21::kandinsky::Kandinsky;
use crate::modes::{CheckedGeneration, Generation};
use crate::tensor::error::Result;

/// Most texts or images of one call, which bounds its memory.
const MOST_AT_ONCE: usize = 16;

impl Kandinsky {
    /// Let the prior's encoders read what the requests of these samples name. One request reads its own in one call anyhow.
    pub(super) fn encode_together(&self, samples: &[&mut KandinskySample]) -> Result<()> {
        let mut requests: Vec<&Rc<CheckedGeneration>> = Vec::new();
        for sample in samples {
            if !requests.iter().any(|request| Rc::ptr_eq(request, &sample.generation)) {
                requests.push(&sample.generation);
            }
        }
        if requests.len() < 2 {
            return Ok(());
        }
        if self.components.prior_text.is_some() {
            let texts: Vec<PromptText> = requests.iter().flat_map(|request| self.prior_reads(request)).collect();
            for texts in distinct(texts).chunks(MOST_AT_ONCE) {
                self.prior_texts(texts)?;
            }
        }
        if self.components.vision.is_some() {
            let images: Vec<Image> = requests.iter().flat_map(|request| images_for_clip(request)).collect();
            for images in images.iter().collect::<Vec<_>>().chunks(MOST_AT_ONCE) {
                self.image_embeds(images)?;
            }
        }
        Ok(())
    }

    /// The texts that the prior's encoder will be asked for.
    fn prior_reads(&self, generation: &CheckedGeneration) -> Vec<PromptText> {
        let common = &generation.common;
        let is_prompt = |pointer: &str| !pointer.starts_with("/negative") && pointer != "/decoder_prompt";
        let prompts = generation.texts().into_iter().filter(|(pointer, _)| is_prompt(pointer));
        let mut texts: Vec<String> = prompts.map(|(_, text)| text).collect();
        // Without an embedding of zeros the empty text is the negative one.
        let empty = || self.zero_embed().is_none().then(String::new);
        texts.extend(common.negative_prompt.clone().or_else(empty));
        if !texts.is_empty() && common.prior.kind == PriorKind::Diffusion && common.prior.guidance_scale > 1.0 {
            let avoided = common.negative_prior_prompt.clone().or_else(|| common.negative_prompt.clone());
            texts.push(avoided.unwrap_or_default());
        }
        texts.iter().map(|text| common.read(text)).collect()
    }
}

/// The images that CLIP will be asked for as they are.
fn images_for_clip(generation: &CheckedGeneration) -> Vec<Image> {
    if !conditioning::needs(generation.mode()).is_some_and(|needs| needs.image) {
        return Vec::new();
    }
    let mut copy = Generation::from(generation.clone());
    copy.images_mut().0.into_iter().map(|image| image.clone()).collect()
}

/// Each text once, in their order.
fn distinct(texts: Vec<PromptText>) -> Vec<PromptText> {
    let mut seen = std::collections::HashSet::new();
    texts.into_iter().filter(|text| seen.insert(text.clone())).collect()
}
