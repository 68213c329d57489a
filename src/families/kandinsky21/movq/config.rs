//! MoVQ's configuration, and what of it this implementation has.

use serde::Deserialize;

use super::layers;

/// `movq/config.json`; absent fields have diffusers' defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct MovqConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub latent_channels: usize,
    pub block_out_channels: Vec<usize>,
    pub down_block_types: Vec<String>,
    pub up_block_types: Vec<String>,
    pub layers_per_block: usize,
    pub norm_num_groups: usize,
    pub norm_type: String,
    pub act_fn: String,
    pub num_vq_embeddings: usize,
    pub vq_embed_dim: Option<usize>,
    pub mid_block_add_attention: bool,
}

impl Default for MovqConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 3,
            block_out_channels: vec![64],
            down_block_types: vec![layers::DOWN.to_owned()],
            up_block_types: vec![layers::UP.to_owned()],
            layers_per_block: 1,
            norm_num_groups: 32,
            norm_type: "group".to_owned(),
            act_fn: "silu".to_owned(),
            num_vq_embeddings: 256,
            vq_embed_dim: None,
            mid_block_add_attention: true,
        }
    }
}

/// Most levels of resolution.
const MAX_LEVELS: usize = 8;

impl MovqConfig {
    /// Pixels per latent, along a side.
    #[must_use]
    pub fn scale_factor(&self) -> u32 {
        1 << self.block_out_channels.len().saturating_sub(1)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let blocks = self.block_out_channels.len();
        if blocks == 0 || self.down_block_types.len() != blocks || self.up_block_types.len() != blocks {
            return Err("block_out_channels, down_block_types and up_block_types must be equally many".to_owned());
        }
        let unknown = |types: &[String], known: [&str; 2]| {
            types
                .iter()
                .find(|name| !known.contains(&name.as_str()))
                .map(|name| format!("unknown block type {name:?}; known: {}", known.join(", ")))
        };
        if let Some(message) = unknown(&self.down_block_types, [layers::DOWN, layers::ATTENTION_DOWN])
            .or_else(|| unknown(&self.up_block_types, [layers::UP, layers::ATTENTION_UP]))
        {
            return Err(message);
        }
        if blocks > MAX_LEVELS {
            return Err(format!("{blocks} levels, at most {MAX_LEVELS} are believed"));
        }
        if self.in_channels != 3 || self.out_channels != 3 {
            return Err("in_channels and out_channels must be 3".to_owned());
        }
        if self.norm_type != "spatial" {
            return Err(format!("norm_type is {:?}, MoVQ's is \"spatial\"", self.norm_type));
        }
        if self.act_fn != "silu" && self.act_fn != "swish" {
            return Err(format!("unknown act_fn {:?}; known: silu", self.act_fn));
        }
        if self.layers_per_block == 0 || self.norm_num_groups == 0 || self.num_vq_embeddings == 0 {
            return Err("layers_per_block, norm_num_groups and num_vq_embeddings must be above 0".to_owned());
        }
        Ok(())
    }

    /// Channels of the latents.
    pub(super) fn embed_dim(&self) -> usize {
        self.vq_embed_dim.unwrap_or(self.latent_channels)
    }
}
