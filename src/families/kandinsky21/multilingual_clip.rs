//! The decoder's text encoder: XLM-RoBERTa, a masked mean over its tokens and a linear layer (M-CLIP, Carlsson et al.
//! 2022; diffusers' `MultilingualCLIP`).

use candle_core::Tensor;
use serde::Deserialize;

use crate::families::kandinsky21::emphasis;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::probe;
use crate::tensor::weights::Weights;
use crate::tensor::{self, Activation, Attention, Compute, Embedding, LayerNorm, Linear, Vars};

/// `text_encoder/config.json`; absent fields have the defaults of transformers' `XLMRobertaConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct MultilingualClipConfig {
    /// Width of the pooled embedding after the linear layer.
    #[serde(rename = "numDims")]
    pub num_dims: usize,
    /// Width of its input.
    #[serde(rename = "transformerDimensions")]
    pub transformer_dimensions: usize,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub pad_token_id: u32,
    pub hidden_act: String,
    pub layer_norm_eps: f64,
}

impl Default for MultilingualClipConfig {
    fn default() -> Self {
        Self {
            num_dims: 768,
            transformer_dimensions: 1024,
            vocab_size: 30_522,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            pad_token_id: 1,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-12,
        }
    }
}

/// The encoder.
pub struct MultilingualClip {
    config: MultilingualClipConfig,
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embedding: Tensor,
    embedding_norm: LayerNorm,
    layers: Vec<Layer>,
    linear_transformation: Linear,
    compute: Compute,
    bytes: usize,
}

/// What the encoder gives.
pub struct MultilingualClipOutput {
    /// Pooled and projected, `[batch, num_dims]`.
    pub embeds: Tensor,
    /// States of all tokens, padding included, `[batch, tokens, hidden]`.
    pub states: Tensor,
}

impl MultilingualClip {
    /// Load from a `text_encoder` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config: MultilingualClipConfig = folder.json("config.json", "the text encoder's configuration")?;
        let bad = |message: String| Error::config(folder.name_of("config.json"), message);
        let activation = Activation::from_name(&config.hidden_act)
            .ok_or_else(|| bad(format!("unknown hidden_act {:?}", config.hidden_act)))?;
        if config.transformer_dimensions != config.hidden_size {
            return Err(bad(format!(
                "transformerDimensions {} differs from hidden_size {}",
                config.transformer_dimensions, config.hidden_size
            )));
        }
        let weights = Weights::open(folder, "model")?;
        let vars = weights.vars(compute);
        let (width, model) = (config.hidden_size, vars.sub("transformer"));
        model.check_heads(width, config.num_attention_heads)?;
        let embeddings = model.sub("embeddings");
        let types = embeddings.sub("token_type_embeddings").tensor("weight", &[config.type_vocab_size, width])?;
        Ok(Self {
            word_embeddings: Embedding::load(&embeddings.sub("word_embeddings"), config.vocab_size, width)?,
            position_embeddings: Embedding::load(
                &embeddings.sub("position_embeddings"),
                config.max_position_embeddings,
                width,
            )?,
            token_type_embedding: types.get(0)?,
            embedding_norm: LayerNorm::load(&embeddings.sub("LayerNorm"), width, config.layer_norm_eps)?,
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::load(&model.sub("encoder.layer").sub(i), &config, activation))
                .collect::<Result<_>>()?,
            linear_transformation: Linear::load(&vars.sub("LinearTransformation"), width, config.num_dims)?,
            compute: compute.clone(),
            bytes: weights.loaded_bytes(),
            config,
        })
    }

    /// Widths of the pooled embedding and of the states.
    #[must_use]
    pub fn widths(&self) -> (usize, usize) {
        (self.config.num_dims, self.config.hidden_size)
    }

    /// Bytes of weights, as stored.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// Position of each token: padding has the pad id itself, others count up from behind it.
    #[must_use]
    pub fn position_ids(&self, ids: &[u32]) -> Vec<u32> {
        let pad = self.config.pad_token_id;
        let mut next = pad;
        ids.iter()
            .map(|id| {
                if *id == pad {
                    pad
                } else {
                    next += 1;
                    next
                }
            })
            .collect()
    }

    /// Encode token lists of one length with their attention masks.
    pub fn forward(&self, ids: &[Vec<u32>], masks: &[Vec<bool>]) -> Result<MultilingualClipOutput> {
        self.forward_weighted(ids, masks, None)
    }

    /// The same with how often each token counts.
    pub fn forward_weighted(
        &self,
        ids: &[Vec<u32>],
        masks: &[Vec<bool>],
        weights: Option<&[Vec<f32>]>,
    ) -> Result<MultilingualClipOutput> {
        let (batch, tokens) = (ids.len(), ids.first().map_or(0, Vec::len));
        if masks.len() != batch || masks.iter().any(|mask| mask.len() != tokens || !mask.contains(&true)) {
            return Err(Error::Request("every text needs a mask of its length with at least one token".into()));
        }
        let computed = self.computed_tokens(ids, masks);
        let ids: Vec<Vec<u32>> = ids.iter().map(|ids| ids[..computed].to_vec()).collect();
        let positions: Vec<Vec<u32>> = ids.iter().map(|ids| self.position_ids(ids)).collect();
        let x = (self.word_embeddings.forward(&ids)? + self.position_embeddings.forward(&positions)?)?;
        let x = self.embedding_norm.forward(&x.broadcast_add(&self.token_type_embedding)?)?;
        probe::sequence("hidden_states.0", &x);
        let mut bias = Vec::with_capacity(batch * computed);
        for (row, mask) in masks.iter().enumerate() {
            let weight = |token: usize| weights.map_or(0.0, |weights| emphasis::score(weights[row][token]));
            let kept = mask.iter().take(computed).map(|keep| if *keep { 0.0 } else { f32::NEG_INFINITY });
            bias.extend(kept.enumerate().map(|(token, bias): (usize, f32)| bias + weight(token)));
        }
        let bias = self.compute.tensor(bias, &[batch, 1, computed])?;
        let mut states = x;
        for (i, layer) in self.layers.iter().enumerate() {
            states = layer.forward(&states, &bias)?;
            probe::sequence(format_args!("hidden_states.{}", i + 1), &states);
        }
        let states = repeat_last_token(&states, tokens)?;
        let embeds = self.linear_transformation.forward(&self.masked_mean(&states, masks, weights)?)?;
        Ok(MultilingualClipOutput { embeds, states })
    }

    /// How many tokens of each text are computed: of the padding at its end one, which stands for all of it. All of it is the same
    /// token at the same position, attends to the same tokens, and none attends to it. What is recorded is computed token by token.
    fn computed_tokens(&self, ids: &[Vec<u32>], masks: &[Vec<bool>]) -> usize {
        let tokens = ids.first().map_or(0, Vec::len);
        if probe::is_recording() {
            return tokens;
        }
        let is_text = |(id, keep): (&u32, &bool)| *keep || *id != self.config.pad_token_id;
        let text_end =
            |(ids, mask): (&Vec<u32>, &Vec<bool>)| ids.iter().zip(mask).rposition(is_text).map_or(0, |at| at + 1);
        ids.iter().zip(masks).map(text_end).max().map_or(0, |end| (end + 1).min(tokens))
    }

    fn masked_mean(&self, states: &Tensor, masks: &[Vec<bool>], weights: Option<&[Vec<f32>]>) -> Result<Tensor> {
        let width = self.config.hidden_size;
        let mut pooled = Vec::with_capacity(masks.len() * width);
        for (row, mask) in masks.iter().enumerate() {
            let values = tensor::to_vec(&states.get(row)?)?;
            let mut sum = vec![0.0_f32; width];
            let weight_of = |token: usize| weights.map_or(1.0, |weights| weights[row][token]);
            let mut count = 0.0;
            for (token, _) in mask.iter().enumerate().filter(|(_, keep)| **keep) {
                let weight = weight_of(token);
                for (sum, x) in sum.iter_mut().zip(&values[token * width..]) {
                    *sum += weight * x;
                }
                count += weight;
            }
            pooled.extend(sum.into_iter().map(|sum| sum / count));
        }
        self.compute.tensor(pooled, &[masks.len(), width])
    }
}

