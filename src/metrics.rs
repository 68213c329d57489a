//! Numbers for Prometheus: what is counted, and the recorder that holds the counts.
//!
//! Invariant: a leaf that every module may use; recording never fails and never blocks, and does nothing until [`start`].

mod catalog;
mod kinds;
mod recorder;

pub use catalog::*;
pub use kinds::{Counter, Described, Family, Gauge, GaugeGuard, Histogram, Kind};
pub use recorder::{render, start};
