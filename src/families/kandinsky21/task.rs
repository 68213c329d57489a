//! What the model is asked for: one image of one mode, with everything resolved.

use crate::domain::{Image, PriorSettings, Scheduler, Size};
use crate::modes::{FusionInput, Weighted};

/// One image to make.
#[derive(Clone)]
pub struct Task {
    pub conditioning: Conditioning,
    /// Latents are rounded up, the image is cropped to this.
    pub size: Size,
    pub seed: u64,
    pub steps: u32,
    /// Classifier-free guidance; 1 or less turns it off.
    pub guidance_scale: f32,
    /// None: the checkpoint's own.
    pub scheduler: Option<Scheduler>,
    /// DDIM's eta.
    pub eta: f32,
    pub prior: PriorSettings,
    /// Becomes the negative image embedding.
    pub negative_prompt: Option<String>,
    /// What guidance leads away from inside the prior.
    pub negative_prior_prompt: Option<String>,
    /// What guidance leads away from in the decoder's text; the reference's combined pipelines leave it empty.
    pub negative_decoder_prompt: Option<String>,
    /// Decode through MoVQ's codebook.
    pub quantize_latents: bool,
}

/// What an image is made from.
#[derive(Clone)]
pub enum Conditioning {
    TextToImage {
        prompt: String,
    },
    ImageToImage {
        prompt: String,
        image: Image,
        strength: f64,
    },
    ImageVariations {
        image: Image,
    },
    ImageFusion {
        images: Vec<Weighted<Image>>,
    },
    TextImageFusion {
        inputs: Vec<Weighted<FusionInput>>,
        decoder_prompt: Option<String>,
    },
    /// Outpainting is this, too, on an extended canvas.
    Inpainting {
        prompt: Option<String>,
        image: Image,
        mask: Image,
    },
}
