//! What `config.json` and `generation_config.json` of a Marian checkpoint say.
//!
//! Invariant: what this implementation does not do is refused when the model is loaded, never done otherwise.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";

/// The network (`config.json`); absent fields have the defaults of transformers' `MarianConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct MarianConfig {
    pub vocab_size: usize,
    /// Of a model with a vocabulary for each language; absent: as large as the other one.
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
    /// Whether one table of embeddings serves both languages.
    pub share_encoder_decoder_embeddings: bool,
    /// Whether the table of the language that is written also gives the scores of its words.
    pub tie_word_embeddings: bool,
    pub pad_token_id: u32,
    pub eos_token_id: u32,
    // Other transformers than this one; transformers ignores these, and would write nonsense.
    normalize_before: Option<bool>,
    normalize_embedding: Option<bool>,
    add_final_layer_norm: Option<bool>,
    static_position_embeddings: Option<bool>,
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
            tie_word_embeddings: true,
            pad_token_id: 58_100,
            eos_token_id: 0,
            normalize_before: None,
            normalize_embedding: None,
            add_final_layer_norm: None,
            static_position_embeddings: None,
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
    pub early_stopping: Option<Value>,
    /// One id, or a list of them.
    pub eos_token_id: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

/// What changes what is written and is not done here, each with the values that change nothing.
const NOT_DONE: [(&str, &[f64]); 17] = [
    ("begin_suppress_tokens", &[]),
    ("diversity_penalty", &[0.0]),
    ("do_sample", &[0.0]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("exponential_decay_length_penalty", &[]),
    ("force_words_ids", &[]),
    ("forced_bos_token_id", &[]),
    ("guidance_scale", &[1.0]),
    ("min_length", &[0.0]),
    ("min_new_tokens", &[0.0]),
    ("no_repeat_ngram_size", &[0.0]),
    ("num_beam_groups", &[1.0]),
    ("penalty_alpha", &[0.0]),
    ("repetition_penalty", &[1.0]),
    ("sequence_bias", &[]),
    ("suppress_tokens", &[]),
];

impl MarianConfig {
    /// Read `config.json`.
    pub fn read(folder: &Folder) -> Result<Self> {
        let config: Self = folder.json(CONFIG, "the translation model's configuration")?;
        let bad = |message: &str| Err(Error::config(folder.name_of(CONFIG), message));
        for (name, asked, usual) in [
            ("normalize_before", config.normalize_before, false),
            ("normalize_embedding", config.normalize_embedding, false),
            ("add_final_layer_norm", config.add_final_layer_norm, false),
            ("static_position_embeddings", config.static_position_embeddings, true),
        ] {
            if asked.is_some_and(|asked| asked != usual) {
                return bad(&format!("{name} is {}, which is not supported", !usual));
            }
        }
        let outside = |id: u32| id as usize >= config.vocab_size.min(config.target_vocab_size());
        if outside(config.pad_token_id) || outside(config.eos_token_id) {
            return bad("pad_token_id or eos_token_id is not in the vocabulary");
        }
        if config.d_model == 0 || !config.d_model.is_multiple_of(2) || config.max_position_embeddings < 2 {
            return bad("d_model must be even, and max_position_embeddings at least 2");
        }
        Ok(config)
    }

    /// Words of the language that is written.
    #[must_use]
    pub fn target_vocab_size(&self) -> usize {
        if self.share_encoder_decoder_embeddings {
            self.vocab_size
        } else {
            self.decoder_vocab_size.unwrap_or(self.vocab_size)
        }
    }
}

impl GenerationConfig {
    /// Read `generation_config.json`; without one, as older checkpoints are, `config.json`.
    pub fn read(folder: &Folder) -> Result<Self> {
        let file = if folder.has(GENERATION) { GENERATION } else { CONFIG };
        folder.json(file, "how the translation model searches")
    }

    /// What the checkpoint asks of the search that is not done here, if there is anything.
    #[must_use]
    pub fn not_done(&self) -> Option<&'static str> {
        let changes = |value: &Value, neutral: &[f64]| match value {
            Value::Null => false,
            Value::Bool(asked) => !neutral.contains(&f64::from(u8::from(*asked))),
            Value::Array(items) => !items.is_empty(),
            Value::Object(items) => !items.is_empty(),
            other => other.as_f64().is_none_or(|number| !neutral.contains(&number)),
        };
        let asked = |name: &str, neutral: &[f64]| self.others.get(name).is_some_and(|value| changes(value, neutral));
        NOT_DONE.iter().find(|(name, neutral)| asked(name, neutral)).map(|(name, _)| *name)
    }
}
