//! The autoencoder: pixels to latents and back.

use candle_core::Tensor;

use super::config::MovqConfig;
use super::decoder::Decoder;
use super::decoding::Decoding;
use super::encoder::Encoder;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{self, Compute, Conv2d, ConvShape};

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
        self.config.scale_factor()
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

    /// The decoder's spatial norm `conv_norm_out`, for comparison with the reference: `[batch, channels, h, w]` of `f`,
    /// modulated by the latents `zq`.
    pub fn spatial_norm(&self, f: &Tensor, zq: &Tensor) -> Result<Tensor> {
        self.decoder.conv_norm_out(f, zq)
    }
}
