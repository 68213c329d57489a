//! What operators see: metrics, the dashboard that draws them, and traces. In a process of its own, since recorders and
//! subscribers are the process's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kandinsky::config::{Config, Overrides};
use kandinsky::{metrics as m, telemetry};

fn config(variables: &[(&str, &str)]) -> Config {
    let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::from_layers(None, variables, &Overrides::default()).unwrap()
}

/// Use every metric once.
fn use_all() {
    m::HTTP_REQUESTS.add(1, ["/v1/jobs/{id}", "GET", "200"]);
    m::HTTP_DURATION.record(0.03, ["/v1/jobs/{id}", "GET"]);
    m::CONNECTIONS_REFUSED.add(1, ["limit"]);
    m::CONNECTIONS_CLOSED.add(1, ["idle"]);
    m::PARSER_REFUSALS.add(1, ["malformed"]);
    m::JOBS_ACCEPTED.add(1, ["inpainting"]);
    m::JOBS_FINISHED.add(1, ["inpainting", "succeeded"]);
    m::JOBS_REJECTED.add(1, ["queue_full"]);
    m::MODERATION_FINDINGS.add(1, ["prompt", "lexicon", "hate", "refused"]);
    m::JOB_DURATION.record_since(Instant::now(), ["inpainting", "succeeded"]);
    m::FLEET_JOBS.set(3, ["queued"]);
    m::FLEET_WORKERS.set(2, ["ready"]);
    m::BATCH_ROWS.record(3.0, ["decoder"]);
    m::STEP_DURATION.record(0.4, ["decoder", "512x512"]);
    m::CACHE_REQUESTS.add(1, ["text", "hit"]);
    m::WORKER_RESTARTS.add(1, ["0"]);
    m::SAMPLES_IN_FLIGHT.set(3, ["0"]);
    m::MODEL_WEIGHTS.set(73_000_000, ["0"]);
    m::DEVICE_MEMORY.set(1 << 30, ["cuda:0"]);
    m::TRANSLATIONS.add(1, ["translated"]);
    m::TRANSLATION_DURATION.record(0.4, []);
    m::WEBHOOK_DELIVERIES.add(1, ["delivered"]);
    m::STORE_DURATION.record(0.001, ["claim"]);
    m::BLOB_WRITTEN.add(1024, []);
}

#[test]
fn every_metric_is_rendered_with_its_meaning() {
    let _guard = telemetry::start(&config(&[]).telemetry()).unwrap();
    use_all();
    let bodies = (m::REQUEST_BODIES.hold(100, []), m::REQUEST_BODIES.hold(50, []));
    assert!(m::render().contains("kandinsky_request_bodies_in_flight_bytes 150\n"));
    drop(bodies);

    let text = m::render();
    for metric in m::ALL {
        let name = metric.name();
        let kind = match metric.kind() {
            m::Kind::Counter => "counter",
            m::Kind::Gauge => "gauge",
            m::Kind::Histogram(_) => "histogram",
        };
        assert!(text.contains(&format!("# HELP {name} ")), "{name}\n{text}");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}\n{text}");
    }
    for line in [
        "kandinsky_http_requests_total{route=\"/v1/jobs/{id}\",method=\"GET\",status=\"200\"} 1",
        "kandinsky_batch_rows_bucket{stage=\"decoder\",le=\"2\"} 0",
        "kandinsky_batch_rows_bucket{stage=\"decoder\",le=\"4\"} 1",
        "kandinsky_request_bodies_in_flight_bytes 0",
        // What was never used is there, too, so that alerts have something to compare with.
        "kandinsky_jobs_queued 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    if cfg!(target_os = "linux") {
        let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
        assert!(resident.parse::<f64>().unwrap() > 1e6, "{resident}");
    }
}

