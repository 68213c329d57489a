//! One picture on its way through the stages: prior steps, decoder steps, decoding.
//!
//! Invariant: a sample does nothing on its own; whoever drives it batches samples of equal [`Sample::key`] and calls the
//! functions of [`Kandinsky`] here, one step at a time, and the picture does not depend on how they were batched.

use std::rc::Rc;

use candle_core::Tensor;

use super::conditioning::{self, Plan, Source, Start};
use super::decoder_run::{self, DecoderRun, DecoderStart, Inpainting};
use super::error::{Error, Result};
use super::kandinsky::Kandinsky;
use super::mask;
use super::pixels::Pixels;
use super::prior_run::{self, Guidance, PriorRun};
use super::rng::Generator;
use super::sampler::{self, Options, Sampler, SamplerKind, SchedulerConfig};
use super::task::{Conditioning, Task};
use super::unet;

/// Where a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Prior,
    Decoder,
    Decode,
}

/// What samples must have in common to share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub stage: Stage,
    /// The 9-channel network.
    pub inpainting: bool,
    /// Latent height and width; 0 for the prior.
    pub height: usize,
    pub width: usize,
}

/// Latents along a side of `pixels`, with `factor` pixels a latent: rounded up to what the networks take (the
/// reference's `get_new_h_w`).
#[must_use]
pub fn latent_side(pixels: usize, factor: usize) -> usize {
    pixels.div_ceil(factor * factor) * factor
}

/// Image-to-image: the first step, and the timestep of the noise to add.
fn picture_start(sampler: &dyn Sampler, task: &Task, strength: f64, train_timesteps: usize) -> (usize, i64) {
    let (first, left) = sampler::img2img_window(task.steps, strength);
    let timestep = sampler::img2img_timestep(train_timesteps, strength);
    let timesteps = sampler.timesteps();
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "timesteps are small")]
    match task.scheduler {
        // These spend most of their steps at low noise: the share of steps says nothing of the noise level.
        Some(SamplerKind::Dpmpp2mKarras | SamplerKind::EulerKarras) => {
            let reached = timesteps.iter().position(|t| *t <= timestep.max(0) as f32);
            (reached.unwrap_or(timesteps.len() - 1), timestep)
        }
        // The reference takes no step here and returns the noise; one step takes it away again.
        _ if left == 0 => {
            let last = timesteps.len() - 1;
            (last, timestep.min(timesteps[last] as i64))
        }
        _ => (first, timestep),
    }
}

/// One picture being made.
pub struct Sample {
    task: Task,
    plan: Plan,
    generator: Option<Generator>,
    /// Latent height and width.
    latent: (usize, usize),
    decoder: Option<DecoderRun>,
}

/// Steps taken, of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    pub step: usize,
    pub steps: usize,
}

impl Sample {
    /// What it can be batched by next.
    #[must_use]
    pub fn key(&self) -> Key {
        let (height, width) = self.latent;
        let stage = self.stage();
        Key {
            stage,
            inpainting: self.is_inpainting() && stage == Stage::Decoder,
            height: if stage == Stage::Prior { 0 } else { height },
            width: if stage == Stage::Prior { 0 } else { width },
        }
    }

    /// Where it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.decoder {
            None => Stage::Prior,
            Some(run) if run.is_done() => Stage::Decode,
            Some(_) => Stage::Decoder,
        }
    }

    /// How far it is within its stage.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (step, steps) = match &self.decoder {
            Some(run) => run.progress(),
            None => self.plan.prior_runs.iter().map(PriorRun::progress).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        };
        Progress { stage: self.stage(), step, steps }
    }

    /// Rows that the network computes for its next step.
    #[must_use]
    pub fn batch_rows(&self) -> usize {
        match &self.decoder {
            Some(run) => run.batch_rows(),
            None => self.plan.prior_runs.iter().filter(|run| !run.is_done()).map(PriorRun::batch_rows).sum(),
        }
    }

    fn is_inpainting(&self) -> bool {
        matches!(self.plan.start, Start::Inpainting { .. })
    }
}

