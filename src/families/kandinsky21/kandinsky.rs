//! A loaded Kandinsky 2.1: whatever components its checkpoint has, and the encoders' use.
//!
//! Invariant: a component that is absent turns off what needs it, with the reason; one that is there but damaged is an
//! error at loading, never later.

use std::cell::OnceCell;

use candle_core::Tensor;

use crate::domain::{Image, Size};
use crate::families::kandinsky21::checkpoint::Checkpoint;
use crate::families::kandinsky21::clip_text::ClipText;
use crate::families::kandinsky21::clip_vision::ClipVision;
use crate::families::kandinsky21::encodings::{CacheCounts, Encodings, Key, tensor_bytes};
use crate::families::kandinsky21::image_processor::ImageProcessor;
use crate::families::kandinsky21::movq::Movq;
use crate::families::kandinsky21::multilingual_clip::MultilingualClip;
use crate::families::kandinsky21::preview::LatentsToRgb;
use crate::families::kandinsky21::prior_run::PriorText;
use crate::families::kandinsky21::prior_transformer::PriorTransformer;
use crate::families::kandinsky21::regression_prior::{LinearPrior, ResidualPrior};
use crate::families::kandinsky21::tokenizer::Tokenizer;
use crate::families::kandinsky21::unet::UNet;
use crate::schedulers::{SamplerOptions, SchedulerConfig, UNCLIP};
use crate::tensor::error::{Error, Result, check_finite};
use crate::tensor::files::Folder;
use crate::tensor::{self, Compute};

/// A text as the decoder sees it.
#[derive(Clone)]
pub struct DecoderText {
    /// `[width]`.
    pub embed: Tensor,
    /// `[tokens, hidden]`.
    pub states: Tensor,
}

/// The diffusion prior with its noise schedule.
pub struct DiffusionPrior {
    pub network: PriorTransformer,
    pub scheduler: SchedulerConfig,
}

/// A UNet with its noise schedule.
pub struct Decoder {
    pub unet: UNet,
    pub scheduler: SchedulerConfig,
}

/// All components.
pub struct Kandinsky {
    pub name: String,
    pub compute: Compute,
    folder: String,
    prior_text: Option<(Tokenizer, ClipText)>,
    vision: Option<(ImageProcessor, ClipVision)>,
    zero_embed: Option<Vec<f32>>,
    prior: Option<DiffusionPrior>,
    linear_prior: Option<LinearPrior>,
    residual_prior: Option<ResidualPrior>,
    decoder_text: Option<(Tokenizer, MultilingualClip)>,
    decoder: Option<Decoder>,
    inpainting: Option<Decoder>,
    ddpm_scheduler: Option<SchedulerConfig>,
    movq: Option<Movq>,
    encodings: Encodings,
    preview: OnceCell<LatentsToRgb>,
}

/// Which components a checkpoint has.
#[derive(Debug, Clone, Copy)]
pub struct Components {
    pub prior_text: bool,
    pub vision: bool,
    pub diffusion_prior: bool,
    pub linear_prior: bool,
    pub residual_prior: bool,
    pub decoder_text: bool,
    pub decoder: bool,
    /// The 9-channel UNet.
    pub inpainting: bool,
    pub movq: bool,
}

/// What to load.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// The second UNet, for inpainting and outpainting.
    pub inpainting: bool,
    /// Most bytes of encoded texts and images that are kept for requests to come.
    pub cache_bytes: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        /// A dozen texts with all that the full-size prior knows of them.
        const CACHE_BYTES: usize = 512 << 20;
        Self { inpainting: true, cache_bytes: CACHE_BYTES }
    }
}

