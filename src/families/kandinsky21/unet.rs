//! The decoder's UNet with text and image conditioning (Razzhigaev et al. 2023, sec. 3; diffusers' `UNet2DConditionModel`
//! with `text_image` embeddings and added-KV attention).
//!
//! Invariant: what does not depend on the timestep (the context's keys and values in every attention layer) is computed
//! once per sample, as a [`Context`], and rows of one call may differ in timestep and context.

mod attention;
mod blocks;
mod config;
mod resnet;

use candle_core::Tensor;

use crate::diffusion::timestep::{Features, TimestepEmbedding};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{self, probe};
use crate::tensor::{Activation, Compute, Conv2d, ConvShape, GroupNorm, LayerNorm, Linear};
use attention::{Cursor, Projections};
use blocks::{DownBlock, MidBlock, UpBlock};
pub use config::UNetConfig;

/// Image tokens in front of the text tokens of the context (diffusers' `TextImageProjection`).
const IMAGE_TOKENS: usize = 10;

/// The network, with 4 input channels (latents) or 9 (latents, masked image's latents, mask).
pub struct UNet {
    config: UNetConfig,
    time_embedding: TimestepEmbedding,
    text_proj: Linear,
    text_norm: LayerNorm,
    image_proj: Linear,
    hid_image: Linear,
    hid_text: Linear,
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    compute: Compute,
    bytes: usize,
    source: String,
}

/// The conditioning of one row: text states `[tokens, hidden]`, text embedding `[dim]` and image embedding `[dim]`.
pub struct Conditioning<'a> {
    pub text_states: &'a Tensor,
    pub text_embed: &'a Tensor,
    pub image_embed: &'a Tensor,
}

/// Everything of a row that stays the same over all timesteps.
pub struct Context {
    /// Added to the time embedding, `[1, time]`.
    embedding: Tensor,
    /// Keys and values of the context per attention layer, in the order of the forward pass.
    projections: Projections,
}

impl Context {
    /// Bytes of its numbers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        tensor::bytes(&self.embedding) + self.projections.bytes()
    }
}

