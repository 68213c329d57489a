//! One request: a mode's inputs and what all modes share, before and after its check.
//!
//! Invariant: a [`CheckedGeneration`] was checked: it is made by [`Generation::check`] alone, or from one that was checked.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{Input, Mode};
use crate::domain::{Common, Image, Limits, Size, Violations, Warning, WarningCode};
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
        self.common.check(limits, &mut violations);
        if let Some(Err(message)) = self.common.scheduler.as_ref().map(|scheduler| schedulers::parse(scheduler.name()))
        {
            violations.add("/scheduler", message);
        }
        self.check_size(limits, native, &mut violations);
        // A mode with a default size of its own checks that against the input it comes from.
        if let (None, None, Some(native)) = (self.common.size, self.input.get().default_size(), native) {
            limits.check_size(self.size(native), ("/width", "/height"), &mut violations);
        }
        self.input.get().check(limits, &mut violations);
        violations.into_result()?;
        Ok(CheckedGeneration(self))
    }

    /// Check the size that is asked for; what is too large for the model is drawn smaller, if the limits say so. A part of an image
    /// is not fitted.
    fn check_size(&mut self, limits: &Limits, native: Option<u32>, violations: &mut Violations) {
        let Some(size) = self.common.size else { return };
        let pointers = ("/width", "/height");
        let is_whole = self.input.get().reduce().is_none() && self.images_mut().1.is_none();
        let fit = |size| native.filter(|_| is_whole).and_then(|native| limits.fit(size, native));
        self.common.drawn = match self.common.drawn {
            // The request itself says what is to be enlarged.
            Some(drawn) if is_whole => Some(fit(drawn).unwrap_or_else(|| {
                limits.check_size(drawn, pointers, violations);
                drawn
            })),
            _ => fit(size),
        };
        if self.common.drawn.is_some() || native.is_none() {
            limits.check_result_size(size, pointers, violations);
        } else {
            limits.check_size(size, pointers, violations);
        }
    }

    /// The size at which the model draws, px.
    #[must_use]
    pub fn drawn_size(&self, native: u32) -> Size {
        self.common.drawn.unwrap_or_else(|| self.size(native))
    }

    /// What it costs, in decoder steps of one pixel: images x steps x area. (Latents are as many pixels for every image of a
    /// model; prior steps and decoding are small beside the decoder's.)
    #[must_use]
    pub fn cost(&self, native: u32) -> u64 {
        let Size { width, height } = self.drawn_size(native);
        let pixels = u64::from(width).saturating_mul(u64::from(height));
        u64::from(self.common.n).saturating_mul(u64::from(self.common.steps)).saturating_mul(pixels).max(1)
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.input.mode()
    }

    /// Size of the results, px: as requested, else the mode's default, else the model's own square of `native` px.
    #[must_use]
    pub fn size(&self, native: u32) -> Size {
        let default = || self.input.get().default_size().unwrap_or(Size { width: native, height: native });
        self.common.size.unwrap_or_else(default)
    }

    /// The prompts of the mode, without the negative ones, each with its JSON pointer.
    pub fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        self.input.get_mut().prompts_mut()
    }

    /// All texts, each with its JSON pointer.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, String)> {
        let common = [
            ("/negative_prompt", &self.common.negative_prompt),
            ("/negative_prior_prompt", &self.common.negative_prior_prompt),
            ("/negative_decoder_prompt", &self.common.negative_decoder_prompt),
        ];
        let mut texts: Vec<(String, String)> = common
            .into_iter()
            .filter_map(|(pointer, text)| text.as_ref().map(|text| (pointer.to_owned(), text.clone())))
            .collect();
        let mut input = self.input.clone();
        texts.extend(input.get_mut().prompts_mut().into_iter().map(|(pointer, text)| (pointer, text.clone())));
        texts
    }

    /// All images, and the mask, in a fixed order.
    pub fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        self.input.get_mut().images_mut()
    }
}

impl CheckedGeneration {
    /// A copy without pixels, as it is after serialisation.
    #[must_use]
    pub fn without_pixels(&self) -> Self {
        let mut copy = self.clone();
        let (images, mask) = copy.images_mut();
        images.into_iter().chain(mask).for_each(|image| *image = image.without_pixels());
        copy
    }

    /// What is to be said of an enlarged result.
    #[must_use]
    pub fn enlargement_warning(&self) -> Option<Warning> {
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
