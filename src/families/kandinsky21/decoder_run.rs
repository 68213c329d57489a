//! Denoising of one image's latents by the UNet, step by step.
//!
//! Invariant: a run owns its sampler, its random numbers and its contexts; runs that share a batch need equal latent
//! sizes and the same network, nothing else.

use std::borrow::Cow;
use std::rc::Rc;

use candle_core::Tensor;

use crate::families::kandinsky21::prior_run::{Guidance, guide};
use crate::families::kandinsky21::step_plan::StepPlan;
use crate::families::kandinsky21::unet::{Context, UNet};
use crate::schedulers::{Prediction, Sampler};
use crate::tensor::error::{Error, Result, check_finite};
use crate::tensor::{self, Compute};

/// Draws standard normal numbers.
pub type NoiseSource = Box<dyn FnMut(usize) -> Vec<f32>>;

/// What the 9-channel UNet sees beside the latents.
pub struct Inpainting {
    /// Latents of the image with what is to be repainted set to 0, `[channels, height, width]`.
    pub masked_latents: Vec<f32>,
    /// 1 keeps, 0 repaints, `[height, width]`.
    pub mask: Vec<f32>,
}

/// Everything a run starts from.
pub struct DecoderStart {
    pub context: Rc<Context>,
    /// None: one row, no guidance.
    pub guidance: Option<Guidance<Rc<Context>>>,
    pub sampler: Box<dyn Sampler>,
    /// Index of the first step (above 0 when starting from an image).
    pub first_step: usize,
    /// `[channels, height, width]`, on the scale of a variance-preserving process: pure noise, or a noised image.
    pub latents: Vec<f32>,
    /// Whether `latents` are pure noise rather than a noised image.
    pub latents_are_noise: bool,
    pub height: usize,
    pub width: usize,
    pub inpainting: Option<Inpainting>,
    pub plan: StepPlan,
    pub noise: NoiseSource,
}

/// One image being denoised.
pub struct DecoderRun {
    start: DecoderStart,
    step: usize,
    latents: Vec<f32>,
    original: Option<Vec<f32>>,
    /// The deep features of its last whole step, `[1, height, width, channels]` a row: negative before positive. Empty: the next
    /// step computes them.
    features: Vec<Tensor>,
}

impl DecoderRun {
    /// Start a run.
    #[must_use]
    pub fn new(start: DecoderStart) -> Self {
        let sampler = &start.sampler;
        let scale = if start.latents_are_noise {
            sampler.init_noise_sigma()
        } else if start.first_step < sampler.timesteps().len() {
            sampler.variance_preserving_scale(start.first_step)
        } else {
            1.0
        };
        let latents = start.latents.iter().map(|x| x * scale).collect();
        Self { step: start.first_step, latents, original: None, features: Vec::new(), start }
    }

    /// Steps taken and steps in all, counted from the first one taken.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        let first = self.start.first_step;
        (self.step - first, self.start.sampler.timesteps().len().saturating_sub(first))
    }

    /// Whether all steps are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.step >= self.start.sampler.timesteps().len()
    }

    /// Rows that the network computes for the next step.
    #[must_use]
    pub fn batch_rows(&self) -> usize {
        if self.guidance().is_some() { 2 } else { 1 }
    }

    /// Whether the next step computes the shallow layers alone, on features of an earlier one. A step that is guided after others
    /// were not has features of one row only, and computes all of them.
    #[must_use]
    pub fn reuses_features(&self) -> bool {
        !self.is_whole() && self.features.len() >= self.batch_rows()
    }

    fn is_whole(&self) -> bool {
        self.start.plan.is_whole(self.progress().0)
    }

    /// The guidance of the next step.
    fn guidance(&self) -> Option<&Guidance<Rc<Context>>> {
        let timestep = self.start.sampler.timesteps().get(self.step);
        self.start.guidance.as_ref().filter(|_| timestep.is_none_or(|timestep| self.start.plan.guides(*timestep)))
    }

    /// Whether a step after the next one can use the features that the next one computes.
    fn keeps_features(&self) -> bool {
        let (taken, all) = self.progress();
        taken + 1 < all && !self.start.plan.is_whole(taken + 1)
    }

    /// Note the features of the step just taken, which reused features or computed these.
    fn keep(&mut self, reused: bool, computed: Vec<Tensor>) {
        if !reused || self.is_done() || self.is_whole() {
            self.features = computed;
        }
    }

    /// Features for the rows of the next step.
    fn features(&self) -> &[Tensor] {
        &self.features[self.features.len() - self.batch_rows()..]
    }

    /// Latent height and width: equal within a batch.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.start.height, self.start.width)
    }

    /// Whether it needs the 9-channel network.
    #[must_use]
    pub fn is_inpainting(&self) -> bool {
        self.start.inpainting.is_some()
    }

    /// The current latents, `[channels, height, width]`.
    #[must_use]
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// The last step's prediction of the finished latents.
    #[must_use]
    pub fn original(&self) -> Option<&[f32]> {
        self.original.as_deref()
    }

    /// The network's input of one row: latents, then the masked image and the mask.
    fn input(&self, into: &mut Vec<f32>) {
        let scaled: Cow<'_, [f32]> = self.start.sampler.scale_input(self.step, &self.latents);
        into.extend_from_slice(&scaled);
        if let Some(inpainting) = &self.start.inpainting {
            into.extend_from_slice(&inpainting.masked_latents);
            into.extend_from_slice(&inpainting.mask);
        }
    }

    /// `output` is the network's, negative row before the positive one, `[rows, out_channels, height, width]`.
    fn advance(&mut self, output: &[f32]) {
        let size = self.latents.len();
        let row = output.len() / self.batch_rows();
        let positive = &output[output.len() - row..];
        // Variance comes from the positive row and is not guided.
        let variance = (row == 2 * size).then(|| &positive[size..]);
        let mean = match self.guidance() {
            Some(guidance) => {
                let both: Vec<f32> = output[..size].iter().chain(&positive[..size]).copied().collect();
                guide(guidance.scale, &both)
            }
            None => positive[..size].to_vec(),
        };
        let prediction = Prediction { mean: &mean, variance };
        let start = &mut self.start;
        let next = start.sampler.step(self.step, prediction, &self.latents, &mut *start.noise);
        self.latents = next.sample;
        self.original = Some(next.original);
        self.step += 1;
    }
}

