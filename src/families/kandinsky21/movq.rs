//! MoVQ: the autoencoder between pictures and latents (Zheng et al. 2022, arXiv 2209.09002; diffusers' `VQModel` with
//! `norm_type: spatial`).
//!
//! Invariant: latents are neither scaled nor, unless asked for, quantised; the decoder's norms are modulated by the very
//! latents that are decoded.

mod decoder;
mod decoding;
mod encoder;
mod layers;

use candle_core::Tensor;
use serde::Deserialize;

use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{self, Compute, Conv2d, ConvShape};
use decoder::Decoder;
pub use decoding::Decoding;
use encoder::Encoder;

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
    fn check(&self) -> Result<(), String> {
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

    fn embed_dim(&self) -> usize {
        self.vq_embed_dim.unwrap_or(self.latent_channels)
    }
}

/// The autoencoder.
pub struct Movq {
    config: MovqConfig,
    encoder: Encoder,
    quant_conv: Conv2d,
    /// `[codes, dim]`, row by row.
    codebook: Vec<f32>,
    post_quant_conv: Conv2d,
    decoder: Decoder,
    compute: Compute,
    bytes: usize,
}

impl Movq {
    /// Load from a `movq` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config: MovqConfig = folder.json("config.json", "MoVQ's configuration")?;
        config.check().map_err(|message| Error::config(folder.name_of("config.json"), message))?;
        let weights = Weights::open(folder, "diffusion_pytorch_model")?;
        let vars = weights.vars(compute);
        let (latent, embed) = (config.latent_channels, config.embed_dim());
        Ok(Self {
            encoder: Encoder::load(&vars.sub("encoder"), &config)?,
            quant_conv: Conv2d::load(&vars.sub("quant_conv"), latent, embed, ConvShape::POINTWISE)?,
            codebook: vars.sub("quantize.embedding").values("weight", &[config.num_vq_embeddings, embed])?,
            post_quant_conv: Conv2d::load(&vars.sub("post_quant_conv"), embed, latent, ConvShape::POINTWISE)?,
            decoder: Decoder::load(&vars.sub("decoder"), &config)?,
            compute: compute.clone(),
            bytes: weights.loaded_bytes(),
            config,
        })
    }

    /// Bytes of weights, as stored.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// Pixels per latent in each direction.
    #[must_use]
    pub fn scale_factor(&self) -> u32 {
        1 << (self.config.block_out_channels.len() - 1)
    }

    /// Channels of the latents.
    #[must_use]
    pub fn latent_channels(&self) -> usize {
        self.config.embed_dim()
    }

    /// Pixels `[batch, 3, height, width]` in -1..1 to latents `[batch, dim, h, w]`.
    pub fn encode(&self, pixels: Vec<f32>, batch: usize, height: usize, width: usize) -> Result<Vec<f32>> {
        let x = self.compute.image(pixels, [batch, self.config.in_channels, height, width])?;
        let latents = self.quant_conv.forward(&self.encoder.forward(&x)?)?;
        tensor::image_to_vec(&latents)
    }

    /// Latents `[batch, dim, h, w]` to pixels `[batch, 3, height, width]`, around -1..1, not clamped.
    pub fn decode(&self, latents: Vec<f32>, batch: usize, height: usize, width: usize) -> Result<Vec<f32>> {
        let mut decoding = self.begin_decode(latents, batch, height, width)?;
        loop {
            if let Some(pixels) = self.step_decode(&mut decoding)? {
                return Ok(pixels);
            }
        }
    }

    /// Begin what [`Movq::decode`] does in one go.
    pub fn begin_decode(&self, latents: Vec<f32>, batch: usize, height: usize, width: usize) -> Result<Decoding> {
        let z = self.compute.image(latents, [batch, self.latent_channels(), height, width])?;
        Ok(Decoding::new(self.post_quant_conv.forward(&z)?, z))
    }

    /// Go on with a decoding; the pixels once it is done.
    pub fn step_decode(&self, decoding: &mut Decoding) -> Result<Option<Vec<f32>>> {
        decoding.step(&self.decoder)?.map(|pixels| tensor::image_to_vec(&pixels)).transpose()
    }

    /// The nearest code of each latent by Euclidean distance, the first one on ties: indices `[batch, h, w]`, and the
    /// latents made of these codes, `[batch, dim, h, w]`.
    #[must_use]
    pub fn quantize(&self, latents: &[f32], batch: usize) -> (Vec<usize>, Vec<f32>) {
        let dim = self.latent_channels();
        let pixels = latents.len() / (batch * dim);
        let mut indices = Vec::with_capacity(batch * pixels);
        let mut quantised = vec![0.0; latents.len()];
        for sample in 0..batch {
            let start = sample * dim * pixels;
            for pixel in 0..pixels {
                let value = |d: usize| latents[start + d * pixels + pixel];
                let mut best = (f32::INFINITY, 0);
                for (index, code) in self.codebook.chunks_exact(dim).enumerate() {
                    let distance: f32 = code.iter().enumerate().map(|(d, c)| (value(d) - c).powi(2)).sum();
                    if distance < best.0 {
                        best = (distance, index);
                    }
                }
                indices.push(best.1);
                for d in 0..dim {
                    quantised[start + d * pixels + pixel] = self.codebook[best.1 * dim + d];
                }
            }
        }
        (indices, quantised)
    }

    /// The decoder's spatial norm called `module` (`conv_norm_out`), for comparison with the reference.
    pub fn spatial_norm(&self, f: &Tensor, zq: &Tensor) -> Result<Tensor> {
        self.decoder.conv_norm_out(f, zq)
    }
}
