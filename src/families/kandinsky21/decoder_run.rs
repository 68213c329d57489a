//! Denoising of one image's latents by the UNet, step by step.
//!
//! Invariant: a run owns its sampler, its random numbers and its contexts; runs that share a batch need equal latent
//! sizes and the same network, nothing else.

use std::borrow::Cow;
use std::rc::Rc;

use crate::families::kandinsky21::prior_run::{Guidance, guide};
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
    pub noise: NoiseSource,
}

/// One image being denoised.
pub struct DecoderRun {
    start: DecoderStart,
    step: usize,
    latents: Vec<f32>,
    original: Option<Vec<f32>>,
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
        Self { step: start.first_step, latents, original: None, start }
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

    /// Rows that the network computes for one step.
    #[must_use]
    pub fn batch_rows(&self) -> usize {
        if self.start.guidance.is_some() { 2 } else { 1 }
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
        let mean = match &self.start.guidance {
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

/// Take one step of every run, in one batch of the same network and latent size.
pub fn step(unet: &UNet, compute: &Compute, runs: &mut [&mut DecoderRun]) -> Result<()> {
    let Some((height, width)) = runs.first().map(|run| run.size()) else {
        return Ok(());
    };
    if runs.iter().any(|run| run.size() != (height, width) || run.is_done()) {
        return Err(Error::Request("decoder runs of one batch must have one size and steps left".to_owned()));
    }
    let channels = unet.config().in_channels;
    let mut sample = Vec::new();
    let mut timesteps = Vec::new();
    let mut contexts: Vec<&Context> = Vec::new();
    for run in runs.iter() {
        let timestep = run.start.sampler.timesteps()[run.step];
        if let Some(guidance) = &run.start.guidance {
            run.input(&mut sample);
            timesteps.push(timestep);
            contexts.push(&guidance.negative);
        }
        run.input(&mut sample);
        timesteps.push(timestep);
        contexts.push(&run.start.context);
    }
    let batch = timesteps.len();
    if sample.len() != batch * channels * height * width {
        return Err(Error::Request(format!("the UNet takes {channels} channels, the runs have others")));
    }
    let output = unet.forward(&compute.image(sample, [batch, channels, height, width])?, &timesteps, &contexts)?;
    let output = tensor::image_to_vec(&output)?;
    check_finite(&output, "the decoder", unet.source())?;
    let row = output.len() / batch;
    let mut start = 0;
    for run in runs.iter_mut() {
        let end = start + run.batch_rows() * row;
        run.advance(&output[start..end]);
        start = end;
    }
    Ok(())
}
