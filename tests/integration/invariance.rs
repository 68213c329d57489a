//! Every network gives for a row the same alone and in a batch: bit by bit on the CPU's own kernels, within
//! [`CANDLE_LIMIT`] in candle's operations, whose products choose their blocking by the number of rows.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use kandinsky::diffusion::random::Generator;
use kandinsky::families::kandinsky21::Checkpoint;
use kandinsky::families::kandinsky21::clip_text::ClipText;
use kandinsky::families::kandinsky21::clip_vision::ClipVision;
use kandinsky::families::kandinsky21::movq::Movq;
use kandinsky::families::kandinsky21::multilingual_clip::MultilingualClip;
use kandinsky::families::kandinsky21::prior_transformer::{PriorContext, PriorInput, PriorStep, PriorTransformer};
use kandinsky::families::kandinsky21::tokenizer::{Tokenizer, Tokens};
use kandinsky::families::kandinsky21::unet::{Conditioning, Context, UNet};
use kandinsky::tensor::{self, Compute, CpuOptions, ProductPrecision, Result};

use crate::embedded::model_folder;

/// Of different lengths, so that their masks differ.
const TEXTS: [&str; 3] = ["red heart", "", "красное сердце на жёлтом фоне, очень длинный запрос"];
const BATCH: usize = TEXTS.len();

fn checkpoint() -> Checkpoint {
    Checkpoint::find(&model_folder()).expect("the model")
}

fn noise(seed: u64, count: usize) -> Vec<f32> {
    Generator::new(seed).normal(count)
}

/// Relative L2 distance that candle's operations may leave between a row alone and the same row in a batch.
const CANDLE_LIMIT: f64 = 1e-5;

/// A way to compute, and how near to itself in a batch a row must be.
struct Way {
    compute: Compute,
    /// 0: bit-equal.
    limit: f64,
}

fn ways() -> Vec<Way> {
    let candle = Compute::candle(Device::Cpu, DType::F32).unwrap();
    let options = CpuOptions { precision: ProductPrecision::Bf16, ..CpuOptions::default() };
    // On machines that have the instructions.
    let bf16 = Compute::on_cpu(options).ok().map(|compute| Way { compute, limit: 0.0 });
    let others = [Way { compute: Compute::cpu(), limit: 0.0 }, Way { compute: candle, limit: CANDLE_LIMIT }];
    others.into_iter().chain(bf16).collect()
}

fn each_way(test: impl Fn(&Way)) {
    ways().iter().for_each(test);
}

impl Way {
    /// Assert that `rows`, of a batch, are what `alone` gives for each row.
    fn assert_rows(&self, rows: &[f32], alone: impl Fn(usize) -> Result<Vec<f32>>) {
        for (row, together) in rows.chunks(rows.len() / BATCH).enumerate() {
            self.assert_near(&alone(row).unwrap(), together, &format!("row {row} depends on its batch"));
        }
    }

    fn assert_near(&self, got: &[f32], want: &[f32], what: &str) {
        assert!(want.iter().any(|x| *x != 0.0) && got.len() == want.len());
        let square = |x: f32| f64::from(x) * f64::from(x);
        let difference: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
        let error = (difference / want.iter().map(|x| square(*x)).sum::<f64>()).sqrt();
        let same = got.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same || error < self.limit, "{:?}: {what}: relative distance {error:.1e}", self.compute);
    }
}

fn tokens(tokenizer: &Tokenizer) -> Vec<Tokens> {
    TEXTS.iter().map(|text| tokenizer.encode(text).unwrap()).collect()
}

/// Embeddings and states, one after the other.
fn joined(embeds: &Tensor, states: &Tensor, row: usize) -> Result<Vec<f32>> {
    let mut numbers = tensor::to_vec(&embeds.get(row)?)?;
    numbers.extend(tensor::to_vec(&states.get(row)?)?);
    Ok(numbers)
}

#[test]
fn clip_text_encoder() {
    each_way(|way| {
        let folder = checkpoint().prior;
        let encoder = ClipText::load(&folder.join("text_encoder"), &way.compute).unwrap();
        let ids: Vec<Vec<u32>> =
            tokens(&Tokenizer::clip(&folder.join("tokenizer")).unwrap()).into_iter().map(|tokens| tokens.ids).collect();
        let output = encoder.forward(&ids).unwrap();
        let rows: Vec<f32> = (0..BATCH).flat_map(|row| joined(&output.embeds, &output.states, row).unwrap()).collect();
        way.assert_rows(&rows, |row| {
            let output = encoder.forward(&[ids[row].clone()])?;
            joined(&output.embeds, &output.states, 0)
        });
    });
}

