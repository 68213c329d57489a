//! `kandinsky bench fleet`: how many devices a load needs, on paper.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::error::CommandError;
use super::super::print::print_report;
use super::values::{positive, size};
use crate::domain::Size;
use crate::simulation::{
    Batching, Demand, Flood, Mix, Options, Outcome, Scaling, StepCosts, Target, read_trace, simulate,
};

/// Simulate a fleet: what decides is the server's own code (steps, queues, admission), what a step takes comes from a table. Needs
/// no server, no model and no GPU.
#[derive(Args)]
pub(super) struct Fleet {
    /// Numbers of devices.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,8,100,1000", value_parser = devices)]
    devices: Vec<usize>,
    /// Loads, relative to what the devices do one image at a time.
    #[arg(long, value_name = "L,...", value_delimiter = ',', default_value = "0.6,0.9,1.15,1.25,1.35", value_parser = positive)]
    load: Vec<f64>,
    /// Seconds of load.
    #[arg(long, value_name = "S", default_value = "20", value_parser = positive)]
    duration: f64,
    /// How jobs come.
    #[arg(long, value_enum, default_value = "steady")]
    arrivals: Arrivals,
    /// Sizes in px and their shares.
    #[arg(long, value_name = "WxH[:SHARE],...", value_delimiter = ',', default_value = "512x512:8,768x768:2", value_parser = share_of_size)]
    size: Vec<(Size, u64)>,
    /// Decoder steps and their shares.
    #[arg(long, value_name = "N[:SHARE],...", value_delimiter = ',', default_value = "25:3,50:6,100:1", value_parser = share_of_steps)]
    steps: Vec<(u32, u64)>,
    /// What steps take: a file with {"area": 262144, "rows": [2, 4], "ms": [4.3, 7.0], "host_ms": 0.3} [default: predicted
    /// for an H100]; also "image_ms", an image's time on the device beside them, and "job_ms", a job's beside the device.
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// A recorded load: on each line {"at": 0.25, "width": 512, "height": 512, "steps": 50}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load", "arrivals", "size", "steps", "duration"])]
    trace: Option<PathBuf>,
    /// Jobs that may wait or run at a time; more are refused.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    max_jobs: u64,
    /// How a flood of so many jobs of one key delays those of others that come while it lasts: in the order of arrival, and with
    /// jobs that yield.
    #[arg(long, value_name = "N", conflicts_with_all = ["trace", "autoscale"])]
    flood: Option<usize>,
    /// Compare autoscalers over a day of this many seconds in place of fixed numbers of devices, with the largest number of
    /// --devices and the first --load as the mean.
    #[arg(long, value_name = "S", value_parser = positive, conflicts_with = "trace")]
    autoscale: Option<f64>,
    /// From the order of a device until it takes jobs, s (with --autoscale).
    #[arg(long, value_name = "S", default_value = "90", value_parser = positive)]
    cold_start: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the result as JSON as well; - for the standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Arrivals {
    /// At random, at one rate.
    Steady,
    /// In bursts of five times the rate between them.
    Bursts,
}

/// One line of the result.
#[derive(Serialize)]
struct Line {
    name: String,
    most_devices: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<f64>,
    #[serde(flatten)]
    outcome: Outcome,
}

fn devices(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| "must be 1 to 10000".to_owned())
}

fn shared<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<(T, u64), String> {
    let (text, share) = text.split_once(':').unwrap_or((text, "1"));
    let share = share.parse().ok().filter(|n| (1..=1_000_000).contains(n));
    Ok((item(text)?, share.ok_or_else(|| "a share must be a whole number of 1 or more".to_owned())?))
}

fn share_of_size(text: &str) -> Result<(Size, u64), String> {
    shared(text, size)
}

fn share_of_steps(text: &str) -> Result<(u32, u64), String> {
    let steps = |text: &str| text.parse().ok().filter(|n| (1..=10_000).contains(n));
    shared(text, |text| steps(text).ok_or_else(|| "must be 1 to 10000 steps".to_owned()))
}

