//! The parameters of a request as they were resolved, for answers and for the metadata of files.
//!
//! Invariant: sent again with the same images, these give the same images.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PromptSyntax, Scheduler};

/// A request as resolved: defaults filled in, the style's words added.
#[derive(Debug, Serialize, ToSchema)]
pub struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prior_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_decoder_prompt: Option<String>,
    #[serde(skip_serializing_if = "PromptSyntax::is_plain")]
    #[schema(value_type = Option<String>, example = "weights")]
    pub prompt_syntax: PromptSyntax,
    /// Of a fusion: the inputs in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<FusionParameter>,
    /// Of a fusion: false if the weights do not sum to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize_weights: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composite: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feather: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_colors: Option<bool>,
    /// Of outpainting: where the image lies on the canvas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_mask: Option<bool>,
    /// Of outpainting: the window that was returned, in the image's coordinates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowParameters>,
    pub width: u32,
    pub height: u32,
    pub n: u32,
    pub seed: u64,
    pub steps: u32,
    pub guidance_scale: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub scheduler: Option<Scheduler>,
    pub eta: f32,
    pub prior: PriorParameters,
    pub quantize_latents: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    pub output_format: &'static str,
    pub output_quality: u8,
    pub embed_metadata: bool,
    pub preview_interval: u32,
}

/// An input of a fusion.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ingredient)]
pub struct FusionParameter {
    /// Absent: an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    pub weight: f32,
}

/// A window in the image's coordinates, px.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowParameters {
    pub x: i64,
    pub y: i64,
    pub width: u32,
    pub height: u32,
}

/// How text became an image embedding.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriorParameters {
    pub kind: &'static str,
    pub steps: u32,
    pub guidance_scale: f32,
}
