//! How much memory the server takes at its worst: in a process of its own, since a peak is the process's.

#[path = "integration/app.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod app;
#[path = "integration/contract_watch.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod contract_watch;
#[path = "integration/embedded.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod embedded;

use kandinsky::domain::{Image, Limits};
use kandinsky::families::kandinsky21::image_processor::ImageProcessor;
use kandinsky::http::HttpLimits;
use kandinsky::imaging;
use kandinsky::jobs::{Capacity, JobsConfig};
use reqwest::StatusCode;
use serde_json::json;

use app::{Setup, TestApp, base64, quick};
use embedded::limits;

/// Peak resident memory of this process, bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_clients_at_once_are_answered_or_told_to_come_back_within_bounded_memory() {
    const CLIENTS: usize = 500;
    /// What the server may hold of them: bodies being read, and images of jobs.
    const BODIES: u64 = 64 << 20;
    const INPUTS: u64 = 96 << 20;
    let usual = Setup::default();
    let capacity = Capacity { jobs: 40, input_bytes: INPUTS, ..usual.jobs.capacity };
    let app = TestApp::with(Setup {
        jobs: JobsConfig { capacity, max_images_in_flight: 8, ..usual.jobs.clone() },
        http_limits: HttpLimits { max_body_bytes_in_flight: BODIES, ..usual.http_limits.clone() },
        limits: Limits { max_input_side: 4096, max_input_pixels: 1 << 24, ..limits() },
        max_body_bytes: 4 << 20,
        ..usual
    })
    .await;
    // 6 MB of pixels in a small file: all of them together would be 3 GB.
    let picture = Image::rgb(2048, 1024, vec![90; 3 * 2048 * 1024]);
    let body = json!({"image": base64(&imaging::to_png(&picture).unwrap()), "steps": 2}).to_string();
    assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
    let before = peak_memory();
    let calls: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let request = app.client.post(app.url("/v1/image-variations"));
            tokio::spawn(request.header("content-type", "application/json").body(body.clone()).send())
        })
        .collect();
    let (mut made, mut refused) = (0, 0);
    for call in calls {
        let response = call.await.unwrap().unwrap();
        match response.status() {
            StatusCode::OK => made += 1,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(response.headers().contains_key("retry-after"));
                refused += 1;
            }
            other => panic!("{other}: {}", response.text().await.unwrap()),
        }
    }
    assert!(made >= 8 && made + refused == CLIENTS, "{made} made, {refused} refused");
    // The clients are in this process, too; their answers are small.
    let grown = peak_memory() - before;
    assert!(grown < 4 * (BODIES + INPUTS), "grew by {} MiB", grown >> 20);
    assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
}

#[test]
fn thin_images_take_no_more_memory_than_others() {
    // With a shorter edge of 224 px they would have 3.7 million px on the longer one: 2.4 GB.
    const SIDE: u32 = 1 << 14;
    let before = peak_memory();
    for (width, height) in [(SIDE, 1), (1, SIDE)] {
        let image = Image::rgb(width, height, vec![90; 3 * SIDE as usize]);
        assert_eq!(ImageProcessor::default().prepare(&image).len(), 3 * 224 * 224);
    }
    // The other test may run beside this one.
    let grown = peak_memory() - before;
    assert!(grown < 1 << 30, "grew by {} MiB", grown >> 20);
}
