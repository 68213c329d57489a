//! The encoders of texts and images, each text and image encoded once as long as its encoding is kept.

use std::rc::Rc;

use candle_core::Tensor;

use super::emphasis;
use super::encodings::{CacheKey, DecoderText};
use super::kandinsky::Kandinsky;
use super::prior_run::PriorText;
use super::tokenizer::{TEXT_TOKENS, Tokens};
use crate::domain::{Image, PromptText};
use crate::tensor;
use crate::tensor::error::Result;
use crate::tensor::probe;

impl Kandinsky {
    /// The prior's reading of texts.
    pub fn prior_texts(&self, texts: &[PromptText]) -> Result<Vec<PriorText>> {
        let (tokenizer, encoder) = self.need(self.components.prior_text.as_ref(), "CLIP text encoder")?;
        let keys: Vec<CacheKey> = texts.iter().cloned().map(CacheKey::PriorText).collect();
        // What the prior will make of a text is kept with it.
        let context = self.components.prior.as_ref().map_or(0, |prior| prior.network.context_bytes());
        let bytes = |text: &PriorText| tensor::bytes(&text.embed) + tensor::bytes(&text.states) + context;
        self.encodings.get(&keys, bytes, |wanted| {
            let tokens = wanted.iter().map(|at| tokenizer.encode_prompt(&texts[*at])).collect::<Result<Vec<_>>>()?;
            let weights = emphasis::rows(&tokens);
            // Nothing attends to what is behind a text, here or in the prior: its states are left at zero. Weights keep the size of
            // all states, and what is recorded is compared with the reference, token by token.
            let all = weights.is_some() || probe::is_recording();
            let computed = if all { TEXT_TOKENS } else { longest(&tokens) };
            let ids: Vec<Vec<u32>> = tokens.iter().map(|tokens| tokens.ids[..computed].to_vec()).collect();
            let output = encoder.forward_weighted(&ids, weights.as_deref())?;
            let states = output.states.pad_with_zeros(1, 0, TEXT_TOKENS - computed)?;
            let rows = tokens.into_iter().enumerate();
            rows.map(|(row, tokens)| {
                let states = emphasis::weigh(&self.compute, own_row(&states, row)?, tokens.weights.as_deref())?;
                Ok(PriorText::new(own_row(&output.embeds, row)?, states, tokens.mask))
            })
            .collect()
        })
    }

    /// The decoder's reading of texts.
    pub fn decoder_texts(&self, texts: &[PromptText]) -> Result<Vec<DecoderText>> {
        let (tokenizer, encoder) = self.need(self.components.decoder_text.as_ref(), "multilingual text encoder")?;
        let keys: Vec<CacheKey> = texts.iter().cloned().map(CacheKey::DecoderText).collect();
        let bytes = |text: &DecoderText| tensor::bytes(&text.embed) + tensor::bytes(&text.states);
        self.encodings.get(&keys, bytes, |wanted| {
            let tokens = wanted.iter().map(|at| tokenizer.encode_prompt(&texts[*at])).collect::<Result<Vec<_>>>()?;
            let (ids, masks): (Vec<_>, Vec<_>) =
                tokens.iter().map(|tokens| (tokens.ids.clone(), tokens.mask.clone())).unzip();
            let output = encoder.forward_weighted(&ids, &masks, emphasis::rows(&tokens).as_deref())?;
            let rows = tokens.iter().enumerate();
            rows.map(|(row, tokens)| {
                let states = emphasis::weigh(&self.compute, own_row(&output.states, row)?, tokens.weights.as_deref())?;
                Ok(DecoderText { embed: own_row(&output.embeds, row)?, states })
            })
            .collect()
        })
    }

    /// CLIP embedding of an image.
    pub fn image_embed(&self, image: &Image) -> Result<Vec<f32>> {
        Ok(self.image_embeds(&[image])?.first().map(|embed| embed.to_vec()).unwrap_or_default())
    }

    /// CLIP embeddings of images, those that are not known in one call.
    pub fn image_embeds(&self, images: &[&Image]) -> Result<Vec<Rc<[f32]>>> {
        let (processor, encoder) = self.need(self.components.vision.as_ref(), "CLIP image encoder")?;
        let keys: Vec<CacheKey> = images.iter().map(|image| CacheKey::image_embed(image)).collect();
        let bytes = |embed: &Rc<[f32]>| size_of_val(&**embed);
        self.encodings.get(&keys, bytes, |wanted| {
            let pixels = wanted.iter().flat_map(|at| processor.prepare(images[*at])).collect();
            let embeds = tensor::to_vec(&encoder.forward(pixels, wanted.len())?.embeds)?;
            let embeds = self.finite(embeds, "the CLIP image encoder")?;
            Ok(embeds.chunks(embeds.len() / wanted.len()).map(Rc::from).collect())
        })
    }

    /// MoVQ's latents `[dim, h, w]` of `[3, height, width]` pixels in -1..1.
    pub fn latents_of(&self, pixels: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        let movq = self.movq()?;
        let latents = self.encodings.one(CacheKey::latents(pixels, height, width), || {
            self.finite(movq.encode(pixels.to_vec(), 1, height, width)?, "MoVQ's encoder")
        })?;
        Ok(latents.to_vec())
    }

    /// CLIP embeddings of texts, in the space of [`Kandinsky::image_embed`].
    pub fn text_embeds(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let texts: Vec<PromptText> = texts.iter().map(|text| PromptText::plain(text)).collect();
        let texts = self.prior_texts(&texts)?;
        texts.iter().map(|text| self.finite(tensor::to_vec(&text.embed)?, "the CLIP text encoder")).collect()
    }

    /// CLIP embeddings of all parts of a text, for judging it: the decoder reads on where CLIP's 77 tokens end, since its own
    /// tokens are longer, and past end tokens that a text spells out.
    pub fn text_parts(&self, text: &str) -> Result<Vec<Vec<f32>>> {
        /// More than the decoder reads of any text.
        const MOST: usize = 16;
        let (tokenizer, encoder) = self.need(self.components.prior_text.as_ref(), "CLIP text encoder")?;
        // What is left out of a prompt is judged in the text as it was sent, which moderation is given, too.
        let text = PromptText::plain(text);
        let text = text.as_str();
        let parts = tokenizer.parts(text, MOST)?;
        if let [only] = parts.as_slice()
            && *only == tokenizer.encode(text)?.ids
        {
            // The prior will want the same.
            return self.text_embeds(&[text]);
        }
        let embeds = encoder.forward(&parts)?.embeds;
        let embed = |row| self.finite(tensor::to_vec(&own_row(&embeds, row)?)?, "the CLIP text encoder");
        (0..parts.len()).map(embed).collect()
    }
}

/// Tokens up to the end of the longest text.
fn longest(texts: &[Tokens]) -> usize {
    let end = |tokens: &Tokens| tokens.mask.iter().rposition(|is_text| *is_text).map_or(1, |last| last + 1);
    texts.iter().map(end).max().unwrap_or(1)
}

/// A row of a batch in memory of its own, so that keeping it does not keep the batch.
fn own_row(batch: &Tensor, row: usize) -> Result<Tensor> {
    Ok(batch.get(row)?.force_contiguous()?)
}
