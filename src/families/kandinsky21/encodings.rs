//! What the encoders have seen before: texts and images, by content.
//!
//! Invariant: an encoding depends on its text or image alone (rows of a batch are independent), so a kept one is the
//! one that would be computed again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::Tensor;
use sha2::{Digest as _, Sha256};

use super::prior_run::PriorText;
use super::unet::Context;
use crate::diffusion::CacheCounts;
use crate::domain::{Image, PromptText};
use crate::lru::Lru;
use crate::tensor::error::Result;

/// Which encoder, and what of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CacheKey {
    PriorText(PromptText),
    DecoderText(PromptText),
    /// CLIP's embedding of an image.
    ImageEmbed([u8; 32]),
    /// MoVQ's latents of an image.
    Latents([u8; 32]),
    /// What the UNet sees of a text and of an image embedding, by the UNet's number.
    Context(u8, PromptText, [u8; 32]),
}

impl CacheKey {
    /// The key of an image's CLIP embedding.
    pub(super) fn image_embed(image: &Image) -> Self {
        let mut hash = Sha256::new();
        for side in [image.width() as usize, image.height() as usize, image.channels()] {
            hash.update(side.to_le_bytes());
        }
        hash.update(image.pixels());
        Self::ImageEmbed(hash.finalize().into())
    }

    /// The key of a context of this UNet.
    pub(super) fn context(network: u8, text: PromptText, image_embed: &[f32]) -> Self {
        Self::Context(network, text, hash_numbers(Sha256::new(), image_embed))
    }

    /// The key of the latents of `[3, height, width]` numbers.
    pub(super) fn latents(planes: &[f32], height: usize, width: usize) -> Self {
        let mut hash = Sha256::new();
        hash.update(height.to_le_bytes());
        hash.update(width.to_le_bytes());
        Self::Latents(hash_numbers(hash, planes))
    }
}

/// What `hash` gives after these numbers.
fn hash_numbers(mut hash: Sha256, numbers: &[f32]) -> [u8; 32] {
    for piece in numbers.chunks(1024) {
        let bytes: Vec<u8> = piece.iter().flat_map(|x| x.to_le_bytes()).collect();
        hash.update(bytes);
    }
    hash.finalize().into()
}

/// A text as the decoder sees it.
#[derive(Clone)]
pub struct DecoderText {
    /// `[width]`.
    pub embed: Tensor,
    /// `[tokens, hidden]`.
    pub states: Tensor,
}

/// What an encoder gave.
#[derive(Clone)]
pub(super) enum Encoding {
    PriorText(PriorText),
    DecoderText(DecoderText),
    Numbers(Rc<[f32]>),
    Context(Rc<Context>),
}

/// What can be kept.
pub(super) trait Encoded: Clone {
    fn keep(self) -> Encoding;
    fn take(encoding: Encoding) -> Option<Self>;
}

impl Encoded for PriorText {
    fn keep(self) -> Encoding {
        Encoding::PriorText(self)
    }

    fn take(encoding: Encoding) -> Option<Self> {
        if let Encoding::PriorText(text) = encoding { Some(text) } else { None }
    }
}

impl Encoded for DecoderText {
    fn keep(self) -> Encoding {
        Encoding::DecoderText(self)
    }

    fn take(encoding: Encoding) -> Option<Self> {
        if let Encoding::DecoderText(text) = encoding { Some(text) } else { None }
    }
}

impl Encoded for Rc<[f32]> {
    fn keep(self) -> Encoding {
        Encoding::Numbers(self)
    }

    fn take(encoding: Encoding) -> Option<Self> {
        if let Encoding::Numbers(numbers) = encoding { Some(numbers) } else { None }
    }
}

/// The cache.
pub(super) struct Encodings {
    kept: RefCell<Lru<CacheKey, Encoding>>,
    counts: Cell<CacheCounts>,
}

