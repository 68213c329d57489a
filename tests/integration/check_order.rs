//! Requests are checked from cheap to costly: an invalid one costs no fetching, no decoding and no moderation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kandinsky::domain::Finding;
use kandinsky::moderation::{Moderator, Policies, PromptModeration, Unavailable};
use kandinsky::modes::Mode;
use kandinsky::records::{KeyLimits, Scope};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64, golden, merged, quick};

/// Counts what it is asked, and finds nothing.
#[derive(Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl Moderator for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    async fn review(&self, _: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Vec::new())
    }

    fn categories(&self) -> Vec<String> {
        Vec::new()
    }
}

async fn start(keys: bool) -> (TestApp, Arc<Counting>) {
    let moderator = Arc::new(Counting::default());
    let moderation = Some(PromptModeration::new(vec![moderator.clone()], Policies::default()));
    (TestApp::with(Setup { moderation, keys, ..Setup::default() }).await, moderator)
}

fn pointers(problem: &Json) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

/// An image that is a violation once it is looked for, and another once it is decoded.
fn unknown() -> Json {
    json!({"job": "0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_response_of_several_images_is_refused_before_it_costs_anything() {
    let (app, moderator) = start(false).await;
    let send = |mode: &str, body: &Json| {
        app.client.post(app.url(&format!("/v1/{mode}"))).header("accept", "image/png").json(body).send()
    };
    for (mode, body) in [
        ("text-to-image", quick(&json!({"n": 2}))),
        ("image-variations", json!({"image": unknown(), "n": 2})),
        ("image-variations", json!({"image": "%%%", "n": 2})),
    ] {
        let response = send(mode, &body).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(pointers(&response.json().await.unwrap()), ["/n"], "{mode}");
    }
    assert_eq!(moderator.0.load(Ordering::Relaxed), 0, "moderation was paid for");
    assert_eq!(send("text-to-image", &quick(&json!({"n": 1}))).await.unwrap().status(), StatusCode::OK);
    assert_eq!(moderator.0.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_checked_all_at_once_before_images_are_fetched_or_decoded() {
    let (app, moderator) = start(false).await;
    let long = "x".repeat(100_000);
    let (image, prompt) = (unknown(), long.as_str());
    for (path, body, expected) in [
        ("/v1/image-to-image", json!({"image": image, "prompt": prompt, "strength": 2}), vec!["/prompt", "/strength"]),
        ("/v1/image-fusion", json!({"images": [{"image": image, "weight": 3}]}), vec!["/images", "/images/0/weight"]),
        (
            "/v1/text-image-fusion",
            json!({"inputs": [{"image": image, "prompt": "x"}, {"prompt": prompt}], "decoder_prompt": prompt}),
            vec!["/decoder_prompt", "/inputs/0", "/inputs/1/prompt"],
        ),
        (
            "/v1/inpainting",
            json!({"image": image, "mask": "%%%", "mask_convention": "red", "feather": 999}),
            vec!["/feather", "/mask_convention"],
        ),
        ("/v1/image-variations", json!({"image": image, "style": "pixel-art"}), vec!["/style"]),
        ("/v1/outpainting", json!({"image": image, "prompt": prompt}), vec!["/expand", "/prompt"]),
    ] {
        let body = merged(body, &json!({"steps": 0}));
        let problem = app.problem(path, &body).await;
        let mut found = pointers(&problem);
        found.sort_unstable();
        let mut expected = expected;
        expected.push("/steps");
        expected.sort_unstable();
        assert_eq!(found, expected, "{path}");
    }
    let edit = json!({"image": [image, "%%%"], "prompt": prompt, "strength": 2});
    let error: Json = app.post("/v1/images/edits", &edit).await.json().await.unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("prompt: ") && message.contains("strength: ") && !message.contains("image: "), "{error}");
    assert_eq!(moderator.0.load(Ordering::Relaxed), 0, "moderation was paid for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_found_before_images_are_fetched_or_decoded() {
    let (app, moderator) = start(true).await;
    let holder = app.key(&[Scope::Mode(Mode::TextToImage)], KeyLimits::default()).await;
    for image in [unknown(), json!("%%%"), json!(base64(&golden("text_english.png")))] {
        let response = holder.post("/v1/image-variations", &json!({"image": image})).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{image:.40}");
        let problem: Json = response.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/missing-scope");
        assert_eq!(problem["detail"], "this key lacks the scope `generate` or `image-variations`");
    }
    assert_eq!(moderator.0.load(Ordering::Relaxed), 0, "moderation was paid for");
}
