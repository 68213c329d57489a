//! From a finished prior to denoising: the contexts that the UNet sees, and the latents that it starts from.

use std::rc::Rc;

use candle_core::Tensor;

use super::start::avoided_text;
use super::state::{KandinskySample, Phase, Prepared, sides};
use crate::families::kandinsky21::conditioning::{Plan, Source, Start};
use crate::families::kandinsky21::decoder_run::{DecoderRun, DecoderStart, Inpainting};
use crate::families::kandinsky21::encodings::{CacheKey, DecoderText};
use crate::families::kandinsky21::kandinsky::Kandinsky;
use crate::families::kandinsky21::mask;
use crate::families::kandinsky21::prior_run::Guidance;
use crate::families::kandinsky21::unet::{Conditioning, Context, UNet};
use crate::tensor::error::{Error, Result};
use crate::tensor::probe;

/// What the UNet sees of a sample's texts and embeddings.
struct Contexts {
    positive: Rc<Context>,
    guidance: Option<Guidance<Rc<Context>>>,
}

impl Kandinsky {
    /// Start to denoise a sample whose prior is done; a sample that is being denoised stays as it is.
    pub(super) fn start_denoising(&self, sample: &mut KandinskySample, unet: &UNet) -> Result<()> {
        let Phase::Prior(prepared) = &sample.phase else { return Ok(()) };
        let contexts = self.contexts(sample, prepared, unet)?;
        let (movq, (height, width)) = (self.movq()?, sides(sample.latent));
        let size = movq.latent_channels() * height * width;
        let canvas = sides(self.canvas(sample)?);
        // What can fail is done: from here on the sample moves.
        let Phase::Prior(prepared) = std::mem::replace(&mut sample.phase, Phase::Start) else { return Ok(()) };
        let first_step = prepared.first_step();
        let Prepared { plan, mut generator, encoded, sampler, image_start, step_plan, .. } = *prepared;
        let encoded = encoded.unwrap_or_default();
        let mut latents_are_noise = true;
        let (latents, inpainting) = match &plan.start {
            Start::Noise => (generator.normal(size), None),
            Start::Image { strength, .. } => {
                latents_are_noise = false;
                let start = image_start.filter(|_| *strength > 0.0);
                (start.map(|start| start.noised(&encoded, &generator.normal(size))).unwrap_or(encoded), None)
            }
            Start::Inpainting { mask, .. } => {
                let mask = mask::to_latents(mask, canvas, (height, width));
                let mask = mask::shrink_kept(&mask, height, width);
                let masked_latents = encoded.iter().enumerate().map(|(i, x)| x * mask[i % mask.len()]).collect();
                (generator.normal(size), Some(Inpainting { masked_latents, mask }))
            }
        };
        sample.phase = Phase::Denoising(Box::new(DecoderRun::new(DecoderStart {
            context: contexts.positive,
            guidance: contexts.guidance,
            sampler,
            first_step,
            latents,
            latents_are_noise,
            height,
            width,
            inpainting,
            plan: step_plan,
            noise: Box::new(move |count| generator.normal(count)),
        })));
        Ok(())
    }

    /// The contexts of a sample whose prior runs are done.
    fn contexts(&self, sample: &KandinskySample, prepared: &Prepared, unet: &UNet) -> Result<Contexts> {
        let plan = &prepared.plan;
        let mut positive = Vec::new();
        for embedding in &plan.positive {
            let embed = self.resolve(plan, &embedding.source)?;
            positive.resize(embed.len(), 0.0);
            positive.iter_mut().zip(embed).for_each(|(sum, x)| *sum += embedding.weight * x);
        }
        let context = |text: &DecoderText, image: Vec<f32>| -> Result<Context> {
            let image = self.finite(image, "the prior")?;
            let width = image.len();
            let image: Tensor = self.compute.tensor(image, &[width])?;
            unet.context(&Conditioning { text_states: &text.states, text_embed: &text.embed, image_embed: &image })
        };
        let [text, avoided @ ..] = prepared.texts.as_slice() else {
            return Err(Error::Request("the decoder has no text".to_owned()));
        };
        let guidance = match avoided {
            [avoided, ..] => {
                let common = &sample.generation.common;
                let negative = self.resolve(plan, &plan.negative)?;
                let negative = match &plan.negative {
                    // What requests without a negative prompt are led away from is the same for all of them. What is recorded is
                    // recorded each time.
                    Source::Known(known) if !probe::is_recording() => {
                        let key = CacheKey::context(u8::from(sample.repaints), avoided_text(common), known);
                        self.encodings.context(key, || context(avoided, negative))?
                    }
                    _ => Rc::new(context(avoided, negative)?),
                };
                Some(Guidance { scale: common.guidance_scale, negative })
            }
            [] => None,
        };
        Ok(Contexts { positive: Rc::new(context(text, positive)?), guidance })
    }

    fn resolve(&self, plan: &Plan, source: &Source) -> Result<Vec<f32>> {
        Ok(match source {
            Source::Known(embed) => embed.clone(),
            Source::Prior { run, row } => plan.prior_runs[*run].image_embed(&self.prior()?.network, *row),
        })
    }
}
