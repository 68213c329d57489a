//! Denoising of CLIP image embeddings by the diffusion prior, step by step.
//!
//! Invariant: a run owns its random numbers (drawn when it is made) and its sampler, so runs of different requests, with
//! different step counts and guidance, may share a batch.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::Tensor;

use crate::families::kandinsky21::prior_transformer::{PriorContext, PriorStep, PriorTransformer};
use crate::schedulers::{Prediction, Sampler, SamplerOptions, SchedulerConfig, UNCLIP};
use crate::tensor::error::{Error, Result, check_finite};
use crate::tensor::probe;
use crate::tensor::{self, Compute};

/// Texts that the prior reads in one call.
const READ_AT_ONCE: usize = 4;

/// A text as the prior sees it. Copies share what the prior makes of it.
#[derive(Clone)]
pub struct PriorText {
    /// `[width]`.
    pub embed: Tensor,
    /// `[tokens, width]`.
    pub states: Tensor,
    /// Which tokens are not padding.
    pub mask: Arc<[bool]>,
    context: Rc<OnceCell<PriorContext>>,
}

impl PriorText {
    /// A text of which the prior has made nothing yet.
    #[must_use]
    pub fn new(embed: Tensor, states: Tensor, mask: Vec<bool>) -> Self {
        Self { embed, states, mask: mask.into(), context: Rc::default() }
    }
}

/// Classifier-free guidance: its scale and the text it leads away from.
pub struct Guidance<T> {
    pub scale: f32,
    pub negative: T,
}

/// One or more embeddings (`rows`) that are denoised together.
pub struct PriorRun {
    rows: Vec<PriorText>,
    guidance: Option<Guidance<PriorText>>,
    sampler: Box<dyn Sampler>,
    step: usize,
    latents: Vec<f32>,
    noise: VecDeque<Vec<f32>>,
}

/// How a run samples.
pub struct PriorSampling<'a> {
    pub scheduler: &'a SchedulerConfig,
    pub steps: usize,
}

impl PriorRun {
    /// Start a run for `rows` texts. Draws `rows * width` initial latents, then as many for every step but the last,
    /// from `noise`, in this order. No guidance means one row a text.
    pub fn new(
        rows: Vec<PriorText>,
        guidance: Option<Guidance<PriorText>>,
        sampling: &PriorSampling<'_>,
        noise: &mut dyn FnMut(usize) -> Vec<f32>,
    ) -> Result<Self> {
        let scheduler = sampling.scheduler.info()?;
        if *scheduler != UNCLIP {
            let (needed, found) = (UNCLIP.class, scheduler.class);
            return Err(Error::Request(format!("the prior needs {needed}, the checkpoint has {found}")));
        }
        let sampler = sampling.scheduler.sampler(sampling.steps, SamplerOptions::default())?;
        let width = rows.first().map_or(Ok(0), |text| text.embed.dims1())?;
        let size = rows.len() * width;
        let latents = noise(size);
        let draws = sampler.timesteps().iter().filter(|t| **t > 0.0).count();
        let noise = (0..draws).map(|_| noise(size)).collect();
        Ok(Self { rows, guidance, sampler, step: 0, latents, noise })
    }

    /// Steps taken and steps in all.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.step, self.sampler.timesteps().len())
    }

    /// Whether all steps are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.step >= self.sampler.timesteps().len()
    }

    /// Rows that the network computes for one step.
    #[must_use]
    pub fn batch_rows(&self) -> usize {
        self.rows.len() * if self.guidance.is_some() { 2 } else { 1 }
    }

    /// The current latents, `rows * width`, in the prior's normalised space.
    #[must_use]
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// The finished image embedding of row `row`.
    #[must_use]
    pub fn image_embed(&self, prior: &PriorTransformer, row: usize) -> Vec<f32> {
        let width = self.latents.len() / self.rows.len();
        prior.post_process(&self.latents[row * width..(row + 1) * width])
    }

    /// The texts of the network's rows: negatives before positives.
    fn texts(&self) -> impl Iterator<Item = &PriorText> {
        let negatives = self.guidance.iter().flat_map(|g| std::iter::repeat_n(&g.negative, self.rows.len()));
        negatives.chain(&self.rows)
    }

    fn advance(&mut self, predicted: &[f32]) {
        let size = self.latents.len();
        let mean = match &self.guidance {
            Some(guidance) => guide(guidance.scale, predicted),
            None => predicted.to_vec(),
        };
        let noise = &mut self.noise;
        let mut draw = |count: usize| noise.pop_front().unwrap_or_else(|| vec![0.0; count]);
        let prediction = Prediction { mean: &mean[..size], variance: None };
        self.latents = self.sampler.step(self.step, prediction, &self.latents, &mut draw).sample;
        self.step += 1;
    }
}

