//! From requests to the model's tasks, one task an image.

use crate::families::kandinsky21::{Conditioning, Task};
use crate::modes::{CheckedGeneration, Generation, Inpainting, Input};

/// The tasks of a request on a model whose own size is `native` px.
pub(super) fn tasks(generation: CheckedGeneration, native: u32) -> Vec<Task> {
    let generation = Generation::from(generation.reduce());
    let size = generation.size(native);
    let common = generation.common;
    let conditioning = conditioning(generation.input);
    (0..common.n)
        .map(|i| Task {
            conditioning: conditioning.clone(),
            size,
            seed: common.seed.wrapping_add(u64::from(i)),
            steps: common.steps,
            guidance_scale: common.guidance_scale,
            scheduler: common.scheduler.clone(),
            eta: common.eta,
            prior: common.prior,
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
            Conditioning::ImageToImage { prompt: input.prompt, image: input.image, strength: input.strength }
        }
        Input::ImageVariations(input) => Conditioning::ImageVariations { image: input.image },
        Input::ImageFusion(input) => Conditioning::ImageFusion { images: input.images },
        Input::TextImageFusion(input) => {
            Conditioning::TextImageFusion { inputs: input.inputs, decoder_prompt: input.decoder_prompt }
        }
        Input::Inpainting(input) => inpainting(input),
        Input::Outpainting(_) => unreachable!(),
    }
}

fn inpainting(input: Inpainting) -> Conditioning {
    Conditioning::Inpainting { prompt: input.prompt, image: input.image, mask: input.mask }
}
