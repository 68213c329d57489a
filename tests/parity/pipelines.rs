//! Runners of whole pipelines, with the reference's noise replayed from the fixture.

use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use kandinsky::diffusion::pixels;
use kandinsky::domain::{Image, PromptText};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::decoder_run::{self, DecoderRun, DecoderStart, Inpainting};
use kandinsky::families::kandinsky21::mask;
use kandinsky::families::kandinsky21::prior_run::{self, Guidance, PriorRun, PriorSampling};
use kandinsky::families::kandinsky21::step_plan::StepPlan;
use kandinsky::families::kandinsky21::unet::{Conditioning, Context};
use kandinsky::families::kandinsky21::{Checkpoint, Decoder, Kandinsky};
use kandinsky::schedulers::{self, SamplerOptions, SchedulerConfig, SchedulerInfo};
use kandinsky::tensor;
use kandinsky::tensor::probe;
use serde_json::Value as Json;

use crate::Outputs;
use crate::fixture::{Array, Fixture, texts_of};
use crate::stages;

fn load(fixture: &Fixture) -> Result<Kandinsky> {
    let checkpoint = Checkpoint::find(&fixture.root.join("models"))?;
    Ok(Kandinsky::load(&checkpoint, &fixture.compute, LoadOptions::default(), &mut |_| {})?)
}

fn repeat(texts: Vec<String>, count: usize) -> Vec<String> {
    texts.into_iter().flat_map(|text| std::iter::repeat_n(text, count)).collect()
}

/// Texts without syntax.
fn plain(texts: &[String]) -> Vec<PromptText> {
    texts.iter().map(|text| PromptText::plain(text)).collect()
}

fn count(params: &Json, name: &str, default: usize) -> usize {
    params[name].as_u64().map_or(default, |n| n as usize)
}

fn guidance_scale(params: &Json) -> f32 {
    params["guidance_scale"].as_f64().unwrap_or(4.0) as f32
}

/// What `KandinskyPriorPipeline` gives.
struct PriorResult {
    image_embeds: Vec<f32>,
    negative_image_embeds: Vec<f32>,
    rows: usize,
}

/// Run the prior pipeline with `latents` and then `noise` as its random numbers.
fn run_prior(
    model: &Kandinsky,
    params: &Json,
    draws: &mut VecDeque<Vec<f32>>,
    mut outputs: Option<&mut Outputs>,
) -> Result<PriorResult> {
    let mut prompts = texts_of(&params["prompt"]);
    let mut negatives = texts_of(&params["negative_prompt"]);
    let negative = negatives.first().cloned();
    let asked = prompts.len();
    prompts.append(&mut negatives);
    let pictures = count(params, "num_images_per_prompt", 1);
    let prompts = repeat(prompts, pictures);
    let scale = guidance_scale(params);
    let texts = probe::record(|| model.prior_texts(&plain(&prompts))).0?;
    let guidance = if scale > 1.0 {
        let text = negative.clone().unwrap_or_default();
        let negative = probe::record(|| model.prior_texts(&plain(&[text]))).0?.remove(0);
        Some(Guidance { scale, negative })
    } else {
        None
    };
    let mut masks: Vec<i64> = Vec::new();
    if let Some(guidance) = &guidance {
        for _ in &texts {
            masks.extend(guidance.negative.mask.iter().map(|x| i64::from(*x)));
        }
    }
    masks.extend(texts.iter().flat_map(|text| text.mask.iter()).map(|x| i64::from(*x)));

    let prior = model.prior()?;
    let steps = count(params, "num_inference_steps", 25);
    let sampling = PriorSampling { scheduler: &prior.scheduler, steps };
    let rows = prompts.len();
    let mut run = PriorRun::new(texts, guidance, &sampling, &mut |_| draws.pop_front().expect("a draw"))?;
    let width = prior.network.embedding_dim();
    let mut index = 0;
    while !run.is_done() {
        let (result, found) = probe::record(|| prior_run::step(&prior.network, &model.compute, &mut [&mut run]));
        result?;
        if let Some(outputs) = outputs.as_deref_mut() {
            if index == 0 {
                for (name, from) in [
                    ("hidden_states", "input.latents"),
                    ("encoder_hidden_states", "input.text_states"),
                    ("proj_embedding", "input.text_embeds"),
                    ("out", "output"),
                ] {
                    outputs.insert(format!("net0.{name}"), stages::array(&found[from].tensor)?);
                }
            }
            outputs.insert(format!("step.{index}.latents"), Array::float(run.latents().to_vec(), &[rows, width]));
        }
        index += 1;
    }
    if let Some(outputs) = outputs {
        let timesteps = prior.scheduler.sampler(steps, SamplerOptions::default())?.timesteps().to_vec();
        outputs.insert(
            "timesteps".to_owned(),
            Array::int(timesteps.iter().map(|t| *t as i64).collect(), &[timesteps.len()]),
        );
        let shape = [masks.len() / 77, 77];
        outputs.insert("net0.attention_mask".to_owned(), Array::int(masks, &shape));
    }
    let embed = |row: usize| run.image_embed(&prior.network, row);
    let kept = asked * pictures;
    let image_embeds: Vec<f32> = (0..kept).flat_map(embed).collect();
    let negative_image_embeds = if negative.is_some() {
        (kept..rows).flat_map(embed).collect()
    } else {
        (0..kept).flat_map(|_| model.zero_embed().unwrap_or_default().to_vec()).collect()
    };
    Ok(PriorResult { image_embeds, negative_image_embeds, rows: kept })
}

