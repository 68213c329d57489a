//! One request: a mode's inputs and what all modes share, before and after its check.
//!
//! Invariant: a [`CheckedGeneration`] was checked: it is made by [`Generation::check`] alone, or from one that was checked.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::repainting::Work;
use super::{Input, Mode};
use crate::domain::{Common, Image, Limits, Size, TranslatedText, Violations, Warning, WarningCode, prompt_warnings};
use crate::schedulers;

/// A request, not yet checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Generation {
    pub input: Input,
    pub common: Common,
}

/// A request within the limits, ready to be drawn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckedGeneration(Generation);

impl Deref for CheckedGeneration {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.0
    }
}

impl From<CheckedGeneration> for Generation {
    fn from(checked: CheckedGeneration) -> Self {
        checked.0
    }
}

impl Generation {
    /// Check everything for a model whose own size is `native` px (if that is known by now), and give all violations at once.
    pub fn check(mut self, limits: &Limits, native: Option<u32>) -> Result<CheckedGeneration, Violations> {
        let mut violations = Violations::default();
        if let Some(native) = native {
            self.input.get_mut().settle(&mut self.common, native, limits);
        }
        self.common.check(limits, &mut violations);
        if let Some(Err(message)) = self.common.scheduler.as_ref().map(|scheduler| schedulers::parse(scheduler.name()))
        {
            violations.add("/scheduler", message);
        }
        self.check_size(limits, native, &mut violations);
        self.input.get().check(limits, &mut violations);
        violations.into_result()?;
        Ok(CheckedGeneration(self))
    }

    /// Check the size of the result, and what is drawn of it. What is too large for the model is drawn smaller, if the limits say
    /// so; a result of which a part is drawn may be as large as images that come in.
    fn check_size(&mut self, limits: &Limits, native: Option<u32>, violations: &mut Violations) {
        let (given, work) = (self.common.size, self.work());
        let Some(size) = native.map(|native| self.size(native)).or(given) else { return };
        let repainting = self.input.get().repainting().is_some();
        let pointers = if given.is_some() { ("/width", "/height") } else { self.input.get().size_pointers() };
        let fit = |size| native.filter(|_| given.is_some() && !repainting).and_then(|native| limits.fit(size, native));
        self.common.drawn = match self.common.drawn.filter(|_| !repainting) {
            // The request itself says what is to be enlarged.
            Some(drawn) => Some(fit(drawn).unwrap_or_else(|| {
                limits.check_size(drawn, pointers, violations);
                drawn
            })),
            None => fit(size),
        };
        if let Some(work) = work {
            limits.check_size(work.drawn, pointers, violations);
        }
        if work.is_some() || (repainting && native.is_none()) {
            limits.for_parts().check_size(size, pointers, violations);
        } else if self.common.drawn.is_some() || native.is_none() {
            limits.check_result_size(size, pointers, violations);
        } else {
            limits.check_size(size, pointers, violations);
        }
    }

    /// What the model draws of the result. `None`: all of it.
    #[must_use]
    pub fn work(&self) -> Option<Work> {
        self.input.get().repainting().and_then(|repainting| repainting.work)
    }

    /// The size at which the model draws, px.
    #[must_use]
    pub fn drawn_size(&self, native: u32) -> Size {
        self.work().map(|work| work.drawn).or(self.common.drawn).unwrap_or_else(|| self.size(native))
    }

    /// What it costs, in decoder steps of one pixel: images x steps x area, where steps that leave
    /// most of the network out count as parts of one. (Latents are as many pixels for every image of a
    /// model; prior steps and decoding are small beside the decoder's.)
    #[must_use]
    pub fn cost(&self, native: u32) -> u64 {
        let pixels = self.drawn_size(native).pixels();
        let steps = self.common.acceleration.whole_steps(self.common.steps);
        u64::from(self.common.n).saturating_mul(steps).saturating_mul(pixels).max(1)
    }

