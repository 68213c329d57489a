//! What was accepted is finished once, whatever happens to the process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kandinsky::jobs::JobsConfig;
use reqwest::{Client, StatusCode};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::app::{Setup, TestApp, base64, eventually, golden, quick, read_until};
use crate::child::{ChildServer, receiver};

const JOBS: u64 = 50;

/// The server as it is shipped.
async fn start(data: &Path) -> ChildServer {
    let log = data.join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--data"]).arg(data);
    command.env("KANDINSKY__ENGINE__MAX_PICTURES_IN_FLIGHT", "4");
    command.env("KANDINSKY__WEBHOOKS__ALLOW_PRIVATE", "true");
    command.env("KANDINSKY__LOG__FORMAT", "text");
    command.stderr(std::fs::File::create(&log).unwrap());
    let url = || {
        let text = std::fs::read_to_string(&log).unwrap();
        let (_, rest) = text.split_once("ready on ")?;
        let end = rest.find(|c: char| c.is_whitespace() || c == '\u{1b}')?;
        Some(rest[..end].to_owned())
    };
    ChildServer::start(&mut command, url).await.expect("the server did not get ready")
}

/// Request number i, and its route: prompts and images in turn.
fn request(i: u64) -> (&'static str, Json) {
    let picture = base64(&golden("text_english.png"));
    match i % 3 {
        0 => ("image-variations", json!({"image": picture, "seed": i, "steps": 12})),
        1 => ("image-to-image", json!({"image": picture, "prompt": "panda", "strength": 0.8, "seed": i, "steps": 12})),
        _ => ("text-to-image", json!({"prompt": "красное сердце", "seed": i, "steps": 12})),
    }
}

async fn status(client: &Client, url: &str, id: &str) -> Json {
    client.get(format!("{url}/v1/jobs/{id}")).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_survive_a_kill_and_end_once_with_the_same_images() {
    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    let (hook, taken) = receiver().await;
    let data = TempDir::new().unwrap();
    let server = start(data.path()).await;
    let mut ids = Vec::new();
    for i in 0..JOBS {
        let (mode, mut body) = request(i);
        body["webhook"] = json!({"url": hook});
        let request = client.post(format!("{}/v1/{mode}", server.url)).header("prefer", "respond-async").json(&body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        ids.push(response.json::<Json>().await.unwrap()["id"].as_str().unwrap().to_owned());
    }
    // Some are done, some run, many wait.
    let fifth = async || status(&client, &server.url, &ids[4]).await["status"] == "succeeded";
    eventually("the fifth job is done", fifth).await;
    let left = client.get(format!("{}/v1/jobs?status=queued&limit=100", server.url)).send().await.unwrap();
    let left: Json = left.json().await.unwrap();
    let left: Vec<&str> = left["data"].as_array().unwrap().iter().filter_map(|job| job["id"].as_str()).collect();
    assert!(left.len() > 5, "nearly nothing was left to do: the test proves nothing");
    drop(server);

    let server = start(data.path()).await;
    let undisturbed = TestApp::start().await;
    for (i, id) in ids.iter().enumerate() {
        let events = client.get(format!("{}/v1/jobs/{id}/events", server.url)).send().await.unwrap();
        events.bytes().await.unwrap();
        let job = status(&client, &server.url, id).await;
        assert_eq!(job["status"], "succeeded", "{job}");
        // Of those that were not begun by then, and so run like any other, some tell of all.
        if left.contains(&id.as_str()) && i % 7 != 0 {
            continue;
        }
        let picture =
            client.get(job["images"][0]["url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        let (mode, body) = request(i as u64);
        let want = undisturbed.post(&format!("/v1/{mode}"), &body).await.json::<Json>().await.unwrap();
        assert_eq!(base64(&picture), want["images"][0]["b64_json"].as_str().unwrap(), "job {i}");
    }
    // Each end was announced, and was one end: attempts of one message have one id.
    eventually("all ends are announced", async || taken.lock().unwrap().len() == ids.len()).await;
    for (job, messages) in taken.lock().unwrap().iter() {
        assert_eq!(messages.len(), 1, "job {job} ended more than once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_puts_what_is_not_done_back_into_the_queue() {
    let data = TempDir::new().unwrap();
    let setup = |data: &Path| {
        let usual = Setup::default();
        let jobs = JobsConfig { max_images_in_flight: 1, ..usual.jobs.clone() };
        Setup { jobs, data: Some(data.to_owned()), ..usual }
    };
    let app = TestApp::with(setup(data.path())).await;
    let long =
        json!({"prompt": "red heart", "seed": 1, "steps": 40, "width": 128, "height": 128, "prior": {"steps": 2}});
    let running = app.queue_up(&long).await;
    let waiting = app.queue_up(&quick(&json!({"seed": 2}))).await;
    let mut stream = app.get(&format!("/v1/jobs/{running}/events")).await;
    read_until(&mut stream, "event: progress").await;
    let address = app.address;
    let client = app.client.clone();
    app.stop(Duration::ZERO).await;
    drop((stream, client.get(format!("http://{address}/healthz")).send().await));

    let app = TestApp::with(setup(data.path())).await;
    for id in [&running, &waiting] {
        assert_eq!(app.ended(id).await["status"], "succeeded");
    }
    let plain: Json = app.draw(&long).await.json().await.unwrap();
    let resumed = app.get(&format!("/v1/jobs/{running}/images/0")).await.bytes().await.unwrap();
    assert_eq!(base64(&resumed), plain["images"][0]["b64_json"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_finishes_what_runs_and_refuses_the_rest() {
    let app = TestApp::start().await;
    let request = app.client.post(app.url("/v1/text-to-image")).json(&quick(&json!({"steps": 40, "n": 4})));
    let call = tokio::spawn(request.send());
    let runs = async || !app.json("/v1/jobs?status=running").await["data"].as_array().unwrap().is_empty();
    eventually("the job runs", runs).await;
    let queue = app.jobs.clone();
    let drained = tokio::spawn(async move { queue.drain(Duration::from_mins(1)).await });
    eventually("the drain begins", async || app.get("/readyz").await.status() != StatusCode::OK).await;
    let refused = app.draw(&quick(&json!({}))).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    drained.await.unwrap();
}
