//! From requests to the model's tasks, one task a picture.

use std::rc::Rc;

use crate::diffusion::pixels::Pixels;
use crate::diffusion::schedulers::SamplerKind;
use crate::domain::{self, FusionInput as Ingredient, Generation, Inpainting, Input, Mask, Picture};
use crate::families::kandinsky21::{Conditioning, FusionInput, PriorKind, PriorTask, Task};

/// The tasks of a request on a model whose own size is `native` px.
pub(super) fn tasks(generation: Generation, native: u32) -> Vec<Task> {
    let size = generation.size(native);
    let common = generation.common;
    let conditioning = conditioning(generation.input);
    (0..common.n)
        .map(|i| Task {
            conditioning: conditioning.clone(),
            width: size.width as usize,
            height: size.height as usize,
            seed: common.seed.wrapping_add(u64::from(i)),
            steps: common.steps as usize,
            guidance_scale: common.guidance_scale,
            scheduler: common.scheduler.map(sampler),
            eta: common.eta,
            prior: PriorTask {
                kind: prior(common.prior.kind),
                steps: common.prior.steps as usize,
                guidance_scale: common.prior.guidance_scale,
            },
            negative_prompt: common.negative_prompt.clone(),
            negative_prior_prompt: common.negative_prior_prompt.clone(),
            negative_decoder_prompt: common.decoder_negative().cloned(),
            quantize_latents: common.quantize_latents,
        })
        .collect()
}

fn conditioning(input: Input) -> Conditioning {
    match input {
        Input::TextToImage(input) => Conditioning::TextToImage { prompt: input.prompt },
        Input::ImageToImage(input) => {
            Conditioning::ImageToImage { prompt: input.prompt, image: picture(input.image), strength: input.strength }
        }
        Input::ImageVariations(input) => Conditioning::ImageVariations { image: picture(input.image) },
        Input::ImageFusion(input) => Conditioning::ImageFusion {
            images: input.images.into_iter().map(|image| (picture(image.value), image.weight)).collect(),
        },
        Input::TextImageFusion(input) => Conditioning::TextImageFusion {
            inputs: input
                .inputs
                .into_iter()
                .map(|input| {
                    let value = match input.value {
                        Ingredient::Text(text) => FusionInput::Text(text),
                        Ingredient::Image(image) => FusionInput::Image(picture(image)),
                    };
                    (value, input.weight)
                })
                .collect(),
            decoder_prompt: input.decoder_prompt,
        },
        Input::Inpainting(input) => inpainting(input),
        Input::Outpainting(input) => inpainting(input.into_inpainting()),
    }
}

fn inpainting(input: Inpainting) -> Conditioning {
    Conditioning::Inpainting { prompt: input.prompt, image: picture(input.image), mask: mask(input.mask) }
}

fn picture(picture: Picture) -> Rc<Pixels> {
    Rc::new(pixels(picture))
}

/// A picture as the model takes it.
pub(super) fn pixels(picture: Picture) -> Pixels {
    let (width, height) = (picture.width as usize, picture.height as usize);
    Pixels { width, height, channels: 3, data: picture.rgb }
}

fn mask(mask: Mask) -> Rc<Pixels> {
    let (width, height) = (mask.width as usize, mask.height as usize);
    Rc::new(Pixels { width, height, channels: 1, data: mask.grey })
}

fn sampler(scheduler: domain::Scheduler) -> SamplerKind {
    match scheduler {
        domain::Scheduler::Ddim => SamplerKind::Ddim,
        domain::Scheduler::Ddpm => SamplerKind::Ddpm,
        domain::Scheduler::Dpmpp2m => SamplerKind::Dpmpp2m,
        domain::Scheduler::Dpmpp2mKarras => SamplerKind::Dpmpp2mKarras,
        domain::Scheduler::Euler => SamplerKind::Euler,
        domain::Scheduler::EulerKarras => SamplerKind::EulerKarras,
        domain::Scheduler::EulerAncestral => SamplerKind::EulerAncestral,
        domain::Scheduler::UniPc => SamplerKind::UniPc,
    }
}

/// The name in requests of a checkpoint's own sampler; None if it has none.
pub(super) fn scheduler(kind: SamplerKind) -> Option<domain::Scheduler> {
    domain::Scheduler::ALL.into_iter().find(|scheduler| sampler(*scheduler) == kind)
}

fn prior(kind: domain::PriorKind) -> PriorKind {
    match kind {
        domain::PriorKind::Diffusion => PriorKind::Diffusion,
        domain::PriorKind::Linear => PriorKind::Linear,
        domain::PriorKind::Residual => PriorKind::Residual,
        domain::PriorKind::None => PriorKind::None,
    }
}
