//! One image on its way through the stages: encoding, prior steps, decoder steps, decoding.
//!
//! Invariant: a sample does nothing on its own; whoever drives it batches samples of equal [`Sample::key`] and calls the
//! functions of [`Kandinsky`] here, one step at a time, and the image does not depend on how they were batched.

use std::rc::Rc;

use candle_core::Tensor;

use crate::diffusion::pixels;
use crate::diffusion::random::Generator;
use crate::domain::{Image, Size};
use crate::families::kandinsky21::conditioning::{self, Plan, Source, Start};
use crate::families::kandinsky21::decoder_run::{self, DecoderRun, DecoderStart, Inpainting};
use crate::families::kandinsky21::kandinsky::{DecoderText, Kandinsky};
use crate::families::kandinsky21::mask;
use crate::families::kandinsky21::movq::Decoding;
use crate::families::kandinsky21::prior_run::{self, Guidance, PriorRun};
use crate::families::kandinsky21::task::{Conditioning, Task};
use crate::families::kandinsky21::unet;
use crate::schedulers::{self, DDPM, Sampler, SamplerOptions, SchedulerConfig};
use crate::tensor::error::{Error, Result};

/// Where a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Text and image encoders.
    Encode,
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
    /// Latent height and width; 0 for encoding and the prior.
    pub height: usize,
    pub width: usize,
}

/// Latents along a side of `pixels`, with `factor` pixels a latent: rounded up to what the networks take (the
/// reference's `get_new_h_w`).
#[must_use]
pub fn latent_side(pixels: u32, factor: u32) -> u32 {
    pixels.div_ceil(factor * factor) * factor
}

/// Height and width, as tensors have them.
fn sides(size: Size) -> (usize, usize) {
    (size.height as usize, size.width as usize)
}

/// Image-to-image: the first step, and the timestep of the noise to add.
fn image_start(sampler: &dyn Sampler, strength: f64, train_timesteps: usize) -> (usize, i64) {
    let timesteps = sampler.timesteps();
    let (first, left) = schedulers::img2img_window(timesteps.len(), strength);
    let timestep = schedulers::img2img_timestep(train_timesteps, strength);
    let last = timesteps.len() - 1;
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "timesteps are small")]
    if sampler.follows_karras() {
        // A share of the steps says nothing of the noise level: start at the first step that is not above it.
        let reached = timesteps.iter().position(|t| *t <= timestep.max(0) as f32);
        (reached.unwrap_or(last), timestep)
    } else if left == 0 {
        // The reference takes no step here and returns the noise; one step takes it away again.
        (last, timestep.min(timesteps[last] as i64))
    } else {
        (first, timestep)
    }
}

/// One image being made.
pub struct Sample {
    task: Task,
    /// Size of its latents.
    latent: Size,
    at: At,
}

/// Where a sample is, and what it has there.
enum At {
    Start,
    Prior(Box<Prepared>),
    Decoder(Box<DecoderRun>),
    /// Its latents have begun to be decoded.
    Decoding(Box<Decoding>),
}

/// What a sample knows before its decoder starts.
struct Prepared {
    plan: Plan,
    /// Its next numbers are the decoder's.
    generator: Generator,
    /// The decoder's texts: the prompt, and what guidance leads away from.
    texts: Vec<DecoderText>,
    /// Latents of the image to start from.
    encoded: Option<Vec<f32>>,
    sampler: Box<dyn Sampler>,
    /// The decoder's first step, and the timestep of the noise that is added to the image to start from.
    first_step: usize,
    timestep: i64,
}

