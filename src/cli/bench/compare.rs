//! `kandinsky bench compare`: the networks of a checkpoint here and in PyTorch, in turns.
//!
//! Invariant: in each round every program runs every stage once, none while another one computes; what is compared are medians of the
//! rounds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::super::arguments::ModelArgs;
use super::super::error::CommandError;
use super::super::print::print_report;
use super::peer::{Peer, PeerSetup, Taken};
use super::process::processor_seconds;
use crate::app;
use crate::config::Config;
use crate::diffusion::DiffusionModel;
use crate::domain::{Common, Image, Limits, PriorSettings, Size};
use crate::modes::{CheckedGeneration, Generation, of_image, of_prompt};
use crate::tensor::files::Lookup;

/// What both sides run: the names of our stages and of the reference's.
const STAGES: [&str; 5] = ["encode", IMAGE, "prior", "decoder", "decode"];
/// Our stage that reads an image with CLIP is the one that reads texts, of a request without any.
const IMAGE: &str = "image";
/// Precisions of the reference.
const PRECISIONS: [&str; 3] = ["f32", "bf16", "bf16-channels-last"];

/// Run the networks of a checkpoint here and in PyTorch, in turns, and compare what they take.
#[derive(Args)]
pub(super) struct Compare {
    #[command(flatten)]
    model: ModelArgs,
    /// A Python with torch, diffusers and transformers.
    #[arg(long, value_name = "FILE")]
    python: PathBuf,
    /// Times that each side runs each network, after one that does not count.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// px [default: the model's own]
    #[arg(long)]
    width: Option<u32>,
    /// px
    #[arg(long)]
    height: Option<u32>,
    /// Precisions of the reference: f32, bf16, bf16-channels-last. One at a time is loaded [default: all].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = PRECISIONS)]
    precision: Vec<String>,
    /// Write the result as JSON as well; - for the standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was measured: of each stage the median of each side, s.
#[derive(Serialize)]
struct Report {
    rounds: u16,
    threads: usize,
    width: u32,
    height: u32,
    sides: Vec<Side>,
    /// Of each stage, how many times as long the fastest reference takes.
    ratios: BTreeMap<&'static str, f64>,
}

/// One program in one precision.
#[derive(Serialize)]
struct Side {
    name: String,
    seconds: BTreeMap<&'static str, f64>,
    processor_seconds: BTreeMap<&'static str, f64>,
}

/// What each run of each stage took.
type Runs = BTreeMap<&'static str, Vec<Taken>>;

impl Compare {
    pub(super) fn run(&self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        let config = self.model.load_config(None, None, None)?;
        let folder = folder_of(&config).map_err(CommandError::Usage)?;
        let compute = app::compute(&config)?;
        let model = app::load_model(&config, embedded, &compute)?;
        let threads = rayon::current_num_threads();
        let mut sides = Vec::new();
        let mut own = Runs::new();
        let mut size = Size { width: 0, height: 0 };
        let precisions: Vec<&str> = match self.precision.as_slice() {
            [] => PRECISIONS.to_vec(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        for precision in precisions {
            // Latents are as large as ours; what of them is cropped away is computed as well.
            let (request, drawn) = self.request(&*model, precision)?;
            let latents = measure(&*model, &request)?.1;
            size = drawn;
            let setup = PeerSetup { python: &self.python, folder: &folder, latents, threads, precision };
            let mut peer = Peer::start(&setup)?;
            let mut theirs = Runs::new();
            for round in 0..=self.rounds {
                // Texts that were read before are not read again.
                let (request, _) = self.request(&*model, &format!("{precision} {round}"))?;
                let mut ours = measure(&*model, &request)?.0;
                // Nor are images; one of few steps, of which the first one is what counts.
                let shade = u8::try_from(sides.len() * 64 + usize::from(round) % 64).unwrap_or(u8::MAX);
                let image = Self::image_request(&*model, shade)?;
                ours.extend(measure(&*model, &image)?.0.remove(STAGES[0]).map(|taken| (IMAGE, taken)));
                for stage in STAGES {
                    let taken = peer.run(stage)?;
                    if round > 0 {
                        theirs.entry(stage).or_default().push(taken);
                        own.entry(stage).or_default().extend(ours.get(stage));
                    }
                }
            }
            eprintln!("{} {precision}: done", peer.version);
            sides.push(Side::of(format!("{} {precision}", peer.version), &theirs));
        }
        sides.insert(0, Side::of(compute.backend().name(), &own));
        let report = Report::of(self.rounds, threads, size, sides);
        print_report(&report, report.table(), self.json.as_deref())?;
        Ok(())
    }

    /// An image of few steps, of texts that are like no others: of each stage the last step counts.
    fn request(&self, model: &dyn DiffusionModel, name: &str) -> Result<(Rc<CheckedGeneration>, Size), CommandError> {
        let (native, usual) = (model.info().native_size, Common::default());
        let size = Size { width: self.width.unwrap_or(native), height: self.height.unwrap_or(native) };
        let prior = PriorSettings { steps: 2, ..usual.prior };
        let avoided = Some(format!("without {name}"));
        let common = Common {
            steps: 2,
            prior,
            size: Some(size),
            negative_prior_prompt: avoided.clone(),
            negative_decoder_prompt: avoided,
            ..usual
        };
        let input = of_prompt(format!("a red heart, {name}")).into();
        Ok((check(Generation { input, common }, native)?, size))
    }

    /// A small image of the fewest steps, like one of a single shade.
    fn image_request(model: &dyn DiffusionModel, shade: u8) -> Result<Rc<CheckedGeneration>, CommandError> {
        let native = model.info().native_size;
        let size = Size { width: 64, height: 64 };
        let image = Image::new(size, Image::RGB, vec![shade; 64 * 64 * Image::RGB]);
        let common = Common { steps: 1, size: Some(size), ..Common::default() };
        check(Generation { input: of_image(image).into(), common }, native)
    }
}

fn check(generation: Generation, native: u32) -> Result<Rc<CheckedGeneration>, CommandError> {
    let checked = generation.check(&Limits::UNBOUNDED, Some(native));
    Ok(Rc::new(checked.map_err(|violations| CommandError::Usage(violations.into()))?.reduce()))
}

/// The checkpoint as a folder, which the reference reads, too.
fn folder_of(config: &Config) -> anyhow::Result<String> {
    let path = &config.model.path;
    anyhow::ensure!(
        std::path::Path::new(path).is_dir(),
        "--model must name a folder with a checkpoint, which the reference reads, too"
    );
    Ok(path.clone())
}

/// What each stage takes, and height and width of the latents.
type Measured = (BTreeMap<&'static str, Taken>, (usize, usize));

/// What the stages of one image take, of those with several steps the last one (of decoding all), and the size of its latents.
fn measure(model: &dyn DiffusionModel, request: &Rc<CheckedGeneration>) -> anyhow::Result<Measured> {
    let mut sample = model.begin(request, 0)?;
    let (mut taken, mut latents) = (BTreeMap::<&'static str, Taken>::new(), (0, 0));
    loop {
        let state = sample.state();
        let stage = &model.info().stages[state.key.stage];
        let (clock, processor) = (Instant::now(), processor_seconds());
        let finished = model.step(state.key, &mut [&mut *sample])?;
        let seconds = clock.elapsed().as_secs_f64();
        let processor_seconds = processor_seconds().zip(processor).map_or(seconds, |(end, start)| end - start);
        let step = Taken { seconds, processor_seconds };
        if stage.denoises {
            latents = (state.key.height, state.key.width);
        }
        // An exclusive stage is one network, taken in parts.
        let before = taken.get(stage.id).filter(|_| stage.exclusive).copied();
        let sum = before.map_or(step, |before| Taken {
            seconds: before.seconds + step.seconds,
            processor_seconds: before.processor_seconds + step.processor_seconds,
        });
        taken.insert(stage.id, sum);
        if finished.iter().any(Option::is_some) {
            return Ok((taken, latents));
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Side {
    fn of(name: String, runs: &Runs) -> Self {
        let medians = |part: fn(&Taken) -> f64| {
            runs.iter().map(|(stage, taken)| (*stage, median(taken.iter().map(part).collect()))).collect()
        };
        Self {
            name,
            seconds: medians(|taken| taken.seconds),
            processor_seconds: medians(|taken| taken.processor_seconds),
        }
    }
}

impl Report {
    fn of(rounds: u16, threads: usize, size: Size, sides: Vec<Side>) -> Self {
        let Size { width, height } = size;
        let fastest = |stage: &str| {
            let others = sides.iter().skip(1).filter_map(|side| side.seconds.get(stage));
            others.copied().fold(f64::INFINITY, f64::min)
        };
        let own = |stage: &str| sides.first().and_then(|side| side.seconds.get(stage)).copied();
        let ratios =
            STAGES.into_iter().filter_map(|stage| Some((stage, fastest(stage) / own(stage)?.max(1e-9)))).collect();
        Self { rounds, threads, width, height, sides, ratios }
    }

    fn table(&self) -> String {
        let Self { rounds, threads, width, height, .. } = self;
        let mut table = format!(
            "{width}x{height} px, {threads} threads, two rows (one image); ms of the clock (of processors), medians of {rounds} rounds\n"
        );
        // A String takes everything that is written to it.
        let _ = writeln!(table, "{:32}{}", "", STAGES.map(|stage| format!("{stage:>22}")).concat());
        for side in &self.sides {
            let cell = |stage: &str| {
                let number = |from: &BTreeMap<&'static str, f64>| from.get(stage).copied().unwrap_or(f64::NAN) * 1e3;
                format!("{:>22}", format!("{:.2} ({:.0})", number(&side.seconds), number(&side.processor_seconds)))
            };
            let _ = writeln!(table, "{:32}{}", side.name, STAGES.map(cell).concat());
        }
        let ratio = |stage: &str| self.ratios.get(stage).map_or(String::new(), |ratio| format!("{ratio:.2}x"));
        let _ = writeln!(
            table,
            "{:32}{}",
            "ours, to the best of the others",
            STAGES.map(|stage| format!("{:>22}", ratio(stage))).concat()
        );
        table
    }
}