impl Encodings {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { kept: RefCell::new(Lru::new(limit_bytes)), counts: Cell::default() }
    }

    pub(super) fn counts(&self) -> CacheCounts {
        self.counts.get()
    }

    /// The encodings of `keys`, in order. What is not kept is computed in one call: `compute` gets the positions (within
    /// `keys`, each key once) that are wanted, and gives as many encodings.
    pub(super) fn get<T: Encoded>(
        &self,
        keys: &[CacheKey],
        bytes: impl Fn(&T) -> usize,
        compute: impl FnOnce(&[usize]) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut counts = self.counts.get();
        let mut found: HashMap<&CacheKey, T> = HashMap::new();
        let mut wanted: Vec<usize> = Vec::new();
        for (position, key) in keys.iter().enumerate() {
            let known = found.contains_key(key) || wanted.iter().any(|other| keys[*other] == *key);
            let kept = if known { None } else { self.kept.borrow_mut().get(key).and_then(T::take) };
            if known || kept.is_some() {
                counts.hits += 1;
            } else {
                counts.misses += 1;
                wanted.push(position);
            }
            found.extend(kept.map(|value| (key, value)));
        }
        self.counts.set(counts);
        if !wanted.is_empty() {
            for (position, value) in wanted.iter().zip(compute(&wanted)?) {
                self.kept.borrow_mut().insert(keys[*position].clone(), value.clone().keep(), bytes(&value));
                found.insert(&keys[*position], value);
            }
        }
        // `compute` gives one encoding a position, so all are found.
        Ok(keys.iter().filter_map(|key| found.get(key).cloned()).collect())
    }

    /// The context of a key, which is not counted: its text and its embedding were.
    pub(super) fn context(&self, key: CacheKey, compute: impl FnOnce() -> Result<Context>) -> Result<Rc<Context>> {
        if let Some(Encoding::Context(context)) = self.kept.borrow_mut().get(&key) {
            return Ok(context);
        }
        let context = Rc::new(compute()?);
        self.kept.borrow_mut().insert(key, Encoding::Context(context.clone()), context.bytes());
        Ok(context)
    }

    /// The encoding of one key.
    pub(super) fn one(&self, key: CacheKey, compute: impl FnOnce() -> Result<Vec<f32>>) -> Result<Rc<[f32]>> {
        let found = self.get(&[key], |numbers: &Rc<[f32]>| size_of_val(&**numbers), |_| Ok(vec![compute()?.into()]))?;
        Ok(found.into_iter().next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PromptSyntax;

    fn get(cache: &Encodings, texts: &[&str]) -> (Vec<f32>, Vec<usize>) {
        let keys: Vec<CacheKey> = texts.iter().map(|text| CacheKey::PriorText(PromptText::plain(text))).collect();
        let mut computed = Vec::new();
        let number = |at: usize| Rc::from(vec![texts[at].parse::<f32>().unwrap()]);
        let found: Vec<Rc<[f32]>> = cache
            .get(
                &keys,
                |_| 4,
                |wanted| {
                    computed = wanted.to_vec();
                    Ok(wanted.iter().map(|at| number(*at)).collect())
                },
            )
            .unwrap();
        (found.iter().map(|numbers| numbers[0]).collect(), computed)
    }

    #[test]
    fn each_text_is_encoded_once_and_comes_back_in_order() {
        let cache = Encodings::new(100);
        assert_eq!(get(&cache, &["1", "2", "1"]), (vec![1.0, 2.0, 1.0], vec![0, 1]));
        assert_eq!(get(&cache, &["3", "2", "1"]), (vec![3.0, 2.0, 1.0], vec![0]));
        assert_eq!(cache.counts(), CacheCounts { hits: 3, misses: 3 });
    }

    #[test]
    fn a_cache_that_is_too_small_forgets_and_is_still_right() {
        let cache = Encodings::new(4);
        assert_eq!(get(&cache, &["1", "2"]), (vec![1.0, 2.0], vec![0, 1]));
        assert_eq!(get(&cache, &["2", "1"]), (vec![2.0, 1.0], vec![1]));
    }

    #[test]
    fn encoders_do_not_take_each_others_texts() {
        let cache = Encodings::new(100);
        get(&cache, &["1"]);
        let key = [CacheKey::DecoderText(PromptText::plain("1"))];
        let found: Vec<Rc<[f32]>> = cache.get(&key, |_| 4, |_| Ok(vec![Rc::from(vec![9.0])])).unwrap();
        assert_eq!(*found[0], [9.0]);
    }

    #[test]
    fn weights_are_a_part_of_a_text() {
        let cache = Encodings::new(100);
        let encode = |text: &str, number: u8| -> f32 {
            let key = CacheKey::PriorText(PromptText::read(text, PromptSyntax::Weights));
            cache.one(key, || Ok(vec![f32::from(number)])).unwrap()[0]
        };
        let numbers = [("panda", 1), ("(panda:1.3)", 2), ("(panda:1.0)", 3), ("(panda)", 4), ("(panda:1.1)", 5)];
        let found = numbers.map(|(text, number)| encode(text, number));
        assert_eq!(found.map(|number| number.to_string()), ["1", "2", "1", "4", "4"]);
    }
}
