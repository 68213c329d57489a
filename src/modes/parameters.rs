//! The parameters of a request as they were resolved, for answers and for the metadata of files.
//!
//! Invariant: sent again with the same images, these give the same images.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PromptSyntax, Scheduler, TranslatedText};

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
    /// Which texts are translated, where the server translates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "auto")]
    pub translate: Option<&'static str>,
    /// `clip`: the prior alone reads the translations, the decoder the originals. Absent: both read the translations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "clip")]
    pub translation_applies_to: Option<&'static str>,
    /// The prompt as it was drawn, if it was translated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "red heart")]
    pub prompt_translated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_prompt_translated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prompt_translated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prior_prompt_translated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_decoder_prompt_translated: Option<String>,
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
    /// Absent: nothing was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceleration: Option<AccelerationParameters>,
    pub quantize_latents: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    pub output_format: &'static str,
    pub output_quality: u8,
    pub embed_metadata: bool,
    pub preview_interval: u32,
}

impl Parameters {
    /// Say what was drawn in place of these texts.
    pub fn add_translations(&mut self, translated: &[TranslatedText]) {
        for TranslatedText { field, drawn, .. } in translated {
            let place = match field.as_str() {
                "/prompt" => &mut self.prompt_translated,
                "/decoder_prompt" => &mut self.decoder_prompt_translated,
                "/negative_prompt" => &mut self.negative_prompt_translated,
                "/negative_prior_prompt" => &mut self.negative_prior_prompt_translated,
                "/negative_decoder_prompt" => &mut self.negative_decoder_prompt_translated,
                other => {
                    let number = other.strip_prefix("/inputs/").and_then(|rest| rest.strip_suffix("/prompt"));
                    let input = number.and_then(|number| number.parse::<usize>().ok());
                    match input.and_then(|number| self.inputs.get_mut(number)) {
                        Some(input) => &mut input.prompt_translated,
                        None => continue,
                    }
                }
            };
            *place = Some(drawn.clone());
        }
    }
}

/// An input of a fusion.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ingredient)]
pub struct FusionParameter {
    /// Absent: an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The text as it was drawn, if it was translated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_translated: Option<String>,
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

/// What decoder steps left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccelerationParameters {
    pub cache_interval: u32,
    pub guidance_start: f32,
    pub guidance_end: f32,
}

/// How text became an image embedding.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriorParameters {
    pub kind: &'static str,
    pub steps: u32,
    pub guidance_scale: f32,
}
