//! The first stage: what a sample is conditioned on, its scheduler, and where on the schedule it starts.

use std::rc::Rc;

use super::state::{KandinskySample, Phase, Prepared, sides};
use crate::diffusion::random::Generator;
use crate::domain::{Common, PromptText, Size};
use crate::families::kandinsky21::conditioning::{self, Conditioner, Plan, Start};
use crate::families::kandinsky21::encodings::DecoderText;
use crate::families::kandinsky21::kandinsky::Kandinsky;
use crate::families::kandinsky21::step_plan::StepPlan;
use crate::modes::CheckedGeneration;
use crate::schedulers::{self, DDPM, EvenSteps, ImageStart, Sampler, SamplerOptions, SchedulerConfig, SchedulerInfo};
use crate::tensor::error::{Error, Result};

/// Latents along a side of `pixels`, with `factor` pixels a latent: rounded up to what the networks take (the
/// reference's `get_new_h_w`).
#[must_use]
pub fn latent_side(pixels: u32, factor: u32) -> u32 {
    pixels.div_ceil(factor * factor) * factor
}

impl Kandinsky {
    /// Image number `index` of a request. Fails if the checkpoint has no UNet for its mode.
    pub(in crate::families::kandinsky21) fn new_sample(
        &self,
        generation: &Rc<CheckedGeneration>,
        index: u32,
    ) -> Result<KandinskySample> {
        let size = generation.size(self.info.native_size);
        let repaints = conditioning::needs(generation.mode()).is_some_and(|needs| needs.repaints);
        self.decoder(repaints)?;
        Ok(KandinskySample {
            generation: generation.clone(),
            seed: generation.common.seed.wrapping_add(u64::from(index)),
            size,
            latent: self.latent_size(size)?,
            repaints,
            has_images: generation.image_bytes() > 0,
            phase: Phase::Start,
        })
    }

    /// Size of the latents of an image of this size.
    pub fn latent_size(&self, size: Size) -> Result<Size> {
        if size.width == 0 || size.height == 0 {
            return Err(Error::Request("an image needs at least one pixel".to_owned()));
        }
        let factor = self.movq()?.scale_factor();
        Ok(Size { width: latent_side(size.width, factor), height: latent_side(size.height, factor) })
    }

    /// The size that a sample's latents stand for: the size requested, rounded up.
    pub(super) fn canvas(&self, sample: &KandinskySample) -> Result<Size> {
        let factor = self.movq()?.scale_factor();
        Ok(Size { width: sample.latent.width * factor, height: sample.latent.height * factor })
    }

    /// Encode what these samples are conditioned on.
    pub(super) fn condition(&self, samples: &mut [&mut KandinskySample]) -> Result<()> {
        self.encode_together(samples)?;
        let plans = samples.iter().map(|sample| self.plan(sample)).collect::<Result<Vec<_>>>()?;
        let texts: Vec<PromptText> = plans.iter().flat_map(|(_, _, texts)| texts).cloned().collect();
        let mut encoded = self.decoder_texts(&texts)?.into_iter();
        let prepared = samples.iter().zip(plans).map(|(sample, (plan, generator, texts))| {
            let texts = encoded.by_ref().take(texts.len()).collect();
            self.prepare(sample, plan, generator, texts)
        });
        let prepared = prepared.collect::<Result<Vec<_>>>()?;
        for (sample, prepared) in samples.iter_mut().zip(prepared) {
            sample.phase = Phase::Prior(Box::new(prepared));
        }
        Ok(())
    }

    /// How a sample will be conditioned, the random numbers after that, and the texts that the decoder reads.
    fn plan(&self, sample: &KandinskySample) -> Result<(Plan, Generator, Vec<PromptText>)> {
        let common = &sample.generation.common;
        let canvas = self.canvas(sample)?;
        let mut generator = Generator::new(sample.seed);
        let mut conditioner = Conditioner::new(self, common, (sample.size, canvas), &mut generator);
        let plan = conditioning::plan(&mut conditioner, &sample.generation.input)?;
        let mut texts = vec![plan.decoder_prompt.clone()];
        if common.guidance_scale > 1.0 {
            texts.push(avoided_text(common));
        }
        Ok((plan, generator, texts))
    }

