//! The network, text and all: what the reference computes at every step.

use std::ops::Range;

use candle_core::Tensor;

use super::config::PriorConfig;
use crate::diffusion::timestep::{Features, TimestepEmbedding};
use crate::families::kandinsky21::tokenizer::TEXT_TOKENS;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::probe;
use crate::tensor::weights::Weights;
use crate::tensor::{Activation, Attention, Compute, LayerNorm, Linear, Vars};

/// What masked positions get added; finite, and the padding and causal parts add up, as in the reference.
const MASKED: f32 = -10_000.0;
const LAYER_NORM_EPS: f64 = 1e-5;

/// The network.
pub struct PriorTransformer {
    pub(super) config: PriorConfig,
    pub(super) time_embedding: TimestepEmbedding,
    pub(super) proj_in: Linear,
    pub(super) embedding_proj: Linear,
    pub(super) encoder_hidden_states_proj: Linear,
    pub(super) positional_embedding: Tensor,
    pub(super) prd_embedding: Tensor,
    pub(super) blocks: Vec<Block>,
    pub(super) norm_out: LayerNorm,
    pub(super) proj_to_clip_embeddings: Linear,
    pub(super) clip_mean: Vec<f32>,
    pub(super) clip_std: Vec<f32>,
    pub(super) compute: Compute,
    pub(super) bytes: usize,
    pub(super) source: String,
}

/// The inputs of one call, a row a sample.
pub struct PriorInput<'a> {
    /// Noisy image embeddings, `[batch, embedding]`.
    pub latents: &'a Tensor,
    pub timesteps: &'a [f32],
    /// Projected text embeddings, `[batch, embedding]`.
    pub text_embeds: &'a Tensor,
    /// Text states, `[batch, tokens, embedding]`.
    pub text_states: &'a Tensor,
    /// Which text tokens are not padding. None turns the causal mask off, too, as in the reference.
    pub masks: Option<&'a [Vec<bool>]>,
}

impl PriorTransformer {
    /// Load from a `prior` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config: PriorConfig = folder.json("config.json", "the prior's configuration")?;
        config.check().map_err(|message| Error::config(folder.name_of("config.json"), message))?;
        let weights = Weights::open(folder, "diffusion_pytorch_model")?;
        let vars = weights.vars(compute);
        let width = config.num_attention_heads * config.attention_head_dim;
        let embedding = config.embedding_dim;
        let clip = config.clip_embed_dim.unwrap_or(embedding);
        let tokens = config.num_embeddings + config.additional_embeddings;
        let features = Features { width, flip_sin_to_cos: true, freq_shift: 0.0 };
        let hidden = config.time_embed_dim.unwrap_or(width);
        Ok(Self {
            time_embedding: TimestepEmbedding::load(&vars.sub("time_embedding"), features, hidden, width)?,
            proj_in: Linear::load(&vars.sub("proj_in"), embedding, width)?,
            embedding_proj: Linear::load(
                &vars.sub("embedding_proj"),
                config.embedding_proj_dim.unwrap_or(embedding),
                width,
            )?,
            encoder_hidden_states_proj: Linear::load(&vars.sub("encoder_hidden_states_proj"), embedding, width)?,
            positional_embedding: vars.tensor("positional_embedding", &[1, tokens, width])?,
            prd_embedding: vars.tensor("prd_embedding", &[1, 1, width])?,
            blocks: (0..config.num_layers)
                .map(|i| Block::load(&vars.sub("transformer_blocks").sub(i), width, config.num_attention_heads))
                .collect::<Result<_>>()?,
            norm_out: LayerNorm::load(&vars.sub("norm_out"), width, LAYER_NORM_EPS)?,
            proj_to_clip_embeddings: Linear::load(&vars.sub("proj_to_clip_embeddings"), width, clip)?,
            clip_mean: vars.values("clip_mean", &[1, clip])?,
            clip_std: vars.values("clip_std", &[1, clip])?,
            compute: compute.clone(),
            bytes: weights.loaded_bytes(),
            source: weights.path().to_owned(),
            config,
        })
    }

    /// Width of the embeddings it predicts.
    #[must_use]
    pub fn embedding_dim(&self) -> usize {
        self.config.embedding_dim
    }

    /// Whether it fits the fixed parts of the pipeline.
    pub(in crate::families::kandinsky21) fn check_fit(&self) -> Result<(), String> {
        let config = &self.config;
        if config.num_embeddings != TEXT_TOKENS {
            return Err(format!("the prior takes {} text tokens, not {TEXT_TOKENS}", config.num_embeddings));
        }
        if config.clip_embed_dim.is_some_and(|dim| dim != config.embedding_dim) {
            return Err("the prior's clip_embed_dim differs from its embedding_dim".to_owned());
        }
        Ok(())
    }

    /// The file its weights come from, for messages.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Bytes of weights, as stored.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// The predicted clean embeddings, `[batch, embedding]`, in the prior's normalised space.
    pub fn forward(&self, input: &PriorInput<'_>) -> Result<Tensor> {
        let (batch, _) = input.latents.dims2()?;
        probe::sequence("input.latents", input.latents);
        probe::sequence("input.text_embeds", input.text_embeds);
        probe::sequence("input.text_states", input.text_states);
        let time = self.time_embedding.forward(input.timesteps)?;
        let text = self.embedding_proj.forward(input.text_embeds)?;
        let states = self.encoder_hidden_states_proj.forward(input.text_states)?;
        let latents = self.proj_in.forward(input.latents)?;
        probe::sequence("embedding_proj", &text);
        probe::sequence("encoder_hidden_states_proj", &states);
        probe::sequence("proj_in", &latents);
        let width = self.prd_embedding.dim(2)?;
        let query = self.prd_embedding.broadcast_as((batch, 1, width))?.contiguous()?;
        let mut x =
            Tensor::cat(&[&states, &text.unsqueeze(1)?, &time.unsqueeze(1)?, &latents.unsqueeze(1)?, &query], 1)?
                .broadcast_add(&self.positional_embedding)?;
        let tokens = x.dim(1)?;
        let bias = input.masks.map(|masks| self.bias(masks.iter().map(Vec::as_slice), 0..tokens)).transpose()?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = probe::within(format_args!("transformer_blocks.{i}"), || block.forward(&x, bias.as_ref()))?;
        }
        let x = self.norm_out.forward(&x)?;
        probe::sequence("norm_out", &x);
        let last = x.narrow(1, tokens - 1, 1)?.squeeze(1)?;
        let predicted = self.proj_to_clip_embeddings.forward(&last)?;
        probe::sequence("output", &predicted);
        Ok(predicted)
    }

    /// What these query tokens get added to their scores for all tokens up to the last of them, `[batch, queries, keys]`:
    /// the padding part and the causal part.
    pub(super) fn bias<'a>(
        &self,
        masks: impl IntoIterator<Item = &'a [bool]>,
        queries: Range<usize>,
    ) -> Result<Tensor> {
        let text = self.config.num_embeddings;
        let (mut batch, mut values) = (0, Vec::new());
        for mask in masks {
            if mask.len() != text {
                return Err(Error::Request(format!("text masks must have {text} tokens")));
            }
            batch += 1;
            for query in queries.clone() {
                for key in 0..queries.end {
                    let padding = mask.get(key).is_some_and(|keep| !keep);
                    values.push(MASKED * (f32::from(u8::from(padding)) + f32::from(u8::from(key > query))));
                }
            }
        }
        let bias = self.compute.tensor(values, &[batch, queries.len(), queries.end])?;
        probe::sequence("bias", &bias);
        Ok(bias)
    }

    /// From the prior's normalised space to CLIP's: `x * clip_std + clip_mean`.
    #[must_use]
    pub fn post_process(&self, latents: &[f32]) -> Vec<f32> {
        latents
            .iter()
            .enumerate()
            .map(|(i, x)| x * self.clip_std[i % self.clip_std.len()] + self.clip_mean[i % self.clip_mean.len()])
            .collect()
    }
}