/// `negative + scale * (positive - negative)`; `outputs` holds the negative half before the positive one.
pub(super) fn guide(scale: f32, outputs: &[f32]) -> Vec<f32> {
    let (negative, positive) = outputs.split_at(outputs.len() / 2);
    negative.iter().zip(positive).map(|(n, p)| n + scale * (p - n)).collect()
}

/// Take one step of every run, in one batch. On an error no run has moved.
pub fn step(prior: &PriorTransformer, compute: &Compute, runs: &mut [&mut PriorRun]) -> Result<()> {
    if runs.iter().any(|run| run.is_done()) {
        return Err(Error::Request("a prior run that is done cannot take a step".to_owned()));
    }
    read(prior, runs)?;
    let width = prior.embedding_dim();
    let mut latents = Vec::new();
    let mut timesteps = Vec::new();
    let mut texts = Vec::new();
    for run in runs.iter() {
        for _ in 0..if run.guidance.is_some() { 2 } else { 1 } {
            latents.extend_from_slice(&run.latents);
        }
        timesteps.extend(std::iter::repeat_n(run.sampler.timesteps()[run.step], run.batch_rows()));
        texts.extend(run.texts());
    }
    if probe::is_recording() {
        let stack = |part: fn(&PriorText) -> &Tensor| {
            Tensor::stack(&texts.iter().map(|text| part(text)).collect::<Vec<_>>(), 0)
        };
        probe::sequence("input.text_embeds", &stack(|text| &text.embed)?);
        probe::sequence("input.text_states", &stack(|text| &text.states)?);
    }
    let contexts: Vec<&PriorContext> = texts.iter().filter_map(|text| text.context.get()).collect();
    let output = prior.step(&PriorStep {
        latents: &compute.tensor(latents, &[texts.len(), width])?,
        timesteps: &timesteps,
        contexts: &contexts,
    })?;
    let output = tensor::to_vec(&output)?;
    check_finite(&output, "the prior", prior.source())?;
    let mut start = 0;
    for run in runs.iter_mut() {
        let end = start + run.batch_rows() * width;
        run.advance(&output[start..end]);
        start = end;
    }
    Ok(())
}

/// Let the prior read the texts that it has not read yet, each once.
fn read(prior: &PriorTransformer, runs: &[&mut PriorRun]) -> Result<()> {
    let mut unread: Vec<&PriorText> = Vec::new();
    for text in runs.iter().flat_map(|run| run.texts()) {
        let known = unread.iter().any(|other| Rc::ptr_eq(&other.context, &text.context));
        if !known && text.context.get().is_none() {
            unread.push(text);
        }
    }
    for texts in unread.chunks(READ_AT_ONCE) {
        let (embeds, states): (Vec<&Tensor>, Vec<&Tensor>) = texts.iter().map(|t| (&t.embed, &t.states)).unzip();
        let masks: Vec<Arc<[bool]>> = texts.iter().map(|text| text.mask.clone()).collect();
        let contexts = prior.contexts(&Tensor::stack(&embeds, 0)?, &Tensor::stack(&states, 0)?, &masks)?;
        for (text, context) in texts.iter().zip(contexts) {
            text.context.get_or_init(|| context);
        }
    }
    Ok(())
}
