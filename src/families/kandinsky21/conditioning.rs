//! From a mode's inputs to the decoder's conditioning: one file a mode, all giving a [`Plan`].
//!
//! Invariant: random numbers are drawn in the order of the reference's combined pipelines: the prior's, text by text in
//! the order given, then the decoder's.

mod image_fusion;
mod image_to_image;
mod image_variations;
mod inpainting;
mod text_image_fusion;
mod text_to_image;

use crate::diffusion::random::Generator;
use crate::domain::{PriorKind, Size};
use crate::families::kandinsky21::kandinsky::Kandinsky;
use crate::families::kandinsky21::prior_run::{Guidance, PriorRun, PriorSampling, PriorText};
use crate::families::kandinsky21::task::{Conditioning, Task};
use crate::tensor;
use crate::tensor::error::{Error, Result};

/// How an image will be conditioned, once its prior runs are done.
pub(super) struct Plan {
    pub(super) prior_runs: Vec<PriorRun>,
    /// The image embedding is the sum of these.
    pub(super) positive: Vec<Term>,
    /// The negative image embedding.
    pub(super) negative: Source,
    /// The decoder's text.
    pub(super) decoder_prompt: String,
    pub(super) start: Start,
}

/// `weight * source`.
pub(super) struct Term {
    pub(super) source: Source,
    pub(super) weight: f32,
}

/// Where an embedding comes from.
pub(super) enum Source {
    Known(Vec<f32>),
    /// Row `row` of prior run `run`.
    Prior {
        run: usize,
        row: usize,
    },
}

/// What the decoder starts from.
pub(super) enum Start {
    Noise,
    /// An image at the size of the latents' canvas, `[3, height, width]` in -1..1.
    Image {
        planes: Vec<f32>,
        strength: f64,
    },
    /// The image likewise, and the mask at the same size: 1 keeps, 0 repaints.
    Inpainting {
        planes: Vec<f32>,
        mask: Vec<f32>,
    },
}

/// Encode what `task` is conditioned on and draw the prior's random numbers. `canvas` is the size that the latents stand
/// for.
pub(super) fn plan(model: &Kandinsky, task: &Task, canvas: Size, generator: &mut Generator) -> Result<Plan> {
    let mut planner = Planner { model, task, canvas, generator, prior_runs: Vec::new() };
    match &task.conditioning {
        Conditioning::TextToImage { prompt } => text_to_image::plan(&mut planner, prompt),
        Conditioning::ImageToImage { prompt, image, strength } => {
            image_to_image::plan(&mut planner, prompt, image, *strength)
        }
        Conditioning::ImageVariations { image } => image_variations::plan(&mut planner, image),
        Conditioning::ImageFusion { images } => image_fusion::plan(&mut planner, images),
        Conditioning::TextImageFusion { inputs, decoder_prompt } => {
            text_image_fusion::plan(&mut planner, inputs, decoder_prompt.as_deref())
        }
        Conditioning::Inpainting { prompt, image, mask } => {
            inpainting::plan(&mut planner, prompt.as_deref(), image, mask)
        }
    }
}

/// What the modes share.
struct Planner<'a> {
    model: &'a Kandinsky,
    task: &'a Task,
    canvas: Size,
    generator: &'a mut Generator,
    prior_runs: Vec<PriorRun>,
}

impl Planner<'_> {
    fn finish(&mut self, positive: Vec<Term>, negative: Source, decoder_prompt: String, start: Start) -> Plan {
        Plan { prior_runs: std::mem::take(&mut self.prior_runs), positive, negative, decoder_prompt, start }
    }

    /// The embeddings of a prompt and of the negative prompt, as `KandinskyPriorPipeline` makes them: with a negative
    /// prompt both are denoised in one run of two rows.
    fn prompt(&mut self, prompt: &str) -> Result<(Source, Source)> {
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
    fn negative(&mut self) -> Result<Source> {
        match self.negative_prompt() {
            Some(negative) => Ok(self.text(&[&negative])?.remove(0)),
            None => self.zero(),
        }
    }

    /// Without an image encoder there is no zero embedding; the embedding of the empty text stands in for it.
    fn negative_prompt(&self) -> Option<String> {
        let given = self.task.negative_prompt.clone();
        given.or_else(|| self.model.zero_embed().is_none().then(String::new))
    }

    fn zero(&self) -> Result<Source> {
        let zero = self.model.zero_embed().ok_or_else(|| Error::Request("no image encoder".to_owned()))?;
        Ok(Source::Known(zero.to_vec()))
    }

    /// Embeddings of texts by the kind of prior that the task asks for; the diffusion prior takes them as the rows of one
    /// run.
    fn text(&mut self, texts: &[&str]) -> Result<Vec<Source>> {
        match self.task.prior.kind {
            PriorKind::Diffusion => self.diffusion(texts),
            kind => self.regression(kind, texts),
        }
    }

    fn diffusion(&mut self, texts: &[&str]) -> Result<Vec<Source>> {
        let prior = self.model.prior()?;
        let settings = self.task.prior;
        let avoided = self.task.negative_prior_prompt.as_deref().or(self.task.negative_prompt.as_deref());
        let mut all: Vec<&str> = texts.to_vec();
        if settings.guidance_scale > 1.0 {
            all.push(avoided.unwrap_or(""));
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
        let encoded: Vec<PriorText> = self.model.prior_texts(texts)?;
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
