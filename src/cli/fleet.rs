//! `kandinsky fleet`: the workers, queues and jobs of a fleet, in a terminal.
//!
//! Invariant: it looks, and changes nothing; with `--watch` it goes on through outages and says what is out of reach.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::print::{print, print_line};
use crate::app::fleet::{FleetView, look};
use crate::broker::WorkerInfo;
use crate::config::{Config, ConfigError, Overrides};
use crate::domain::Priority;
use crate::shutdown::StopSignals;

/// Clears a terminal, and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Show the workers, queues and jobs of a fleet.
#[derive(Args)]
pub(super) struct Fleet {
    /// The configuration file of the fleet's processes; config/default.toml lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show it again every so many seconds, until it is interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// Print JSON; with --watch an object on each line.
    #[arg(long)]
    json: bool,
}

impl Fleet {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let config = Config::load(self.config.as_deref(), &Overrides::default())?;
        let Some(seconds) = self.watch else {
            let view = look(&config).await?;
            if self.json {
                print_line(serde_json::to_string_pretty(&view)?)?;
            } else {
                print(table(&view))?;
            }
            return Ok(());
        };
        let mut stop = StopSignals::listen()?;
        loop {
            match look(&config).await {
                Ok(view) if self.json => print_line(serde_json::to_string(&view)?)?,
                Ok(view) => repaint(&table(&view))?,
                Err(error) if error.is::<ConfigError>() => return Err(error.into()),
                Err(error) if self.json => eprintln!("{error:#}"),
                Err(error) => repaint(&format!("the fleet cannot be seen: {error:#}\n"))?,
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            }
        }
    }
}

/// Print in place of what is there.
fn repaint(text: &str) -> anyhow::Result<()> {
    let clear = if std::io::stdout().is_terminal() { CLEAR } else { "" };
    print(format_args!("{clear}{text}"))
}

fn table(view: &FleetView) -> String {
    let mut text = String::new();
    let jobs = &view.jobs;
    let _ = write!(text, "fleet {}: {} waiting, {} in flight", view.prefix, jobs.backlog.queued, jobs.backlog.running);
    if let Some(seconds) = jobs.done_in_s.filter(|_| jobs.backlog.queued > 0) {
        let _ = write!(text, "; what waits takes about {seconds:.0} s");
    }
    let _ = writeln!(text, "\nsince the workers started: {} redelivered, {} fenced off", jobs.redelivered, jobs.fenced);
    text.push('\n');
    if view.workers.is_empty() {
        text.push_str("no worker has been heard of for 15 s\n");
    } else {
        let head =
            ["WORKER", "HOST", "STATE", "VERSION", "MODEL", "DEVICES", "JOBS", "IMAGES", "COST/MS", "DONE", "SEEN"];
        text.push_str(&columns(&head, view.workers.iter().map(worker_row).collect()));
    }
    let mut queues = view.queues.iter().filter(|queue| queue.waiting + queue.in_flight > 0).peekable();
    if queues.peek().is_some() {
        let rows = queues.map(|queue| {
            let numbers = [queue.waiting, queue.in_flight, queue.redelivered].map(|number| number.to_string());
            let group = format!("g{}", queue.group);
            [queue.model.clone(), priority(queue.priority), group].into_iter().chain(numbers).collect()
        });
        let head = ["QUEUE", "PRIORITY", "GROUP", "WAITING", "IN FLIGHT", "REDELIVERED"];
        let _ = write!(text, "\n{}", columns(&head, rows.collect()));
    }
    if !view.sizes.is_empty() {
        let rows = view.sizes.iter().map(|size| {
            let numbers = [size.waiting, size.in_flight].map(|number| number.to_string());
            [size.model.clone(), priority(size.priority), size.size.clone()].into_iter().chain(numbers).collect()
        });
        let _ = write!(text, "\n{}", columns(&["JOBS OF", "PRIORITY", "SIZE", "WAITING", "IN FLIGHT"], rows.collect()));
    }
    text
}

fn worker_row(worker: &WorkerInfo) -> Vec<String> {
    let report = &worker.report;
    // The end of an id tells processes apart that were started together.
    let id: String = worker.id.chars().skip(worker.id.chars().count().saturating_sub(8)).collect();
    vec![
        id,
        worker.host.clone(),
        report.state.name().to_owned(),
        report.version.clone(),
        report.model.clone(),
        report.devices.clone(),
        report.jobs.to_string(),
        format!("{}/{}", report.images, report.room),
        report.cost_per_ms.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
        report.claimed.saturating_sub(report.jobs).to_string(),
        format!("{} s ago", worker.silent_ms / 1000),
    ]
}

fn priority(priority: Priority) -> String {
    <&str>::from(priority).to_owned()
}

/// A line a row, in columns as wide as what is in them.
fn columns(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(head.iter().map(|title| (*title).to_owned()).collect()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
