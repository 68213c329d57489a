//! Every metric: name, unit, meaning, labels and buckets.
//!
//! Invariant: a metric that is not in [`ALL`] is not recorded; a label's values are few and come from the code, never
//! from a request (a route is its pattern).

use std::time::Instant;

use metrics::{Label, Unit};

/// From a cheap route to a long request, s.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// From a step of a small model on a GPU to one of the full-size UNet on a CPU, s.
const STEP_SECONDS: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
/// From a cached page to a busy disk, s.
const STORE_SECONDS: &[f64] = &[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// HTTP requests answered.
pub static HTTP_REQUESTS: Counter<3> = Counter(Family {
    name: "kandinsky_http_requests_total",
    unit: Unit::Count,
    help: "HTTP requests answered",
    labels: ["route", "method", "status"],
});
/// From a request's head to the end of its answer's head.
pub static HTTP_DURATION: Histogram<2> = Histogram(
    Family {
        name: "kandinsky_http_request_duration_seconds",
        unit: Unit::Seconds,
        help: "Time from the head of a request to the head of its answer",
        labels: ["route", "method"],
    },
    REQUEST_SECONDS,
);
pub static REQUEST_BODIES: Gauge<0> = Gauge(Family {
    name: "kandinsky_request_bodies_in_flight_bytes",
    unit: Unit::Bytes,
    help: "Bytes of request bodies that are being read",
    labels: [],
});
pub static EVENT_STREAMS: Gauge<0> = Gauge(Family {
    name: "kandinsky_event_streams_open",
    unit: Unit::Count,
    help: "Open streams of server-sent events",
    labels: [],
});
pub static JOBS_ACCEPTED: Counter<1> = Counter(Family {
    name: "kandinsky_jobs_accepted_total",
    unit: Unit::Count,
    help: "Jobs accepted",
    labels: ["mode"],
});
/// The outcome is `succeeded`, `failed` or `canceled`.
pub static JOBS_FINISHED: Counter<2> = Counter(Family {
    name: "kandinsky_jobs_finished_total",
    unit: Unit::Count,
    help: "Jobs that ended",
    labels: ["mode", "outcome"],
});
/// The reason is the problem's kind, such as `queue_full`.
pub static JOBS_REJECTED: Counter<1> = Counter(Family {
    name: "kandinsky_jobs_rejected_total",
    unit: Unit::Count,
    help: "Requests for jobs that were not accepted",
    labels: ["reason"],
});
/// The subject is `prompt` or `picture`, the link a part of the chain of moderation; what is not refused is noted.
pub static MODERATION_FINDINGS: Counter<4> = Counter(Family {
    name: "kandinsky_moderation_findings_total",
    unit: Unit::Count,
    help: "Objections to prompts and pictures",
    labels: ["subject", "link", "category", "action"],
});
pub static JOB_DURATION: Histogram<2> = Histogram(
    Family {
        name: "kandinsky_job_duration_seconds",
        unit: Unit::Seconds,
        help: "Time from acceptance of a job to its end",
        labels: ["mode", "outcome"],
    },
    REQUEST_SECONDS,
);
pub static JOBS_QUEUED: Gauge<0> =
    Gauge(Family { name: "kandinsky_jobs_queued", unit: Unit::Count, help: "Jobs that wait", labels: [] });
pub static JOBS_RUNNING: Gauge<0> =
    Gauge(Family { name: "kandinsky_jobs_running", unit: Unit::Count, help: "Jobs that a worker has", labels: [] });
/// Permits taken, in the unit of `Generation::cost`.
pub static QUEUE_COST: Gauge<0> = Gauge(Family {
    name: "kandinsky_queue_cost_used",
    unit: Unit::Count,
    help: "Work accepted and not done, in pictures x steps x pixels",
    labels: [],
});
pub static QUEUE_COST_LIMIT: Gauge<0> = Gauge(Family {
    name: "kandinsky_queue_cost_limit",
    unit: Unit::Count,
    help: "Most work that is accepted, in pictures x steps x pixels",
    labels: [],
});
/// The stage is `encode`, `prior`, `decoder` or `decode`.
pub static BATCH_ROWS: Histogram<1> = Histogram(
    Family {
        name: "kandinsky_batch_rows",
        unit: Unit::Count,
        help: "Rows that one step of a network was taken for together (guidance doubles a picture's)",
        labels: ["stage"],
    },
    ROWS,
);
/// The shape is that of the latents, `64x64`.
pub static STEP_DURATION: Histogram<2> = Histogram(
    Family {
        name: "kandinsky_step_duration_seconds",
        unit: Unit::Seconds,
        help: "Time of one step for a whole batch",
        labels: ["stage", "shape"],
    },
    STEP_SECONDS,
);
/// The outcome is `hit` or `miss`.
pub static CACHE_REQUESTS: Counter<2> = Counter(Family {
    name: "kandinsky_cache_requests_total",
    unit: Unit::Count,
    help: "Look-ups in caches of embeddings",
    labels: ["cache", "outcome"],
});
pub static WORKER_RESTARTS: Counter<1> = Counter(Family {
    name: "kandinsky_worker_restarts_total",
    unit: Unit::Count,
    help: "Workers that were lost and started again",
    labels: ["worker"],
});
pub static SAMPLES_IN_FLIGHT: Gauge<1> = Gauge(Family {
    name: "kandinsky_samples_in_flight",
    unit: Unit::Count,
    help: "Pictures that a worker is making",
    labels: ["worker"],
});
pub static MODEL_WEIGHTS: Gauge<1> = Gauge(Family {
    name: "kandinsky_model_weights_bytes",
    unit: Unit::Bytes,
    help: "Size of a worker's resident weights",
    labels: ["worker"],
});
pub static DEVICE_MEMORY: Gauge<1> = Gauge(Family {
    name: "kandinsky_device_memory_used_bytes",
    unit: Unit::Bytes,
    help: "Memory in use on a worker's GPU, by whomever",
    labels: ["worker"],
});
/// The outcome is `delivered`, `retried` or `given_up`.
pub static WEBHOOK_DELIVERIES: Counter<1> = Counter(Family {
    name: "kandinsky_webhook_deliveries_total",
    unit: Unit::Count,
    help: "Attempts to deliver a webhook",
    labels: ["outcome"],
});
/// The operation is the method's name.
pub static STORE_DURATION: Histogram<1> = Histogram(
    Family {
        name: "kandinsky_store_operation_duration_seconds",
        unit: Unit::Seconds,
        help: "Time of operations of the job store",
        labels: ["op"],
    },
    STORE_SECONDS,
);
pub static BLOB_WRITTEN: Counter<0> = Counter(Family {
    name: "kandinsky_blob_written_bytes_total",
    unit: Unit::Bytes,
    help: "Bytes of pictures written to the store",
    labels: [],
});
pub static BUILD_INFO: Gauge<1> = Gauge(Family {
    name: "kandinsky_build_info",
    unit: Unit::Count,
    help: "Always 1; the label is the version",
    labels: ["version"],
});
/// Prometheus' own name for it.
pub static PROCESS_RESIDENT: Gauge<0> = Gauge(Family {
    name: "process_resident_memory_bytes",
    unit: Unit::Bytes,
    help: "Resident memory of the process",
    labels: [],
});

/// All of them.
pub static ALL: [&dyn Described; 25] = [
    &HTTP_REQUESTS,
    &HTTP_DURATION,
    &REQUEST_BODIES,
    &EVENT_STREAMS,
    &JOBS_ACCEPTED,
    &JOBS_FINISHED,
    &JOBS_REJECTED,
    &MODERATION_FINDINGS,
    &JOB_DURATION,
    &JOBS_QUEUED,
    &JOBS_RUNNING,
    &QUEUE_COST,
    &QUEUE_COST_LIMIT,
    &BATCH_ROWS,
    &STEP_DURATION,
    &CACHE_REQUESTS,
    &WORKER_RESTARTS,
    &SAMPLES_IN_FLIGHT,
    &MODEL_WEIGHTS,
    &DEVICE_MEMORY,
    &WEBHOOK_DELIVERIES,
    &STORE_DURATION,
    &BLOB_WRITTEN,
    &BUILD_INFO,
    &PROCESS_RESIDENT,
];

/// All metrics in Prometheus' text format (0.0.4); empty if they are off.
#[must_use]
pub fn render() -> String {
    super::recorder::render()
}

/// What all kinds have.
#[derive(Debug)]
pub struct Family<const N: usize> {
    name: &'static str,
    unit: Unit,
    help: &'static str,
    labels: [&'static str; N],
}

impl<const N: usize> Family<N> {
    fn values(&self, values: [&str; N]) -> Vec<Label> {
        std::iter::zip(self.labels, values).map(|(label, value)| Label::new(label, value.to_owned())).collect()
    }
}

/// A count that only grows, for each combination of `N` labels' values. Values come in the order of the labels.
#[derive(Debug)]
pub struct Counter<const N: usize>(Family<N>);

impl<const N: usize> Counter<N> {
    pub fn add(&self, n: u64, labels: [&str; N]) {
        metrics::counter!(self.0.name, self.0.values(labels)).increment(n);
    }
}

/// A level.
#[derive(Debug)]
pub struct Gauge<const N: usize>(Family<N>);

impl<const N: usize> Gauge<N> {
    pub fn set(&self, value: u64, labels: [&str; N]) {
        self.of(labels).set(float(value));
    }

    /// Raise the level until the result is dropped.
    #[must_use]
    pub fn hold(&self, n: u64, labels: [&str; N]) -> Held {
        let gauge = self.of(labels);
        gauge.increment(float(n));
        Held { gauge, n }
    }

    fn of(&self, labels: [&str; N]) -> metrics::Gauge {
        metrics::gauge!(self.0.name, self.0.values(labels))
    }
}

/// A share of a level.
pub struct Held {
    gauge: metrics::Gauge,
    n: u64,
}

impl Held {
    /// Hold `n` more.
    pub fn grow(&mut self, n: u64) {
        self.gauge.increment(float(n));
        self.n += n;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.decrement(float(self.n));
    }
}

/// A distribution.
#[derive(Debug)]
pub struct Histogram<const N: usize>(Family<N>, &'static [f64]);

impl<const N: usize> Histogram<N> {
    pub fn record(&self, value: f64, labels: [&str; N]) {
        metrics::histogram!(self.0.name, self.0.values(labels)).record(value);
    }

    /// Record the seconds since `start`.
    pub fn since(&self, start: Instant, labels: [&str; N]) {
        self.record(start.elapsed().as_secs_f64(), labels);
    }
}

/// Levels are counts and bytes, far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "levels are far below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

/// What sort of metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// What is known of a metric before it is used.
pub trait Described: Sync {
    fn name(&self) -> &'static str;
    fn unit(&self) -> Unit;
    fn kind(&self) -> Kind;
    fn labels(&self) -> &[&'static str];
    /// Tell the recorder; where there are no labels, it starts at zero rather than with its first use.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions_of_prometheus() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            let name = metric.name();
            assert!(name.starts_with("kandinsky_") || name.starts_with("process_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            let base = name.trim_end_matches("_total");
            assert_eq!(base.ends_with("_seconds"), metric.unit() == Unit::Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), metric.unit() == Unit::Bytes, "{name}");
            for reserved in ["_count", "_sum", "_bucket", "_info_total"] {
                assert!(!name.ends_with(reserved), "{name}");
            }
            if let Kind::Histogram(buckets) = metric.kind() {
                assert!(!metric.labels().contains(&"le") && buckets.is_sorted_by(|a, b| a < b), "{name}");
            }
        }
    }
}