impl Prepared {
    fn prior_is_done(&self) -> bool {
        self.plan.prior_runs.iter().all(PriorRun::is_done)
    }
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
        let stage = self.stage();
        let (height, width) = if stage < Stage::Decoder { (0, 0) } else { sides(self.latent) };
        Key { stage, inpainting: self.is_inpainting() && stage == Stage::Decoder, height, width }
    }

    /// Where it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.at {
            At::Start => Stage::Encode,
            At::Prior(prepared) if prepared.prior_is_done() => Stage::Decoder,
            At::Prior(_) => Stage::Prior,
            At::Decoder(run) if run.is_done() => Stage::Decode,
            At::Decoding(_) => Stage::Decode,
            At::Decoder(_) => Stage::Decoder,
        }
    }

    /// How far it is within its stage.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let stage = self.stage();
        let (step, steps) = match &self.at {
            At::Start | At::Decoding(_) => (0, 1),
            At::Prior(prepared) if stage == Stage::Decoder => {
                (0, prepared.sampler.timesteps().len().saturating_sub(prepared.first_step))
            }
            At::Prior(prepared) => {
                let progress = prepared.plan.prior_runs.iter().map(PriorRun::progress);
                progress.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
            }
            At::Decoder(_) if stage == Stage::Decode => (0, 1),
            At::Decoder(run) => run.progress(),
        };
        Progress { stage, step, steps }
    }

    /// Decoder steps taken and decoder steps in all; None before the decoder starts, and once its latents are being decoded.
    #[must_use]
    pub fn decoder_progress(&self) -> Option<(usize, usize)> {
        if let At::Decoder(run) = &self.at { Some(run.progress()) } else { None }
    }

    /// Whether its latents have begun to be decoded, and so hold memory.
    #[must_use]
    pub fn is_decoding(&self) -> bool {
        matches!(self.at, At::Decoding(_))
    }

    /// Rows that the network computes for its next step.
    #[must_use]
    pub fn batch_rows(&self) -> usize {
        match &self.at {
            At::Start | At::Decoding(_) => 1,
            At::Prior(prepared) if !prepared.prior_is_done() => {
                prepared.plan.prior_runs.iter().filter(|run| !run.is_done()).map(PriorRun::batch_rows).sum()
            }
            At::Prior(_) => 1 + usize::from(self.task.guidance_scale > 1.0),
            At::Decoder(run) if run.is_done() => 1,
            At::Decoder(run) => run.batch_rows(),
        }
    }

    fn is_inpainting(&self) -> bool {
        matches!(self.task.conditioning, Conditioning::Inpainting { .. })
    }
}

impl Kandinsky {
    /// A sample at its start. Fails if the checkpoint has no decoder for it.
    pub fn begin(&self, task: Task) -> Result<Sample> {
        let latent = self.latent_size(task.size)?;
        let sample = Sample { task, latent, at: At::Start };
        self.decoder(sample.is_inpainting())?;
        Ok(sample)
    }

    /// Encode what these samples, all of them in [`Stage::Encode`], are conditioned on. On an error the ones before it are
    /// encoded.
    pub fn encode(&self, samples: &mut [&mut Sample]) -> Result<()> {
        for sample in samples.iter_mut().filter(|sample| sample.stage() == Stage::Encode) {
            sample.at = At::Prior(Box::new(self.prepare(sample)?));
        }
        Ok(())
    }

    fn prepare(&self, sample: &Sample) -> Result<Prepared> {
        let task = &sample.task;
        let decoder = self.decoder(sample.is_inpainting())?;
        let sampler = self.sampler(&decoder.scheduler, task)?;
        let canvas = self.canvas(sample)?;
        let mut generator = Generator::new(task.seed);
        let plan = conditioning::plan(self, task, canvas, &mut generator)?;
        let mut texts = vec![plan.decoder_prompt.as_str()];
        if task.guidance_scale > 1.0 {
            texts.push(task.negative_decoder_prompt.as_deref().unwrap_or(""));
        }
        let texts = self.decoder_texts(&texts)?;
        let encoded = match &plan.start {
            Start::Noise => None,
            Start::Image { planes, .. } | Start::Inpainting { planes, .. } => {
                let (height, width) = sides(canvas);
                Some(self.latents_of(planes, height, width)?)
            }
        };
        let (first_step, timestep) = match &plan.start {
            Start::Image { strength, .. } if *strength <= 0.0 => (sampler.timesteps().len(), 0),
            Start::Image { strength, .. } => {
                image_start(sampler.as_ref(), *strength, decoder.scheduler.train_timesteps())
            }
            Start::Noise | Start::Inpainting { .. } => (0, 0),
        };
        Ok(Prepared { plan, generator, texts, encoded, sampler, first_step, timestep })
    }

    /// Size of the latents of an image of this size.
    pub fn latent_size(&self, size: Size) -> Result<Size> {
        if size.width == 0 || size.height == 0 {
            return Err(Error::Request("an image needs at least one pixel".to_owned()));
        }
        let factor = self.movq()?.scale_factor();
        Ok(Size { width: latent_side(size.width, factor), height: latent_side(size.height, factor) })
    }