/// The rows of a batch, as the network takes them.
#[derive(Default)]
struct Rows<'a> {
    /// `[rows, channels, height, width]`
    sample: Vec<f32>,
    timesteps: Vec<f32>,
    contexts: Vec<&'a Context>,
}

impl<'a> Rows<'a> {
    fn of(runs: &'a [&mut DecoderRun]) -> Self {
        let mut rows = Self::default();
        for run in runs {
            let timestep = run.start.sampler.timesteps()[run.step];
            if let Some(guidance) = run.guidance() {
                run.input(&mut rows.sample);
                rows.timesteps.push(timestep);
                rows.contexts.push(&guidance.negative);
            }
            run.input(&mut rows.sample);
            rows.timesteps.push(timestep);
            rows.contexts.push(&run.start.context);
        }
        rows
    }
}

/// Take one step of every run, in one batch of the same network and latent size, all of them whole or none.
pub fn step(unet: &UNet, compute: &Compute, runs: &mut [&mut DecoderRun]) -> Result<()> {
    let Some((size, reuses)) = runs.first().map(|run| (run.size(), run.reuses_features())) else {
        return Ok(());
    };
    if runs.iter().any(|run| run.size() != size || run.reuses_features() != reuses || run.is_done()) {
        return Err(Error::Request("decoder runs of one batch must have one size and steps left".to_owned()));
    }
    let (channels, (height, width)) = (unet.config().in_channels, size);
    let Rows { sample, timesteps, contexts } = Rows::of(runs);
    let batch = timesteps.len();
    if sample.len() != batch * channels * height * width {
        return Err(Error::Request(format!("the UNet takes {channels} channels, the runs have others")));
    }
    let sample = compute.image(sample, [batch, channels, height, width])?;
    let keeps = runs.iter().any(|run| run.keeps_features());
    let (output, features) = if reuses {
        let features: Vec<&Tensor> = runs.iter().flat_map(|run| run.features()).collect();
        (unet.forward_reusing(&sample, &timesteps, &contexts, &Tensor::cat(&features, 0)?)?, None)
    } else if keeps {
        let [output, features] = unet.forward_keeping(&sample, &timesteps, &contexts)?;
        (output, Some(features))
    } else {
        (unet.forward(&sample, &timesteps, &contexts)?, None)
    };
    let output = tensor::image_to_vec(&output)?;
    check_finite(&output, "the decoder", unet.source())?;
    let kept = runs_features(runs, features.as_ref())?;
    // What can fail is done: from here on the runs move.
    let row = output.len() / batch;
    let mut start = 0;
    for (run, kept) in runs.iter_mut().zip(kept) {
        let end = start + run.batch_rows() * row;
        run.advance(&output[start..end]);
        run.keep(reuses, kept);
        start = end;
    }
    Ok(())
}

/// The rows of `features` that each run keeps, in memory of their own, so that keeping them does not keep the batch.
fn runs_features(runs: &[&mut DecoderRun], features: Option<&Tensor>) -> Result<Vec<Vec<Tensor>>> {
    let mut first = 0;
    let each = runs.iter().map(|run| {
        let rows = first..first + run.batch_rows();
        first = rows.end;
        let own = features.filter(|_| run.keeps_features());
        let own = own.into_iter().flat_map(|features| rows.clone().map(move |row| features.narrow(0, row, 1)));
        own.map(|row| Ok(row?.force_contiguous()?)).collect()
    });
    each.collect()
}