    /// Bytes that a request takes while it is executed, beside its images: what the model draws, the results as files, and one
    /// of them at a time on its way from the one to the other.
    #[must_use]
    pub fn working_bytes(&self, native: u32) -> u64 {
        /// Of a repainted pixel: what is painted, its mark, and how far it is from the edge.
        const REPAINTED: u64 = 8;
        /// Of a drawn pixel, where features are kept from step to step: 384 channels in f32 of the published model, two rows, a
        /// latent for 64 pixels.
        const FEATURES: u64 = 48;
        let (mut input, n) = (self.input.clone(), u64::from(self.common.n));
        let images = input.get_mut().images_mut().0;
        let channels = if images.iter().any(|image| image.has_alpha()) { Image::RGBA } else { Image::RGB } as u64;
        let (drawn, size) = (self.drawn_size(native).pixels(), self.size(native));
        let result = size.pixels();
        let beside = match self.input.get().repainting() {
            None => 0,
            Some(repainting) => {
                let is_resized = images.iter().any(|image| image.size() != size);
                let original = if is_resized { result.saturating_mul(channels + 1) } else { 0 };
                let part = repainting.work.map_or(result, |work| work.part.size().pixels());
                part.saturating_mul(REPAINTED).saturating_add(original)
            }
        };
        let files = n.saturating_add(1).saturating_mul(result).saturating_mul(channels);
        let each = Image::RGB as u64 + if self.common.acceleration.reuses_features() { FEATURES } else { 0 };
        files.saturating_add(n.saturating_mul(drawn).saturating_mul(each)).saturating_add(beside)
    }

    /// Bytes of all images, by their sizes: their pixels may be in the store.
    #[must_use]
    pub fn image_bytes(&self) -> u64 {
        let mut input = self.input.clone();
        let (images, mask) = input.get_mut().images_mut();
        let bytes = |image: &Image| image.size().pixels() * image.channels() as u64;
        images.iter().chain(&mask).map(|image| bytes(image)).sum()
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.input.mode()
    }

    /// Size of the results, px: as requested, else the mode's default, else the model's own square of `native` px.
    #[must_use]
    pub fn size(&self, native: u32) -> Size {
        let default = || self.input.get().default_size(native).unwrap_or(Size { width: native, height: native });
        self.common.size.unwrap_or_else(default)
    }

    /// The size of a result of which one side or both are asked for. A side that is not given keeps the proportions of the image that
    /// the mode works on; without an image it is the model's own. `None`: neither side is given.
    #[must_use]
    pub fn size_of_sides(&self, (width, height): (Option<u32>, Option<u32>), native: u32) -> Option<Size> {
        let usual = self.input.get().default_size(native);
        let other = |side: u32, (own, other): (u32, u32)| {
            let exact = u64::from(side) * u64::from(other);
            let own = u64::from(own.max(1));
            u32::try_from((exact + own / 2) / own).unwrap_or(u32::MAX).max(1)
        };
        Some(match (width, height, usual) {
            (None, None, _) => return None,
            (Some(width), Some(height), _) => Size { width, height },
            (Some(width), None, Some(usual)) => Size { width, height: other(width, (usual.width, usual.height)) },
            (None, Some(height), Some(usual)) => Size { width: other(height, (usual.height, usual.width)), height },
            (Some(width), None, None) => Size { width, height: native },
            (None, Some(height), None) => Size { width: native, height },
        })
    }

    /// The same, to be changed.
    pub fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        self.input.get_mut().prompts_mut()
    }

    /// All texts, each with its JSON pointer, to be changed.
    pub fn texts_mut(&mut self) -> Vec<(String, &mut String)> {
        let common = [
            ("/negative_prompt", &mut self.common.negative_prompt),
            ("/negative_prior_prompt", &mut self.common.negative_prior_prompt),
            ("/negative_decoder_prompt", &mut self.common.negative_decoder_prompt),
        ];
        let common = common.into_iter();
        let mut texts: Vec<(String, &mut String)> =
            common.filter_map(|(pointer, text)| text.as_mut().map(|text| (pointer.to_owned(), text))).collect();
        texts.extend(self.input.get_mut().prompts_mut());
        texts
    }

    /// Replace texts by their translations, given in the order of [`Self::texts`]; `None`: that one stays. Those that were replaced.
    pub fn set_translations(&mut self, translations: Vec<Option<String>>) -> Vec<TranslatedText> {
        let mut changed = Vec::new();
        for ((field, text), translation) in self.texts_mut().into_iter().zip(translations) {
            if let Some(drawn) = translation {
                let original = std::mem::replace(text, drawn.clone());
                changed.push(TranslatedText { field, original, drawn });
            }
        }
        changed
    }

    /// All texts as they were sent, each with its JSON pointer.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, String)> {
        let mut copy = self.clone();
        copy.texts_mut().into_iter().map(|(pointer, text)| (pointer, std::mem::take(text))).collect()
    }

    /// All texts as they were sent and, where the encoders read them otherwise, as they are drawn: what a person reads into the
    /// one may not be in the other.
    #[must_use]
    pub fn texts_to_review(&self) -> Vec<(String, String)> {
        let mut texts = self.texts();
        let drawn = texts.iter().filter_map(|(pointer, text)| {
            let drawn = self.common.read(text);
            (drawn.as_str() != text).then(|| (pointer.clone(), drawn.as_str().to_owned()))
        });
        let drawn: Vec<_> = drawn.collect();
        texts.extend(drawn);
        texts
    }

    /// What is to be said of the syntax in all texts.
    #[must_use]
    pub fn syntax_warnings(&self) -> Vec<Warning> {
        let texts = self.texts();
        texts.iter().flat_map(|(pointer, text)| prompt_warnings(text, self.common.prompt_syntax, pointer)).collect()
    }

    /// The prompts of the mode, without the negative ones, each with its JSON pointer.
    #[must_use]
    pub fn prompts(&self) -> Vec<(String, String)> {
        let mut input = self.input.clone();
        let prompts = input.get_mut().prompts_mut();
        prompts.into_iter().map(|(pointer, text)| (pointer, std::mem::take(text))).collect()
    }

    /// All images, and the mask, in a fixed order.
    pub fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        self.input.get_mut().images_mut()
    }
}