impl PriorResult {
    fn add_to(&self, outputs: &mut Outputs) {
        let shape = [self.rows, self.image_embeds.len() / self.rows];
        outputs.insert("image_embeds".to_owned(), Array::float(self.image_embeds.clone(), &shape));
        outputs.insert("negative_image_embeds".to_owned(), Array::float(self.negative_image_embeds.clone(), &shape));
    }
}

fn draws(fixture: &Fixture, latents: &str) -> VecDeque<Vec<f32>> {
    let first = fixture.inputs.get(latents).map(Array::floats);
    first.into_iter().chain(fixture.noise().iter().map(Array::floats)).collect()
}

pub fn prior_pipeline(fixture: &Fixture) -> Result<Outputs> {
    let model = load(fixture)?;
    let mut outputs = Outputs::new();
    let mut draws = draws(fixture, "latents");
    run_prior(&model, &fixture.params, &mut draws, Some(&mut outputs))?.add_to(&mut outputs);
    anyhow::ensure!(draws.is_empty(), "{} draws were not used", draws.len());
    Ok(outputs)
}

pub fn prior_interpolate(fixture: &Fixture) -> Result<Outputs> {
    let model = load(fixture)?;
    let params = &fixture.params;
    let mut noise: VecDeque<Vec<f32>> = fixture.noise().iter().map(Array::floats).collect();
    let mut run = |prompt: &Json| -> Result<PriorResult> {
        let mut call = params.clone();
        call["prompt"] = prompt.clone();
        call["negative_prompt"] = params["negative_prior_prompt"].clone();
        if let Some(latents) = fixture.inputs.get("latents") {
            // The same latents start every run.
            noise.push_front(latents.floats());
        }
        run_prior(&model, &call, &mut noise, None)
    };
    let items = params["items"].as_array().context("items")?;
    let weights = params["weights"].as_array().context("weights")?;
    let mut sum: Vec<f32> = Vec::new();
    for (item, weight) in items.iter().zip(weights) {
        let embed = match item["image"].as_str() {
            Some(name) => model.image_embed(&stages::input_picture(fixture, name)?)?,
            None => run(item)?.image_embeds,
        };
        let weight = weight.as_f64().context("a weight")? as f32;
        sum.resize(embed.len(), 0.0);
        sum.iter_mut().zip(embed).for_each(|(sum, x)| *sum += weight * x);
    }
    let negative = params["negative_prompt"].as_str().unwrap_or("");
    let last = run(&Json::String(negative.to_owned()))?;
    anyhow::ensure!(noise.is_empty(), "{} draws were not used", noise.len());
    let negative = if negative.is_empty() { last.negative_image_embeds } else { last.image_embeds };
    let width = sum.len();
    Ok(Outputs::from([
        ("image_embeds".to_owned(), Array::float(sum, &[1, width])),
        ("negative_image_embeds".to_owned(), Array::float(negative, &[1, width])),
    ]))
}

/// Contexts of the prompts and of what guidance leads away from, one an image.
type Contexts = (Vec<Rc<Context>>, Vec<Rc<Context>>);

/// What a decoder pipeline starts from, per image.
struct DecoderInput {
    latents: Vec<f32>,
    inpainting: Option<(Vec<f32>, Vec<f32>)>,
    first_step: usize,
}