impl Kandinsky {
    /// Load a checkpoint. `report` is called with the name of each component before it is loaded.
    pub fn load(
        checkpoint: &Checkpoint,
        compute: &Compute,
        options: LoadOptions,
        report: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let (prior, main, inpaint) = (&checkpoint.prior, &checkpoint.main, &checkpoint.inpaint);
        // The published inpainting repository has its own copies of what the two share.
        let shared = |name: &str| Some(main.join(name)).filter(present).unwrap_or_else(|| inpaint.join(name));
        let mut part = |name: &str, folder: &Folder| -> bool {
            let there = present(folder);
            if there {
                report(name);
            }
            there
        };
        let folder = prior.join("text_encoder");
        let prior_text = part("CLIP text encoder", &folder)
            .then(|| Ok::<_, Error>((Tokenizer::clip(&prior.join("tokenizer"))?, ClipText::load(&folder, compute)?)))
            .transpose()?;
        let folder = prior.join("image_encoder");
        let vision = part("CLIP image encoder", &folder)
            .then(|| {
                let processor = ImageProcessor::load(&prior.join("image_processor"))?;
                Ok::<_, Error>((processor, ClipVision::load(&folder, compute)?))
            })
            .transpose()?;
        let folder = prior.join("prior");
        let diffusion = part("diffusion prior", &folder)
            .then(|| {
                let scheduler = scheduler(&prior.join("scheduler"))?;
                Ok::<_, Error>(DiffusionPrior { network: PriorTransformer::load(&folder, compute)?, scheduler })
            })
            .transpose()?;
        let linear_prior = part("linear prior", &checkpoint.linear_prior)
            .then(|| LinearPrior::load(&checkpoint.linear_prior, compute))
            .transpose()?;
        let residual_prior = part("residual prior", &checkpoint.residual_prior)
            .then(|| ResidualPrior::load(&checkpoint.residual_prior, compute))
            .transpose()?;
        let folder = shared("text_encoder");
        let decoder_text = part("multilingual text encoder", &folder)
            .then(|| {
                let tokenizer = Tokenizer::xlm_roberta(&shared("tokenizer"))?;
                Ok::<_, Error>((tokenizer, MultilingualClip::load(&folder, compute)?))
            })
            .transpose()?;
        let folder = main.join("unet");
        let decoder = part("UNet", &folder).then(|| load_decoder(&folder, main, main, compute)).transpose()?;
        let folder = inpaint.join("unet");
        let inpainting = (options.inpainting && part("inpainting UNet", &folder))
            .then(|| load_decoder(&folder, inpaint, main, compute))
            .transpose()?;
        let folder = shared("movq");
        let movq = part("MoVQ", &folder).then(|| Movq::load(&folder, compute)).transpose()?;
        let ddpm_scheduler = Some(main.join("ddpm_scheduler")).filter(present).map(|f| scheduler(&f)).transpose()?;
        let zero_embed = match &vision {
            Some((_, encoder)) => Some(tensor::to_vec(&encoder.zero_embedding()?)?),
            None => None,
        };
        let model = Self {
            name: checkpoint.name.clone(),
            compute: compute.clone(),
            folder: main.name(),
            prior_text,
            vision,
            zero_embed,
            prior: diffusion,
            linear_prior,
            residual_prior,
            decoder_text,
            decoder,
            inpainting,
            ddpm_scheduler,
            movq,
            encodings: Encodings::new(options.cache_bytes),
            preview: OnceCell::new(),
        };
        model.check_fit()?;
        Ok(model)
    }

