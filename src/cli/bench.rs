//! `kandinsky bench`.

mod acceleration;
mod compare;
mod fleet;
mod peer;
mod process;
mod step;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use self::values::{positive, size};
use super::error::CommandError;
use super::print::print_report;
use crate::bench::{self, BenchError, Ending, MixPart, Options, Record, TrafficPattern, Until, Workload};
use crate::domain::Size;
use crate::tensor::files::Lookup;

/// Put load on a running server and report throughput, latencies and batch sizes. Without --rate or --scenario, clients
/// wait for their responses before they send the next request (a closed loop).
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Bench {
    #[command(subcommand)]
    here: Option<Here>,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key, if the server needs one.
    #[arg(long, env = "KANDINSKY_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Clients at once.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Requests a second at random times (a Poisson process), however long responses take.
    #[arg(long, value_name = "R", value_parser = positive, conflicts_with = "concurrency")]
    rate: Option<f64>,
    /// A preset.
    #[arg(long, value_enum, conflicts_with_all = ["concurrency", "rate"])]
    scenario: Option<Scenario>,
    /// Stop sending after this many seconds [default: 30].
    #[arg(long, value_name = "S", value_parser = positive, conflicts_with = "requests")]
    duration: Option<f64>,
    /// Stop after this many requests.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Modes and their shares, such as text-to-image:3,inpainting:1.
    #[arg(long, value_name = "MODE[:SHARE],...", value_delimiter = ',', default_value = "text-to-image")]
    mix: Vec<MixPart>,
    /// Sizes in px; each request draws one.
    #[arg(long, value_name = "WxH,...", value_delimiter = ',', value_parser = size, default_value = "64x64")]
    size: Vec<Size>,
    /// Numbers of decoder steps; each request draws one.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "25")]
    steps: Vec<u32>,
    /// Steps of the prior.
    #[arg(long, value_name = "N", default_value_t = 10)]
    prior_steps: u32,
    /// Images per request.
    #[arg(long, default_value_t = 1)]
    n: u32,
    /// The same seed gives the same requests at the same times.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Requests before the clock starts, one after the other.
    #[arg(long, value_name = "N", default_value_t = 2)]
    warm_up: u64,
    /// Timeout of a request, s.
    #[arg(long, value_name = "S", default_value = "600", value_parser = positive)]
    timeout: f64,
    /// Longest pause after a rejection, s, whatever Retry-After says.
    #[arg(long, value_name = "S", default_value = "10", value_parser = positive)]
    longest_pause: f64,
    /// Long jobs of the scenario short-behind-long.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    long_jobs: u16,
    /// Their decoder steps.
    #[arg(long, value_name = "N", default_value_t = 200)]
    long_steps: u32,
    /// Write the result as JSON as well; - for the standard output instead of the tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is measured without a server.
#[derive(Subcommand)]
enum Here {
    Step(Box<step::Step>),
    Acceleration(Box<acceleration::AccelerationBench>),
    Compare(Box<compare::Compare>),
    Fleet(Box<fleet::Fleet>),
}

impl Here {
    fn run(&self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        match self {
            Self::Step(step) => step.run(embedded),
            Self::Acceleration(bench) => bench.run(embedded),
            Self::Compare(compare) => compare.run(embedded),
            Self::Fleet(fleet) => fleet.run(),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// One client.
    Serial,
    /// Eight clients.
    Eight,
    /// Thirty-two clients.
    ThirtyTwo,
    /// Short jobs that come behind long ones, and the same alone.
    ShortBehindLong,
}

impl Bench {
    pub(super) async fn run(self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        if let Some(here) = self.here {
            return tokio::task::spawn_blocking(move || rayon::scope(|_| here.run(embedded))).await?;
        }
        let options = self.options();
        let bar = ProgressBar::new_spinner().with_style(style());
        bar.enable_steady_tick(Duration::from_millis(100));
        let outcome = bench::run(&options, count_endings(bar.clone())).await;
        bar.finish_and_clear();
        let report = outcome.map_err(|error| match error {
            BenchError::Url(_) | BenchError::Client(_) => CommandError::Usage(error.into()),
            _ => CommandError::Failed(error.into()),
        })?;
        print_report(&report, &report, self.json.as_deref())?;
        let failed: u64 = report.errors.values().sum();
        if failed > 0 {
            return Err(CommandError::Failed(anyhow::anyhow!("{failed} requests failed")));
        }
        Ok(())
    }

    fn options(&self) -> Options {
        let closed = |clients| TrafficPattern::Closed { clients };
        let pattern = match (self.scenario, self.rate) {
            (Some(Scenario::Serial), _) => closed(1),
            (Some(Scenario::Eight), _) => closed(8),
            (Some(Scenario::ThirtyTwo), _) => closed(32),
            (Some(Scenario::ShortBehindLong), _) => {
                TrafficPattern::ShortBehindLong { long_jobs: self.long_jobs.into(), long_steps: self.long_steps }
            }
            (None, Some(rate)) => TrafficPattern::Open { rate },
            (None, None) => closed(self.concurrency.into()),
        };
        Options {
            url: self.url.clone(),
            key: self.key.clone(),
            pattern,
            until: match self.requests {
                Some(count) => Until::Requests(count),
                None => Until::Elapsed(Duration::from_secs_f64(self.duration.unwrap_or(30.0))),
            },
            workload: Workload {
                mix: self.mix.clone(),
                sizes: self.size.clone(),
                steps: self.steps.clone(),
                prior_steps: self.prior_steps,
                n: self.n,
                seed: self.seed,
            },
            warm_up: self.warm_up,
            timeout: Duration::from_secs_f64(self.timeout),
            longest_pause: Duration::from_secs_f64(self.longest_pause),
        }
    }
}

/// Shows how many requests have ended, and how.
fn count_endings(bar: ProgressBar) -> Arc<bench::Observer> {
    let counts = [const { AtomicU64::new(0) }; 3];
    Arc::new(move |record: &Record| {
        let kind = match record.ending {
            Ending::Done { .. } => 0,
            Ending::Rejected { .. } => 1,
            Ending::Failed(_) => 2,
        };
        counts[kind].fetch_add(1, Ordering::Relaxed);
        let [done, rejected, failed] = [0, 1, 2].map(|kind: usize| counts[kind].load(Ordering::Relaxed));
        bar.set_message(format!("{done} done, {rejected} rejected, {failed} failed"));
    })
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