#[test]
fn multilingual_text_encoder() {
    each_way(|way| {
        let folder = checkpoint().main;
        let encoder = MultilingualClip::load(&folder.join("text_encoder"), &way.compute).unwrap();
        let tokens = tokens(&Tokenizer::xlm_roberta(&folder.join("tokenizer")).unwrap());
        let (ids, masks): (Vec<_>, Vec<_>) = tokens.into_iter().map(|tokens| (tokens.ids, tokens.mask)).unzip();
        let output = encoder.forward(&ids, &masks).unwrap();
        let rows: Vec<f32> = (0..BATCH).flat_map(|row| joined(&output.embeds, &output.states, row).unwrap()).collect();
        way.assert_rows(&rows, |row| {
            let output = encoder.forward(&[ids[row].clone()], &[masks[row].clone()])?;
            joined(&output.embeds, &output.states, 0)
        });
    });
}

#[test]
fn image_encoder() {
    each_way(|way| {
        let encoder = ClipVision::load(&checkpoint().prior.join("image_encoder"), &way.compute).unwrap();
        let size = 3 * encoder.image_size() * encoder.image_size();
        let pixels = noise(1, BATCH * size);
        let rows = tensor::to_vec(&encoder.forward(pixels.clone(), BATCH).unwrap().embeds).unwrap();
        way.assert_rows(&rows, |row| {
            tensor::to_vec(&encoder.forward(pixels[row * size..(row + 1) * size].to_vec(), 1)?.embeds)
        });
    });
}

/// What a prior step takes.
struct PriorRows {
    latents: Tensor,
    embeds: Tensor,
    states: Tensor,
    masks: Vec<Vec<bool>>,
    timesteps: [f32; BATCH],
}

impl PriorRows {
    fn new(compute: &Compute, width: usize) -> Self {
        let tensor = |seed, shape: &[usize]| compute.tensor(noise(seed, shape.iter().product()), shape).unwrap();
        let tokenizer = Tokenizer::clip(&checkpoint().prior.join("tokenizer")).unwrap();
        let masks: Vec<Vec<bool>> = tokens(&tokenizer).into_iter().map(|tokens| tokens.mask).collect();
        Self {
            latents: tensor(1, &[BATCH, width]),
            embeds: tensor(2, &[BATCH, width]),
            states: tensor(3, &[BATCH, masks[0].len(), width]),
            masks,
            timesteps: [980.0, 40.0, 0.0],
        }
    }

    /// A step with the texts read before.
    fn step(&self, prior: &PriorTransformer, rows: std::ops::Range<usize>) -> Result<Vec<f32>> {
        let part = |tensor: &Tensor| tensor.narrow(0, rows.start, rows.len()).unwrap();
        let masks: Vec<Arc<[bool]>> = self.masks[rows.clone()].iter().map(|mask| mask.as_slice().into()).collect();
        let contexts = prior.contexts(&part(&self.embeds), &part(&self.states), &masks)?;
        let contexts: Vec<&PriorContext> = contexts.iter().collect();
        let (latents, timesteps) = (&part(&self.latents), &self.timesteps[rows]);
        tensor::to_vec(&prior.step(&PriorStep { latents, timesteps, contexts: &contexts })?)
    }
}

#[test]
fn prior_step() {
    each_way(|way| {
        let prior = PriorTransformer::load(&checkpoint().prior.join("prior"), &way.compute).unwrap();
        let rows = PriorRows::new(&way.compute, prior.embedding_dim());
        way.assert_rows(&rows.step(&prior, 0..BATCH).unwrap(), |row| rows.step(&prior, row..row + 1));
    });
}

#[test]
fn a_prior_step_after_reading_the_text_once_is_the_whole_forward_pass() {
    each_way(|way| {
        let prior = PriorTransformer::load(&checkpoint().prior.join("prior"), &way.compute).unwrap();
        let rows = PriorRows::new(&way.compute, prior.embedding_dim());
        let whole = prior.forward(&PriorInput {
            latents: &rows.latents,
            timesteps: &rows.timesteps,
            text_embeds: &rows.embeds,
            text_states: &rows.states,
            masks: Some(&rows.masks),
        });
        let whole = tensor::to_vec(&whole.unwrap()).unwrap();
        let step = rows.step(&prior, 0..BATCH).unwrap();
        way.assert_near(&step, &whole, "a step differs from the whole pass");
    });
}

