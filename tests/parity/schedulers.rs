//! Runners of the noise schedules and samplers.

use std::collections::VecDeque;

use anyhow::{Context as _, Result};
use kandinsky::schedulers::{self, Prediction, SamplerOptions, Schedule, SchedulerConfig};
use serde_json::Value as Json;

use crate::Outputs;
use crate::fixture::{Array, Data, Fixture};

pub fn scheduler(fixture: &Fixture) -> Result<Outputs> {
    let mut json = fixture.params["config"].clone();
    json["_class_name"] = fixture.params["class"].clone();
    let config: SchedulerConfig = serde_json::from_value(json)?;
    let step = &fixture.params["step"];
    let options = SamplerOptions {
        eta: step["eta"].as_f64().unwrap_or(0.0) as f32,
        use_clipped_model_output: step["use_clipped_model_output"].as_bool().unwrap_or(false),
    };
    let kind = config.info()?;
    let schedule = config.schedule(kind)?;
    let mut outputs = Outputs::new();
    outputs.insert("betas".to_owned(), Array::vector(schedule.betas.clone()));
    outputs.insert("alphas_cumprod".to_owned(), Array::vector(schedule.alphas_cumprod.clone()));
    let sample = fixture.input("sample")?;
    add_noise(fixture, &schedule, sample, &mut outputs)?;

    let counts = |name: &str| -> Vec<usize> {
        let list = fixture.params[name].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(Json::as_u64).map(|n| n as usize).collect()
    };
    for n in counts("timesteps") {
        let sampler = config.sampler(n, options)?;
        let timesteps = sampler.timesteps().to_vec();
        let timesteps = match fixture.outputs.get(&format!("timesteps.{n}")).map(|want| &want.data) {
            Some(Data::Int(_)) => Array::int(timesteps.iter().map(|t| *t as i64).collect(), &[timesteps.len()]),
            _ => Array::vector(timesteps),
        };
        outputs.insert(format!("timesteps.{n}"), timesteps);
        outputs.insert(format!("init_noise_sigma.{n}"), Array::scalar(sampler.init_noise_sigma()));
        outputs.insert(format!("sigmas.{n}"), Array::vector(sampler.sigmas().to_vec()));
    }
    let mut noise: VecDeque<Array> = fixture.noise().into();
    for n in counts("trajectories") {
        trajectory(fixture, &config, options, n, &mut noise, &mut outputs)?;
    }
    anyhow::ensure!(noise.is_empty(), "{} draws of noise were not used", noise.len());
    Ok(outputs)
}

/// What the reference's `add_noise` makes with the cumulative alphas that samplers use.
fn add_noise(fixture: &Fixture, schedule: &Schedule, sample: &Array, outputs: &mut Outputs) -> Result<()> {
    let noise = fixture.input("added_noise")?;
    let mut noisy = Vec::new();
    for (row, t) in fixture.input("added_timesteps")?.ints().into_iter().enumerate() {
        let alpha = schedule.alphas_cumprod[usize::try_from(t)?];
        let mix = |(x, n): (f32, f32)| alpha.sqrt() * x + (1.0 - alpha).sqrt() * n;
        noisy.extend(sample.row(row).into_iter().zip(noise.row(row)).map(mix));
    }
    outputs.insert("add_noise".to_owned(), Array::float(noisy, &sample.shape));
    Ok(())
}

fn trajectory(
    fixture: &Fixture,
    config: &SchedulerConfig,
    options: SamplerOptions,
    n: usize,
    noise: &mut VecDeque<Array>,
    outputs: &mut Outputs,
) -> Result<()> {
    let start = fixture.input("sample")?;
    let model = fixture.input(&format!("model_output.{n}"))?;
    let (batch, size) = (start.shape[0], start.shape[1..].iter().product::<usize>());
    let width = model.shape[2..].iter().product::<usize>();
    // One sampler a row: samplers hold the state of one sample.
    let mut samplers = (0..batch).map(|_| config.sampler(n, options)).collect::<Result<Vec<_>, _>>()?;
    let sigma = samplers[0].init_noise_sigma();
    let mut sample: Vec<f32> = start.floats().iter().map(|x| x * sigma).collect();
    outputs.insert(format!("init.{n}"), Array::float(sample.clone(), &start.shape));
    let (mut scaled, mut previous, mut original) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..n {
        let outputs_here = model.row(index);
        let drawn = std::cell::RefCell::new(None);
        let mut next = Vec::new();
        for (row, sampler) in samplers.iter_mut().enumerate() {
            let here = &sample[row * size..(row + 1) * size];
            scaled.extend_from_slice(&sampler.scale_input(index, here));
            let output = &outputs_here[row * width..(row + 1) * width];
            let prediction = Prediction { mean: &output[..size], variance: (width > size).then(|| &output[size..]) };
            let mut draw = |_: usize| {
                let mut drawn = drawn.borrow_mut();
                let array = drawn.get_or_insert_with(|| noise.pop_front().expect("noise for this step"));
                array.row(row)
            };
            let step = sampler.step(index, prediction, here, &mut draw);
            next.extend(step.sample);
            original.extend(step.original);
        }
        sample = next;
        previous.extend_from_slice(&sample);
    }
    let mut shape = vec![n];
    shape.extend(&start.shape);
    outputs.insert(format!("scaled_input.{n}"), Array::float(scaled, &shape));
    outputs.insert(format!("prev_sample.{n}"), Array::float(previous, &shape));
    outputs.insert(format!("pred_original_sample.{n}"), Array::float(original, &shape));
    Ok(())
}

pub fn img2img_tables(fixture: &Fixture) -> Result<Outputs> {
    let rows = fixture.params["rows"].as_array().context("rows")?;
    let config =
        SchedulerConfig { class_name: "DDIMScheduler".to_owned(), steps_offset: Some(1), ..SchedulerConfig::default() };
    let (mut table, mut first) = (Vec::new(), Vec::new());
    for row in rows {
        let (steps, strength) = (row[0].as_u64().context("steps")? as usize, row[1].as_f64().context("strength")?);
        let (start, left) = schedulers::img2img_window(steps, strength);
        table.extend([start as i64, left as i64, schedulers::img2img_timestep(1000, strength)]);
        let sampler = config.sampler(steps, SamplerOptions::default())?;
        first.push(sampler.timesteps().get(start).map_or(-1, |t| *t as i64));
    }
    let count = rows.len();
    let sizes = fixture.params["hw"].as_array().context("hw")?;
    let mut latent = Vec::new();
    for size in sizes {
        let number = |i: usize| size[i].as_u64().map(|n| n as u32).context("a size");
        let factor = number(2)?;
        for side in [number(0)?, number(1)?] {
            latent.push(kandinsky::families::kandinsky21::latent_side(side, factor).into());
        }
    }
    let (latents, noise) = (fixture.input("latents")?, fixture.input("noise")?);
    let mut noisy = Vec::new();
    for (row, t) in fixture.input("timesteps")?.ints().into_iter().enumerate() {
        noisy.extend(schedulers::img2img_noise(&latents.row(row), &noise.row(row), t));
    }
    Ok(Outputs::from([
        ("table".to_owned(), Array::int(table, &[count, 3])),
        ("first_timestep".to_owned(), Array::int(first, &[count])),
        ("latent_hw".to_owned(), Array::int(latent, &[sizes.len(), 2])),
        ("noisy".to_owned(), Array::float(noisy, &latents.shape)),
    ]))
}
