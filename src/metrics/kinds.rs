//! The kinds of metrics, as statics that know their name, unit, labels and buckets.
//!
//! Invariant: a value is recorded with as many labels as were declared; the compiler counts them.

use std::time::Instant;

use metrics::{Label, Unit};

/// What every metric has, with its `N` labels.
#[derive(Debug)]
pub struct Family<const N: usize> {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    pub(super) labels: [&'static str; N],
}

impl<const N: usize> Family<N> {
    fn values(&self, values: [&str; N]) -> Vec<Label> {
        std::iter::zip(self.labels, values).map(|(label, value)| Label::new(label, value.to_owned())).collect()
    }
}

/// A count that only grows, for each combination of `N` labels' values. Values come in the order of the labels.
#[derive(Debug)]
pub struct Counter<const N: usize>(pub(super) Family<N>);

impl<const N: usize> Counter<N> {
    pub fn add(&self, n: u64, labels: [&str; N]) {
        metrics::counter!(self.0.name, self.0.values(labels)).increment(n);
    }
}

/// A level, which rises and falls.
#[derive(Debug)]
pub struct Gauge<const N: usize>(pub(super) Family<N>);

impl<const N: usize> Gauge<N> {
    pub fn set(&self, value: u64, labels: [&str; N]) {
        self.with_labels(labels).set(float(value));
    }

    /// Raise the level by `n` until the guard is dropped.
    pub fn hold(&self, n: u64, labels: [&str; N]) -> GaugeGuard {
        let gauge = self.with_labels(labels);
        gauge.increment(float(n));
        GaugeGuard { gauge, n }
    }

    fn with_labels(&self, labels: [&str; N]) -> metrics::Gauge {
        metrics::gauge!(self.0.name, self.0.values(labels))
    }
}

/// A part of a level, which the gauge counts until this is dropped.
#[must_use = "the level falls when it is dropped"]
pub struct GaugeGuard {
    gauge: metrics::Gauge,
    n: u64,
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.gauge.decrement(float(self.n));
    }
}

/// A distribution, with the upper bounds of its buckets.
#[derive(Debug)]
pub struct Histogram<const N: usize>(pub(super) Family<N>, pub(super) &'static [f64]);

impl<const N: usize> Histogram<N> {
    pub fn record(&self, value: f64, labels: [&str; N]) {
        metrics::histogram!(self.0.name, self.0.values(labels)).record(value);
    }

    /// Record the seconds since `start`.
    pub fn record_since(&self, start: Instant, labels: [&str; N]) {
        self.record(start.elapsed().as_secs_f64(), labels);
    }
}

/// Levels are counts and bytes, far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "levels are far below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

/// The kind of a metric, as Prometheus has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// The declaration of a metric, whatever its kind and number of labels.
pub trait Described: Sync {
    fn name(&self) -> &'static str;
    fn unit(&self) -> Unit;
    fn kind(&self) -> Kind;
    fn labels(&self) -> &[&'static str];
    /// Announce the metric to the recorder. Without labels, it starts at zero rather than with its first use, so that alerts
    /// have something to compare with.
    fn describe(&self);
}

macro_rules! described {
    ($metric:ident, $kind:expr, $describe:ident, $zero:expr) => {
        impl<const N: usize> Described for $metric<N> {
            fn name(&self) -> &'static str {
                self.0.name
            }

            fn unit(&self) -> Unit {
                self.0.unit
            }

            fn kind(&self) -> Kind {
                let kind: fn(&Self) -> Kind = $kind;
                kind(self)
            }

            fn labels(&self) -> &[&'static str] {
                &self.0.labels
            }

            fn describe(&self) {
                metrics::$describe!(self.0.name, self.0.unit, self.0.help);
                if N == 0 {
                    let zero: fn(&Self) = $zero;
                    zero(self);
                }
            }
        }
    };
}

described!(Counter, |_| Kind::Counter, describe_counter, |metric| metrics::counter!(metric.0.name).absolute(0));
described!(Gauge, |_| Kind::Gauge, describe_gauge, |metric| metrics::gauge!(metric.0.name).set(0.0));
described!(Histogram, |metric| Kind::Histogram(metric.1), describe_histogram, |_| {});