    /// Whether the components fit each other, so that no request finds out later.
    fn check_fit(&self) -> Result<()> {
        let bad = |message: String| Err(Error::config(self.folder.clone(), message));
        let mut widths: Vec<(&str, usize)> = Vec::new();
        if let Some((_, text)) = &self.prior_text {
            widths.push(("the CLIP text encoder's projection", text.projection_dim()));
        }
        if let Some((processor, vision)) = &self.vision {
            let (Size { width, height }, size) = (processor.crop_size(), vision.image_size());
            if (width as usize, height as usize) != (size, size) {
                return bad(format!("the image processor crops to {width}x{height}, the image encoder takes {size}"));
            }
            widths.push(("the CLIP image encoder's projection", self.zero_embed.as_ref().map_or(0, Vec::len)));
        }
        if let Some(prior) = &self.prior {
            prior.network.check_fit().map_err(|message| Error::config(self.folder.clone(), message))?;
            if *prior.scheduler.info()? != UNCLIP {
                return bad(format!("the prior's scheduler is not {}", UNCLIP.class));
            }
            widths.push(("the prior's embedding", prior.network.embedding_dim()));
        }
        if let Some((_, text)) = &self.decoder_text {
            widths.push(("the multilingual encoder's embedding", text.widths().0));
        }
        for (channels, decoder) in [(1, &self.decoder), (2, &self.inpainting)] {
            let (Some(decoder), Some(movq)) = (decoder, &self.movq) else { continue };
            let (config, latent) = (decoder.unet.config(), movq.latent_channels());
            let inputs = if channels == 1 { latent } else { 2 * latent + 1 };
            if config.in_channels != inputs || (config.out_channels != latent && !config.predicts_variance(latent)) {
                let (got_in, got_out) = (config.in_channels, config.out_channels);
                return bad(format!("a UNet of {got_in} input and {got_out} output channels, latents of {latent}"));
            }
            if !(movq.scale_factor() as usize).is_multiple_of(decoder.unet.size_multiple()) {
                return bad("the UNet has more levels than MoVQ".to_owned());
            }
            let hidden = self.decoder_text.as_ref().map_or(config.encoder_hid_dim, |(_, text)| text.widths().1);
            if config.encoder_hid_dim != hidden {
                return bad(format!("encoder_hid_dim is {}, text states have {hidden}", config.encoder_hid_dim));
            }
            widths.push(("the UNet's cross_attention_dim", config.cross_attention_dim));
        }
        if let Some((other, first)) = widths.iter().find_map(|w| (w.1 != widths[0].1).then_some((w, widths[0]))) {
            return bad(format!("{} is {}, {} is {}", first.0, first.1, other.0, other.1));
        }
        Ok(())
    }

