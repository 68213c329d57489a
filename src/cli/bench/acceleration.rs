//! `kandinsky bench acceleration`: how much faster ways to draw with less work are, and how far their images are from the usual ones.
//!
//! Invariant: every way draws the same prompts from the same seeds, one image after the other, as `generate` does alone; the first
//! way is what the others are compared with.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::super::arguments::ModelArgs;
use super::super::error::CommandError;
use super::super::print::print_report;
use super::process::processor_seconds;
use crate::app;
use crate::diffusion::{DiffusionModel, StageInfo};
use crate::domain::{Acceleration, Common, Image, ProductPrecision, Scheduler};
use crate::modes::{Generation, of_prompt};
use crate::schedulers;
use crate::tensor::files::Lookup;

/// Things and backgrounds that the embedded model draws.
const THINGS: [&str; 5] = ["red heart", "pizza", "smiling face", "panda", "robot"];
const BACKGROUNDS: [&str; 4] = ["blue", "green", "yellow", "white"];

/// Draw prompts in several ways, and report what each takes and how far its images are from those of the first way.
#[derive(Args)]
pub(super) struct AccelerationBench {
    #[command(flatten)]
    model: ModelArgs,
    /// A file with a prompt a line [default: 20 that suit the embedded model].
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Fields of requests that differ from the defaults, such as steps=20,cache_interval=2; also scheduler, guidance_start and
    /// guidance_end; and precision, the setting model.precision. Several times [default: each scheduler with few steps, each acceleration, and few steps with both].
    #[arg(long = "try", value_name = "FIELD=VALUE,...")]
    ways: Vec<Way>,
    /// Of the first prompt; the others have the seeds after it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the result as JSON as well; - for the standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A way to draw.
#[derive(Clone)]
struct Way {
    name: String,
    common: Common,
    /// In another precision than the model's.
    precision: Option<ProductPrecision>,
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut common, mut precision) = (Common::default(), None);
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (field, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not FIELD=VALUE"))?;
            let number = || value.trim().parse::<f32>().map_err(|_| format!("{value:?} is not a number"));
            let whole = || value.trim().parse::<u32>().map_err(|_| format!("{value:?} is not a whole number"));
            match field.trim() {
                "scheduler" => common.scheduler = Some(schedulers::parse(value.trim())?),
                "steps" => common.steps = whole()?,
                "cache_interval" => common.acceleration.cache_interval = whole()?,
                "guidance_start" => common.acceleration.guidance_start = number()?,
                "guidance_end" => common.acceleration.guidance_end = number()?,
                "precision" => precision = Some(value.trim().parse()?),
                _ => {
                    return Err(format!(
                        "{field:?} is none of scheduler, steps, cache_interval, guidance_start, guidance_end, precision"
                    ));
                }
            }
        }
        Ok(Self { name: text.to_owned(), common, precision })
    }
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    backend: String,
    prompts: usize,
    ways: Vec<Measured>,
}

/// What a way takes and gives.
#[derive(Serialize)]
struct Measured {
    way: String,
    /// Rows of the decoder that are computed for an image: all of them, and with features of another step.
    whole_rows: f64,
    reusing_rows: f64,
    /// Seconds of an image: of processors in all stages and in the decoder's, and of the clock in the latter.
    processor_seconds: Option<f64>,
    decoder_processor_seconds: Option<f64>,
    decoder_seconds: f64,
    /// Peak signal-to-noise ratio to the first way's images, dB: the mean error of all, and the furthest image.
    psnr: f64,
    least_psnr: f64,
    /// CLIP's cosine between prompts and their images, the mean.
    clip: Option<f64>,
    /// The share of images whose own prompt CLIP finds nearest among all.
    ranked_first: Option<f64>,
}