/// A block (diffusers' `BasicTransformerBlock` with `norm1`, `attn1`, `norm3`, `ff` and biases everywhere).
pub(super) struct Block {
    pub(super) norm1: LayerNorm,
    pub(super) to_q: Linear,
    pub(super) to_k: Linear,
    pub(super) to_v: Linear,
    pub(super) to_out: Linear,
    pub(super) norm3: LayerNorm,
    pub(super) ff_in: Linear,
    pub(super) ff_out: Linear,
    pub(super) heads: usize,
    pub(super) compute: Compute,
}

impl Block {
    fn load(vars: &Vars<'_>, width: usize, heads: usize) -> Result<Self> {
        /// Ratio of the feed-forward layer's width to the block's.
        const FEED_FORWARD: usize = 4;
        let projection = |name: &str| Linear::load(&vars.sub("attn1").sub(name), width, width);
        Ok(Self {
            norm1: LayerNorm::load(&vars.sub("norm1"), width, LAYER_NORM_EPS)?,
            to_q: projection("to_q")?,
            to_k: projection("to_k")?,
            to_v: projection("to_v")?,
            to_out: projection("to_out.0")?,
            norm3: LayerNorm::load(&vars.sub("norm3"), width, LAYER_NORM_EPS)?,
            ff_in: Linear::load(&vars.sub("ff.net.0.proj"), width, FEED_FORWARD * width)?,
            ff_out: Linear::load(&vars.sub("ff.net.2"), FEED_FORWARD * width, width)?,
            heads,
            compute: vars.compute().clone(),
        })
    }

    fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let h = self.norm1.forward(x)?;
        probe::sequence("norm1", &h);
        self.rest(x, &h, (&self.to_k.forward(&h)?, &self.to_v.forward(&h)?), &[], bias)
    }

    /// All that follows the keys and values; `context` is attended before them.
    pub(super) fn rest(
        &self,
        x: &Tensor,
        h: &Tensor,
        (key, value): (&Tensor, &Tensor),
        context: &[(&Tensor, &Tensor)],
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let query = &self.to_q.forward(h)?;
        let attended = self.compute.attention(&Attention { query, key, value, context, heads: self.heads, bias })?;
        let x = self.to_out.forward_add(&attended, x)?;
        let h = self.ff_in.forward_activated(&self.norm3.forward(&x)?, Activation::Gelu)?;
        let x = self.ff_out.forward_add(&h, &x)?;
        probe::sequence("", &x);
        Ok(x)
    }
}