    /// The size that a sample's latents stand for: the size asked for, rounded up.
    fn canvas(&self, sample: &Sample) -> Result<Size> {
        let factor = self.movq()?.scale_factor();
        Ok(Size { width: sample.latent.width * factor, height: sample.latent.height * factor })
    }

    /// One step of every unfinished prior run of these samples, all of them in [`Stage::Prior`]. On an error no sample has
    /// moved.
    pub fn step_prior(&self, samples: &mut [&mut Sample]) -> Result<()> {
        let prior = &self.prior()?.network;
        let mut runs: Vec<&mut PriorRun> = Vec::new();
        for sample in samples.iter_mut() {
            if let At::Prior(prepared) = &mut sample.at {
                runs.extend(prepared.plan.prior_runs.iter_mut().filter(|run| !run.is_done()));
            }
        }
        prior_run::step(prior, &self.compute, &mut runs)
    }

    /// One decoder step of these samples, all of one [`Key`]. On an error no sample has moved.
    pub fn step_decoder(&self, samples: &mut [&mut Sample]) -> Result<()> {
        let inpainting = samples.first().is_some_and(|sample| sample.is_inpainting());
        let unet = &self.decoder(inpainting)?.unet;
        let mut runs: Vec<&mut DecoderRun> = Vec::new();
        for sample in samples.iter_mut() {
            self.start_decoder(sample, unet)?;
            if let At::Decoder(run) = &mut sample.at {
                runs.extend((!run.is_done()).then_some(&mut **run));
            }
        }
        decoder_run::step(unet, &self.compute, &mut runs)
    }

    /// The next part of decoding a sample's latents; after the last one its image, cropped to the size asked for.
    pub fn step_decode(&self, sample: &mut Sample) -> Result<Option<Image>> {
        let (movq, (height, width)) = (self.movq()?, sides(sample.latent));
        if let At::Decoder(run) = &sample.at
            && run.is_done()
        {
            let latents =
                if sample.task.quantize_latents { movq.quantize(run.latents(), 1).1 } else { run.latents().to_vec() };
            sample.at = At::Decoding(Box::new(movq.begin_decode(latents, 1, height, width)?));
        }
        let At::Decoding(decoding) = &mut sample.at else {
            return Err(Error::Request("only finished samples can be decoded".to_owned()));
        };
        let Some(planes) = movq.step_decode(decoding)? else { return Ok(None) };
        let planes = self.finite(planes, "MoVQ's decoder")?;
        let image = pixels::from_signed_planes(&planes, self.canvas(sample)?);
        Ok(Some(pixels::crop(&image, 0, 0, sample.task.size)))
    }

    /// A rough image of what the last decoder step predicts, at the size asked for; None before that step.
    pub fn preview_of(&self, sample: &Sample) -> Result<Option<Image>> {
        let At::Decoder(run) = &sample.at else { return Ok(None) };
        let Some(original) = run.original() else { return Ok(None) };
        let image = self.preview()?.image(original, sample.latent, self.movq()?.scale_factor());
        Ok(Some(pixels::crop(&image, 0, 0, sample.task.size)))
    }

    /// Make one image, calling `report` after every step.
    pub fn generate(&self, task: Task, report: &mut dyn FnMut(Progress)) -> Result<Image> {
        let mut sample = self.begin(task)?;
        loop {
            report(sample.progress());
            match sample.stage() {
                Stage::Encode => self.encode(&mut [&mut sample])?,
                Stage::Prior => self.step_prior(&mut [&mut sample])?,
                Stage::Decoder => self.step_decoder(&mut [&mut sample])?,
                Stage::Decode => {
                    if let Some(image) = self.step_decode(&mut sample)? {
                        return Ok(image);
                    }
                }
            }
        }
    }

