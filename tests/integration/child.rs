//! Servers that are processes of their own, and what takes their webhooks.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use reqwest::StatusCode;
use serde_json::Value as Json;

use crate::app::eventually;

/// A server in a process, which is killed when this is dropped.
pub struct ChildServer {
    process: Mutex<Child>,
    pub url: String,
}

impl ChildServer {
    /// Start it, and wait until `url` tells its address. `None`: it died before.
    pub async fn start(command: &mut Command, url: impl Fn() -> Option<String>) -> Option<Self> {
        let mut child = Self { process: Mutex::new(command.spawn().unwrap()), url: String::new() };
        eventually("the child is ready", async || url().is_some() || child.is_dead()).await;
        child.url = url()?;
        Some(child)
    }

    pub fn is_dead(&self) -> bool {
        self.process.lock().unwrap().try_wait().unwrap().is_some()
    }
}

impl Drop for ChildServer {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Ids of webhooks by their jobs.
pub type Announced = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// Takes webhooks: its address, and what came.
pub async fn receiver() -> (String, Announced) {
    let taken = Announced::default();
    let theirs = taken.clone();
    let take = move |headers: HeaderMap, body: axum::Json<Json>| {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let job = body["data"]["id"].as_str().unwrap().to_owned();
        theirs.lock().unwrap().entry(job).or_default().insert(id);
        async { StatusCode::NO_CONTENT }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
    (url, taken)
}
