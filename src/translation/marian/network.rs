//! Marian's transformer (Junczys-Dowmunt et al. 2018; transformers' `MarianMTModel`): norms behind the layers, sinusoidal
//! positions, one table of embeddings for both languages and for the output, or one for each.
//!
//! Invariant: nothing is kept in the network from one text to the next; what a translation has read is in its own
//! [`Decoding`].

use candle_core::Tensor;

use super::attention::{Attention, KeyValues};
use super::config::MarianConfig;
use crate::tensor::error::{Error, Result, check_finite};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{Activation, Compute, Embedding, LayerNorm, Linear, Vars, to_vec};

const EPS: f64 = 1e-5;
/// Where checkpoints have the tables of embeddings: those that are equal are often written once, by any of their names.
const SHARED: &str = "model.shared";
const SOURCE: &str = "model.encoder.embed_tokens";
const TARGET: &str = "model.decoder.embed_tokens";
const OUTPUT: &str = "lm_head";

/// The network.
pub struct Network {
    config: MarianConfig,
    source: Embedding,
    /// `None`: the same table.
    target: Option<Embedding>,
    encoder: Vec<EncoderLayer>,
    decoder: Vec<DecoderLayer>,
    output: Linear,
    output_bias: Vec<f32>,
    compute: Compute,
    path: String,
}

struct EncoderLayer {
    attention: Attention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
}

struct DecoderLayer {
    attention: Attention,
    attention_norm: LayerNorm,
    cross: Attention,
    cross_norm: LayerNorm,
    feed_forward: FeedForward,
}

struct FeedForward {
    first: Linear,
    second: Linear,
    norm: LayerNorm,
    activation: Activation,
}

/// A text that is being translated: several candidates, all of one length.
pub struct Decoding {
    /// Of each decoder layer: keys and values of the source text, `[1, tokens, width]`.
    source: Vec<KeyValues>,
    /// Of each decoder layer: those of what was written, `[candidates, tokens, width]`.
    written: Vec<Option<KeyValues>>,
    tokens: usize,
}

impl Network {
    /// Load from a folder that has the weights as transformers names them.
    pub fn load(folder: &Folder, config: &MarianConfig, compute: &Compute) -> Result<Self> {
        let weights = Weights::open(folder, "model")?;
        let vars = weights.vars(compute);
        let activation = Activation::from_name(&config.activation_function).ok_or_else(|| {
            let message = format!("unknown activation_function {:?}", config.activation_function);
            Error::config(folder.name_of("config.json"), message)
        })?;
        let first = |names: &[&str]| {
            let known = names.iter().map(|name| vars.sub(name)).find(|table| table.has("weight"));
            known.unwrap_or_else(|| vars.sub(names[0]))
        };
        let (is_shared, is_tied) = (config.share_encoder_decoder_embeddings, config.tie_word_embeddings);
        let source = match (is_shared, is_tied) {
            (true, true) => first(&[SHARED, SOURCE, TARGET, OUTPUT]),
            // Where nothing else is tied, each side has what was made of the shared table.
            (true, false) => first(&[SOURCE, SHARED, TARGET]),
            (false, _) => first(&[SOURCE]),
        };
        let target = match (is_shared, is_tied) {
            (true, true) => None,
            (true, false) => Some(first(&[TARGET, SHARED, SOURCE])),
            (false, true) => Some(first(&[TARGET, OUTPUT])),
            (false, false) => Some(first(&[TARGET])),
        };
        let written = target.as_ref().unwrap_or(&source);
        let untied = first(&[OUTPUT]);
        let output = if is_tied { written } else { &untied };
        let (encoder, decoder) = (vars.sub("model.encoder.layers"), vars.sub("model.decoder.layers"));
        let (width, words) = (config.d_model, config.target_vocab_size());
        Ok(Self {
            source: Embedding::load(&source, config.vocab_size, width)?,
            target: target.as_ref().map(|target| Embedding::load(target, words, width)).transpose()?,
            encoder: (0..config.encoder_layers)
                .map(|i| EncoderLayer::load(&encoder.sub(i), config, activation))
                .collect::<Result<_>>()?,
            decoder: (0..config.decoder_layers)
                .map(|i| DecoderLayer::load(&decoder.sub(i), config, activation))
                .collect::<Result<_>>()?,
            output: Linear::load_no_bias(output, width, words)?,
            output_bias: vars.values("final_logits_bias", &[1, words])?,
            compute: compute.clone(),
            path: weights.path().to_owned(),
            config: config.clone(),
        })
    }

    /// The states of a source text, `[1, tokens, width]`; its ids end with the end token.
    pub fn encode(&self, ids: &[u32]) -> Result<Tensor> {
        let most = self.config.max_position_embeddings;
        if ids.is_empty() || ids.len() > most {
            return Err(Error::Request(format!("{} tokens, 1 to {most} fit", ids.len())));
        }
        let mut x = self.embed(&self.source, &[ids.to_vec()], 0)?;
        for layer in &self.encoder {
            x = layer.forward(&x)?;
        }
        Ok(x)
    }

    /// Begin to translate a text, from its states.
    pub fn begin(&self, states: &Tensor) -> Result<Decoding> {
        let source = self.decoder.iter().map(|layer| layer.cross.key_values(states)).collect::<Result<_>>()?;
        Ok(Decoding { source, written: vec![None; self.decoder.len()], tokens: 0 })
    }

