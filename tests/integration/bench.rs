//! `kandinsky bench`: against the real server, and against one that misbehaves on purpose.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use kandinsky::bench::{self, Batches, MixPart, Options, Report, TrafficPattern, Until, Workload};
use kandinsky::domain::Size;
use kandinsky::modes::Mode;

use crate::app::TestApp;

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn options(address: SocketAddr, load: TrafficPattern, requests: u64) -> Options {
    Options {
        url: format!("http://{address}"),
        key: None,
        pattern: load,
        until: Until::Requests(requests),
        workload: Workload {
            mix: vec![MixPart { mode: Mode::TextToImage, weight: 1 }],
            sizes: vec![Size { width: 64, height: 64 }, Size { width: 96, height: 64 }],
            steps: vec![2, 3],
            prior_steps: 2,
            n: 1,
            seed: 5,
        },
        warm_up: 0,
        timeout: Duration::from_mins(2),
        longest_pause: Duration::from_millis(10),
    }
}

async fn run(options: &Options) -> Report {
    bench::run(options, Arc::new(|_| {})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_is_asked_for_in_a_way_the_server_takes() {
    let app = TestApp::start().await;
    let mut options = options(app.address, TrafficPattern::Closed { clients: 4 }, 24);
    options.workload.mix = Mode::ALL.map(|mode| MixPart { mode, weight: 1 }).to_vec();
    options.workload.n = 2;
    options.warm_up = 1;
    let report = run(&options).await;
    assert_eq!(report.errors, [].into());
    assert_eq!((report.requests, report.images, report.rejections.count), (24, 48, 0));
    assert_eq!(report.modes.len(), Mode::ALL.len());
    assert_eq!(report.modes.iter().map(|mode| mode.requests).sum::<u64>(), 24);
    assert_eq!(report.model.as_deref(), Some("kandinsky-mini"));
    let text = report.to_string();
    assert!(text.contains("text-image-fusion") && text.contains("images/s"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn short_jobs_are_timed_alone_and_behind_long_ones() {
    let app = TestApp::start().await;
    let report = run(&options(app.address, TrafficPattern::ShortBehindLong { long_jobs: 2, long_steps: 100 }, 1)).await;
    let short = report.short_behind_long.unwrap();
    assert!(short.shorts > 0 && short.behind.max_ms < short.long_ms, "{short:?}");
    assert_eq!(report.errors, [].into());
}

/// Answers each request by its number: the first with a rejection, the second with a fault, and so on in turn.
struct Moody {
    seen: AtomicU64,
    bodies: Mutex<Vec<String>>,
    answers: fn(u64) -> Response,
}

async fn moody(answers: fn(u64) -> Response) -> (SocketAddr, Arc<Moody>) {
    let state = Arc::new(Moody { seen: AtomicU64::new(0), bodies: Mutex::default(), answers });
    let answer = |moody: axum::extract::State<Arc<Moody>>, body: String| async move {
        moody.bodies.lock().unwrap().push(body);
        (moody.answers)(moody.seen.fetch_add(1, Ordering::SeqCst))
    };
    let metrics = |moody: axum::extract::State<Arc<Moody>>| async move {
        let seen = moody.seen.load(Ordering::SeqCst);
        format!(
            "kandinsky_batch_rows_sum{{stage=\"decoder\"}} {}\nkandinsky_batch_rows_count{{stage=\"decoder\"}} {seen}\n",
            3 * seen
        )
    };
    let router = Router::new()
        .route("/v1/text-to-image", post(answer))
        .route("/metrics", get(metrics))
        .with_state(state.clone());
    (serve(router).await, state)
}

fn done() -> Response {
    axum::Json(serde_json::json!({"model": "moody", "images": [{}]})).into_response()
}

fn rejected() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "7")]).into_response()
}

#[tokio::test]
async fn a_closed_loop_offers_rejected_requests_again() {
    let (address, moody) = moody(|number| if number % 3 == 0 { rejected() } else { done() }).await;
    let report = run(&options(address, TrafficPattern::Closed { clients: 1 }, 8)).await;
    assert_eq!((report.requests, report.errors.len()), (8, 0));
    let rejections = report.rejections;
    assert_eq!((rejections.count, rejections.with_retry_after), (4, 4));
    assert!((rejections.longest_retry_after_seconds - 7.0).abs() < 1e-9);
    let bodies = moody.bodies.lock().unwrap().clone();
    assert_eq!(bodies[0], bodies[1], "the rejected request itself comes again");
    assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), 8, "and all others are different");
    let Batches::Measured(stages) = report.batches else { panic!("{:?}", report.batches) };
    assert_eq!((stages[0].steps, stages[0].mean_rows), (12, 3.0));
}

#[tokio::test]
async fn an_open_loop_loses_rejected_requests_and_repeats_itself() {
    let (address, moody) = moody(|number| if number % 4 == 0 { rejected() } else { done() }).await;
    let options = options(address, TrafficPattern::Open { rate: 500.0 }, 20);
    let report = run(&options).await;
    assert_eq!((report.requests, report.rejections.count), (15, 5));
    let sorted = || {
        let mut bodies = std::mem::take(&mut *moody.bodies.lock().unwrap());
        bodies.sort();
        bodies
    };
    let first = sorted();
    assert_eq!(first.len(), 20);
    run(&options).await;
    assert_eq!(sorted(), first);
}

#[tokio::test]
async fn failures_are_counted_by_what_they_say() {
    let (address, _) = moody(|number| match number {
        0 | 3 => (StatusCode::INTERNAL_SERVER_ERROR, "oh").into_response(),
        1 => axum::Json(serde_json::json!({"images": []})).into_response(),
        _ => done(),
    })
    .await;
    let report = run(&options(address, TrafficPattern::Closed { clients: 1 }, 5)).await;
    assert_eq!(report.requests, 2);
    let errors: Vec<_> = report.errors.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    assert_eq!(errors, [("500 Internal Server Error: oh", 2), ("a response without images", 1)]);
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let report = run(&self::options(nobody, TrafficPattern::Closed { clients: 2 }, 4)).await;
    assert_eq!(report.errors.get("no connection"), Some(&4));
    assert!(matches!(report.batches, Batches::Absent(_)) && report.latency.is_none());
}