    fn prepare(
        &self,
        sample: &KandinskySample,
        plan: Plan,
        generator: Generator,
        texts: Vec<DecoderText>,
    ) -> Result<Prepared> {
        let common = &sample.generation.common;
        let decoder = self.decoder(sample.repaints)?;
        let (config, info) = self.schedule(&decoder.scheduler, common)?;
        let canvas = self.canvas(sample)?;
        let encoded = match &plan.start {
            Start::Noise => None,
            Start::Image { planes, .. } | Start::Inpainting { planes, .. } => {
                let (height, width) = sides(canvas);
                Some(self.latents_of(planes, height, width)?)
            }
        };
        let sampler = || config.sampler_of(info, common.steps as usize, options_of(common));
        let (sampler, image_start) = match &plan.start {
            Start::Image { strength, .. } if *strength > 0.0 => {
                let (sampler, start) = redrawing((&config, info), common, *strength)?;
                (sampler, Some(start))
            }
            Start::Image { .. } => {
                let sampler = sampler()?;
                let first_step = sampler.timesteps().len();
                (sampler, Some(ImageStart { first_step, alpha: 1.0, is_reference: true }))
            }
            Start::Noise | Start::Inpainting { .. } => (sampler()?, None),
        };
        let step_plan = StepPlan::new(&common.acceleration, config.train_timesteps());
        Ok(Prepared { plan, generator, texts, encoded, sampler, image_start, step_plan })
    }

    /// The scheduler that a request names, or the checkpoint's own, and the schedule for it.
    fn schedule(&self, own: &SchedulerConfig, common: &Common) -> Result<(SchedulerConfig, &'static SchedulerInfo)> {
        let Some(wanted) = &common.scheduler else { return Ok((own.clone(), own.info()?)) };
        let wanted = schedulers::find(wanted.name())
            .ok_or_else(|| Error::Request(format!("this model has no scheduler {wanted}")))?;
        if *wanted != DDPM {
            return Ok((own.clone(), wanted));
        }
        // The network predicts variances; a schedule that says nothing of them should use them.
        let learned = || SchedulerConfig { variance_type: Some("learned_range".to_owned()), ..own.clone() };
        Ok((self.ddpm_scheduler().cloned().unwrap_or_else(learned), wanted))
    }
}

/// The text that guidance of the decoder leads away from.
pub(super) fn avoided_text(common: &Common) -> PromptText {
    let avoided = common.decoder_negative();
    avoided.map(|(field, text)| common.read_for_decoder(field, text)).unwrap_or_default()
}

fn options_of(common: &Common) -> SamplerOptions {
    SamplerOptions { eta: common.eta, use_clipped_model_output: false }
}

/// Where an image starts that is redrawn, on the sampler of the request, or where that leaves few steps on one of even steps.
fn redrawing(
    (config, info): (&SchedulerConfig, &'static SchedulerInfo),
    common: &Common,
    strength: f64,
) -> Result<(Box<dyn Sampler>, ImageStart)> {
    let train = config.train_timesteps();
    let sampler = config.sampler_of(info, common.steps as usize, options_of(common))?;
    let start = schedulers::img2img_start(&*sampler, strength, train);
    let Some(EvenSteps { all, left }) = schedulers::spread_few_steps(&*sampler, start, strength, train) else {
        return Ok((sampler, start));
    };
    let sampler = config.evenly_spread(info, all, options_of(common))?;
    let first_step = sampler.timesteps().len().saturating_sub(left);
    let alpha = sampler.alpha_cumprod(first_step);
    Ok((sampler, ImageStart { first_step, alpha, is_reference: false }))
}
