//! Owners share the workers: one that floods them does not keep another's job waiting.

use kandinsky::records::{KeyLimits, Scope};
use reqwest::StatusCode;
use serde_json::json;

use crate::app::{Holder, Setup, TestApp, eventually, quick};

/// How many of a key's jobs have this status, up to 100.
async fn count(holder: &Holder<'_>, status: &str) -> usize {
    holder.json(&format!("/v1/jobs?status={status}&limit=100")).await["data"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_keys_job_is_done_before_all_but_a_few_of_a_flood() {
    let app = TestApp::with(Setup { keys: true, ..Setup::default() }).await;
    let [flood, single] = [
        app.key(&[Scope::Generate], KeyLimits::default()).await,
        app.key(&[Scope::Generate], KeyLimits::default()).await,
    ];
    // More than workers take at once.
    for seed in 0..90 {
        let accepted = flood.queue_up(&quick(&json!({"seed": seed, "steps": 30}))).await;
        assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    }
    eventually("the workers have as many as they take", async || {
        count(&flood, "running").await >= 48 || count(&flood, "succeeded").await > 0
    })
    .await;
    let before = count(&flood, "succeeded").await;
    let answer = single.draw(&quick(&json!({"seed": 1, "steps": 6}))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let after = count(&flood, "succeeded").await;
    // Those of the flood that were in their last steps when it came, and far fewer than are in flight.
    assert!(after - before <= 20, "{} of the flood went first", after - before);
    app.stop(std::time::Duration::ZERO).await;
}