struct DecoderCall<'a> {
    model: &'a Kandinsky,
    params: &'a Json,
    image_embeds: Array,
    negative_image_embeds: Array,
    noise: Vec<Array>,
    /// Latent height and width.
    size: (usize, usize),
}

impl DecoderCall<'_> {
    fn scheduler(&self, fixture: &Fixture) -> Result<(SchedulerConfig, &'static SchedulerInfo)> {
        let read = |name: &str| -> Result<SchedulerConfig> {
            let folder = stages::model_folder(fixture, stages::MAIN, name);
            Ok(folder.json("scheduler_config.json", "a schedule")?)
        };
        match &self.params["scheduler"] {
            Json::String(name) => {
                let config = read(name)?;
                let kind = config.info()?;
                Ok((config, kind))
            }
            spec => {
                let mut config = read(spec["from"].as_str().context("from")?)?;
                config.class_name = spec["class"].as_str().map(str::to_owned).context("class")?;
                config.use_karras_sigmas = spec["use_karras_sigmas"].as_bool().unwrap_or(false);
                let kind = config.info()?;
                Ok((config, kind))
            }
        }
    }

    fn contexts(&self, decoder: &Decoder, pictures: usize) -> Result<Contexts> {
        let prompts = texts_of(&self.params["prompt"]);
        let asked = prompts.len();
        let mut negatives = texts_of(&self.params["negative_prompt"]);
        negatives.resize(asked, String::new());
        let make = |texts: &[String], embeds: &Array| -> Result<Vec<Rc<Context>>> {
            let encoded = self.model.decoder_texts(&plain(texts))?;
            let mut contexts = Vec::new();
            for (row, text) in encoded.iter().enumerate() {
                for k in 0..pictures {
                    // Embeddings come one a prompt, or one an image.
                    let row = if embeds.shape[0] == asked { row } else { row * pictures + k };
                    let image = embeds.row(row);
                    let width = image.len();
                    let image = self.model.compute.tensor(image, &[width])?;
                    contexts.push(Rc::new(decoder.unet.context(&Conditioning {
                        text_states: &text.states,
                        text_embed: &text.embed,
                        image_embed: &image,
                    })?));
                }
            }
            Ok(contexts)
        };
        Ok((make(&prompts, &self.image_embeds)?, make(&negatives, &self.negative_image_embeds)?))
    }

    /// Denoise and decode a batch; one input an image.
    fn run(
        &self,
        fixture: &Fixture,
        inputs: Vec<DecoderInput>,
        outputs: &mut Outputs,
        pictures: &mut Vec<Image>,
    ) -> Result<()> {
        let decoder = self.model.decoder(inputs[0].inpainting.is_some())?;
        let (config, kind) = self.scheduler(fixture)?;
        let steps = count(self.params, "num_inference_steps", 0);
        let per_prompt = count(self.params, "num_images_per_prompt", 1);
        let (positive, negative) = self.contexts(decoder, per_prompt)?;
        let scale = guidance_scale(self.params);
        let movq = self.model.movq()?;
        let (channels, (height, width), batch) = (movq.latent_channels(), self.size, inputs.len());
        let learned = config.variance_type.as_deref() == Some("learned_range");
        let mut timesteps = Vec::new();
        let mut runs = Vec::new();
        for (row, input) in inputs.into_iter().enumerate() {
            let sampler = config.sampler_of(kind, steps, SamplerOptions::default())?;
            timesteps = sampler.timesteps()[input.first_step..].iter().map(|t| *t as i64).collect();
            // Every image of the batch reads its own row of each draw.
            let mut noise: VecDeque<Vec<f32>> = self.noise.iter().map(|draw| draw.row(row)).collect();
            anyhow::ensure!(noise.is_empty() || learned, "noise for a deterministic sampler");
            runs.push(DecoderRun::new(DecoderStart {
                context: positive[row].clone(),
                guidance: (scale > 1.0).then(|| Guidance { scale, negative: negative[row].clone() }),
                sampler,
                first_step: input.first_step,
                latents: input.latents,
                latents_are_noise: input.first_step == 0,
                height,
                width,
                inpainting: input.inpainting.map(|(masked_latents, mask)| Inpainting { masked_latents, mask }),
                plan: StepPlan::default(),
                noise: Box::new(move |_| noise.pop_front().expect("a draw")),
            }));
        }
        let mut index = 0;
        while !runs[0].is_done() {
            let mut batch_runs: Vec<&mut DecoderRun> = runs.iter_mut().collect();
            let (result, found) =
                probe::record(|| decoder_run::step(&decoder.unet, &self.model.compute, &mut batch_runs));
            result?;
            if index == 0 {
                for (name, from) in [("sample", "input"), ("out", "output")] {
                    let rows = stages::picture_array(&found[from].tensor)?;
                    outputs.insert(format!("net0.{name}"), negatives_first(&rows, scale > 1.0));
                }
                self.add_network_inputs(scale > 1.0, per_prompt, outputs)?;
            }
            let latents = runs.iter().flat_map(|run| run.latents().to_vec()).collect();
            outputs.insert(format!("step.{index}.latents"), Array::float(latents, &[batch, channels, height, width]));
            index += 1;
        }
        outputs.insert("timesteps".to_owned(), Array::int(timesteps.clone(), &[timesteps.len()]));

        let latents = runs.iter().flat_map(|run| run.latents().to_vec()).collect();
        let image = movq.decode(latents, batch, height, width)?;
        let factor = movq.scale_factor() as usize;
        let (width, height) = (width * factor, height * factor);
        for planes in image.chunks(image.len() / batch) {
            pictures.push(pixels::from_signed_planes(planes, stages::image_size(height, width)));
        }
        outputs.insert("raw_image".to_owned(), Array::float(image, &[batch, 3, height, width]));
        Ok(())
    }

    /// The text and image inputs of the first network call, negatives first.
    fn add_network_inputs(&self, guided: bool, per_prompt: usize, outputs: &mut Outputs) -> Result<()> {
        let prompts = texts_of(&self.params["prompt"]);
        let mut negatives = texts_of(&self.params["negative_prompt"]);
        negatives.resize(prompts.len(), String::new());
        let mut texts = if guided { repeat(negatives, per_prompt) } else { Vec::new() };
        texts.extend(repeat(prompts.clone(), per_prompt));
        let encoded = self.model.decoder_texts(&plain(&texts))?;
        let (mut states, mut embeds) = (Vec::new(), Vec::new());
        for text in &encoded {
            states.extend(tensor::to_vec(&text.states)?);
            embeds.extend(tensor::to_vec(&text.embed)?);
        }
        let rows = texts.len();
        let hidden = states.len() / (rows * 77);
        let width = embeds.len() / rows;
        outputs.insert("net0.encoder_hidden_states".to_owned(), Array::float(states, &[rows, 77, hidden]));
        outputs.insert("net0.text_embeds".to_owned(), Array::float(embeds, &[rows, width]));
        let mut images = Vec::new();
        let groups =
            if guided { vec![&self.negative_image_embeds, &self.image_embeds] } else { vec![&self.image_embeds] };
        for embeds in groups {
            let repeats = if embeds.shape[0] == prompts.len() { per_prompt } else { 1 };
            for row in 0..embeds.shape[0] {
                for _ in 0..repeats {
                    images.extend(embeds.row(row));
                }
            }
        }
        outputs.insert("net0.image_embeds".to_owned(), Array::float(images, &[rows, width]));
        Ok(())
    }
}