fn decoder_step(way: &Way, unet: &UNet) {
    const SIDE: usize = 8;
    let config = unet.config();
    let tensor = |seed, shape: &[usize]| way.compute.tensor(noise(seed, shape.iter().product()), shape).unwrap();
    let contexts: Vec<Context> = (0..BATCH as u64)
        .map(|row| {
            let conditioning = Conditioning {
                text_states: &tensor(10 + row, &[77, config.encoder_hid_dim]),
                text_embed: &tensor(20 + row, &[config.cross_attention_dim]),
                image_embed: &tensor(30 + row, &[config.cross_attention_dim]),
            };
            unet.context(&conditioning).unwrap()
        })
        .collect();
    let timesteps = [999.0, 500.0, 1.0];
    let size = config.in_channels * SIDE * SIDE;
    let latents = noise(40, BATCH * size);
    let forward = |rows: std::ops::Range<usize>| -> Result<Vec<f32>> {
        let shape = [rows.len(), config.in_channels, SIDE, SIDE];
        let sample = way.compute.image(latents[rows.start * size..rows.end * size].to_vec(), shape)?;
        let contexts: Vec<&Context> = contexts[rows.clone()].iter().collect();
        tensor::image_to_vec(&unet.forward(&sample, &timesteps[rows], &contexts)?)
    };
    way.assert_rows(&forward(0..BATCH).unwrap(), |row| forward(row..row + 1));

    // Each row's features are those of a step of its own, at another timestep.
    let others = [700.0, 981.0, 40.0];
    let reusing = |rows: std::ops::Range<usize>, timesteps: &[f32]| -> Result<Vec<f32>> {
        let shape = [rows.len(), config.in_channels, SIDE, SIDE];
        let sample = way.compute.image(latents[rows.start * size..rows.end * size].to_vec(), shape)?;
        let contexts: Vec<&Context> = contexts[rows.clone()].iter().collect();
        let [_, features] = unet.forward_keeping(&sample, &timesteps[rows.clone()], &contexts)?;
        tensor::image_to_vec(&unet.forward_reusing(&sample, &others[rows], &contexts, &features)?)
    };
    way.assert_rows(&reusing(0..BATCH, &timesteps).unwrap(), |row| reusing(row..row + 1, &timesteps));
    // With features of the same step nothing is left out.
    let whole = forward(0..BATCH).unwrap();
    let same = |rows: std::ops::Range<usize>| -> Result<Vec<f32>> {
        let shape = [rows.len(), config.in_channels, SIDE, SIDE];
        let sample = way.compute.image(latents[rows.start * size..rows.end * size].to_vec(), shape)?;
        let contexts: Vec<&Context> = contexts[rows.clone()].iter().collect();
        let [output, features] = unet.forward_keeping(&sample, &timesteps[rows.clone()], &contexts)?;
        let reused = unet.forward_reusing(&sample, &timesteps[rows], &contexts, &features)?;
        assert_eq!(tensor::image_to_vec(&output)?, whole, "keeping features changes the step");
        tensor::image_to_vec(&reused)
    };
    way.assert_near(&same(0..BATCH).unwrap(), &whole, "shallow layers on a step's own features");
}

#[test]
fn decoder_step_of_the_4_channel_network() {
    each_way(|way| {
        decoder_step(way, &UNet::load(&checkpoint().main.join("unet"), &way.compute).unwrap());
    });
}

#[test]
fn decoder_step_of_the_9_channel_network() {
    each_way(|way| {
        decoder_step(way, &UNet::load(&checkpoint().inpaint.join("unet"), &way.compute).unwrap());
    });
}

#[test]
fn movq_decoder_and_encoder() {
    each_way(|way| {
        const SIDE: usize = 8;
        let movq = Movq::load(&checkpoint().main.join("movq"), &way.compute).unwrap();
        let size = movq.latent_channels() * SIDE * SIDE;
        let latents = noise(1, BATCH * size);
        let row_of = |numbers: &[f32], size: usize, row: usize| numbers[row * size..(row + 1) * size].to_vec();
        let pictures = movq.decode(latents.clone(), BATCH, SIDE, SIDE).unwrap();
        way.assert_rows(&pictures, |row| movq.decode(row_of(&latents, size, row), 1, SIDE, SIDE));

        let side = SIDE * movq.scale_factor() as usize;
        let encoded = movq.encode(pictures.clone(), BATCH, side, side).unwrap();
        way.assert_rows(&encoded, |row| movq.encode(row_of(&pictures, 3 * side * side, row), 1, side, side));
    });
}
