//! CLIP's text encoder with projection (transformers' `CLIPTextModelWithProjection`).
//!
//! Invariant: the mask is causal alone; the tokenizer's attention mask never reaches this encoder.

use candle_core::Tensor;
use serde::Deserialize;

use crate::families::kandinsky21::clip::{Encoder, EncoderConfig};
use crate::families::kandinsky21::emphasis;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{Activation, Compute, Embedding, LayerNorm, Linear};

/// `text_encoder/config.json`; absent fields have transformers' defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub projection_dim: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub max_position_embeddings: usize,
    pub hidden_act: String,
    pub layer_norm_eps: f64,
    /// 2 stands for "the token with the highest id", as in the checkpoints that OpenAI published.
    pub eos_token_id: u32,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            projection_dim: 512,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407,
        }
    }
}

/// Config value of `eos_token_id` in checkpoints older than the field's meaning.
const LEGACY_EOS: u32 = 2;

/// The encoder.
pub struct ClipText {
    config: ClipTextConfig,
    token_embedding: Embedding,
    position_embedding: Tensor,
    encoder: Encoder,
    final_layer_norm: LayerNorm,
    text_projection: Linear,
    compute: Compute,
    bytes: usize,
}

/// What the encoder gives for a batch of `batch` texts.
pub struct ClipTextOutput {
    /// States of all tokens after the final norm, `[batch, tokens, width]`.
    pub states: Tensor,
    /// Projected state of the first end token, `[batch, projection]`.
    pub embeds: Tensor,
}

impl ClipText {
    /// Load from a `text_encoder` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config: ClipTextConfig = folder.json("config.json", "the CLIP text encoder's configuration")?;
        let activation = Activation::from_name(&config.hidden_act).ok_or_else(|| {
            Error::config(folder.name_of("config.json"), format!("unknown hidden_act {:?}", config.hidden_act))
        })?;
        let weights = Weights::open(folder, "model")?;
        let vars = weights.vars(compute);
        let (width, model) = (config.hidden_size, vars.sub("text_model"));
        let encoder = Encoder::load(
            &model.sub("encoder"),
            &EncoderConfig {
                layers: config.num_hidden_layers,
                width,
                heads: config.num_attention_heads,
                hidden: config.intermediate_size,
                activation,
                eps: config.layer_norm_eps,
            },
        )?;
        let embeddings = model.sub("embeddings");
        Ok(Self {
            token_embedding: Embedding::load(&embeddings.sub("token_embedding"), config.vocab_size, width)?,
            position_embedding: embeddings
                .sub("position_embedding")
                .tensor("weight", &[config.max_position_embeddings, width])?,
            encoder,
            final_layer_norm: LayerNorm::load(&model.sub("final_layer_norm"), width, config.layer_norm_eps)?,
            text_projection: Linear::load_no_bias(&vars.sub("text_projection"), width, config.projection_dim)?,
            compute: compute.clone(),
            bytes: weights.loaded_bytes(),
            config,
        })
    }

    /// Width of the projected embedding.
    #[must_use]
    pub fn projection_dim(&self) -> usize {
        self.config.projection_dim
    }

    /// Bytes of weights, as stored.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// Encode token lists of one length, at most `max_position_embeddings`.
    pub fn forward(&self, ids: &[Vec<u32>]) -> Result<ClipTextOutput> {
        self.forward_weighted(ids, None)
    }

    /// The same with how often each token counts.
    pub fn forward_weighted(&self, ids: &[Vec<u32>], weights: Option<&[Vec<f32>]>) -> Result<ClipTextOutput> {
        let tokens = ids.first().map_or(0, Vec::len);
        if tokens == 0 || tokens > self.config.max_position_embeddings {
            return Err(Error::Request(format!("{tokens} tokens, 1 to {} fit", self.config.max_position_embeddings)));
        }
        let x = self.token_embedding.forward(ids)?;
        let x = x.broadcast_add(&self.position_embedding.narrow(0, 0, tokens)?)?;
        let x = self.encoder.forward(&x, Some(&causal_bias(tokens, weights, &self.compute)?))?;
        let states = self.final_layer_norm.forward(&x)?;
        let pooled = ids
            .iter()
            .enumerate()
            .map(|(row, ids)| states.get(row)?.get(self.end_position(ids)))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let embeds = self.text_projection.forward(&Tensor::stack(&pooled, 0)?)?;
        Ok(ClipTextOutput { states, embeds })
    }

    fn end_position(&self, ids: &[u32]) -> usize {
        let end = if self.config.eos_token_id == LEGACY_EOS {
            ids.iter().copied().max().unwrap_or(0)
        } else {
            self.config.eos_token_id
        };
        ids.iter().position(|id| *id == end).unwrap_or(0)
    }
}

/// `[1, tokens, tokens]`: 0 up to the diagonal, minus infinity above it. With weights `[batch, tokens, tokens]`, and theirs added.
fn causal_bias(tokens: usize, weights: Option<&[Vec<f32>]>, compute: &Compute) -> Result<Tensor> {
    let causal = |i: usize| if i % tokens > i / tokens { f32::NEG_INFINITY } else { 0.0 };
    let Some(weights) = weights else {
        return compute.tensor((0..tokens * tokens).map(causal).collect(), &[1, tokens, tokens]);
    };
    let row = |weights: &Vec<f32>| {
        let scores: Vec<f32> = weights.iter().map(|weight| emphasis::score(*weight)).collect();
        (0..tokens * tokens).map(move |i| causal(i) + scores[i % tokens]).collect::<Vec<_>>()
    };
    compute.tensor(weights.iter().flat_map(row).collect(), &[weights.len(), tokens, tokens])
}