/// From (negative, positive) pairs, image by image, to all negatives before all positives.
fn negatives_first(rows: &Array, guided: bool) -> Array {
    if !guided {
        return rows.clone();
    }
    let batch = rows.shape[0];
    let order = (0..batch).step_by(2).chain((1..batch).step_by(2));
    Array::float(order.flat_map(|row| rows.row(row)).collect(), &rows.shape)
}

fn size(model: &Kandinsky, params: &Json) -> Result<(usize, usize)> {
    let size = stages::image_size(count(params, "height", 0), count(params, "width", 0));
    let latent = model.latent_size(size)?;
    Ok((latent.height as usize, latent.width as usize))
}

fn from_noise(latents: &Array) -> Vec<DecoderInput> {
    (0..latents.shape[0])
        .map(|row| DecoderInput { latents: latents.row(row), inpainting: None, first_step: 0 })
        .collect()
}

pub fn text2img(fixture: &Fixture, pictures: &mut Vec<Image>) -> Result<Outputs> {
    let model = load(fixture)?;
    let mut outputs = Outputs::new();
    let call = DecoderCall {
        model: &model,
        params: &fixture.params,
        image_embeds: fixture.input("image_embeds")?.clone(),
        negative_image_embeds: fixture.input("negative_image_embeds")?.clone(),
        noise: fixture.noise(),
        size: size(&model, &fixture.params)?,
    };
    call.run(fixture, from_noise(fixture.input("latents")?), &mut outputs, pictures)?;
    Ok(outputs)
}

