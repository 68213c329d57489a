//! Clients that are many, slow, endless or rude: the server bounds what they cost, and stays there for the others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kandinsky::domain::{Finding, Image};
use kandinsky::http::{ConnectionLimits, HttpLimits};
use kandinsky::imaging;
use kandinsky::jobs::{Capacity, JobsConfig};
use kandinsky::moderation::{Moderator, Policies, PromptModeration, Unavailable};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;

use crate::app::{Setup, TestApp, base64, eventually, quick};

/// Short of patience.
fn strict() -> Setup {
    let usual = Setup::default();
    Setup {
        http_limits: HttpLimits { body_timeout: Duration::from_millis(300), ..usual.http_limits.clone() },
        connections: ConnectionLimits { header_timeout: Duration::from_millis(300), ..usual.connections },
        ..usual
    }
}

fn connect(app: &TestApp) -> TcpStream {
    let stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// All that comes until the server closes the connection; a reset counts as closed.
fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("it stayed open"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_say_what_it_wants_is_closed() {
    let app = TestApp::with(strict()).await;
    let silent = connect(&app);
    let mut slow = connect(&app);
    slow.write_all(b"POST /v1/text-to-image HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    let mut starving = connect(&app);
    starving
        .write_all(
            b"POST /v1/text-to-image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
              Content-Length: 100\r\n\r\n{\"prompt\"",
        )
        .unwrap();
    let ends = tokio::task::spawn_blocking(|| [silent, slow, starving].map(until_closed)).await.unwrap();
    for end in &ends {
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 4"), "{end}");
    }
    assert_eq!(app.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_drip_are_cut_off_with_their_reason() {
    let usual = strict();
    let http_limits = HttpLimits { min_body_rate: 1000, ..usual.http_limits.clone() };
    let app = TestApp::with(Setup { http_limits, ..usual }).await;
    let mut drips = connect(&app);
    let head = "POST /v1/text-to-image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
    drips.write_all(head.as_bytes()).unwrap();
    let mut answers = drips.try_clone().unwrap();
    let end = tokio::task::spawn_blocking(move || {
        // Never a long pause, and never much.
        let sending = std::thread::spawn(move || {
            while drips.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let mut answer = [0; 4096];
        let length = answers.read(&mut answer).unwrap();
        drop(answers.shutdown(Shutdown::Both));
        sending.join().unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    });
    let end = end.await.unwrap();
    assert!(end.starts_with("HTTP/1.1 408") && end.contains("/problems/body-timeout"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_heads_and_endless_bodies_are_cut_off() {
    let app = TestApp::with(strict()).await;
    let mut head = connect(&app);
    let mut body = connect(&app);
    let ends = tokio::task::spawn_blocking(move || {
        let _ = head.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Huge: ");
        // It may be closed at any point of this.
        let _ = head.write_all(&vec![b'a'; 1 << 20]);
        body.write_all(
            b"POST /v1/text-to-image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
        let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
        // 64 MiB where 1 MiB is allowed.
        let sent = (0..1024).take_while(|_| body.write_all(&chunk).is_ok()).count();
        assert!(sent < 1024, "all of it was taken");
        [head, body].map(until_closed)
    })
    .await
    .unwrap();
    assert!(ends[0].is_empty() || ends[0].starts_with("HTTP/1.1 431"), "{}", ends[0]);
    assert!(ends[1].is_empty() || ends[1].starts_with("HTTP/1.1 413"), "{}", ends[1]);
    assert_eq!(app.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_while_it_sends_gets_to_hear_why() {
    let app = TestApp::start().await;
    let mut stream = connect(&app);
    let answers = tokio::task::spawn_blocking(move || {
        // More than is taken, and than fits between the two.
        let body = vec![b' '; 8 << 20];
        let head = "POST /v1/text-to-image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        // Its connection is still good for the next request.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        until_closed(stream)
    });
    let answers = answers.await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 413"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
}

/// A request for an image.
fn request(version: &str, body: &Json) -> String {
    let body = body.to_string();
    let head =
        format!("POST /v1/text-to-image HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_half_is_answered() {
    let app = TestApp::start().await;
    // The request and the end may come together, so often enough for either to be read first.
    for (path, wanted) in [("/healthz", "HTTP/1.1 200"), ("/nowhere", "HTTP/1.1 404")].repeat(50) {
        let mut half = connect(&app);
        half.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        half.shutdown(Shutdown::Write).unwrap();
        let end = tokio::task::spawn_blocking(|| until_closed(half)).await.unwrap();
        assert!(end.starts_with(wanted), "{end}");
    }
    // Longer than it takes to ask whether the client is there.
    let mut half = connect(&app);
    let body = json!({"prompt": "red heart", "steps": 50, "width": 128, "height": 128, "response_format": "url"});
    half.write_all(request("1.1", &body).as_bytes()).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let end = tokio::task::spawn_blocking(|| until_closed(half)).await.unwrap();
    let answer = end.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("succeeded"), "{end}");
    // Events, too.
    let id = app.queue_up(&body).await;
    let mut half = connect(&app);
    half.write_all(format!("GET /v1/jobs/{id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let end = tokio::task::spawn_blocking(|| until_closed(half)).await.unwrap();
    assert!(end.contains("event: completed"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing_behind() {
    let app = TestApp::start().await;
    for version in ["1.0", "1.1"] {
        let mut gone = connect(&app);
        let long = json!({"prompt": "red heart", "steps": 100, "width": 256, "height": 256});
        gone.write_all(request(version, &long).as_bytes()).unwrap();
        let runs = async || !app.json("/v1/jobs?status=running").await["data"].as_array().unwrap().is_empty();
        eventually("the job runs", runs).await;
        drop(gone);
        for status in ["queued", "running"] {
            let path = format!("/v1/jobs?status={status}");
            let is_empty = async || app.json(&path).await["data"].as_array().unwrap().is_empty();
            eventually("nothing is left behind", is_empty).await;
        }
        let last = app.json("/v1/jobs?limit=1").await;
        assert_eq!(last["data"][0]["status"], "canceled", "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_answered_when_all_connections_are_taken() {
    let usual = Setup::default();
    let limits = ConnectionLimits { max_connections: 4, max_per_address: 4, ..usual.connections };
    let app = TestApp::with(Setup { connections: limits, ..usual }).await;
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut listener = connect(&app);
            listener.write_all(b"GET /v1/jobs/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            // Its head has come, so it has its place.
            assert!(listener.read(&mut [0; 1024]).unwrap() > 0);
            listener
        })
        .collect();
    let ask = async |path: &str| {
        let client = kandinsky::tls::client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        client.get(app.url(path)).send().await.unwrap().status()
    };
    // More silent connections than the reserve has places, which is where they end up.
    let silent: Vec<TcpStream> = (0..200).map(|_| connect(&app)).collect();
    assert_eq!(ask("/healthz").await, StatusCode::OK);
    assert_eq!(ask("/readyz").await, StatusCode::OK);
    assert_eq!(ask("/v1/styles").await, StatusCode::SERVICE_UNAVAILABLE);
    drop((held, silent));
    eventually("there is room again", async || ask("/v1/styles").await == StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_stay_for_their_time_and_make_room_when_it_is_needed() {
    let usual = Setup::default();
    let limits = ConnectionLimits {
        max_connections: 4,
        max_per_address: 4,
        header_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_mins(10),
        ..usual.connections
    };
    let app = TestApp::with(Setup { connections: limits, ..usual }).await;
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /v1/styles HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 200")
    };
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&app);
        assert!(ask(&mut stream));
        idle.push(stream);
    }
    // Several times what a head may take.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(idle.iter_mut().all(ask), "they are still open");
    let mut another = connect(&app);
    assert!(ask(&mut another), "an idle one made room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_disconnected() {
    let usual = Setup::default();
    let limits = ConnectionLimits { write_timeout: Duration::from_millis(500), ..usual.connections };
    let app = TestApp::with(Setup { connections: limits, ..usual }).await;
    let mut deaf = connect(&app);
    // Far more answers than fit between the two.
    let ask = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500);
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = deaf.write_all(ask.as_bytes());
    let is_closed = async || app.get("/metrics").await.text().await.unwrap().contains("reason=\"not_reading\"");
    kandinsky::metrics::start().unwrap();
    eventually("it is disconnected", is_closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_more_memory_than_jobs_may_have_is_refused_and_the_rest_is_drawn() {
    let usual = Setup::default();
    let capacity = Capacity { working_bytes: 1 << 20, ..usual.jobs.capacity };
    let jobs = JobsConfig { capacity, ..usual.jobs.clone() };
    let app = TestApp::with(Setup { jobs, ..usual }).await;
    // Half a megabyte of pixels each, of which a small part is repainted; the results are as large as the image.
    let file = |channels: usize, value: u8| {
        let pixels = vec![value; 200 * 200 * channels];
        let image = if channels == 1 { Image::gray(200, 200, pixels) } else { Image::rgb(200, 200, pixels) };
        base64(&imaging::to_png(&image).unwrap())
    };
    let draw = async |n: u32| {
        let body = quick(&json!({"image": file(3, 90), "mask": file(1, 255), "n": n}));
        app.post("/v1/inpainting", &body).await
    };
    assert_eq!(draw(1).await.status(), StatusCode::OK);
    let refused = draw(8).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE, "{}", refused.text().await.unwrap());
    assert_eq!(app.draw(&quick(&json!({"n": 4}))).await.status(), StatusCode::OK);
}

/// Judges texts once it is let; counts how many it judges at a time. Short ones pass.
struct Gated {
    gate: Semaphore,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Moderator for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable> {
        if texts.iter().any(|text| text.len() > 3000) {
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _permit = self.gate.acquire().await;
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(Vec::new())
    }

    fn categories(&self) -> Vec<String> {
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_are_judged_a_few_at_a_time_also_of_those_who_hang_up() {
    let gated = Arc::new(Gated { gate: Semaphore::new(0), now: AtomicUsize::new(0), most: AtomicUsize::new(0) });
    let moderation = Some(PromptModeration::new(vec![gated.clone()], Policies::default()));
    let app = Arc::new(TestApp::with(Setup { moderation, ..Setup::default() }).await);
    let long = quick(&json!({"prompt": "red heart ".repeat(350)}));
    for _ in 0..2 {
        let send = |_| {
            let (app, long) = (app.clone(), long.clone());
            tokio::spawn(async move { app.draw(&long).await })
        };
        let sent: Vec<_> = (0..8).map(send).collect();
        eventually("one is judged", async || gated.now.load(Ordering::SeqCst) > 0).await;
        // Others go on meanwhile.
        assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
        // Their clients are gone, the work is not.
        sent.iter().for_each(tokio::task::JoinHandle::abort);
    }
    assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
    assert!(gated.most.load(Ordering::SeqCst) < 4, "{:?} at a time", gated.most);
    gated.gate.add_permits(100);
    assert_eq!(app.draw(&long).await.status(), StatusCode::OK);
    eventually("none is judged", async || gated.now.load(Ordering::SeqCst) == 0).await;
}
