//! `unet/config.json`, and what of it this implementation can run.

use serde::Deserialize;

/// Absent fields have diffusers' defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct UNetConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub down_block_types: Vec<String>,
    pub mid_block_type: Option<String>,
    pub up_block_types: Vec<String>,
    /// Width of one attention head (not their number).
    pub attention_head_dim: usize,
    pub norm_num_groups: usize,
    pub norm_eps: f64,
    /// Width of text and image embeddings and of context tokens.
    pub cross_attention_dim: usize,
    /// Width of text states.
    pub encoder_hid_dim: usize,
    pub encoder_hid_dim_type: Option<String>,
    pub addition_embed_type: Option<String>,
    pub resnet_time_scale_shift: String,
    pub act_fn: String,
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
    pub sample_size: Option<u32>,
    pub class_embed_type: Option<String>,
    pub time_embedding_type: String,
    pub time_embedding_dim: Option<usize>,
    pub timestep_post_act: Option<String>,
    pub center_input_sample: bool,
    pub only_cross_attention: bool,
    pub dual_cross_attention: bool,
    pub cross_attention_norm: Option<String>,
    pub resnet_skip_time_act: bool,
    pub resnet_out_scale_factor: f64,
    pub mid_block_scale_factor: f64,
    pub conv_in_kernel: usize,
    pub conv_out_kernel: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: 2,
            down_block_types: Vec::new(),
            mid_block_type: None,
            up_block_types: Vec::new(),
            attention_head_dim: 8,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: 1280,
            encoder_hid_dim: 0,
            encoder_hid_dim_type: None,
            addition_embed_type: None,
            resnet_time_scale_shift: "default".to_owned(),
            act_fn: "silu".to_owned(),
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            sample_size: None,
            class_embed_type: None,
            time_embedding_type: "positional".to_owned(),
            time_embedding_dim: None,
            timestep_post_act: None,
            center_input_sample: false,
            only_cross_attention: false,
            dual_cross_attention: false,
            cross_attention_norm: None,
            resnet_skip_time_act: false,
            resnet_out_scale_factor: 1.0,
            mid_block_scale_factor: 1.0,
            conv_in_kernel: 3,
            conv_out_kernel: 3,
        }
    }
}

pub(super) const RESNET_DOWN: &str = "ResnetDownsampleBlock2D";
pub(super) const ATTENTION_DOWN: &str = "SimpleCrossAttnDownBlock2D";
pub(super) const ATTENTION_UP: &str = "SimpleCrossAttnUpBlock2D";
pub(super) const RESNET_UP: &str = "ResnetUpsampleBlock2D";
const MID: &str = "UNetMidBlock2DSimpleCrossAttn";

/// Most levels of resolution.
const MAX_LEVELS: usize = 8;
/// Largest side of the latents that a model was made for.
const MAX_SAMPLE_SIZE: u32 = 4096;

impl UNetConfig {
    /// Width of the time embedding.
    pub(super) fn time_embedding_width(&self) -> usize {
        self.time_embedding_dim.unwrap_or(4 * self.block_out_channels[0])
    }

    /// Whether the network predicts variances beside the noise.
    #[must_use]
    pub fn predicts_variance(&self, latent_channels: usize) -> bool {
        self.out_channels == 2 * latent_channels
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let blocks = self.block_out_channels.len();
        if blocks == 0 || self.down_block_types.len() != blocks || self.up_block_types.len() != blocks {
            return Err(format!(
                "{blocks} block_out_channels, {} down_block_types and {} up_block_types must be equally many",
                self.down_block_types.len(),
                self.up_block_types.len()
            ));
        }
        if blocks > MAX_LEVELS || self.sample_size.is_some_and(|size| size > MAX_SAMPLE_SIZE) {
            return Err(format!("{blocks} levels or a sample_size of {:?} are not believed", self.sample_size));
        }
        known("down block type", &self.down_block_types, &[RESNET_DOWN, ATTENTION_DOWN])?;
        known("up block type", &self.up_block_types, &[RESNET_UP, ATTENTION_UP])?;
        known("mid_block_type", &self.mid_block_type, &[MID])?;
        known("encoder_hid_dim_type", &self.encoder_hid_dim_type, &["text_image_proj"])?;
        known("addition_embed_type", &self.addition_embed_type, &["text_image"])?;
        known("resnet_time_scale_shift", [&self.resnet_time_scale_shift], &["scale_shift"])?;
        known("act_fn", [&self.act_fn], &["silu", "swish"])?;
        known("time_embedding_type", [&self.time_embedding_type], &["positional"])?;
        for (field, wrong) in [
            ("mid_block_type (absent)", self.mid_block_type.is_none()),
            ("encoder_hid_dim_type (absent)", self.encoder_hid_dim_type.is_none()),
            ("addition_embed_type (absent)", self.addition_embed_type.is_none()),
            ("class_embed_type", self.class_embed_type.is_some()),
            ("timestep_post_act", self.timestep_post_act.is_some()),
            ("center_input_sample", self.center_input_sample),
            ("only_cross_attention", self.only_cross_attention),
            ("dual_cross_attention", self.dual_cross_attention),
            ("cross_attention_norm", self.cross_attention_norm.is_some()),
            ("resnet_skip_time_act", self.resnet_skip_time_act),
            ("resnet_out_scale_factor", (self.resnet_out_scale_factor - 1.0).abs() > 0.0),
            ("mid_block_scale_factor", (self.mid_block_scale_factor - 1.0).abs() > 0.0),
            ("conv_in_kernel", self.conv_in_kernel != 3),
            ("conv_out_kernel", self.conv_out_kernel != 3),
        ] {
            if wrong {
                return Err(format!("{field} has a value that the Kandinsky 2.1 UNet does not"));
            }
        }
        for (field, zero) in [
            ("layers_per_block", self.layers_per_block == 0),
            ("attention_head_dim", self.attention_head_dim == 0),
            ("norm_num_groups", self.norm_num_groups == 0),
            ("encoder_hid_dim", self.encoder_hid_dim == 0),
        ] {
            if zero {
                return Err(format!("{field} is 0"));
            }
        }
        Ok(())
    }
}

fn known<'a>(field: &str, values: impl IntoIterator<Item = &'a String>, allowed: &[&str]) -> Result<(), String> {
    match values.into_iter().find(|value| !allowed.contains(&value.as_str())) {
        None => Ok(()),
        Some(value) => Err(format!("unknown {field} {value:?}; known: {}", allowed.join(", "))),
    }
}
