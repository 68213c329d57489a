//! How an image will be conditioned: what every mode comes to.

use crate::domain::PromptText;
use crate::families::kandinsky21::prior_run::PriorRun;

/// How an image will be conditioned, once its prior runs are done.
pub(in crate::families::kandinsky21) struct Plan {
    pub(in crate::families::kandinsky21) prior_runs: Vec<PriorRun>,
    /// The image embedding is the sum of these.
    pub(in crate::families::kandinsky21) positive: Vec<WeightedEmbedding>,
    /// The negative image embedding.
    pub(in crate::families::kandinsky21) negative: Source,
    /// The decoder's text.
    pub(in crate::families::kandinsky21) decoder_prompt: PromptText,
    pub(in crate::families::kandinsky21) start: Start,
}

/// `weight * source`.
pub(in crate::families::kandinsky21) struct WeightedEmbedding {
    pub(in crate::families::kandinsky21) source: Source,
    pub(in crate::families::kandinsky21) weight: f32,
}

/// Where an embedding comes from.
pub(in crate::families::kandinsky21) enum Source {
    Known(Vec<f32>),
    /// Row `row` of prior run `run`.
    Prior {
        run: usize,
        row: usize,
    },
}

/// What the decoder starts from.
pub(in crate::families::kandinsky21) enum Start {
    Noise,
    /// An image at the size of the latents' canvas, `[3, height, width]` in -1..1.
    Image {
        planes: Vec<f32>,
        strength: f64,
    },
    /// The image likewise, and the mask at the same size: 1 keeps, 0 repaints.
    Inpainting {
        planes: Vec<f32>,
        mask: Vec<f32>,
    },
}