impl AccelerationBench {
    pub(super) fn run(&self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        let prompts = self.prompts()?;
        let config = self.model.load_config(None, None, None)?;
        let compute = app::compute(&config)?;
        let model = app::load_model(&config, embedded, &compute)?;
        let usual_model = Drawing { model: &*model, prompts: &prompts, seed: self.seed };
        // What is done once is not the first way's.
        usual_model.draw(&Common { steps: 2, ..Common::default() }, 0)?;
        let mut report = Report { backend: compute.backend().name(), prompts: prompts.len(), ways: Vec::new() };
        let mut usual: Vec<Image> = Vec::new();
        for way in self.ways() {
            let other = way.precision.map(|precision| {
                let mut config = config.clone();
                config.model.precision = precision;
                app::load_model(&config, embedded, &app::compute(&config)?)
            });
            let other = other.transpose()?;
            let (images, mut measured) =
                Drawing { model: other.as_deref().unwrap_or(&*model), ..usual_model }.measure(&way)?;
            if usual.is_empty() {
                usual.clone_from(&images);
            }
            let errors: Vec<f64> = images.iter().zip(&usual).map(|(image, usual)| mean_square(image, usual)).collect();
            measured.psnr = decibels(mean(&errors));
            measured.least_psnr = decibels(errors.iter().copied().fold(0.0, f64::max));
            eprintln!("{}: {:.1} dB", measured.way, measured.psnr);
            report.ways.push(measured);
        }
        print_report(&report, report.table(), self.json.as_deref())?;
        Ok(())
    }

    fn prompts(&self) -> anyhow::Result<Vec<String>> {
        let Some(path) = &self.prompts else {
            let all =
                THINGS.iter().flat_map(|thing| BACKGROUNDS.map(|color| format!("{thing} on a {color} background")));
            return Ok(all.collect());
        };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let prompts: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        anyhow::ensure!(!prompts.is_empty(), "{}: has no prompts", path.display());
        Ok(prompts)
    }

    /// The usual way, and those that are compared with it.
    fn ways(&self) -> Vec<Way> {
        let mut ways = vec![Way { name: "defaults".to_owned(), common: Common::default(), precision: None }];
        if !self.ways.is_empty() {
            ways.extend(self.ways.iter().cloned());
            return ways;
        }
        for steps in [15, 20, 25] {
            ways.extend(schedulers::names().into_iter().map(|name| {
                let common = Common { steps, scheduler: Some(Scheduler::named(name)), ..Common::default() };
                Way { name: format!("scheduler={name},steps={steps}"), common, precision: None }
            }));
        }
        let usual = Acceleration::default();
        let reusing = [2, 3, 5].map(|cache_interval| Acceleration { cache_interval, ..usual });
        let guided = [(0.0, 0.8), (0.0, 0.6), (0.1, 1.0), (0.1, 0.8)]
            .map(|(guidance_start, guidance_end)| Acceleration { guidance_start, guidance_end, ..usual });
        let accelerations: Vec<Acceleration> = reusing.into_iter().chain(guided).collect();
        ways.extend(accelerations.iter().map(|acceleration| {
            let common = Common { acceleration: *acceleration, ..Common::default() };
            Way { name: format!("{acceleration}"), common, precision: None }
        }));
        for (steps, cache_interval, guidance_end) in [(20, 1, 0.8), (20, 2, 1.0), (20, 2, 0.8), (25, 3, 1.0)] {
            let acceleration = Acceleration { cache_interval, guidance_end, ..usual };
            let common = Common { steps, acceleration, ..Common::default() };
            ways.push(Way { name: format!("steps={steps},{acceleration}"), common, precision: None });
        }
        ways
    }
}

/// What all ways draw.
struct Drawing<'a> {
    model: &'a dyn DiffusionModel,
    prompts: &'a [String],
    seed: u64,
}

/// What one image took.
#[derive(Default)]
struct Spent {
    whole_rows: usize,
    reusing_rows: usize,
    decoder_seconds: f64,
    decoder_processor_seconds: f64,
}