impl UNet {
    /// Load from a `unet` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config: UNetConfig = folder.json("config.json", "the UNet's configuration")?;
        config.check().map_err(|message| Error::config(folder.name_of("config.json"), message))?;
        let weights = Weights::open(folder, "diffusion_pytorch_model")?;
        let vars = weights.vars(compute);
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let (time, cross) = (config.time_embedding_width(), config.cross_attention_dim);
        let features =
            Features { width: first, flip_sin_to_cos: config.flip_sin_to_cos, freq_shift: config.freq_shift };
        let add = vars.sub("add_embedding");
        let hid = vars.sub("encoder_hid_proj");
        Ok(Self {
            time_embedding: TimestepEmbedding::load(&vars.sub("time_embedding"), features, time, time)?,
            text_proj: Linear::load(&add.sub("text_proj"), cross, time)?,
            text_norm: LayerNorm::load(&add.sub("text_norm"), time, 1e-5)?,
            image_proj: Linear::load(&add.sub("image_proj"), cross, time)?,
            hid_image: Linear::load(&hid.sub("image_embeds"), cross, IMAGE_TOKENS * cross)?,
            hid_text: Linear::load(&hid.sub("text_proj"), config.encoder_hid_dim, cross)?,
            conv_in: Conv2d::load(&vars.sub("conv_in"), config.in_channels, first, ConvShape::SAME_3X3)?,
            down_blocks: (0..channels.len())
                .map(|i| DownBlock::load(&vars.sub("down_blocks").sub(i), &config, i))
                .collect::<Result<_>>()?,
            mid_block: MidBlock::load(&vars.sub("mid_block"), &config, last)?,
            up_blocks: (0..channels.len())
                .map(|i| UpBlock::load(&vars.sub("up_blocks").sub(i), &config, i))
                .collect::<Result<_>>()?,
            conv_norm_out: GroupNorm::load(&vars.sub("conv_norm_out"), config.norm_num_groups, first, config.norm_eps)?,
            conv_out: Conv2d::load(&vars.sub("conv_out"), first, config.out_channels, ConvShape::SAME_3X3)?,
            compute: compute.clone(),
            bytes: weights.loaded_bytes(),
            source: weights.path().to_owned(),
            config,
        })
    }

    /// The configuration it was loaded with.
    #[must_use]
    pub fn config(&self) -> &UNetConfig {
        &self.config
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

    /// Height and width of the latents must be multiples of this.
    #[must_use]
    pub fn size_multiple(&self) -> usize {
        1 << (self.config.block_out_channels.len() - 1)
    }

    /// Prepare the conditioning of one row.
    pub fn context(&self, conditioning: &Conditioning<'_>) -> Result<Context> {
        let text = conditioning.text_embed.unsqueeze(0)?;
        let image = conditioning.image_embed.unsqueeze(0)?;
        // The norm is on the text half alone.
        let text = self.text_norm.forward(&self.text_proj.forward(&text)?)?;
        let embedding = self.compute.add(&text, &self.image_proj.forward(&image)?)?;
        probe::sequence("add_embedding", &embedding);
        let image_tokens = self.hid_image.forward(&image)?.reshape((IMAGE_TOKENS, self.config.cross_attention_dim))?;
        let text_tokens = self.hid_text.forward(conditioning.text_states)?;
        let tokens = Tensor::cat(&[&image_tokens, &text_tokens], 0)?;
        probe::sequence("encoder_hid_proj", &tokens.unsqueeze(0)?);
        let mut projections = Projections::default();
        for block in &self.down_blocks {
            block.project_context(&tokens, &mut projections)?;
        }
        self.mid_block.project_context(&tokens, &mut projections)?;
        for block in &self.up_blocks {
            block.project_context(&tokens, &mut projections)?;
        }
        Ok(Context { embedding, projections })
    }

    /// Latents `[batch, height, width, in]` to predictions `[batch, height, width, out]`; one timestep and context a row.
    pub fn forward(&self, sample: &Tensor, timesteps: &[f32], contexts: &[&Context]) -> Result<Tensor> {
        let batch = self.check_batch(sample, timesteps, contexts)?;
        let [output] = self.compute.split_rows(batch, self.bytes, |rows| {
            let sample = sample.narrow(0, rows.start, rows.len())?.contiguous()?;
            let [output, _] = self.forward_rows(&sample, &timesteps[rows.clone()], &contexts[rows])?;
            Ok([output])
        })?;
        Ok(output)
    }

    /// The predictions, and the features `[batch, height, width, channels]` that [`Self::forward_reusing`] takes.
    pub fn forward_keeping(&self, sample: &Tensor, timesteps: &[f32], contexts: &[&Context]) -> Result<[Tensor; 2]> {
        let batch = self.check_batch(sample, timesteps, contexts)?;
        self.compute.split_rows(batch, self.bytes, |rows| {
            let sample = sample.narrow(0, rows.start, rows.len())?.contiguous()?;
            self.forward_rows(&sample, &timesteps[rows.clone()], &contexts[rows])
        })
    }

    fn check_batch(&self, sample: &Tensor, timesteps: &[f32], contexts: &[&Context]) -> Result<usize> {
        let (batch, height, width, _) = sample.dims4()?;
        let multiple = self.size_multiple();
        if timesteps.len() != batch || contexts.len() != batch {
            return Err(Error::Request(format!(
                "{batch} samples, {} timesteps and {} contexts",
                timesteps.len(),
                contexts.len()
            )));
        }
        if !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            return Err(Error::Request(format!("latents of {height}x{width} are not multiples of {multiple}")));
        }
        Ok(batch)
    }

    /// What each row's layers are conditioned on, `[batch, time]`, and their contexts.
    fn conditions<'a>(&self, timesteps: &[f32], contexts: &[&'a Context]) -> Result<(Tensor, Cursor<'a>)> {
        let added: Vec<&Tensor> = contexts.iter().map(|context| &context.embedding).collect();
        let embedding = self.compute.add(&self.time_embedding.forward(timesteps)?, &Tensor::cat(&added, 0)?)?;
        // Every resnet starts its time projection with SiLU.
        let embedding = self.compute.activate(&embedding, Activation::Silu)?;
        Ok((embedding, Cursor::new(contexts.iter().map(|context| &context.projections).collect())))
    }

    fn forward_rows(&self, sample: &Tensor, timesteps: &[f32], contexts: &[&Context]) -> Result<[Tensor; 2]> {
        probe::image("input", sample);
        let (embedding, mut cursor) = self.conditions(timesteps, contexts)?;
        let mut x = self.conv_in.forward(sample)?;
        probe::image("conv_in", &x);
        let mut skips = vec![x.clone()];
        for (i, block) in self.down_blocks.iter().enumerate() {
            x = probe::within(format_args!("down_blocks.{i}"), || {
                block.forward(&x, &embedding, &mut cursor, &mut skips)
            })?;
        }
        x = probe::within("mid_block", || self.mid_block.forward(&x, &embedding, &mut cursor))?;
        let (last, up_blocks) = self.last_up_block()?;
        for (i, block) in up_blocks.iter().enumerate() {
            x = probe::within(format_args!("up_blocks.{i}"), || {
                block.forward(&x, &embedding, &mut cursor, &mut skips)
            })?;
        }
        let (deep, output) = probe::within(format_args!("up_blocks.{}", up_blocks.len()), || -> Result<_> {
            let cut = last.layers().saturating_sub(1);
            let deep = last.forward_layers(0..cut, &x, &embedding, &mut cursor, &mut skips)?;
            let x = last.forward_layers(cut..last.layers(), &deep, &embedding, &mut cursor, &mut skips)?;
            Ok((deep, last.finish(x, &embedding)?))
        })?;
        Ok([self.predict(&output)?, deep])
    }

    fn predict(&self, x: &Tensor) -> Result<Tensor> {
        let output = self.conv_out.forward(&self.conv_norm_out.forward_silu(x)?)?;
        probe::image("output", &output);
        Ok(output)
    }

    /// The first convolution and the last layer alone, on the features that the other layers gave at an earlier step (`DeepCache`, Ma et
    /// al. 2023): neighbouring steps differ little in them. More layers than the last one bring nothing (docs/accelerations.md).
    ///
    /// Latents `[batch, height, width, in]` and features of [`UNet::forward_keeping`] to predictions `[batch, height, width, out]`;
    /// one timestep and context a row. On a step's own features these are the predictions of the whole network.
    pub fn forward_reusing(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        contexts: &[&Context],
        features: &Tensor,
    ) -> Result<Tensor> {
        let batch = self.check_batch(sample, timesteps, contexts)?;
        if features.dims4()?.0 != batch || features.dims()[1..3] != sample.dims()[1..3] {
            return Err(Error::Request(format!("features {:?} of samples {:?}", features.dims(), sample.dims())));
        }
        let [output] = self.compute.split_rows(batch, self.bytes, |rows| {
            let part = |tensor: &Tensor| tensor.narrow(0, rows.start, rows.len())?.contiguous();
            let (timesteps, contexts) = (&timesteps[rows.clone()], &contexts[rows.clone()]);
            Ok([self.shallow_rows(&part(sample)?, timesteps, contexts, &part(features)?)?])
        })?;
        Ok(output)
    }

    fn shallow_rows(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        contexts: &[&Context],
        features: &Tensor,
    ) -> Result<Tensor> {
        let (embedding, mut cursor) = self.conditions(timesteps, contexts)?;
        let x = self.conv_in.forward(sample)?;
        let (last, _) = self.last_up_block()?;
        cursor.skip_to_last(usize::from(last.attends()));
        // The last layer reads the skip of the first convolution.
        let layer = last.layers().saturating_sub(1)..last.layers();
        let x = last.forward_layers(layer, features, &embedding, &mut cursor, &mut vec![x])?;
        self.predict(&last.finish(x, &embedding)?)
    }

    /// The last block on the way up, and those before it.
    fn last_up_block(&self) -> Result<(&UpBlock, &[UpBlock])> {
        self.up_blocks.split_last().ok_or_else(|| Error::Request("a UNet without blocks".to_owned()))
    }
}