impl Fleet {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let lines = if self.autoscale.is_some() { self.autoscalers()? } else { self.fixed()? };
        print_report(&lines, table(&lines), self.json.as_deref())?;
        Ok(())
    }

    /// What all simulations have in common.
    fn options(&self) -> Result<Options, CommandError> {
        let usage = |path: &Path, error: anyhow::Error| CommandError::Usage(error.context(path.display().to_string()));
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| usage(path, error.into()));
        let costs = match &self.costs {
            Some(path) => StepCosts::from_json(&read(path)?).map_err(|error| usage(path, error.into()))?,
            None => StepCosts::predicted_h100(),
        };
        let trace = match &self.trace {
            Some(path) => Some(read_trace(&read(path)?).map_err(|error| usage(path, error.into()))?),
            None => None,
        };
        Ok(Options {
            devices: 1,
            batching: Batching::OneAtATime,
            affinity: false,
            costs,
            load: 1.0,
            seconds: self.duration,
            demand: match self.arrivals {
                Arrivals::Steady => Demand::Steady,
                Arrivals::Bursts => Demand::Bursts,
            },
            mix: Mix { sizes: self.size.clone(), steps: self.steps.clone(), high: 0, low: 0 },
            trace,
            flood: None,
            most_jobs: self.max_jobs,
            scaling: None,
            seed: self.seed,
        })
    }

    fn fixed(&self) -> Result<Vec<Line>, CommandError> {
        let options = self.options()?;
        let loads: Vec<Option<f64>> =
            if options.trace.is_some() { vec![None] } else { self.load.iter().copied().map(Some).collect() };
        let mut lines = Vec::new();
        for &devices in &self.devices {
            for &load in &loads {
                let options = Options { devices, load: load.unwrap_or(1.0), ..options.clone() };
                for (name, options) in self.variants(&options) {
                    let outcome = simulate(&options);
                    lines.push(Line { name: name.to_owned(), most_devices: devices, load, outcome });
                }
            }
        }
        Ok(lines)
    }

    /// What is compared.
    fn variants(&self, options: &Options) -> Vec<(&'static str, Options)> {
        let steps = |images, affinity| Options { batching: Batching::Steps { images }, affinity, ..options.clone() };
        if let Some(jobs) = self.flood {
            let beside = |yields| Options { flood: Some(Flood { jobs, yields }), ..steps(8, true) };
            return vec![("in order of arrival", beside(false)), ("the flood yields", beside(true))];
        }
        vec![
            ("one at a time", options.clone()),
            ("4 images", steps(4, false)),
            ("8 images", steps(8, false)),
            ("8 images of a size", steps(8, true)),
        ]
    }

    fn autoscalers(&self) -> Result<Vec<Line>, CommandError> {
        let seconds = self.autoscale.unwrap_or_default();
        let devices = self.devices.iter().copied().max().unwrap_or(1);
        let load = self.load.first().copied().unwrap_or(0.5);
        let fixed = Options {
            devices,
            batching: Batching::Steps { images: 8 },
            affinity: true,
            load,
            seconds,
            demand: Demand::Day { seconds },
            ..self.options()?
        };
        let scaling =
            |target| Scaling { target, least: 1, interval: 15.0, cold_start: self.cold_start, patience: 300.0 };
        let both = |each| Some(scaling(Target::WaitingOrRunning(each)));
        let policies = [
            ("fixed", None),
            ("waiting / 10", Some(scaling(Target::Waiting(10.0)))),
            ("waiting + running / 4", both(4.0)),
            ("waiting + running / 2", both(2.0)),
            ("waiting + running / 1", both(1.0)),
            ("waiting + running / 0.7", both(0.7)),
        ];
        let line = |(name, scaling): (&str, Option<Scaling>)| Line {
            name: name.to_owned(),
            most_devices: devices,
            load: Some(load),
            outcome: simulate(&Options { scaling, ..fixed.clone() }),
        };
        Ok(policies.into_iter().map(line).collect())
    }
}

fn table(lines: &[Line]) -> String {
    let mut text = format!(
        "{:>7} {:>5} {:24} {:>8} {:>8} {:>7} {:>7} {:>7} {:>6} {:>6} {:>8} {:>7}\n",
        "devices", "load", "", "jobs", "refused", "p50, s", "p95, s", "p99, s", "rows", "busy", "devices", "> 10 s"
    );
    for Line { name, most_devices, load, outcome } in lines {
        let load = load.map_or_else(|| "-".to_owned(), |load| format!("{load:.2}"));
        let Outcome { jobs, refused, latency, waited_long, rows_per_step, utilization, devices, .. } = outcome;
        let [p50, p95, p99] = [latency.p50_ms, latency.p95_ms, latency.p99_ms].map(|ms| ms / 1e3);
        // A String takes everything that is written to it.
        let _ = writeln!(
            text,
            "{most_devices:>7} {load:>5} {name:24} {jobs:>8} {refused:>8} {p50:>7.2} {p95:>7.2} {p99:>7.2} {rows_per_step:>6.1} \
             {:>5.0}% {devices:>8.1} {:>6.1}%",
            utilization * 100.0,
            waited_long * 100.0
        );
    }
    text
}
