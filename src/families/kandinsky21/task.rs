//! What the model is asked for: one picture of one mode, with everything resolved.

use std::fmt;
use std::rc::Rc;

use crate::diffusion::pixels::Pixels;
use crate::diffusion::schedulers::SamplerKind;

/// How text becomes an image embedding (the rows of the paper's table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PriorKind {
    #[default]
    Diffusion,
    Linear,
    Residual,
    /// The text embedding itself.
    None,
}

impl PriorKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Diffusion, Self::Linear, Self::Residual, Self::None];

    /// A name for messages and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Diffusion => "diffusion",
            Self::Linear => "linear",
            Self::Residual => "residual",
            Self::None => "none",
        }
    }
}

impl fmt::Display for PriorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One picture to make.
#[derive(Clone)]
pub struct Task {
    pub conditioning: Conditioning,
    /// Size of the picture, px. Latents are rounded up, the picture is cropped to this.
    pub width: usize,
    pub height: usize,
    pub seed: u64,
    pub steps: usize,
    /// Classifier-free guidance; 1 or less turns it off.
    pub guidance_scale: f32,
    /// None: the checkpoint's own.
    pub scheduler: Option<SamplerKind>,
    /// DDIM's eta.
    pub eta: f32,
    pub prior: PriorTask,
    /// Becomes the negative image embedding.
    pub negative_prompt: Option<String>,
    /// What guidance leads away from inside the prior.
    pub negative_prior_prompt: Option<String>,
    /// What guidance leads away from in the decoder's text; the reference's combined pipelines leave it empty.
    pub negative_decoder_prompt: Option<String>,
    /// Decode through MoVQ's codebook.
    pub quantize_latents: bool,
}

/// How the prior samples.
#[derive(Debug, Clone, Copy)]
pub struct PriorTask {
    pub kind: PriorKind,
    pub steps: usize,
    pub guidance_scale: f32,
}

/// What a picture is made from.
#[derive(Clone)]
pub enum Conditioning {
    TextToImage {
        prompt: String,
    },
    ImageToImage {
        prompt: String,
        image: Rc<Pixels>,
        strength: f64,
    },
    ImageVariations {
        image: Rc<Pixels>,
    },
    ImageFusion {
        images: Vec<(Rc<Pixels>, f32)>,
    },
    TextImageFusion {
        inputs: Vec<(FusionInput, f32)>,
        decoder_prompt: Option<String>,
    },
    /// Outpainting is this, too, on an extended canvas.
    Inpainting {
        prompt: Option<String>,
        image: Rc<Pixels>,
        mask: Rc<Pixels>,
    },
}

/// An ingredient of text+image fusion.
#[derive(Clone)]
pub enum FusionInput {
    Text(String),
    Image(Rc<Pixels>),
}