    /// Bytes of all networks' weights, as stored (the small regression priors aside).
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.prior_text.as_ref().map_or(0, |(_, m)| m.weight_bytes())
            + self.vision.as_ref().map_or(0, |(_, m)| m.weight_bytes())
            + self.prior.as_ref().map_or(0, |p| p.network.weight_bytes())
            + self.decoder_text.as_ref().map_or(0, |(_, m)| m.weight_bytes())
            + self.decoder.as_ref().map_or(0, |d| d.unet.weight_bytes())
            + self.inpainting.as_ref().map_or(0, |d| d.unet.weight_bytes())
            + self.movq.as_ref().map_or(0, Movq::weight_bytes)
    }

    /// The prior's reading of texts.
    pub fn prior_texts(&self, texts: &[&str]) -> Result<Vec<PriorText>> {
        let (tokenizer, encoder) = self.need(self.prior_text.as_ref(), "CLIP text encoder")?;
        let keys: Vec<Key> = texts.iter().map(|text| Key::PriorText((*text).to_owned())).collect();
        // What the prior will make of a text is kept with it.
        let context = self.prior.as_ref().map_or(0, |prior| prior.network.context_bytes());
        let bytes = |text: &PriorText| tensor_bytes(&text.embed) + tensor_bytes(&text.states) + context;
        self.encodings.get(&keys, bytes, |wanted| {
            let tokens = wanted.iter().map(|at| tokenizer.encode(texts[*at])).collect::<Result<Vec<_>>>()?;
            let ids: Vec<Vec<u32>> = tokens.iter().map(|tokens| tokens.ids.clone()).collect();
            let output = encoder.forward(&ids)?;
            let rows = tokens.into_iter().enumerate();
            rows.map(|(row, tokens)| {
                Ok(PriorText::new(own_row(&output.embeds, row)?, own_row(&output.states, row)?, tokens.mask))
            })
            .collect()
        })
    }

    /// The decoder's reading of texts.
    pub fn decoder_texts(&self, texts: &[&str]) -> Result<Vec<DecoderText>> {
        let (tokenizer, encoder) = self.need(self.decoder_text.as_ref(), "multilingual text encoder")?;
        let keys: Vec<Key> = texts.iter().map(|text| Key::DecoderText((*text).to_owned())).collect();
        let bytes = |text: &DecoderText| tensor_bytes(&text.embed) + tensor_bytes(&text.states);
        self.encodings.get(&keys, bytes, |wanted| {
            let tokens = wanted.iter().map(|at| tokenizer.encode(texts[*at])).collect::<Result<Vec<_>>>()?;
            let (ids, masks): (Vec<_>, Vec<_>) = tokens.into_iter().map(|tokens| (tokens.ids, tokens.mask)).unzip();
            let output = encoder.forward(&ids, &masks)?;
            (0..wanted.len())
                .map(|row| {
                    Ok(DecoderText { embed: own_row(&output.embeds, row)?, states: own_row(&output.states, row)? })
                })
                .collect()
        })
    }

    /// CLIP embedding of an image.
    pub fn image_embed(&self, image: &Image) -> Result<Vec<f32>> {
        let (processor, encoder) = self.need(self.vision.as_ref(), "CLIP image encoder")?;
        let embed = self.encodings.one(Key::image_embed(image), || {
            let embeds = encoder.forward(processor.prepare(image), 1)?.embeds;
            self.finite(tensor::to_vec(&embeds)?, "the CLIP image encoder")
        })?;
        Ok(embed.to_vec())
    }

    /// MoVQ's latents `[dim, h, w]` of `[3, height, width]` pixels in -1..1.
    pub fn latents_of(&self, pixels: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        let movq = self.movq()?;
        let latents = self.encodings.one(Key::latents(pixels, height, width), || {
            self.finite(movq.encode(pixels.to_vec(), 1, height, width)?, "MoVQ's encoder")
        })?;
        Ok(latents.to_vec())
    }

    /// Look-ups of texts and images that were encoded before.
    #[must_use]
    pub fn cache_counts(&self) -> CacheCounts {
        self.encodings.counts()
    }

    /// From latents to a rough image, fitted to this checkpoint at the first call.
    pub fn preview(&self) -> Result<&LatentsToRgb> {
        if let Some(map) = self.preview.get() {
            return Ok(map);
        }
        let map = LatentsToRgb::fit(self.movq()?)?;
        Ok(self.preview.get_or_init(|| map))
    }

    /// What it has.
    #[must_use]
    pub fn components(&self) -> Components {
        Components {
            prior_text: self.prior_text.is_some(),
            vision: self.vision.is_some(),
            diffusion_prior: self.prior.is_some(),
            linear_prior: self.linear_prior.is_some(),
            residual_prior: self.residual_prior.is_some(),
            decoder_text: self.decoder_text.is_some(),
            decoder: self.decoder.is_some(),
            inpainting: self.inpainting.is_some(),
            movq: self.movq.is_some(),
        }
    }

    /// CLIP embeddings of texts, in the space of [`Kandinsky::image_embed`].
    pub fn text_embeds(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let texts = self.prior_texts(texts)?;
        texts.iter().map(|text| self.finite(tensor::to_vec(&text.embed)?, "the CLIP text encoder")).collect()
    }

    /// CLIP embeddings of all parts of a text, for judging it: the decoder reads on where CLIP's 77 tokens end, since its own
    /// tokens are longer, and past end tokens that a text spells out.
    pub fn text_parts(&self, text: &str) -> Result<Vec<Vec<f32>>> {
        /// More than the decoder reads of any text.
        const MOST: usize = 16;
        let (tokenizer, encoder) = self.need(self.prior_text.as_ref(), "CLIP text encoder")?;
        let parts = tokenizer.parts(text, MOST)?;
        if let [only] = parts.as_slice()
            && *only == tokenizer.encode(text)?.ids
        {
            // The prior will want the same.
            return self.text_embeds(&[text]);
        }
        let embeds = encoder.forward(&parts)?.embeds;
        let embed = |row| self.finite(tensor::to_vec(&own_row(&embeds, row)?)?, "the CLIP text encoder");
        (0..parts.len()).map(embed).collect()
    }

    /// Numbers in CLIP's embeddings of texts, if there is an encoder of them.
    #[must_use]
    pub fn clip_width(&self) -> Option<usize> {
        self.prior_text.as_ref().map(|(_, encoder)| encoder.projection_dim())
    }

    /// CLIP embedding of all-zero pixels, if there is an image encoder.
    #[must_use]
    pub fn zero_embed(&self) -> Option<&[f32]> {
        self.zero_embed.as_deref()
    }

    /// The diffusion prior.
    pub fn prior(&self) -> Result<&DiffusionPrior> {
        self.need(self.prior.as_ref(), "diffusion prior")
    }

    /// The paper's linear prior.
    pub fn linear_prior(&self) -> Result<&LinearPrior> {
        self.need(self.linear_prior.as_ref(), "linear prior")
    }

    /// The paper's residual prior.
    pub fn residual_prior(&self) -> Result<&ResidualPrior> {
        self.need(self.residual_prior.as_ref(), "residual prior")
    }

    /// The decoder: the 4-channel UNet, or the 9-channel one for inpainting.
    pub fn decoder(&self, inpainting: bool) -> Result<&Decoder> {
        if inpainting {
            self.need(self.inpainting.as_ref(), "inpainting UNet")
        } else {
            self.need(self.decoder.as_ref(), "UNet")
        }
    }

    /// The autoencoder.
    pub fn movq(&self) -> Result<&Movq> {
        self.need(self.movq.as_ref(), "MoVQ")
    }

    /// The checkpoint's own configuration of ancestral sampling, if it has one.
    #[must_use]
    pub fn ddpm_scheduler(&self) -> Option<&SchedulerConfig> {
        self.ddpm_scheduler.as_ref()
    }

    /// Side of the square image that the decoder was made for, px.
    #[must_use]
    pub fn native_size(&self) -> u32 {
        const PUBLISHED: u32 = 512;
        let Some(movq) = &self.movq else { return PUBLISHED };
        let decoder = self.decoder.as_ref().or(self.inpainting.as_ref());
        decoder.and_then(|d| d.unet.config().sample_size).map_or(PUBLISHED, |size| size * movq.scale_factor())
    }

    /// Sides that are multiples of this many px need no cropping.
    #[must_use]
    pub fn size_step(&self) -> u32 {
        self.movq.as_ref().map_or(1, |movq| movq.scale_factor() * movq.scale_factor())
    }

    /// Check that all values are finite; `stage` made them.
    pub(super) fn finite(&self, values: Vec<f32>, stage: &'static str) -> Result<Vec<f32>> {
        check_finite(&values, stage, &self.folder)?;
        Ok(values)
    }

    fn need<'a, T>(&self, component: Option<&'a T>, name: &'static str) -> Result<&'a T> {
        component.ok_or_else(|| Error::MissingComponent { path: self.folder.clone(), component: name })
    }
}

