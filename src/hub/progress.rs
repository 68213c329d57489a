//! Shows how far a pull is: bars on a terminal, one line per finished file elsewhere, or nothing.
//!
//! Invariant: display never fails a download, and goes to standard error only.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(200);
const TEMPLATE: &str =
    "{wide_msg} {bytes:>10}/{total_bytes:<10} [{bar:24.cyan/blue}] {binary_bytes_per_sec:>11} {eta:>5}";

/// Called for each file that is downloaded.
pub trait Progress: Send + Sync {
    /// A download of `total` bytes begins, `already` of which an earlier try has left. Several may run at once.
    fn start(&self, name: &str, total: u64, already: u64) -> Box<dyn FileProgress>;
}

/// The progress of one file. Dropped without `finish` when its download fails.
pub trait FileProgress: Send + Sync {
    /// More bytes have arrived.
    fn advance(&self, bytes: u64);
    /// The server began from the start again: nothing is there.
    fn restart(&self);
    /// Verified and in the cache.
    fn finish(&self);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64, _: u64) -> Box<dyn FileProgress> {
        Box::new(Self)
    }
}

impl FileProgress for Silent {
    fn advance(&self, _: u64) {}
    fn restart(&self) {}
    fn finish(&self) {}
}

/// Bars on standard error if that is a terminal, else one line per finished file.
#[must_use]
pub fn progress_bars() -> Box<dyn Progress> {
    if io::stderr().is_terminal() { Box::new(Bars(MultiProgress::new())) } else { Box::new(Lines) }
}

struct Bars(MultiProgress);

impl Progress for Bars {
    fn start(&self, name: &str, total: u64, already: u64) -> Box<dyn FileProgress> {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.0.add(ProgressBar::new(total).with_style(style).with_message(name.to_owned()));
        bar.set_position(already);
        // So that the speed is that of the network, not of what was there.
        bar.reset_eta();
        bar.enable_steady_tick(TICK);
        Box::new(bar)
    }
}

impl FileProgress for ProgressBar {
    fn advance(&self, bytes: u64) {
        self.inc(bytes);
    }

    fn restart(&self) {
        self.set_position(0);
        self.reset_eta();
    }

    fn finish(&self) {
        Self::finish(self);
    }
}

struct Lines;

struct Line {
    name: String,
    total: u64,
    begun: Instant,
}

impl Progress for Lines {
    fn start(&self, name: &str, total: u64, _: u64) -> Box<dyn FileProgress> {
        Box::new(Line { name: name.to_owned(), total, begun: Instant::now() })
    }
}

impl FileProgress for Line {
    fn advance(&self, _: u64) {}
    fn restart(&self) {}

    fn finish(&self) {
        let line = format!("{} ({}, {:.1} s)", self.name, HumanBytes(self.total), self.begun.elapsed().as_secs_f32());
        let _ = writeln!(io::stderr(), "{line}");
    }
}
