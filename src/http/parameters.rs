//! Everything that a request asked for, as it was resolved.
//!
//! Invariant: sent again with the same pictures, these give the same pictures.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Extent, FusionInput, Input, JobSpec, Scheduler};
use crate::engine::ModelInfo;

/// A request as resolved: defaults filled in, the style's words added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoder_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    negative_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    negative_prior_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    negative_decoder_prompt: Option<String>,
    /// Of a fusion: the ingredients in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Ingredient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    composite: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feather: Option<u32>,
    /// Of outpainting: what came back, in the picture's coordinates.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowParameters>,
    width: u32,
    height: u32,
    n: u32,
    seed: u64,
    steps: u32,
    guidance_scale: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    scheduler: Option<Scheduler>,
    eta: f32,
    prior: PriorParameters,
    quantize_latents: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<String>,
    output_format: &'static str,
    output_quality: u8,
    embed_metadata: bool,
    preview_interval: u32,
}

/// An ingredient of a fusion.
#[derive(Debug, Serialize, ToSchema)]
struct Ingredient {
    /// Absent: a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    weight: f32,
}

#[derive(Debug, Serialize, ToSchema)]
struct WindowParameters {
    x: i64,
    y: i64,
    width: u32,
    height: u32,
}

#[derive(Debug, Serialize, ToSchema)]
struct PriorParameters {
    kind: &'static str,
    steps: u32,
    guidance_scale: f32,
}

impl Parameters {
    /// Those of a job on this model.
    pub(super) fn of(spec: &JobSpec, model: &ModelInfo) -> Self {
        let common = &spec.generation.common;
        let size = spec.generation.size(model.native_size);
        let mut parameters = Self {
            prompt: None,
            decoder_prompt: None,
            negative_prompt: common.negative_prompt.clone(),
            negative_prior_prompt: common.negative_prior_prompt.clone(),
            negative_decoder_prompt: common.decoder_negative().cloned(),
            inputs: Vec::new(),
            strength: None,
            composite: None,
            feather: None,
            window: None,
            width: size.width,
            height: size.height,
            n: common.n,
            seed: common.seed,
            steps: common.steps,
            guidance_scale: common.guidance_scale,
            scheduler: common.scheduler.clone().or_else(|| model.scheduler.clone()),
            eta: common.eta,
            prior: PriorParameters {
                kind: common.prior.kind.name(),
                steps: common.prior.steps,
                guidance_scale: common.prior.guidance_scale,
            },
            quantize_latents: common.quantize_latents,
            style: spec.style.clone(),
            output_format: spec.output.format.name(),
            output_quality: spec.output.quality,
            embed_metadata: spec.output.embed_metadata,
            preview_interval: spec.preview_interval,
        };
        parameters.add_input(&spec.generation.input);
        parameters
    }

    fn add_input(&mut self, input: &Input) {
        match input {
            Input::TextToImage(input) => self.prompt = Some(input.prompt.clone()),
            Input::ImageToImage(input) => {
                self.prompt = Some(input.prompt.clone());
                self.strength = Some(input.strength);
            }
            Input::ImageVariations(_) => {}
            Input::ImageFusion(input) => {
                let ingredient = |weight| Ingredient { prompt: None, weight };
                self.inputs = input.images.iter().map(|image| ingredient(image.weight)).collect();
            }
            Input::TextImageFusion(input) => {
                self.decoder_prompt.clone_from(&input.decoder_prompt);
                let prompt = |value: &FusionInput| match value {
                    FusionInput::Text(text) => Some(text.clone()),
                    FusionInput::Image(_) => None,
                };
                let ingredients = input.inputs.iter();
                self.inputs = ingredients.map(|i| Ingredient { prompt: prompt(&i.value), weight: i.weight }).collect();
            }
            Input::Inpainting(input) => {
                self.prompt.clone_from(&input.prompt);
                self.composite = Some(input.composite);
                self.feather = Some(input.feather);
            }
            Input::Outpainting(input) => {
                self.prompt.clone_from(&input.prompt);
                self.composite = Some(input.composite);
                let window = match input.extent {
                    Extent::Expand(_) => input.extent.window(&input.image),
                    Extent::Window(window) => window,
                };
                let (x, y, width, height) = (window.x, window.y, window.width, window.height);
                self.window = Some(WindowParameters { x, y, width, height });
            }
        }
    }
}