impl Kandinsky {
    /// Encode a task's inputs and draw what the prior needs.
    pub fn begin(&self, task: Task) -> Result<Sample> {
        let latent = self.latent_size(task.width, task.height)?;
        let factor = self.movq()?.scale_factor();
        let canvas = (latent.1 * factor, latent.0 * factor);
        let mut generator = Generator::new(task.seed);
        let plan = conditioning::plan(self, &task, canvas, &mut generator)?;
        let inpainting = matches!(task.conditioning, Conditioning::Inpainting { .. });
        self.decoder(inpainting)?;
        let mut sample = Sample { task, plan, generator: Some(generator), latent, decoder: None };
        self.start_decoder_if_ready(&mut sample)?;
        Ok(sample)
    }

    /// Latent height and width of a picture of this size, px.
    pub fn latent_size(&self, width: usize, height: usize) -> Result<(usize, usize)> {
        if width == 0 || height == 0 {
            return Err(Error::Request("a picture needs at least one pixel".to_owned()));
        }
        let factor = self.movq()?.scale_factor();
        Ok((latent_side(height, factor), latent_side(width, factor)))
    }

    /// One step of every unfinished prior run of these samples, all of them in [`Stage::Prior`].
    pub fn step_prior(&self, samples: &mut [&mut Sample]) -> Result<()> {
        let prior = &self.prior()?.network;
        let mut runs: Vec<&mut PriorRun> = samples
            .iter_mut()
            .flat_map(|sample| sample.plan.prior_runs.iter_mut())
            .filter(|run| !run.is_done())
            .collect();
        prior_run::step(prior, &self.compute, &mut runs)?;
        for sample in samples.iter_mut() {
            self.start_decoder_if_ready(sample)?;
        }
        Ok(())
    }

    /// One decoder step of these samples, all of one [`Key`]. On an error no sample has moved.
    pub fn step_decoder(&self, samples: &mut [&mut Sample]) -> Result<()> {
        let inpainting = samples.first().is_some_and(|sample| sample.is_inpainting());
        let unet = &self.decoder(inpainting)?.unet;
        let mut runs: Vec<&mut DecoderRun> = samples.iter_mut().filter_map(|sample| sample.decoder.as_mut()).collect();
        decoder_run::step(unet, &self.compute, &mut runs)
    }

    /// The pictures of finished samples of one [`Key`], cropped to the sizes asked for.
    pub fn decode(&self, samples: &[&Sample]) -> Result<Vec<Pixels>> {
        let movq = self.movq()?;
        let Some(&(height, width)) = samples.first().map(|sample| &sample.latent) else {
            return Ok(Vec::new());
        };
        let mut latents = Vec::new();
        for sample in samples {
            let Some(run) = sample.decoder.as_ref().filter(|run| run.is_done() && sample.latent == (height, width))
            else {
                return Err(Error::Request("only finished samples of one size can be decoded together".to_owned()));
            };
            if sample.task.quantize_latents {
                latents.extend(movq.quantize(run.latents(), 1).1);
            } else {
                latents.extend_from_slice(run.latents());
            }
        }
        let pixels = self.finite(movq.decode(latents, samples.len(), height, width)?, "MoVQ's decoder")?;
        let (width, height) = (width * movq.scale_factor(), height * movq.scale_factor());
        let size = pixels.len() / samples.len();
        Ok(pixels
            .chunks(size)
            .zip(samples)
            .map(|(planes, sample)| {
                Pixels::from_signed_planes(planes, width, height).crop(0, 0, sample.task.width, sample.task.height)
            })
            .collect())
    }

    /// Make one picture, calling `report` after every step.
    pub fn generate(&self, task: Task, report: &mut dyn FnMut(Progress)) -> Result<Pixels> {
        let mut sample = self.begin(task)?;
        loop {
            report(sample.progress());
            match sample.stage() {
                Stage::Prior => self.step_prior(&mut [&mut sample])?,
                Stage::Decoder => self.step_decoder(&mut [&mut sample])?,
                Stage::Decode => return Ok(self.decode(&[&sample])?.remove(0)),
            }
        }
    }