/// `[batch, some, width]` to `[batch, tokens, width]`: those that are missing equal the last one.
fn repeat_last_token(states: &Tensor, tokens: usize) -> Result<Tensor> {
    let (batch, some, width) = states.dims3()?;
    if some == tokens {
        return Ok(states.clone());
    }
    let rest = states.narrow(1, some - 1, 1)?.broadcast_as((batch, tokens - some, width))?;
    Ok(Tensor::cat(&[states, &rest.contiguous()?], 1)?)
}

/// A post-norm block (transformers' `XLMRobertaLayer`).
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_dense: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    heads: usize,
    activation: Activation,
    compute: Compute,
}

impl Layer {
    fn load(vars: &Vars<'_>, config: &MultilingualClipConfig, activation: Activation) -> Result<Self> {
        let (width, hidden, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let projection = |name: &str| Linear::load(&vars.sub("attention.self").sub(name), width, width);
        Ok(Self {
            query: projection("query")?,
            key: projection("key")?,
            value: projection("value")?,
            attention_dense: Linear::load(&vars.sub("attention.output.dense"), width, width)?,
            attention_norm: LayerNorm::load(&vars.sub("attention.output.LayerNorm"), width, eps)?,
            intermediate: Linear::load(&vars.sub("intermediate.dense"), width, hidden)?,
            output: Linear::load(&vars.sub("output.dense"), hidden, width)?,
            output_norm: LayerNorm::load(&vars.sub("output.LayerNorm"), width, eps)?,
            heads: config.num_attention_heads,
            activation,
            compute: vars.compute().clone(),
        })
    }

    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let attended = self.compute.attention(&Attention {
            query: &self.query.forward(x)?,
            key: &self.key.forward(x)?,
            value: &self.value.forward(x)?,
            context: &[],
            heads: self.heads,
            bias: Some(bias),
        })?;
        let x = self.attention_norm.forward(&self.attention_dense.forward_add(&attended, x)?)?;
        let h = self.intermediate.forward_activated(&x, self.activation)?;
        self.output_norm.forward(&self.output.forward_add(&h, &x)?)
    }
}