    /// Start the decoder of a sample whose prior is done; a sample with a decoder stays as it is.
    fn start_decoder(&self, sample: &mut Sample, unet: &unet::UNet) -> Result<()> {
        let At::Prior(prepared) = &sample.at else { return Ok(()) };
        let (context, guidance) = self.contexts(sample, prepared, unet)?;
        let (movq, (height, width)) = (self.movq()?, sides(sample.latent));
        let size = movq.latent_channels() * height * width;
        let canvas = sides(self.canvas(sample)?);
        // What can fail is done: from here on the sample moves.
        let At::Prior(prepared) = std::mem::replace(&mut sample.at, At::Start) else { return Ok(()) };
        let Prepared { plan, mut generator, encoded, sampler, first_step, timestep, .. } = *prepared;
        let encoded = encoded.unwrap_or_default();
        let mut latents_are_noise = true;
        let (latents, inpainting) = match &plan.start {
            Start::Noise => (generator.normal(size), None),
            Start::Image { strength, .. } => {
                latents_are_noise = false;
                if *strength <= 0.0 {
                    (encoded, None)
                } else {
                    (schedulers::img2img_noise(&encoded, &generator.normal(size), timestep), None)
                }
            }
            Start::Inpainting { mask, .. } => {
                let mask = mask::to_latents(mask, canvas, (height, width));
                let mask = mask::shrink_kept(&mask, height, width);
                let masked_latents = encoded.iter().enumerate().map(|(i, x)| x * mask[i % mask.len()]).collect();
                (generator.normal(size), Some(Inpainting { masked_latents, mask }))
            }
        };
        sample.at = At::Decoder(Box::new(DecoderRun::new(DecoderStart {
            context,
            guidance,
            sampler,
            first_step,
            latents,
            latents_are_noise,
            height,
            width,
            inpainting,
            noise: Box::new(move |count| generator.normal(count)),
        })));
        Ok(())
    }

    /// The decoder's context of a sample whose prior runs are done, and its guidance.
    #[expect(clippy::type_complexity, reason = "a pair")]
    fn contexts(
        &self,
        sample: &Sample,
        prepared: &Prepared,
        unet: &unet::UNet,
    ) -> Result<(Rc<unet::Context>, Option<Guidance<Rc<unet::Context>>>)> {
        let (task, plan) = (&sample.task, &prepared.plan);
        let mut positive = Vec::new();
        for term in &plan.positive {
            let embed = self.resolve(plan, &term.source)?;
            positive.resize(embed.len(), 0.0);
            positive.iter_mut().zip(embed).for_each(|(sum, x)| *sum += term.weight * x);
        }
        let context = |text: &DecoderText, image: Vec<f32>| -> Result<Rc<unet::Context>> {
            let image = self.finite(image, "the prior")?;
            let width = image.len();
            let image: Tensor = self.compute.tensor(image, &[width])?;
            let context = unet.context(&unet::Conditioning {
                text_states: &text.states,
                text_embed: &text.embed,
                image_embed: &image,
            })?;
            Ok(Rc::new(context))
        };
        let [text, avoided @ ..] = prepared.texts.as_slice() else {
            return Err(Error::Request("the decoder has no text".to_owned()));
        };
        let guidance = match avoided {
            [avoided, ..] => {
                let negative = self.resolve(plan, &plan.negative)?;
                Some(Guidance { scale: task.guidance_scale, negative: context(avoided, negative)? })
            }
            [] => None,
        };
        Ok((context(text, positive)?, guidance))
    }

    fn resolve(&self, plan: &Plan, source: &Source) -> Result<Vec<f32>> {
        Ok(match source {
            Source::Known(embed) => embed.clone(),
            Source::Prior { run, row } => plan.prior_runs[*run].image_embed(&self.prior()?.network, *row),
        })
    }

    fn sampler(&self, own: &SchedulerConfig, task: &Task) -> Result<Box<dyn Sampler>> {
        let (steps, options) = (task.steps as usize, SamplerOptions { eta: task.eta, use_clipped_model_output: false });
        let Some(wanted) = &task.scheduler else { return Ok(own.sampler(steps, options)?) };
        let wanted = schedulers::find(wanted.name())
            .ok_or_else(|| Error::Request(format!("this model has no scheduler {wanted}")))?;
        if *wanted != DDPM {
            return Ok(own.sampler_of(wanted, steps, options)?);
        }
        if let Some(config) = self.ddpm_scheduler() {
            return Ok(config.sampler_of(wanted, steps, options)?);
        }
        // The network predicts variances; a schedule that says nothing of them should use them.
        let learned = SchedulerConfig { variance_type: Some("learned_range".to_owned()), ..own.clone() };
        Ok(learned.sampler_of(wanted, steps, options)?)
    }
}
