//! Whatever kills the process, no job pays for it but the one that caused it.
//!
//! The server is a child: this binary again, with one test selected, which serves until it is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kandinsky::domain::DeviceChoice;
use kandinsky::engine::{Engine, EngineConfig};
use kandinsky::families;
use kandinsky::jobs::{JobsConfig, WebhookTransport};
use kandinsky::journal::Journal;
use reqwest::{Client, StatusCode};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::app::{Setup, TestApp, base64, eventually, merged};
use crate::child::{ChildServer, receiver};
use crate::embedded::model_folder;
use crate::faulty::{Fault, FaultHook, FaultyLoader};

/// Folder of the child's data; without it, the child's test does nothing.
const DATA: &str = "KANDINSKY_TEST_CHILD_DATA";
/// The seed of the job that kills the child.
const POISON: &str = "KANDINSKY_TEST_CHILD_POISON";
/// In place of a seed: no step ends.
const HELD: u64 = u64::MAX;
const JOBS: u64 = 40;

/// Carries webhooks to a receiver on this machine.
struct Carrier(Client);

#[async_trait]
impl WebhookTransport for Carrier {
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String> {
        let mut request = self.0.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.send().await.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    }
}

/// Not a test of its own: what the others start, and kill.
#[tokio::test(flavor = "multi_thread")]
async fn serve_as_a_child() {
    let Ok(data) = std::env::var(DATA).map(PathBuf::from) else { return };
    let poison: Option<u64> = std::env::var(POISON).ok().map(|seed| seed.parse().unwrap());
    let hook: FaultHook = Arc::new(move |at| {
        if poison == Some(HELD) {
            loop {
                std::thread::park();
            }
        }
        if at.stage == "decoder" && poison.is_some_and(|seed| at.seeds.contains(&seed)) {
            std::process::abort();
        }
        Fault::Nothing
    });
    let journal = Journal::open(&data.join("step-journal")).unwrap();
    let config = EngineConfig {
        devices: vec![DeviceChoice::Cpu],
        journal: journal.clone(),
        ..EngineConfig::new(Arc::new(FaultyLoader { inner: families::open_folder(&model_folder()).unwrap(), hook }))
    };
    let engine = tokio::task::spawn_blocking(|| Engine::start(config, |_| {}).unwrap()).await.unwrap();
    let usual = Setup::default();
    let app = TestApp::with(Setup {
        engine: Some(Arc::new(engine)),
        jobs: JobsConfig { journal, max_images_in_flight: 8, ..usual.jobs.clone() },
        webhooks: Some(Arc::new(Carrier(kandinsky::tls::client_builder().no_proxy().build().unwrap()))),
        data: Some(data.clone()),
        ..usual
    })
    .await;
    std::fs::write(data.join("address.new"), app.url("")).unwrap();
    std::fs::rename(data.join("address.new"), data.join("address")).unwrap();
    std::future::pending::<()>().await;
}

/// `None`: it died before it was ready.
async fn start(data: &Path, poison: Option<u64>) -> Option<ChildServer> {
    let address = data.join("address");
    let _ = std::fs::remove_file(&address);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "deaths::serve_as_a_child", "--nocapture"]);
    command.env(DATA, data).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(seed) = poison {
        command.env(POISON, seed.to_string());
    }
    ChildServer::start(&mut command, || std::fs::read_to_string(&address).ok()).await
}

fn request(seed: u64) -> Json {
    json!({"prompt": "red heart", "seed": seed, "steps": 8, "prior": {"steps": 2}})
}