    /// Write one more token of each candidate: the scores of all words as the next one, before their softmax,
    /// `[candidates * words]`.
    pub fn step(&self, decoding: &mut Decoding, tokens: &[u32]) -> Result<Vec<f32>> {
        if decoding.tokens >= self.config.max_position_embeddings {
            return Err(Error::Request(format!("at most {} tokens can be written", decoding.tokens)));
        }
        let ids: Vec<Vec<u32>> = tokens.iter().map(|token| vec![*token]).collect();
        let mut x = self.embed(self.target.as_ref().unwrap_or(&self.source), &ids, decoding.tokens)?;
        let caches = decoding.source.iter().zip(&mut decoding.written);
        for (layer, (source, written)) in self.decoder.iter().zip(caches) {
            x = layer.forward(&x, source, written)?;
        }
        decoding.tokens += 1;
        let mut scores = to_vec(&self.output.forward(&x)?)?;
        for scores in scores.chunks_exact_mut(self.output_bias.len()) {
            scores.iter_mut().zip(&self.output_bias).for_each(|(score, bias)| *score += bias);
        }
        check_finite(&scores, "the translation model", &self.path)?;
        Ok(scores)
    }

    /// Embeddings of `[batch][tokens]` ids from position `start` on, with that of their positions.
    fn embed(&self, table: &Embedding, ids: &[Vec<u32>], start: usize) -> Result<Tensor> {
        let mut x = table.forward(ids)?;
        if self.config.scale_embedding {
            #[expect(clippy::cast_precision_loss, reason = "a width")]
            let scale = (self.config.d_model as f64).sqrt();
            x = (x * scale)?;
        }
        let count = ids.first().map_or(0, Vec::len);
        let positions = (start..start + count).flat_map(|at| position(at, self.config.d_model)).collect();
        let positions = self.compute.tensor(positions, &[count, self.config.d_model])?;
        Ok(x.broadcast_add(&positions)?)
    }
}

impl Decoding {
    /// Go on with these candidates, by the numbers that they had; one may be taken several times.
    pub fn select(&mut self, candidates: &[u32]) -> Result<()> {
        for written in self.written.iter_mut().flatten() {
            let rows = Tensor::new(candidates, written.keys.device())?;
            *written = written.select(&rows)?;
        }
        Ok(())
    }
}

impl EncoderLayer {
    fn load(vars: &Vars<'_>, config: &MarianConfig, activation: Activation) -> Result<Self> {
        let width = config.d_model;
        Ok(Self {
            attention: Attention::load(&vars.sub("self_attn"), width, config.encoder_attention_heads)?,
            attention_norm: LayerNorm::load(&vars.sub("self_attn_layer_norm"), width, EPS)?,
            feed_forward: FeedForward::load(vars, width, config.encoder_ffn_dim, activation)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let own = self.attention.key_values(x)?;
        let x = self.attention_norm.forward(&self.attention.forward_add(x, &own)?)?;
        self.feed_forward.forward(&x)
    }
}

impl DecoderLayer {
    fn load(vars: &Vars<'_>, config: &MarianConfig, activation: Activation) -> Result<Self> {
        let (width, heads) = (config.d_model, config.decoder_attention_heads);
        Ok(Self {
            attention: Attention::load(&vars.sub("self_attn"), width, heads)?,
            attention_norm: LayerNorm::load(&vars.sub("self_attn_layer_norm"), width, EPS)?,
            cross: Attention::load(&vars.sub("encoder_attn"), width, heads)?,
            cross_norm: LayerNorm::load(&vars.sub("encoder_attn_layer_norm"), width, EPS)?,
            feed_forward: FeedForward::load(vars, width, config.decoder_ffn_dim, activation)?,
        })
    }

    /// `x` is `[candidates, 1, width]`; what it is attended by later is added to `written`.
    fn forward(&self, x: &Tensor, source: &KeyValues, written: &mut Option<KeyValues>) -> Result<Tensor> {
        let all = KeyValues::extended(written.take(), self.attention.key_values(x)?)?;
        let y = self.attention.forward_add(x, &all)?;
        *written = Some(all);
        let y = self.attention_norm.forward(&y)?;
        // All candidates read one source, so they are the queries of one attention rather than of one each.
        let (candidates, _, width) = y.dims3()?;
        let y = self.cross.forward_add(&y.reshape((1, candidates, width))?, source)?;
        let y = self.cross_norm.forward(&y.reshape((candidates, 1, width))?)?;
        self.feed_forward.forward(&y)
    }
}

impl FeedForward {
    fn load(vars: &Vars<'_>, width: usize, hidden: usize, activation: Activation) -> Result<Self> {
        Ok(Self {
            first: Linear::load(&vars.sub("fc1"), width, hidden)?,
            second: Linear::load(&vars.sub("fc2"), hidden, width)?,
            norm: LayerNorm::load(&vars.sub("final_layer_norm"), width, EPS)?,
            activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.first.forward_activated(x, self.activation)?;
        self.norm.forward(&self.second.forward_add(&hidden, x)?)
    }
}

/// The embedding of a position: sines in the first half, cosines in the second, each frequency in both.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "positions and widths are small")]
fn position(at: usize, width: usize) -> Vec<f32> {
    let angle = |i: usize| at as f64 / 10_000_f64.powf((2 * i) as f64 / width as f64);
    let half = width / 2;
    (0..half).map(|i| angle(i).sin() as f32).chain((0..half).map(|i| angle(i).cos() as f32)).collect()
}
