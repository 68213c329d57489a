//! CLIP's image encoder with projection (transformers' `CLIPVisionModelWithProjection`).

use candle_core::Tensor;
use serde::Deserialize;

use crate::families::kandinsky21::clip::{Encoder, EncoderConfig};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{Activation, Compute, Conv2d, ConvShape, LayerNorm, Linear};

/// `image_encoder/config.json`; absent fields have transformers' defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ClipVisionConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub projection_dim: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_channels: usize,
    pub image_size: usize,
    pub patch_size: usize,
    pub hidden_act: String,
    pub layer_norm_eps: f64,
}

impl Default for ClipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            projection_dim: 512,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

/// The encoder.
pub struct ClipVision {
    config: ClipVisionConfig,
    class_embedding: Tensor,
    patch_embedding: Conv2d,
    position_embedding: Tensor,
    pre_layernorm: LayerNorm,
    encoder: Encoder,
    post_layernorm: LayerNorm,
    visual_projection: Linear,
    compute: Compute,
    bytes: usize,
}

/// What the encoder gives.
pub struct ClipVisionOutput {
    /// Projected class token, `[batch, projection]`, not of unit length.
    pub embeds: Tensor,
    /// States of class and patch tokens before the last norm, `[batch, 1 + patches, width]`.
    pub states: Tensor,
}

impl ClipVision {
    /// Load from an `image_encoder` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config: ClipVisionConfig = folder.json("config.json", "the CLIP image encoder's configuration")?;
        let bad = |message: String| Error::config(folder.name_of("config.json"), message);
        let activation = Activation::from_name(&config.hidden_act)
            .ok_or_else(|| bad(format!("unknown hidden_act {:?}", config.hidden_act)))?;
        if config.patch_size == 0 || config.image_size < config.patch_size {
            return Err(bad(format!("patches of {} in images of {}", config.patch_size, config.image_size)));
        }
        let weights = Weights::open(folder, "model")?;
        let vars = weights.vars(compute);
        let (width, eps, model) = (config.hidden_size, config.layer_norm_eps, vars.sub("vision_model"));
        let encoder = Encoder::load(
            &model.sub("encoder"),
            &EncoderConfig {
                layers: config.num_hidden_layers,
                width,
                heads: config.num_attention_heads,
                hidden: config.intermediate_size,
                activation,
                eps,
            },
        )?;
        let side = config.image_size / config.patch_size;
        let embeddings = model.sub("embeddings");
        Ok(Self {
            class_embedding: embeddings.tensor("class_embedding", &[width])?,
            patch_embedding: Conv2d::load_no_bias(
                &embeddings.sub("patch_embedding"),
                config.num_channels,
                width,
                ConvShape::patches(config.patch_size),
            )?,
            position_embedding: embeddings.sub("position_embedding").tensor("weight", &[1 + side * side, width])?,
            // The published tensors are spelt this way.
            pre_layernorm: LayerNorm::load(&model.sub("pre_layrnorm"), width, eps)?,
            encoder,
            post_layernorm: LayerNorm::load(&model.sub("post_layernorm"), width, eps)?,
            visual_projection: Linear::load_no_bias(&vars.sub("visual_projection"), width, config.projection_dim)?,
            compute: compute.clone(),
            bytes: weights.loaded_bytes(),
            config,
        })
    }

    /// Side of the square image that the encoder takes.
    #[must_use]
    pub fn image_size(&self) -> usize {
        self.config.image_size
    }

    /// Bytes of weights, as stored.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// Encode `batch` normalized images, `[batch, channels, size, size]`.
    pub fn forward(&self, pixels: Vec<f32>, batch: usize) -> Result<ClipVisionOutput> {
        let size = self.config.image_size;
        let x = self.compute.image(pixels, [batch, self.config.num_channels, size, size])?;
        let patches = self.patch_embedding.forward(&x)?.flatten(1, 2)?;
        let width = self.config.hidden_size;
        let class = self.class_embedding.reshape((1, 1, width))?.broadcast_as((batch, 1, width))?;
        let x = Tensor::cat(&[&class.contiguous()?, &patches], 1)?.broadcast_add(&self.position_embedding)?;
        let states = self.encoder.forward(&self.pre_layernorm.forward(&x)?, None)?;
        let class = states.narrow(1, 0, 1)?.squeeze(1)?;
        let embeds = self.visual_projection.forward(&self.post_layernorm.forward(&class)?)?;
        Ok(ClipVisionOutput { embeds, states })
    }

    /// The embedding of all-zero normalised pixels, `[1, projection]`: the reference's negative image embedding when
    /// there is no negative prompt (`KandinskyPriorPipeline.get_zero_embed`).
    pub fn zero_embedding(&self) -> Result<Tensor> {
        let size = self.config.image_size;
        Ok(self.forward(vec![0.0; self.config.num_channels * size * size], 1)?.embeds)
    }
}