async fn submit_all(client: &Client, url: &str, hook: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for seed in 0..JOBS {
        let body = merged(request(seed), &json!({"webhook": {"url": hook, "events": ["job.succeeded", "job.failed"]}}));
        let asked = client.post(format!("{url}/v1/text-to-image")).header("prefer", "respond-async").json(&body);
        let response = asked.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{}", response.text().await.unwrap());
        ids.push(response.json::<Json>().await.unwrap()["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// Jobs by status; `None`: the server is dead.
async fn count(client: &Client, url: &str, status: &str) -> Option<usize> {
    let path = format!("{url}/v1/jobs?status={status}&limit=100");
    let list: Json = client.get(path).send().await.ok()?.json().await.ok()?;
    Some(list["data"].as_array()?.len())
}

/// All of these drew what an undisturbed server draws, and each end was announced once.
async fn check_images(client: &Client, url: &str, ids: &[String], poison: Option<u64>) {
    let undisturbed = TestApp::start().await;
    for (seed, id) in (0..).zip(ids).filter(|(seed, _)| poison != Some(*seed)) {
        let job: Json = client.get(format!("{url}/v1/jobs/{id}")).send().await.unwrap().json().await.unwrap();
        assert_eq!(job["status"], "succeeded", "{job}");
        let path = format!("{url}/v1/jobs/{id}/images/0");
        let image = client.get(path).send().await.unwrap().bytes().await.unwrap();
        let want = undisturbed.draw(&request(seed)).await.json::<Json>().await.unwrap();
        assert_eq!(base64(&image), want["images"][0]["b64_json"].as_str().unwrap(), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_from_outside_cost_time_and_no_job() {
    const KILLS: u32 = 10;
    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    let (hook, taken) = receiver().await;
    let data = TempDir::new().unwrap();
    let mut server = start(data.path(), None).await.unwrap();
    let ids = submit_all(&client, &server.url, &hook).await;
    for kill in 0..KILLS {
        // Each time while jobs are executed.
        eventually("jobs run", async || count(&client, &server.url, "running").await.unwrap() > 0).await;
        tokio::time::sleep(Duration::from_millis(u64::from(20 + 7 * kill))).await;
        drop(server);
        server = start(data.path(), None).await.unwrap();
    }
    let done = async || count(&client, &server.url, "succeeded").await.unwrap() == ids.len();
    eventually("all jobs succeed", done).await;
    check_images(&client, &server.url, &ids, None).await;
    eventually("all ends are announced", async || taken.lock().unwrap().len() == ids.len()).await;
    for (job, messages) in taken.lock().unwrap().iter() {
        assert_eq!(messages.len(), 1, "job {job} ended more than once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_that_kills_its_process_fails_and_the_others_succeed() {
    const SEED: u64 = 13;
    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    let (hook, taken) = receiver().await;
    let data = TempDir::new().unwrap();
    // All are accepted before anything is drawn, and it is killed while it executes some.
    let first = start(data.path(), Some(HELD)).await.unwrap();
    let ids = submit_all(&client, &first.url, &hook).await;
    drop(first);
    let mut deaths = 0;
    let server = loop {
        let Some(server) = start(data.path(), Some(SEED)).await else {
            deaths += 1;
            continue;
        };
        let ended = async || {
            let (failed, succeeded) =
                (count(&client, &server.url, "failed").await?, count(&client, &server.url, "succeeded").await?);
            Some(failed + succeeded)
        };
        let all = loop {
            match ended().await {
                Some(all) if all == ids.len() => break true,
                None => break false,
                Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        if all {
            break server;
        }
        while !server.is_dead() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        deaths += 1;
        assert!(deaths < 10, "it kills the server for ever");
    };
    // One among others, and three alone.
    assert!((3..=5).contains(&deaths), "{deaths} deaths");
    check_images(&client, &server.url, &ids, Some(SEED)).await;
    let poison = format!("{}/v1/jobs/{}", server.url, ids[usize::try_from(SEED).unwrap()]);
    let job: Json = client.get(poison).send().await.unwrap().json().await.unwrap();
    assert_eq!(job["status"], "failed", "{job}");
    assert!(job.to_string().contains("each time that it ran"), "{job}");
    eventually("all ends are announced", async || taken.lock().unwrap().len() == ids.len()).await;
    assert!(taken.lock().unwrap().values().all(|messages| messages.len() == 1));
}