pub fn chain(fixture: &Fixture, pictures: &mut Vec<Image>) -> Result<Outputs> {
    let model = load(fixture)?;
    let mut outputs = Outputs::new();
    let mut draws = draws(fixture, "prior_latents");
    let prior = run_prior(&model, &fixture.params["prior"], &mut draws, None)?;
    prior.add_to(&mut outputs);
    let params = &fixture.params["decoder"];
    let call = DecoderCall {
        model: &model,
        params,
        image_embeds: outputs["image_embeds"].clone(),
        negative_image_embeds: outputs["negative_image_embeds"].clone(),
        noise: Vec::new(),
        size: size(&model, params)?,
    };
    call.run(fixture, from_noise(fixture.input("latents")?), &mut outputs, pictures)?;
    Ok(outputs)
}

/// The image as prepared for the encoder, and its latents.
fn encode(model: &Kandinsky, fixture: &Fixture, outputs: &mut Outputs) -> Result<Vec<f32>> {
    let params = &fixture.params;
    let (height, width) = (count(params, "height", 0), count(params, "width", 0));
    let picture = stages::input_picture(fixture, fixture.text("image")?)?;
    let prepared = stages::prepared(&picture, height, width);
    let movq = model.movq()?;
    let encoded = movq.encode(prepared.floats(), 1, height, width)?;
    let (h, w) = size(model, params)?;
    outputs.insert("prepared".to_owned(), prepared);
    outputs.insert("encoded".to_owned(), Array::float(encoded.clone(), &[1, movq.latent_channels(), h, w]));
    Ok(encoded)
}

pub fn img2img(fixture: &Fixture, pictures: &mut Vec<Image>) -> Result<Outputs> {
    let model = load(fixture)?;
    let mut outputs = Outputs::new();
    let encoded = encode(&model, fixture, &mut outputs)?;
    let strength = fixture.number("strength")?;
    let mut noise = fixture.noise();
    let noised = schedulers::img2img_noise(
        &encoded,
        &noise.remove(0).floats(),
        schedulers::img2img_timestep(model.decoder(false)?.scheduler.train_timesteps(), strength),
    );
    let call = DecoderCall {
        model: &model,
        params: &fixture.params,
        image_embeds: fixture.input("image_embeds")?.clone(),
        negative_image_embeds: fixture.input("negative_image_embeds")?.clone(),
        noise,
        size: size(&model, &fixture.params)?,
    };
    let (first_step, _) = schedulers::img2img_window(count(&fixture.params, "num_inference_steps", 0), strength);
    let input = DecoderInput { latents: noised, inpainting: None, first_step };
    call.run(fixture, vec![input], &mut outputs, pictures)?;
    Ok(outputs)
}

pub fn inpaint(fixture: &Fixture, pictures: &mut Vec<Image>) -> Result<Outputs> {
    let model = load(fixture)?;
    let mut outputs = Outputs::new();
    let encoded = encode(&model, fixture, &mut outputs)?;
    let (height, width) = (count(&fixture.params, "height", 0), count(&fixture.params, "width", 0));
    let latent = size(&model, &fixture.params)?;
    let kept = stages::kept(fixture, fixture.text("mask")?, height, width)?;
    let small = mask::resize_nearest(&kept, (height, width), latent);
    let small = mask::shrink_kept(&small, latent.0, latent.1);
    let masked: Vec<f32> = encoded.iter().enumerate().map(|(i, x)| x * small[i % small.len()]).collect();
    let call = DecoderCall {
        model: &model,
        params: &fixture.params,
        image_embeds: fixture.input("image_embeds")?.clone(),
        negative_image_embeds: fixture.input("negative_image_embeds")?.clone(),
        noise: fixture.noise(),
        size: latent,
    };
    let inputs = from_noise(fixture.input("latents")?)
        .into_iter()
        .map(|input| DecoderInput { inpainting: Some((masked.clone(), small.clone())), ..input })
        .collect();
    call.run(fixture, inputs, &mut outputs, pictures)?;
    Ok(outputs)
}