impl Drawing<'_> {
    #[expect(clippy::cast_precision_loss, reason = "a handful of images")]
    fn measure(&self, way: &Way) -> Result<(Vec<Image>, Measured), CommandError> {
        let count = self.prompts.len() as f64;
        let (mut images, mut all) = (Vec::new(), Spent::default());
        let start = processor_seconds();
        for at in 0..self.prompts.len() {
            let (image, spent) = self.draw(&way.common, at)?;
            images.push(image);
            all.whole_rows += spent.whole_rows;
            all.reusing_rows += spent.reusing_rows;
            all.decoder_seconds += spent.decoder_seconds;
            all.decoder_processor_seconds += spent.decoder_processor_seconds;
        }
        let taken = processor_seconds().zip(start).map(|(end, start)| (end - start) / count);
        let judged = self.judge(&images)?;
        let measured = Measured {
            way: way.name.clone(),
            whole_rows: all.whole_rows as f64 / count,
            reusing_rows: all.reusing_rows as f64 / count,
            processor_seconds: taken,
            decoder_processor_seconds: taken.map(|_| all.decoder_processor_seconds / count),
            decoder_seconds: all.decoder_seconds / count,
            psnr: 0.0,
            least_psnr: 0.0,
            clip: judged.map(|(clip, _)| clip),
            ranked_first: judged.map(|(_, first)| first),
        };
        Ok((images, measured))
    }

    /// The image of one prompt.
    fn draw(&self, common: &Common, at: usize) -> Result<(Image, Spent), CommandError> {
        let common = Common { seed: self.seed.wrapping_add(at as u64), ..common.clone() };
        let input = of_prompt(self.prompts[at].clone()).into();
        let limits = crate::domain::Limits::UNBOUNDED;
        let generation = Generation { input, common }.check(&limits, Some(self.model.info().native_size));
        let generation = generation.map_err(|violations| CommandError::Usage(violations.into()))?;
        let failed = |error: crate::tensor::Error| CommandError::Failed(error.into());
        let stages: &[StageInfo] = self.model.info().stages;
        let mut sample = self.model.begin(&Rc::new(generation.reduce()), 0).map_err(failed)?;
        let mut spent = Spent::default();
        let mut whole = None;
        loop {
            let state = sample.state();
            let (clock, processor) = (Instant::now(), processor_seconds());
            let finished = self.model.step(state.key, &mut [&mut *sample]).map_err(failed)?;
            if stages.get(state.key.stage).is_some_and(|stage| stage.denoises) {
                // The first step is a whole one.
                let is_whole = state.key.network == *whole.get_or_insert(state.key.network);
                *(if is_whole { &mut spent.whole_rows } else { &mut spent.reusing_rows }) += state.rows;
                spent.decoder_seconds += clock.elapsed().as_secs_f64();
                spent.decoder_processor_seconds +=
                    processor_seconds().zip(processor).map_or(0.0, |(end, start)| end - start);
            }
            if let Some(image) = finished.into_iter().flatten().next() {
                return Ok((image, spent));
            }
        }
    }

    /// How near CLIP finds images to their prompts, and how often no other prompt is nearer. `None`: there is no such encoder.
    #[expect(clippy::cast_precision_loss, reason = "a handful of images")]
    fn judge(&self, images: &[Image]) -> Result<Option<(f64, f64)>, CommandError> {
        if self.model.info().clip_width.is_none() || !self.model.info().embeds_images {
            return Ok(None);
        }
        let failed = |error: crate::tensor::Error| CommandError::Failed(error.into());
        let texts = self.prompts.iter().map(|prompt| Ok(self.model.embed_text(prompt).map_err(failed)?.concat()));
        let texts: Vec<Vec<f32>> = texts.collect::<Result<_, CommandError>>()?;
        let (mut sum, mut first) = (0.0, 0.0);
        for (at, image) in images.iter().enumerate() {
            let image = self.model.embed_image(image).map_err(failed)?;
            let scores: Vec<f64> = texts.iter().map(|text| cosine(text, &image)).collect();
            sum += scores[at];
            first += f64::from(u8::from(scores.iter().all(|score| *score <= scores[at])));
        }
        let count = images.len() as f64;
        Ok(Some((sum / count, first / count)))
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of numbers")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// Mean square of the difference, in steps of 255.
fn mean_square(image: &Image, usual: &Image) -> f64 {
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    mean(&image.pixels().iter().zip(usual.pixels()).map(square).collect::<Vec<f64>>())
}

fn decibels(mean_square: f64) -> f64 {
    10.0 * (255.0_f64.powi(2) / mean_square.max(1e-6)).log10()
}

impl Report {
    fn table(&self) -> String {
        let mut table = format!("{}, {} prompts\n", self.backend, self.prompts);
        table += "   rows: whole  reusing   CPU s  decoder  faster      dB  least    CLIP  first\n";
        let first = self.ways.first().and_then(|way| way.decoder_processor_seconds);
        for way in &self.ways {
            let number =
                |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
            let faster = first.zip(way.decoder_processor_seconds).map(|(first, own)| first / own.max(1e-9));
            // A String takes everything that is written to it.
            let _ = writeln!(
                table,
                "{:14.1} {:8.1} {:>7} {:>8} {:>7} {:7.1} {:6.1} {:>7} {:>6}  {}",
                way.whole_rows,
                way.reusing_rows,
                number(way.processor_seconds, 3),
                number(way.decoder_processor_seconds, 3),
                number(faster, 2),
                way.psnr,
                way.least_psnr,
                number(way.clip, 4),
                number(way.ranked_first, 2),
                way.way,
            );
        }
        table
    }
}
