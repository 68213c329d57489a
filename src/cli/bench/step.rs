//! `kandinsky bench step`: what each kind of layer takes of each stage of an image, and how near that is to what the device can do.
//!
//! Invariant: images are made as one worker makes them that has nothing else to do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::super::arguments::ModelArgs;
use super::super::error::CommandError;
use super::super::generate::mode_parser;
use super::super::mode_flags::ModeFlags;
use super::super::print::print_report;
use crate::app;
use crate::diffusion::Sample;
use crate::domain::{Common, Limits, PriorSettings};
use crate::modes::{CheckedGeneration, Generation, Mode};
use crate::tensor::files::Lookup;
use crate::tensor::{Account, Roofline};

/// Make an image here, and report the time, operations and bytes of each kind of layer in each stage.
#[derive(Args)]
pub(super) struct Step {
    #[arg(value_parser = mode_parser())]
    mode: Mode,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    flags: ModeFlags,
    /// px [default: the model's own; for inpainting the image's]
    #[arg(long)]
    width: Option<u32>,
    /// px
    #[arg(long)]
    height: Option<u32>,
    /// Steps of the prior and of the decoder; of each stage the first is not counted.
    #[arg(long, default_value_t = 5)]
    steps: u32,
    /// Images in one batch.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    images: u16,
    /// Write the result as JSON as well; - for the standard output instead of the tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    backend: String,
    roofline: Roofline,
    stages: BTreeMap<&'static str, Stage>,
}

/// What the steps of a stage took; of a stage of one step that one, of others those after the first.
#[derive(Default, Serialize)]
struct Stage {
    /// Of each step that counts.
    seconds: Vec<f64>,
    /// Of all of them.
    layers: BTreeMap<String, Account>,
}

impl Step {
    pub(super) fn run(&self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        let config = self.model.load_config(None, None, None)?;
        let (compute, meter) = app::compute(&config)?.metered();
        let model = app::load_model(&config, embedded, &compute)?;
        let native = model.info().native_size;
        let limits = config.limits.for_model(native);
        let generation = self.generation(&limits, native)?;
        let generation = Rc::new(generation.reduce());
        let stages = model.info().stages;
        let begin = |index| model.begin(&generation, u32::from(index));
        let mut samples = (0..self.images).map(begin).collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::from)?;
        let mut measured: BTreeMap<&'static str, Stage> = BTreeMap::new();
        while let Some(state) = samples.first().map(|sample| sample.state()) {
            let stage = &stages[state.key.stage];
            // They are alike, so all are at the same step until they get to a stage that takes one at a time.
            let together = if stage.exclusive { 1 } else { samples.len() };
            let mut batch: Vec<&mut dyn Sample> = samples[..together].iter_mut().map(|sample| &mut **sample).collect();
            drop(meter.take());
            let start = Instant::now();
            let finished = model.step(state.key, &mut batch).map_err(anyhow::Error::from)?;
            let seconds = start.elapsed().as_secs_f64();
            let stage = measured.entry(stage.id).or_default();
            if state.step == 1 {
                *stage = Stage::default();
            }
            stage.seconds.push(seconds);
            for (kind, account) in meter.take() {
                *stage.layers.entry(kind).or_default() += account;
            }
            if finished.iter().any(Option::is_some) {
                samples.remove(0);
            }
        }
        let report = Report { backend: compute.backend().name(), roofline: compute.roofline(), stages: measured };
        print_report(&report, &report, self.json.as_deref())?;
        Ok(())
    }

    fn generation(&self, limits: &Limits, native: u32) -> Result<CheckedGeneration, CommandError> {
        let usual = Common::default();
        let prior = PriorSettings { steps: self.steps, ..usual.prior };
        let input = self.flags.input(self.mode, (self.width, self.height), limits).map_err(CommandError::Usage)?;
        let mut generation = Generation { input, common: Common { steps: self.steps, prior, ..usual } };
        generation.common.size = generation.size_of_sides((self.width, self.height), native);
        generation.check(limits, Some(native)).map_err(|violations| CommandError::Usage(violations.into()))
    }
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Roofline { operations, bytes } = self.roofline;
        writeln!(
            f,
            "{}: at most {:.0} GFLOP/s in f32, {:.0} GB/s from memory",
            self.backend,
            operations / 1e9,
            bytes / 1e9
        )?;
        writeln!(f, "(layers: sums over threads that compute at once, a step; operations as by definition)")?;
        for (name, stage) in &self.stages {
            let mut seconds = stage.seconds.clone();
            seconds.sort_by(f64::total_cmp);
            let (count, median) = (seconds.len() as f64, seconds[seconds.len() / 2]);
            writeln!(f, "\n{name}: {:.2} ms a step, the median of {count}", median * 1e3)?;
            writeln!(f, "  layer                     calls         ms      %   GFLOP/s  of limit     GB/s")?;
            let total: f64 = stage.layers.values().map(|layer| layer.seconds).sum();
            for (kind, layer) in &stage.layers {
                let rate = layer.operations / layer.seconds.max(1e-12);
                writeln!(
                    f,
                    "  {kind:24} {:6.0} {:10.3} {:6.1} {:9.1} {:8.0}% {:8.1}",
                    layer.calls as f64 / count,
                    layer.seconds / count * 1e3,
                    layer.seconds / total * 100.0,
                    rate / 1e9,
                    rate / operations.max(1.0) * 100.0,
                    layer.bytes / layer.seconds.max(1e-12) / 1e9,
                )?;
            }
        }
        Ok(())
    }
}