impl CheckedGeneration {
    /// Let the decoder read the originals of these texts, which were checked before they were translated; the prior reads what is here.
    pub fn set_decoder_originals(&mut self, translations: &[TranslatedText]) {
        self.0.common.decoder_originals = translations.to_vec();
    }

    /// A copy without pixels, as it is after serialisation.
    #[must_use]
    pub fn without_pixels(&self) -> Self {
        let mut copy = self.clone();
        let (images, mask) = copy.images_mut();
        images.into_iter().chain(mask).for_each(|image| *image = image.without_pixels());
        copy
    }

    /// Let the model draw images of this size instead: a part of what was asked for, within the same limits.
    pub fn draw_at(&mut self, size: Size) {
        self.0.common.size = Some(size);
    }

    /// What is to be said of sizes: of a cropped image, and of an enlarged result.
    #[must_use]
    pub fn size_warnings(&self) -> Vec<Warning> {
        self.crop_warning().into_iter().chain(self.enlargement_warning()).collect()
    }

    fn crop_warning(&self) -> Option<Warning> {
        let (from, to) = self.input.get().cropped()?;
        let message = format!(
            "{}x{} px of its {}x{} px are used: the rest was cropped, since the size asked for has other proportions",
            to.width, to.height, from.width, from.height
        );
        Some(Warning::new(WarningCode::InputConverted, message).at("/image"))
    }

    fn enlargement_warning(&self) -> Option<Warning> {
        if let Some(Work { part, drawn: Size { width, height } }) = self.work() {
            let message = format!(
                "the new part is drawn at {width}x{height} px, which suits the model, and enlarged to {}x{}",
                part.width, part.height
            );
            return (part.size() != Size { width, height }).then(|| Warning::new(WarningCode::ValueAdjusted, message));
        }
        let Size { width, height } = self.common.drawn?;
        let message =
            format!("drawn at {width}x{height} px, which suits the model, and enlarged to the size asked for");
        Some(Warning::new(WarningCode::ValueAdjusted, message).at("/width"))
    }

    /// Take out the size at which the model draws, if results are enlarged: from then on it is the size of the request. The size of
    /// the results.
    pub fn take_enlargement(&mut self) -> Option<Size> {
        let drawn = self.0.common.drawn.take()?;
        self.0.common.size.replace(drawn)
    }

    /// All images, and the mask, to be replaced by others of the same sizes.
    pub fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        self.0.images_mut()
    }

    /// Bytes of all pixels.
    #[must_use]
    pub fn pixel_bytes(&self) -> usize {
        let mut copy = self.0.clone();
        let (images, mask) = copy.images_mut();
        images.into_iter().chain(mask).map(|image| image.pixels().len()).sum()
    }

    /// The request that a model draws: of the mode that this one comes to ([`super::ModeInput::reduce`]).
    #[must_use]
    pub fn reduce(mut self) -> Self {
        while let Some(input) = self.0.input.get().reduce() {
            self.0.input = input;
        }
        self
    }
}