/// A row of a batch in memory of its own, so that keeping it does not keep the batch.
fn own_row(batch: &Tensor, row: usize) -> Result<Tensor> {
    Ok(batch.get(row)?.force_contiguous()?)
}

/// Whether a component's folder has its configuration. (Embedded folders exist only through their files.)
fn present(folder: &Folder) -> bool {
    ["config.json", "scheduler_config.json", "tokenizer.json", "vocab.json"].iter().any(|file| folder.has(file))
        || matches!(folder, Folder::Disk(path) if path.is_dir())
}

fn scheduler(folder: &Folder) -> Result<SchedulerConfig> {
    let config: SchedulerConfig = folder.json("scheduler_config.json", "a noise schedule")?;
    // Find unknown values now rather than at the first request.
    config
        .sampler(1, SamplerOptions::default())
        .map_err(|error| Error::config(folder.name_of("scheduler_config.json"), error.to_string()))?;
    Ok(config)
}

fn load_decoder(unet: &Folder, own: &Folder, main: &Folder, compute: &Compute) -> Result<Decoder> {
    let schedule = Some(own.join("scheduler")).filter(present).unwrap_or_else(|| main.join("scheduler"));
    Ok(Decoder { scheduler: scheduler(&schedule)?, unet: UNet::load(unet, compute)? })
}
