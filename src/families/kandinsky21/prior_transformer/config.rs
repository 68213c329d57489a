//! The prior's configuration, and what of it this implementation has.

use serde::Deserialize;

/// `prior/config.json`; absent fields have diffusers' defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct PriorConfig {
    pub num_attention_heads: usize,
    pub attention_head_dim: usize,
    pub num_layers: usize,
    /// Width of CLIP embeddings.
    pub embedding_dim: usize,
    /// Text tokens.
    pub num_embeddings: usize,
    /// Tokens behind the text: its embedding, the timestep, the noisy image embedding and the learned query.
    pub additional_embeddings: usize,
    pub time_embed_act_fn: String,
    pub norm_in_type: Option<String>,
    pub embedding_proj_norm_type: Option<String>,
    pub encoder_hid_proj_type: Option<String>,
    pub added_emb_type: Option<String>,
    pub time_embed_dim: Option<usize>,
    pub embedding_proj_dim: Option<usize>,
    pub clip_embed_dim: Option<usize>,
}

impl Default for PriorConfig {
    fn default() -> Self {
        Self {
            num_attention_heads: 32,
            attention_head_dim: 64,
            num_layers: 20,
            embedding_dim: 768,
            num_embeddings: 77,
            additional_embeddings: 4,
            time_embed_act_fn: "silu".to_owned(),
            norm_in_type: None,
            embedding_proj_norm_type: None,
            encoder_hid_proj_type: Some("linear".to_owned()),
            added_emb_type: Some("prd".to_owned()),
            time_embed_dim: None,
            embedding_proj_dim: None,
            clip_embed_dim: None,
        }
    }
}

impl PriorConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let supported = self.time_embed_act_fn == "silu"
            && self.norm_in_type.is_none()
            && self.embedding_proj_norm_type.is_none()
            && self.encoder_hid_proj_type.as_deref() == Some("linear")
            && self.added_emb_type.as_deref() == Some("prd")
            && self.additional_embeddings == 4;
        if supported {
            return Ok(());
        }
        Err("only priors of the UnCLIP kind are known: time_embed_act_fn silu, no norm_in_type, no \
             embedding_proj_norm_type, encoder_hid_proj_type linear, added_emb_type prd, additional_embeddings 4"
            .to_owned())
    }
}