    fn start_decoder_if_ready(&self, sample: &mut Sample) -> Result<()> {
        if sample.decoder.is_some() || sample.plan.prior_runs.iter().any(|run| !run.is_done()) {
            return Ok(());
        }
        let task = &sample.task;
        let (height, width) = sample.latent;
        let inpainting = sample.is_inpainting();
        let decoder = self.decoder(inpainting)?;
        let movq = self.movq()?;
        let channels = movq.latent_channels();
        let size = channels * height * width;
        let sampler = self.sampler(&decoder.scheduler, task)?;
        let mut generator = sample.generator.take().unwrap_or_else(|| Generator::new(task.seed));

        let encode = |pixels: &[f32]| {
            let factor = movq.scale_factor();
            movq.encode(pixels.to_vec(), 1, height * factor, width * factor)
        };
        let (first_step, latents, inpainting) = match &sample.plan.start {
            Start::Noise => (0, generator.normal(size), None),
            Start::Picture { pixels, strength } => {
                let encoded = encode(pixels)?;
                if *strength <= 0.0 {
                    (task.steps, encoded, None)
                } else {
                    let train = decoder.scheduler.train_timesteps();
                    let (first, timestep) = picture_start(sampler.as_ref(), task, *strength, train);
                    (first, sampler::img2img_noise(&encoded, &generator.normal(size), timestep), None)
                }
            }
            Start::Inpainting { pixels, mask } => {
                let factor = movq.scale_factor();
                let mask = mask::to_latents(mask, (height * factor, width * factor), (height, width));
                let mask = mask::shrink_kept(&mask, height, width);
                let encoded = encode(pixels)?;
                let masked = encoded.iter().enumerate().map(|(i, x)| x * mask[i % mask.len()]).collect();
                (0, generator.normal(size), Some(Inpainting { masked_latents: masked, mask }))
            }
        };
        let (context, guidance) = self.contexts(sample, &decoder.unet)?;
        sample.decoder = Some(DecoderRun::new(DecoderStart {
            context,
            guidance,
            sampler,
            first_step,
            latents,
            latents_are_noise: !matches!(sample.plan.start, Start::Picture { .. }),
            channels,
            height,
            width,
            inpainting,
            noise: Box::new(move |count| generator.normal(count)),
        }));
        Ok(())
    }

    /// The decoder's context of a sample whose prior runs are done, and its guidance.
    #[expect(clippy::type_complexity, reason = "a pair")]
    fn contexts(
        &self,
        sample: &Sample,
        unet: &unet::UNet,
    ) -> Result<(Rc<unet::Context>, Option<Guidance<Rc<unet::Context>>>)> {
        let task = &sample.task;
        let prompt = sample.plan.decoder_prompt.as_str();
        let mut positive = Vec::new();
        for term in &sample.plan.positive {
            let embed = self.resolve(&sample.plan, &term.source)?;
            positive.resize(embed.len(), 0.0);
            positive.iter_mut().zip(embed).for_each(|(sum, x)| *sum += term.weight * x);
        }
        let guided = task.guidance_scale > 1.0;
        let mut texts = vec![prompt];
        if guided {
            texts.push(task.negative_decoder_prompt.as_deref().unwrap_or(""));
        }
        let texts = self.decoder_texts(&texts)?;
        let context = |row: usize, image: Vec<f32>| -> Result<Rc<unet::Context>> {
            let image = self.finite(image, "the prior")?;
            let width = image.len();
            let image: Tensor = self.compute.tensor(image, &[width])?;
            let context = unet.context(&unet::Conditioning {
                text_states: &texts[row].states,
                text_embed: &texts[row].embed,
                image_embed: &image,
            })?;
            Ok(Rc::new(context))
        };
        let guidance = if guided {
            let negative = self.resolve(&sample.plan, &sample.plan.negative)?;
            Some(Guidance { scale: task.guidance_scale, negative: context(1, negative)? })
        } else {
            None
        };
        Ok((context(0, positive)?, guidance))
    }

    fn resolve(&self, plan: &Plan, source: &Source) -> Result<Vec<f32>> {
        Ok(match source {
            Source::Known(embed) => embed.clone(),
            Source::Prior { run, row } => plan.prior_runs[*run].image_embed(&self.prior()?.network, *row),
        })
    }

    fn sampler(&self, own: &SchedulerConfig, task: &Task) -> Result<Box<dyn Sampler>> {
        let options = Options { eta: task.eta, use_clipped_model_output: false };
        match task.scheduler {
            None => own.sampler(task.steps, options),
            Some(SamplerKind::Ddpm) => {
                match self.ddpm_scheduler() {
                    Some(config) => config.sampler_of(SamplerKind::Ddpm, task.steps, options),
                    // The network predicts variances; a schedule that says nothing of them should use them.
                    None => SchedulerConfig { variance_type: Some("learned_range".to_owned()), ..own.clone() }
                        .sampler_of(SamplerKind::Ddpm, task.steps, options),
                }
            }
            Some(kind) => own.sampler_of(kind, task.steps, options),
        }
    }
}