#[test]
fn the_dashboard_draws_every_metric_and_no_other() {
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../deploy/grafana/kandinsky.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    let known: BTreeMap<&str, &dyn m::Described> = m::ALL.iter().map(|metric| (metric.name(), *metric)).collect();
    let mut drawn = BTreeSet::new();
    for expression in &expressions {
        let words: Vec<&str> = expression.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let mut labels = BTreeSet::from(["le", "instance"]);
        for word in words.iter().filter(|word| word.starts_with("kandinsky_") || word.starts_with("process_")) {
            let parts = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| word.strip_suffix(part));
            let metric = known.get(parts.unwrap_or(word)).unwrap_or_else(|| panic!("no metric {word}: {expression}"));
            assert_eq!(parts.is_some(), matches!(metric.kind(), m::Kind::Histogram(_)), "{expression}");
            labels.extend(metric.labels());
            drawn.insert(metric.name());
        }
        for group in expression.split(" by (").skip(1) {
            for label in group.split(')').next().unwrap().split(", ") {
                assert!(labels.contains(label), "no label {label}: {expression}");
            }
        }
    }
    assert_eq!(drawn, known.keys().copied().collect());
}

/// A collector that takes everything.
#[cfg(feature = "otlp")]
async fn collector() -> (String, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let take = move |body: axum::body::Bytes| async move {
        let _ = sender.send(body.to_vec());
    };
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, receiver)
}

/// Something that neither logs nor traces take, and that is not asked for by a macro.
#[cfg(feature = "otlp")]
static UNWANTED: tracing::Metadata<'static> = tracing::Metadata::new(
    "statement",
    "a::driver",
    tracing::Level::DEBUG,
    None,
    None,
    None,
    tracing::field::FieldSet::new(&[], tracing::callsite::Identifier(&Unwanted)),
    tracing::metadata::Kind::EVENT,
);

#[cfg(feature = "otlp")]
struct Unwanted;

#[cfg(feature = "otlp")]
impl tracing::Callsite for Unwanted {
    fn set_interest(&self, _: tracing::subscriber::Interest) {}

    fn metadata(&self) -> &tracing::Metadata<'_> {
        &UNWANTED
    }
}

#[cfg(feature = "otlp")]
#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_before_the_process_ends() {
    let (address, mut received) = collector().await;
    let guard =
        telemetry::build(&config(&[("traces.otlp_endpoint", &address), ("metrics.enabled", "false")]).telemetry());
    let (guard, subscriber) = guard.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    tracing::subscriber::with_default(subscriber, || {
        // As is done for each record of the crate `log` that is not wanted.
        tracing::dispatcher::get_default(|dispatch| dispatch.enabled(&UNWANTED));
        let request = tracing::info_span!(target: "kandinsky::http", "request", http.route = "/v1/inpainting");
        telemetry::continue_trace(&request, |name| {
            (name == "traceparent").then_some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        });
        let _entered = request.entered();
        let _step = tracing::info_span!(target: "kandinsky::engine", "decoder step").entered();
        let _other = tracing::info_span!(target: "hyper::client", "not ours").entered();
    });
    drop(guard);

    let mut all = Vec::new();
    // Sent and answered before the guard was gone.
    while let Ok(body) = received.try_recv() {
        all.extend(body);
    }
    let contains = |part: &[u8]| all.windows(part.len()).any(|window| window == part);
    for part in ["request", "http.route", "/v1/inpainting", "decoder step", "service.name", "kandinsky"] {
        assert!(contains(part.as_bytes()), "{part}");
    }
    assert!(!contains(b"not ours"));
    let id: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&trace[2 * i..2 * i + 2], 16).unwrap()).collect();
    assert!(contains(&id), "the caller's trace goes on");
}

#[cfg(feature = "otlp")]
#[tokio::test]
async fn a_collector_that_is_not_there_holds_up_nobody() {
    let (guard, subscriber) =
        telemetry::build(&config(&[("traces.otlp_endpoint", "http://127.0.0.1:9")]).telemetry()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        drop(tracing::info_span!(target: "kandinsky::http", "request").entered());
    });
    // It warns and returns.
    drop(guard);
}
