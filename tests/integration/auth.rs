//! Keys, as those who hold them see them: who is let in, what each may do and how much of it, and what of others is seen.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kandinsky::domain::Priority;
use kandinsky::http::HttpLimits;
use kandinsky::moderation::{Lexicon, LexiconFiles, Policies, Policy, PromptModeration};
use kandinsky::modes::Mode;
use kandinsky::records::{KeyLimits, Scope};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value as Json, json};

use crate::app::{Holder, PATIENCE, Setup, TestApp, base64, events, golden, quick};

/// A server that wants keys.
async fn start() -> TestApp {
    TestApp::with(Setup { keys: true, ..Setup::default() }).await
}

fn long(n: u32) -> Json {
    json!({"prompt": "red heart", "steps": 100, "width": 256, "height": 256, "n": n, "prior": {"steps": 2}})
}

async fn usual(app: &TestApp) -> Holder<'_> {
    app.key(&[Scope::Generate], KeyLimits::default()).await
}

/// The problem of an answer that has this status.
async fn problem(response: Response, status: u16) -> Json {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    response.json().await.unwrap()
}

/// The id of an accepted job.
async fn accepted(response: Response) -> String {
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    response.json::<Json>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

fn retry_after(response: &Response) -> u64 {
    response.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_contract_wants_a_key_unless_it_is_open() {
    let app = start().await;
    let contract: Json = app.json("/openapi.json").await;
    let mut closed = 0;
    for (path, operations) in contract["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let at = path.replace("{id}", "0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11").replace("{index}", "0");
            let response = app.client.request(method.clone(), app.url(&at)).send().await.unwrap();
            if ["/healthz", "/readyz", "/openapi.json"].contains(&path.as_str()) {
                assert_eq!(response.status(), StatusCode::OK, "{path}");
                continue;
            }
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer", "{method} {path}");
            closed += 1;
        }
    }
    assert!(closed > 15, "{closed}");
    // What the contract cannot say.
    for (method, path) in [(Method::POST, "/models/a/b"), (Method::GET, "/v1/models/a/b")] {
        let response = app.client.request(method, app.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let docs: &[&str] = if cfg!(feature = "swagger-ui") { &["/docs/", "/docs/swagger-ui.css"] } else { &[] };
    for path in [&["/"], docs].concat() {
        assert_eq!(app.get(path).await.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(app.get("/nothing").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_the_form_of_its_surface_and_never_repeats_the_key() {
    let app = start().await;
    let holder = usual(&app).await;
    let (prompt, task) = (json!({"prompt": "x"}), json!({"inputs": "x"}));
    let mut wrong = holder.text.clone();
    wrong.replace_range(wrong.len() - 6.., "AAAAAA");
    for bad in [wrong.as_str(), "sk-none", "kd_0000000000000000_none"] {
        let bad = app.holder(holder.id.clone(), bad.to_owned());
        let native = bad.post("/v1/text-to-image", &prompt).await;
        assert_eq!(native.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
        let native = problem(native, 401).await;
        assert_eq!(native["type"], "/problems/invalid-key");
        assert!(native["request_id"].is_string(), "{native}");
        for path in ["/v1/images/generations", "/v1/models"] {
            let method = if path == "/v1/models" { Method::GET } else { Method::POST };
            let openai = bad.send(app.client.request(method, app.url(path)).json(&prompt)).await;
            assert_eq!(openai.status(), StatusCode::UNAUTHORIZED);
            let openai: Json = openai.json().await.unwrap();
            assert_eq!(openai["error"]["code"], "invalid_api_key", "{openai}");
            assert!(!openai.to_string().contains(&bad.text));
        }
        let task = bad.post("/models/kandinsky-mini", &task).await;
        assert_eq!(task.status(), StatusCode::UNAUTHORIZED);
        assert!(task.json::<Json>().await.unwrap()["error"].is_string());
    }
    // The same key, as it should be.
    assert_eq!(holder.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
    assert_eq!(holder.post("/v1/images/generations", &quick(&json!({}))).await.status(), StatusCode::OK);
    let task = json!({"inputs": "red heart", "parameters": {"num_inference_steps": 3}});
    assert_eq!(holder.post("/", &task).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say() {
    let app = start().await;
    let limits = KeyLimits::default();
    let redraws = app.key(&[Scope::Mode(Mode::ImageVariations), Scope::Mode(Mode::ImageToImage)], limits).await;
    let said = problem(redraws.draw(&quick(&json!({}))).await, 403).await;
    assert_eq!(said["type"], "/problems/missing-scope");
    assert!(said["detail"].as_str().unwrap().contains("lacks the scope `generate` or `text-to-image`"), "{said}");
    // The mode of an edit depends on what it brings.
    let heart = base64(&golden("text_english.png"));
    let edit = quick(&json!({"image": heart}));
    assert_eq!(redraws.post("/v1/images/edits", &edit).await.status(), StatusCode::OK);
    let two = quick(&json!({"image": [heart, heart]}));
    let refused = redraws.post("/v1/images/edits", &two).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let refused: Json = refused.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "missing_scope", "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("text-image-fusion"), "{refused}");

    assert_eq!(problem(redraws.get("/metrics").await, 403).await["type"], "/problems/missing-scope");
    let metrics = app.key(&[Scope::Metrics], limits).await;
    // Metrics may be off in this process, which is said after the key was looked at.
    assert_ne!(metrics.get("/metrics").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(problem(metrics.draw(&quick(&json!({}))).await, 403).await["type"], "/problems/missing-scope");
    let admin = app.key(&[Scope::Admin], limits).await;
    assert_ne!(admin.get("/metrics").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(admin.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_over_its_rate_is_told_when_to_come_again() {
    let app = start().await;
    let slow = app.key(&[Scope::Generate], KeyLimits { rate: Some(2), ..KeyLimits::default() }).await;
    for _ in 0..2 {
        assert_eq!(slow.get("/v1/styles").await.status(), StatusCode::OK);
    }
    let refused = slow.get("/v1/styles").await;
    // Two a minute: one every half.
    assert!((1..=30).contains(&retry_after(&refused)));
    assert_eq!(problem(refused, 429).await["type"], "/problems/rate-limit");
    let refused = slow.post("/v1/images/generations", &quick(&json!({}))).await;
    assert!((1..=30).contains(&retry_after(&refused)));
    assert_eq!(refused.json::<Json>().await.unwrap()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(usual(&app).await.get("/v1/styles").await.status(), StatusCode::OK, "others are not held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_no_more_jobs_at_once_than_it_may() {
    let app = start().await;
    let limits = KeyLimits { concurrency: Some(1), ..KeyLimits::default() };
    let narrow = app.key(&[Scope::Generate], limits).await;
    let id = accepted(narrow.queue_up(&long(8)).await).await;
    let refused = narrow.queue_up(&quick(&json!({}))).await;
    assert!(retry_after(&refused) >= 1);
    assert_eq!(problem(refused, 429).await["type"], "/problems/concurrency");
    let other = accepted(usual(&app).await.queue_up(&long(8)).await).await;
    narrow.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(narrow.ended(&id).await["status"], "canceled");
    assert_eq!(narrow.draw(&quick(&json!({}))).await.status(), StatusCode::OK, "{other} is somebody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_quota_counts_images_that_were_made_and_survives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let setup = || Setup { keys: true, data: Some(data.path().to_owned()), ..Setup::default() };
    let app = TestApp::with(setup()).await;
    let limits = KeyLimits { daily_images: Some(3), ..KeyLimits::default() };
    let holder = app.key(&[Scope::Generate], limits).await;

    let over = problem(holder.draw(&quick(&json!({"n": 4}))).await, 403).await;
    assert_eq!(over["type"], "/problems/over-quota");
    // What is canceled costs nothing, nor does what is refused, nor what is asked for again.
    let id = accepted(holder.queue_up(&long(3)).await).await;
    let refused = holder.draw(&quick(&json!({}))).await;
    assert_eq!(problem(refused, 429).await["type"], "/problems/quota");
    holder.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(holder.ended(&id).await["status"], "canceled");
    let id = accepted(holder.queue_up(&long(3)).await).await;
    let delete = app.client.delete(app.url(&format!("/v1/jobs/{id}")));
    assert_eq!(holder.send(delete).await.status(), StatusCode::NO_CONTENT);
    for _ in 0..2 {
        let request = app.client.post(app.url("/v1/text-to-image")).header("idempotency-key", "k");
        let response = holder.send(request.json(&quick(&json!({"n": 2})))).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    let (id, text) = (holder.id.clone(), holder.text.clone());
    app.stop(Duration::from_secs(5)).await;

    // The store is free when the last connection of the old server has ended.
    let opened = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(opened) = kandinsky::store::open_sqlite(&data.path().join("jobs.sqlite")).await {
                return opened;
            }
        }
    });
    let store = opened.await.expect("the old server keeps the store");
    let app = TestApp::with(Setup { store: Some(store), ..setup() }).await;
    let holder = app.holder(id, text);
    let refused = holder.draw(&quick(&json!({"n": 2}))).await;
    let midnight = 86_400 - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 86_400;
    assert!(retry_after(&refused) <= midnight + 60, "until midnight");
    assert_eq!(problem(refused, 429).await["type"], "/problems/quota");
    assert_eq!(holder.draw(&quick(&json!({}))).await.status(), StatusCode::OK, "one is left");
    let refused = holder.post("/v1/images/generations", &quick(&json!({}))).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json::<Json>().await.unwrap()["error"]["code"], "insufficient_quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_asks_for_no_more_priority_than_it_may() {
    let app = start().await;
    let low = app.key(&[Scope::Generate], KeyLimits { max_priority: Priority::Low, ..KeyLimits::default() }).await;
    let said = problem(low.draw(&quick(&json!({"priority": "normal"}))).await, 403).await;
    assert_eq!(said["type"], "/problems/priority-not-allowed");
    assert!(said["detail"].as_str().unwrap().contains("the highest priority of this key is low"), "{said}");
    for body in [quick(&json!({})), quick(&json!({"priority": "low"}))] {
        let answer: Json = low.draw(&body).await.json().await.unwrap();
        assert_eq!(answer["priority"], "low");
    }
    let answer: Json = usual(&app).await.draw(&quick(&json!({"priority": "high"}))).await.json().await.unwrap();
    assert_eq!(answer["priority"], "high");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_others_are_not_there() {
    let app = start().await;
    let (mine, theirs) = (usual(&app).await, usual(&app).await);
    let admin = app.key(&[Scope::Admin], KeyLimits::default()).await;
    let id = accepted(mine.queue_up(&quick(&json!({}))).await).await;
    assert_eq!(mine.ended(&id).await["status"], "succeeded");

    let job = format!("/v1/jobs/{id}");
    let cancel = (Method::POST, format!("{job}/cancel"));
    let ways = [
        (Method::GET, job.clone()),
        cancel.clone(),
        (Method::GET, format!("{job}/events")),
        (Method::GET, format!("{job}/images/0")),
        (Method::GET, format!("{job}/images/0?width=16")),
        (Method::DELETE, job.clone()),
    ];
    for (method, path) in &ways {
        let response = theirs.send(app.client.request(method.clone(), app.url(path))).await;
        assert_eq!(problem(response, 404).await["type"], "/problems/not-found", "{method} {path}");
    }
    let reference = json!({"image": {"job": id, "index": 0}, "steps": 3});
    let said = problem(theirs.post("/v1/image-variations", &reference).await, 422).await;
    assert_eq!(said["errors"][0]["pointer"], "/image", "{said}");
    assert_eq!(mine.post("/v1/image-variations", &reference).await.status(), StatusCode::OK);
    // The same word for a request is each one's own.
    let keyed = |holder: &Holder<'_>| {
        let request = app.client.post(app.url("/v1/text-to-image")).header("idempotency-key", "k");
        request.bearer_auth(&holder.text).json(&quick(&json!({}))).send()
    };
    let ids = [keyed(&mine).await.unwrap(), keyed(&theirs).await.unwrap()];
    let [first, second] = ids.map(Response::json::<Json>);
    assert_ne!(first.await.unwrap()["id"], second.await.unwrap()["id"]);

    let listed = async |holder: &Holder<'_>| {
        let list = holder.json("/v1/jobs").await;
        let jobs = list["data"].as_array().unwrap().clone();
        jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((listed(&mine).await.len(), listed(&theirs).await.len()), (3, 1));
    assert!(!listed(&theirs).await.contains(&id));
    assert_eq!(listed(&admin).await.len(), 4);
    assert_eq!(admin.json(&job).await["owner"], mine.id.as_str());
    assert!(mine.json(&job).await["owner"].is_null());
    for (method, path) in &ways {
        let response = admin.send(app.client.request(method.clone(), app.url(path))).await;
        assert!(response.status().is_success(), "{method} {path}");
    }
}

/// The ids of the first `count` jobs whose end a stream tells.
async fn ends(stream: &mut Response, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.matches("event: completed").count() < count || !text.ends_with("\n\n") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let ended = events(&text).into_iter().filter(|(name, ..)| name == "completed");
    ended.map(|(.., data)| data["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_its_own_jobs_until_its_key_is_revoked() {
    let app = start().await;
    let (mine, theirs) = (usual(&app).await, usual(&app).await);
    let admin = app.key(&[Scope::Admin], KeyLimits::default()).await;
    let mut stream = theirs.get("/v1/jobs/events").await;
    let mut all = admin.get("/v1/jobs/events").await;
    let first = accepted(mine.queue_up(&quick(&json!({}))).await).await;
    mine.ended(&first).await;
    let second = accepted(theirs.queue_up(&quick(&json!({}))).await).await;
    assert_eq!(ends(&mut stream, 1).await, [second.as_str()]);
    assert_eq!(ends(&mut all, 2).await, [first, second]);

    let third = accepted(theirs.queue_up(&long(8)).await).await;
    assert!(app.store.revoke_key(&theirs.id, 1).await.unwrap());
    let said = problem(theirs.get("/v1/jobs").await, 401).await;
    assert!(said["detail"].as_str().unwrap().contains("revoked"), "{said}");
    // The next event closes the stream.
    admin.post(&format!("/v1/jobs/{third}/cancel"), &json!({})).await;
    let mut rest = String::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        rest.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(!rest.contains("event: failed"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_images_open_one_image_without_a_key() {
    let app = start().await;
    let holder = usual(&app).await;
    let body = quick(&json!({"response_format": "url", "n": 2}));
    let native: Json = holder.draw(&body).await.json().await.unwrap();
    let openai: Json = holder.post("/v1/images/generations", &body).await.json().await.unwrap();
    let urls = [&native["images"][0]["url"], &native["images"][1]["url"], &openai["data"][0]["url"]];
    let urls = urls.map(|url| url.as_str().unwrap().to_owned());
    for url in &urls {
        let picture = app.client.get(url).send().await.unwrap();
        assert_eq!(picture.status(), StatusCode::OK, "{url}");
        assert_eq!(picture.headers()["content-type"], "image/png");
        // A page of another site may show it, and no shared cache keeps it.
        assert_eq!(picture.headers()["cross-origin-resource-policy"], "cross-origin");
        assert!(picture.headers()["cache-control"].to_str().unwrap().starts_with("private"));
        let small = app.client.get(format!("{url}&width=16")).send().await.unwrap();
        assert_eq!(small.status(), StatusCode::OK);
    }
    let (path, query) = urls[0].split_once('?').unwrap();
    assert_eq!(app.client.get(path).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(holder.send(app.client.get(path)).await.status(), StatusCode::OK);
    let stranger = usual(&app).await;
    assert_eq!(stranger.send(app.client.get(&urls[0])).await.status(), StatusCode::NOT_FOUND, "a key counts more");
    let other = urls[1].split_once('?').unwrap().0;
    let later = query.replace("expires=1", "expires=2");
    let job = path.split_once("/images").unwrap().0;
    for (url, status) in [
        (format!("{other}?{query}"), 403),
        (format!("{path}?{later}"), 403),
        (format!("{path}?expires=9999999999&signature=AAAA"), 403),
        (format!("{job}?{query}"), 401),
    ] {
        assert_eq!(app.client.get(&url).send().await.unwrap().status().as_u16(), status, "{url}");
    }
    assert_eq!(app.client.delete(format!("{job}?{query}")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nobody_is_asked_for_one() {
    let app = TestApp::start().await;
    // OpenAI's SDKs always send something.
    let request = app.client.post(app.url("/v1/images/generations")).bearer_auth("none");
    assert_eq!(request.json(&quick(&json!({}))).send().await.unwrap().status(), StatusCode::OK);
    let answer: Json = app.draw(&quick(&json!({"response_format": "url"}))).await.json().await.unwrap();
    assert!(!answer["images"][0]["url"].as_str().unwrap().contains('?'), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_send_keys() {
    let usual = Setup::default();
    let cors_origins = vec!["https://app.example.org".to_owned()];
    let http_limits = HttpLimits { cors_origins, ..usual.http_limits.clone() };
    let app = TestApp::with(Setup { keys: true, http_limits, ..usual }).await;
    let preflight = |origin: &'static str| {
        app.client
            .request(Method::OPTIONS, app.url("/v1/text-to-image"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,idempotency-key")
            .send()
    };
    let allowed = preflight("https://app.example.org").await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.org");
    // Authorization must be named: `*` does not stand for it.
    let headers = allowed.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(headers.contains("authorization") && headers.contains("idempotency-key"), "{headers}");
    let other = preflight("https://evil.example.org").await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    // A page is told why it was refused.
    let refused = app.client.get(app.url("/v1/jobs")).header("origin", "https://app.example.org").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["access-control-allow-origin"], "https://app.example.org");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_to_keep_apart() {
    let app = start().await;
    let holder = usual(&app).await;
    let answers = [
        app.get("/").await,
        app.get("/docs/").await,
        app.get("/nothing").await,
        app.get("/v1/jobs").await,
        holder.get("/v1/jobs").await,
        holder.post("/v1/text-to-image", &json!({})).await,
    ];
    for answer in &answers {
        let (url, header) = (answer.url(), |name: &str| answer.headers()[name].to_str().unwrap());
        assert_eq!(header("x-content-type-options"), "nosniff", "{url}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{url}");
        assert_eq!(header("x-frame-options"), "DENY", "{url}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{url}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{url}: {policy}");
        assert!(!policy.contains("script-src 'unsafe-inline'"), "{url}: {policy}");
    }
    for page in &answers[..2] {
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && policy.contains("connect-src 'self'"), "{policy}");
    }
    assert_eq!(answers[4].headers()["cache-control"], "private, no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_policy_lets_pass_what_others_are_refused() {
    let lexicon = Lexicon::new(&[[("sexual".to_owned(), vec!["statue".to_owned()])].into()]).unwrap();
    let policies = Policies::new(Policy::default(), "[museum]\nallow = [\"sexual\"]").unwrap();
    let moderation = Some(PromptModeration::new(vec![Arc::new(LexiconFiles::from(lexicon))], policies));
    let app = TestApp::with(Setup { keys: true, moderation, ..Setup::default() }).await;
    let body = quick(&json!({"prompt": "a statue"}));
    assert_eq!(usual(&app).await.draw(&body).await.status(), StatusCode::BAD_REQUEST);
    let museum = app.key_with_policy("museum").await;
    let drawn = museum.draw(&body).await;
    assert_eq!(drawn.status(), StatusCode::OK);
    let moderation = &drawn.json::<Json>().await.unwrap()["moderation"];
    assert_eq!((&moderation["flagged"], &moderation["findings"][0]["category"]), (&json!(true), &json!("sexual")));
    // A policy that is gone allows nothing.
    assert_eq!(app.key_with_policy("closed").await.draw(&body).await.status(), StatusCode::BAD_REQUEST);
}
