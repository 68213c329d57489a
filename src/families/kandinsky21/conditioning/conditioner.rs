//! What the modes share: encoders, and the prior's random numbers in their order.

use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::diffusion::random::Generator;
use crate::domain::{Common, PriorKind, PromptText, Size};
use crate::families::kandinsky21::kandinsky::Kandinsky;
use crate::families::kandinsky21::prior_run::{Guidance, PriorRun, PriorSampling, PriorText};
use crate::tensor;
use crate::tensor::error::{Error, Result};

/// Encodes what one image is conditioned on.
pub(in crate::families::kandinsky21) struct Conditioner<'a> {
    pub(super) model: &'a Kandinsky,
    common: &'a Common,
    /// Size of the image.
    pub(super) size: Size,
    /// The size that the latents stand for: `size` rounded up.
    pub(super) canvas: Size,
    generator: &'a mut Generator,
    prior_runs: Vec<PriorRun>,
}

impl<'a> Conditioner<'a> {
    /// A conditioner for one image of `size`, on latents that stand for `canvas`.
    pub(in crate::families::kandinsky21) fn new(
        model: &'a Kandinsky,
        common: &'a Common,
        (size, canvas): (Size, Size),
        generator: &'a mut Generator,
    ) -> Self {
        Self { model, common, size, canvas, generator, prior_runs: Vec::new() }
    }
}

impl Conditioner<'_> {
    /// The plan of a mode that has one prompt, or none.
    pub(super) fn finish(
        &mut self,
        positive: Vec<WeightedEmbedding>,
        negative: Source,
        prompt: Option<&str>,
        start: Start,
    ) -> Plan {
        let prompt = prompt.map(|prompt| self.read_for_decoder("/prompt", prompt));
        self.finish_with(positive, negative, prompt.unwrap_or_default(), start)
    }

    /// The plan, with the decoder's text.
    pub(super) fn finish_with(
        &mut self,
        positive: Vec<WeightedEmbedding>,
        negative: Source,
        decoder_prompt: PromptText,
        start: Start,
    ) -> Plan {
        Plan { prior_runs: std::mem::take(&mut self.prior_runs), positive, negative, decoder_prompt, start }
    }

    /// A text of the request as the prior's encoder reads it.
    fn read(&self, text: &str) -> PromptText {
        self.common.read(text)
    }

    /// The text of the field with this JSON pointer as the decoder's encoder reads it.
    pub(super) fn read_for_decoder(&self, pointer: &str, text: &str) -> PromptText {
        self.common.read_for_decoder(pointer, text)
    }

    /// The embeddings of a prompt and of the negative prompt, as `KandinskyPriorPipeline` makes them: with a negative
    /// prompt both are denoised in one run of two rows.
    pub(super) fn prompt(&mut self, prompt: &str) -> Result<(Source, Source)> {
        let negative = self.negative_prompt();
        let Some(negative) = negative else {
            return Ok((self.text(&[prompt])?.remove(0), self.zero()?));
        };
        let mut both = self.text(&[prompt, &negative])?.into_iter();
        match (both.next(), both.next()) {
            (Some(positive), Some(negative)) => Ok((positive, negative)),
            _ => Err(Error::Request("the prior gave too few embeddings".to_owned())),
        }
    }

    /// The negative image embedding of modes that have no prompt, or several.
    pub(super) fn negative(&mut self) -> Result<Source> {
        match self.negative_prompt() {
            Some(negative) => Ok(self.text(&[&negative])?.remove(0)),
            None => self.zero(),
        }
    }

    /// Without an image encoder there is no zero embedding; the embedding of the empty text stands in for it.
    fn negative_prompt(&self) -> Option<String> {
        let given = self.common.negative_prompt.clone();
        given.or_else(|| self.model.zero_embed().is_none().then(String::new))
    }

    fn zero(&self) -> Result<Source> {
        let zero = self.model.zero_embed().ok_or_else(|| Error::Request("no image encoder".to_owned()))?;
        Ok(Source::Known(zero.to_vec()))
    }

    /// Embeddings of texts by the kind of prior that the task asks for; the diffusion prior takes them as the rows of one
    /// run.
    pub(super) fn text(&mut self, texts: &[&str]) -> Result<Vec<Source>> {
        match self.common.prior.kind {
            PriorKind::Diffusion => self.diffusion(texts),
            kind => self.regression(kind, texts),
        }
    }

    fn diffusion(&mut self, texts: &[&str]) -> Result<Vec<Source>> {
        let prior = self.model.prior()?;
        let settings = self.common.prior;
        let avoided = self.common.negative_prior_prompt.as_deref().or(self.common.negative_prompt.as_deref());
        let mut all: Vec<PromptText> = texts.iter().map(|text| self.read(text)).collect();
        if settings.guidance_scale > 1.0 {
            all.push(self.read(avoided.unwrap_or("")));
        }
        let mut encoded = self.model.prior_texts(&all)?;
        let negative = if settings.guidance_scale > 1.0 { encoded.pop() } else { None };
        let guidance = negative.map(|negative| Guidance { scale: settings.guidance_scale, negative });
        let sampling = PriorSampling { scheduler: &prior.scheduler, steps: settings.steps as usize };
        let generator = &mut *self.generator;
        let run = PriorRun::new(encoded, guidance, &sampling, &mut |count| generator.normal(count))?;
        self.prior_runs.push(run);
        let run = self.prior_runs.len() - 1;
        Ok((0..texts.len()).map(|row| Source::Prior { run, row }).collect())
    }

    fn regression(&self, kind: PriorKind, texts: &[&str]) -> Result<Vec<Source>> {
        let texts: Vec<PromptText> = texts.iter().map(|text| self.read(text)).collect();
        let encoded: Vec<PriorText> = self.model.prior_texts(&texts)?;
        encoded
            .iter()
            .map(|text| {
                let embed = text.embed.unsqueeze(0)?;
                let embed = match kind {
                    PriorKind::Linear => self.model.linear_prior()?.forward(&embed)?,
                    PriorKind::Residual => self.model.residual_prior()?.forward(&embed)?,
                    PriorKind::None | PriorKind::Diffusion => embed,
                };
                Ok(Source::Known(tensor::to_vec(&embed)?))
            })
            .collect()
    }
}
