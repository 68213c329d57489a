//! Every metric: name, unit, labels, meaning and buckets.
//!
//! Invariant: a metric that is not in [`ALL`] is not recorded; a label's values are few and come from the code, never
//! from a request (a route is its pattern).

use metrics::Unit;

use super::kinds::{Counter, Described, Family, Gauge, Histogram};

/// From a cheap route to a long request, s.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// From a step of a small model on a GPU to one of the full-size UNet on a CPU, s.
const STEP_SECONDS: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
/// From a cached page to a busy disk, s.
const STORE_SECONDS: &[f64] = &[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Declares the metrics: `STATIC: Kind "name" Unit [labels] "help";`, a histogram with its buckets.
macro_rules! catalog {
    ($($(#[doc = $note:literal])* $metric:ident: $kind:ident $(($buckets:expr))? $name:literal $unit:ident [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            $(#[doc = $note])*
            pub static $metric: $kind<{ count(&[$($label),*]) }> = $kind(
                Family { name: $name, unit: Unit::$unit, help: $help, labels: [$($label),*] },
                $($buckets)?
            );
        )*

        /// All of them.
        pub static ALL: &[&dyn Described] = &[$(&$metric),*];
    };
}

const fn count(labels: &[&str]) -> usize {
    labels.len()
}

catalog! {
    HTTP_REQUESTS: Counter "kandinsky_http_requests_total" Count ["route", "method", "status"]
        "HTTP requests answered";
    HTTP_DURATION: Histogram(REQUEST_SECONDS) "kandinsky_http_request_duration_seconds" Seconds ["route", "method"]
        "Time from the head of a request to the head of its answer";
    REQUEST_BODIES: Gauge "kandinsky_request_bodies_in_flight_bytes" Bytes []
        "Bytes of request bodies that are being read";
    RESPONSES: Gauge "kandinsky_responses_in_flight_bytes" Bytes []
        "Bytes of responses that are made and not yet sent";
    CONNECTIONS_OPEN: Gauge "kandinsky_connections_open" Count []
        "Open connections, but for those that only ask for health";
    /// The reason is `limit`, `idle` (one that was idle made room), `descriptors` or `requests` (too many on all of them).
    CONNECTIONS_REFUSED: Counter "kandinsky_connections_refused_total" Count ["reason"]
        "Connections that found no place or lost it to another, and requests beyond their bound";
    /// The reason is `slow_head`, `idle` or `not_reading`.
    CONNECTIONS_CLOSED: Counter "kandinsky_connections_closed_total" Count ["reason"]
        "Connections, and streams of HTTP/2, that the server closed because of their client";
    /// The reason is `malformed` (400), `head_too_large` (431) or `http2`.
    PARSER_REFUSALS: Counter "kandinsky_parser_refusals_total" Count ["reason"]
        "Requests that could not be parsed";
    EVENT_STREAMS: Gauge "kandinsky_event_streams_open" Count []
        "Open streams of server-sent events";
    JOBS_ACCEPTED: Counter "kandinsky_jobs_accepted_total" Count ["mode"]
        "Jobs accepted";
    /// The outcome is `succeeded`, `failed` or `canceled`.
    JOBS_FINISHED: Counter "kandinsky_jobs_finished_total" Count ["mode", "outcome"]
        "Jobs that ended";
    /// The reason is the problem's kind, such as `queue_full`.
    JOBS_REJECTED: Counter "kandinsky_jobs_rejected_total" Count ["reason"]
        "Requests for jobs that were not accepted";
    /// The subject is `prompt` or `picture`, the link a part of the chain of moderation; the action is `refused` or `noted`.
    MODERATION_FINDINGS: Counter "kandinsky_moderation_findings_total" Count ["subject", "link", "category", "action"]
        "Objections to prompts and images";
    JOB_DURATION: Histogram(REQUEST_SECONDS) "kandinsky_job_duration_seconds" Seconds ["mode", "outcome"]
        "Time from acceptance of a job to its end";
    JOBS_QUEUED: Gauge "kandinsky_jobs_queued" Count []
        "Jobs that are queued";
    JOBS_RUNNING: Gauge "kandinsky_jobs_running" Count []
        "Jobs that a worker has";
    /// Permits taken, in the unit of `Generation::cost`.
    QUEUE_COST: Gauge "kandinsky_queue_cost_used" Count []
        "Work accepted and not done, in images x steps x pixels";
    QUEUE_COST_LIMIT: Gauge "kandinsky_queue_cost_limit" Count []
        "Most work that is accepted, in images x steps x pixels";
    JOBS_REDELIVERED: Counter "kandinsky_jobs_redelivered_total" Count []
        "Claims of jobs that had been claimed before: their worker was lost, or stopped";
    JOBS_FENCED: Counter "kandinsky_jobs_fenced_total" Count []
        "Runs whose end was rejected, since the job had been claimed again or deleted meanwhile";
    /// Of a fleet, as API nodes count it: take the highest of them. The state is `queued` or `running`.
    FLEET_JOBS: Gauge "kandinsky_fleet_jobs" Count ["state"]
        "Jobs of the whole fleet that wait for a worker, and those that one has";
    FLEET_COST: Gauge "kandinsky_fleet_queue_cost" Count []
        "Work of the whole fleet that waits or runs, in images x steps x pixels";
    /// The state is `ready`, `paused`, `draining` or `silent`.
    FLEET_WORKERS: Gauge "kandinsky_fleet_workers" Count ["state"]
        "Processes of the fleet that work";
    /// The stage is `encode`, `prior`, `decoder` or `decode`.
    BATCH_ROWS: Histogram(ROWS) "kandinsky_batch_rows" Count ["stage"]
        "Rows that one step of a network was taken for together (guidance doubles an image's)";
    /// The shape is that of the latents, `64x64`.
    STEP_DURATION: Histogram(STEP_SECONDS) "kandinsky_step_duration_seconds" Seconds ["stage", "shape"]
        "Time of one step for a whole batch";
    /// The outcome is `hit` or `miss`.
    CACHE_REQUESTS: Counter "kandinsky_cache_requests_total" Count ["cache", "outcome"]
        "Look-ups in caches of embeddings";
    WORKER_RESTARTS: Counter "kandinsky_worker_restarts_total" Count ["worker"]
        "Workers that were lost and started again";
    SAMPLES_IN_FLIGHT: Gauge "kandinsky_samples_in_flight" Count ["worker"]
        "Images that a worker is making";
    MODEL_WEIGHTS: Gauge "kandinsky_model_weights_bytes" Bytes ["worker"]
        "Size of a worker's resident weights";
    DEVICE_MEMORY: Gauge "kandinsky_device_memory_used_bytes" Bytes ["worker"]
        "Memory in use on a worker's GPU, by this and other processes";
    /// The outcome is `translated` (texts) or `failed` (requests).
    TRANSLATIONS: Counter "kandinsky_translations_total" Count ["outcome"]
        "Texts translated, and requests whose texts could not be";
    TRANSLATION_DURATION: Histogram(REQUEST_SECONDS) "kandinsky_translation_duration_seconds" Seconds []
        "Time to translate the texts of a request, remembered ones included";
    /// The outcome is `delivered`, `retried` or `given_up`.
    WEBHOOK_DELIVERIES: Counter "kandinsky_webhook_deliveries_total" Count ["outcome"]
        "Attempts to deliver a webhook";
    /// The operation is the method's name.
    STORE_DURATION: Histogram(STORE_SECONDS) "kandinsky_store_operation_duration_seconds" Seconds ["op"]
        "Time of operations of the job store";
    BLOB_WRITTEN: Counter "kandinsky_blob_written_bytes_total" Bytes []
        "Bytes of images written to the store";
    BUILD_INFO: Gauge "kandinsky_build_info" Count ["version"]
        "Always 1; the label is the version";
    /// Prometheus' own name for it.
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" Bytes []
        "Resident memory of the process";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::Kind;

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
