//! What `config.json` and `generation_config.json` of a Marian checkpoint say.
//!
//! Invariant: what this implementation does not do is refused when the model is loaded, never done otherwise.

use serde::Deserialize;

use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";

/// The network (`config.json`); absent fields have the defaults of transformers' `MarianConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct MarianConfig {
    pub vocab_size: usize,
    pub decoder_vocab_size: Option<usize>,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    pub d_model: usize,
    pub encoder_layers: usize,
    pub encoder_ffn_dim: usize,
    pub encoder_attention_heads: usize,
    pub decoder_layers: usize,
    pub decoder_ffn_dim: usize,
    pub decoder_attention_heads: usize,
    pub activation_function: String,
    pub scale_embedding: bool,
    pub share_encoder_decoder_embeddings: bool,
    pub pad_token_id: u32,
    pub eos_token_id: u32,
}

impl Default for MarianConfig {
    fn default() -> Self {
        Self {
            vocab_size: 58_101,
            decoder_vocab_size: None,
            max_position_embeddings: 1024,
            d_model: 1024,
            encoder_layers: 12,
            encoder_ffn_dim: 4096,
            encoder_attention_heads: 16,
            decoder_layers: 12,
            decoder_ffn_dim: 4096,
            decoder_attention_heads: 16,
            activation_function: "gelu".to_owned(),
            scale_embedding: false,
            share_encoder_decoder_embeddings: true,
            pad_token_id: 58_100,
            eos_token_id: 0,
        }
    }
}

/// How texts are searched for (`generation_config.json`, and `config.json` of older checkpoints).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    pub num_beams: Option<usize>,
    pub max_length: Option<usize>,
    pub length_penalty: Option<f64>,
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    pub forced_eos_token_id: Option<u32>,
    pub decoder_start_token_id: Option<u32>,
    pub renormalize_logits: Option<bool>,
    pub early_stopping: Option<serde_json::Value>,
}

impl MarianConfig {
    /// Read `config.json`.
    pub fn read(folder: &Folder) -> Result<Self> {
        let config: Self = folder.json(CONFIG, "the translation model's configuration")?;
        let bad = |message: &str| Err(Error::config(folder.name_of(CONFIG), message));
        if !config.share_encoder_decoder_embeddings {
            return bad(
                "share_encoder_decoder_embeddings is false; models with a vocabulary for each language are not supported",
            );
        }
        if config.decoder_vocab_size.is_some_and(|size| size != config.vocab_size) {
            return bad("decoder_vocab_size differs from vocab_size, which is not supported");
        }
        let outside = |id: u32| id as usize >= config.vocab_size;
        if outside(config.pad_token_id) || outside(config.eos_token_id) {
            return bad("pad_token_id or eos_token_id is not in the vocabulary");
        }
        if config.d_model == 0 || !config.d_model.is_multiple_of(2) || config.max_position_embeddings < 2 {
            return bad("d_model must be even, and max_position_embeddings at least 2");
        }
        Ok(config)
    }
}

impl GenerationConfig {
    /// Read `generation_config.json`; what it does not say is as `config.json` says.
    pub fn read(folder: &Folder) -> Result<Self> {
        let older: Self = folder.json(CONFIG, "the translation model's configuration")?;
        if !folder.has(GENERATION) {
            return Ok(older);
        }
        let newer: Self = folder.json(GENERATION, "how the translation model searches")?;
        Ok(Self {
            num_beams: newer.num_beams.or(older.num_beams),
            max_length: newer.max_length.or(older.max_length),
            length_penalty: newer.length_penalty.or(older.length_penalty),
            bad_words_ids: newer.bad_words_ids.or(older.bad_words_ids),
            forced_eos_token_id: newer.forced_eos_token_id.or(older.forced_eos_token_id),
            decoder_start_token_id: newer.decoder_start_token_id.or(older.decoder_start_token_id),
            renormalize_logits: newer.renormalize_logits.or(older.renormalize_logits),
            early_stopping: newer.early_stopping.or(older.early_stopping),
        })
    }
}
