//! The server as the composition root puts it together, in this process: each setting reaches what it is about.

use kandinsky::app::{RunningServer, start_server};
use kandinsky::config::{Config, Overrides};
use kandinsky::jobs::Role;
use kandinsky::store;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::app::{eventually, quick};
use crate::embedded::model_folder;

pub struct Started {
    pub server: RunningServer,
    pub client: Client,
    data: TempDir,
}

impl Started {
    async fn post(&self, path: &str, body: &Json) -> Response {
        self.client.post(format!("http://{}{path}", self.server.address)).json(body).send().await.unwrap()
    }

    /// A job when it has ended.
    async fn finished(&self, location: &str) -> Json {
        let url = format!("http://{}{location}", self.server.address);
        // The stream of events ends with the job.
        self.client.get(format!("{url}/events")).send().await.unwrap().bytes().await.unwrap();
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn draw(&self, more: &Json) -> Response {
        self.post("/v1/text-to-image", &quick(more)).await
    }
}

pub async fn start(settings: &[(&str, &str)]) -> Started {
    start_in(TempDir::new().unwrap(), settings).await
}

async fn start_in(data: TempDir, settings: &[(&str, &str)]) -> Started {
    let model = model_folder();
    let usual = [
        ("server.listen", "127.0.0.1:0"),
        ("server.data", data.path().to_str().unwrap()),
        ("model.path", model.to_str().unwrap()),
        ("model.device", "cpu"),
    ];
    let settings = usual.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = Config::from_layers(None, settings, &Overrides::default()).unwrap();
    let server = Box::pin(start_server(&config, Role::Server, None)).await.unwrap();
    Started { server, client: kandinsky::tls::client_builder().no_proxy().build().unwrap(), data }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_what_they_are_about() {
    let app = start(&[
        ("server.public_url", "https://pictures.example.org"),
        ("server.max_body_bytes", "2048"),
        ("limits.max_steps", "5"),
        ("webhooks.enabled", "false"),
        ("moderation.chain", ""),
    ])
    .await;
    let response = app.draw(&json!({})).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Json = response.json().await.unwrap();
    assert_eq!(answer["images"].as_array().unwrap().len(), 1);

    let refused = app.draw(&json!({"steps": 6})).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "limits.max_steps");
    let refused = app.draw(&json!({"webhook": {"url": "https://example.org/"}})).await;
    assert!(refused.text().await.unwrap().contains("webhooks.enabled"));
    let refused = app.draw(&json!({"prompt": "x".repeat(3000)})).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE, "server.max_body_bytes");
    let url = json!({"image": "https://example.org/a.png", "steps": 3, "prior": {"steps": 2}});
    let refused = app.post("/v1/image-variations", &url).await;
    assert!(refused.text().await.unwrap().contains("fetch.enabled"), "it is off by default");

    let request = app.client.post(format!("http://{}/v1/text-to-image", app.server.address));
    let accepted = request.header("prefer", "respond-async").json(&quick(&json!({}))).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let job = app.finished(accepted.headers()["location"].to_str().unwrap()).await;
    let url = job["images"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://pictures.example.org/v1/jobs/"), "server.public_url: {url}");
    app.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_could_allow_is_named_with_its_setting() {
    let app = start(&[("server.listen", "localhost:0"), ("marking.embed_metadata", "false")]).await;
    for url in ["http://hooks.example.org/", "https://127.0.0.1:5678/", "https://hooks/"] {
        let refused = app.draw(&json!({"webhook": {"url": url}})).await;
        let said = refused.text().await.unwrap();
        assert!(said.contains("/webhook/url") && said.contains("webhooks.allow_private"), "{url}: {said}");
    }
    // Images carry their prompt if they are asked to.
    for (more, carried) in [(json!({}), false), (json!({"embed_metadata": true}), true)] {
        let request = app.client.post(format!("http://{}/v1/text-to-image", app.server.address));
        let file =
            request.header("accept", "image/png").json(&quick(&more)).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(file.windows(9).any(|window| window == b"red heart"), carried);
    }
    app.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_asked_for_if_the_configuration_says_so() {
    let app = start(&[("auth.required", "always")]).await;
    assert_eq!(app.draw(&json!({})).await.status(), StatusCode::UNAUTHORIZED);
    app.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_leaves_is_not_ready_and_still_serves() {
    let app = start(&[("server.shutdown_delay_s", "600")]).await;
    let url = |path: &str| format!("http://{}{path}", app.server.address);
    let ready = async || app.client.get(url("/readyz")).send().await.unwrap().status();
    assert_eq!(ready().await, StatusCode::OK);
    let (skip, skipped) = tokio::sync::oneshot::channel::<()>();
    let leaving = app.server.leave(async { drop(skipped.await) });
    let served = async {
        eventually("it is not ready", async || ready().await == StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(app.client.get(url("/healthz")).send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(app.draw(&json!({})).await.status(), StatusCode::OK);
        // Asked again, it waits no longer.
        drop(skip);
    };
    tokio::join!(leaving, served);
    app.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_leaves_the_database_to_the_next_one() {
    let app = start(&[]).await;
    let request = app.client.post(format!("http://{}/v1/text-to-image", app.server.address));
    let accepted = request.header("prefer", "respond-async").json(&quick(&json!({}))).send().await.unwrap();
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    let address = app.server.address;
    app.server.stop().await.unwrap();
    app.client.get(format!("http://{address}/healthz")).send().await.unwrap_err();

    // The database is free when the last connection of the old server has ended.
    eventually("the database is free", async || store::open_sqlite(&app.data.path().join("jobs.sqlite")).await.is_ok())
        .await;
    let next = start_in(app.data, &[]).await;
    let job = next.finished(&location).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    next.server.stop().await.unwrap();
}
