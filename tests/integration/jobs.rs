//! Jobs, as clients that do not wait see them: states, events, cancelling, keys that make requests safe to repeat, expiry.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use kandinsky::clock::{Clock, ManualClock, SystemClock};
use kandinsky::domain::Common;
use kandinsky::imaging;
use kandinsky::jobs::{Capacity, JobsConfig};
use kandinsky::modes::{Generation, TextToImage};
use kandinsky::records::{Job, JobSpec};
use kandinsky::store::NewJob;
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::app::{Setup, TestApp, base64, events, eventually, golden, quick, read_until};
use crate::embedded::{DECODE, unchecked};

/// One image at a time, so that what comes second has to wait.
fn narrow() -> Setup {
    let usual = Setup::default();
    Setup { jobs: JobsConfig { max_images_in_flight: 1, ..usual.jobs.clone() }, ..usual }
}

fn long() -> Json {
    json!({"prompt": "red heart", "steps": 100, "width": 256, "height": 256, "prior": {"steps": 2}})
}

/// The first image's pixels of an answer with `b64_json`.
fn pixels(answer: &Json) -> Vec<u8> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(answer["images"][0]["b64_json"].as_str().unwrap());
    imaging::decode(&bytes.unwrap(), &DECODE).unwrap().into_pixels()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_async_job_is_accepted_at_once_and_its_images_come_by_url() {
    let app = TestApp::start().await;
    let id = app.queue_up(&quick(&json!({"seed": 5, "n": 2}))).await;
    let job = app.ended(&id).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["parameters"]["prompt"], "red heart");
    assert_eq!(job["parameters"]["steps"], 3);
    assert!(job["timings"]["decoder_ms"].is_u64() && job["finished_at"].is_string());
    let waited: Json = app.draw(&quick(&json!({"seed": 5}))).await.json().await.unwrap();
    let url = job["images"][0]["url"].as_str().unwrap();
    let response = app.client.get(url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/png");
    let etag = response.headers()["etag"].clone();
    assert_eq!(imaging::decode(&response.bytes().await.unwrap(), &DECODE).unwrap().into_pixels(), pixels(&waited));

    let again = app.client.get(url).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let small = app.client.get(format!("{url}?width=16")).send().await.unwrap().bytes().await.unwrap();
    let small = imaging::decode(&small, &DECODE).unwrap();
    assert_eq!((small.width(), small.height()), (16, 16));
    assert_eq!(app.get(&format!("/v1/jobs/{id}/images/2")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_the_way_of_a_job_and_end_with_it() {
    let app = TestApp::start().await;
    let request = app.client.post(app.url("/v1/text-to-image")).header("accept", "text/event-stream");
    let body = json!({"prompt": "red heart", "seed": 3, "steps": 6, "prior": {"steps": 2}, "preview_interval": 2});
    let response = request.json(&body).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let told = events(&response.text().await.unwrap());
    let names: Vec<&str> = told.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("queued", "completed"), "{names:?}");
    assert!(names.contains(&"preview"), "{names:?}");
    let numbers: Vec<u64> = told.iter().map(|(_, id, _)| id.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let percents: Vec<f64> = told.iter().filter_map(|(_, _, data)| data["percent"].as_f64()).collect();
    assert!(percents.is_sorted() && percents.iter().all(|p| (0.0..=100.0).contains(p)), "{percents:?}");

    // The image that comes with the end is that of a plain call, previews or not.
    let plain: Json = app
        .draw(&json!({"prompt": "red heart", "seed": 3, "steps": 6, "prior": {"steps": 2}}))
        .await
        .json()
        .await
        .unwrap();
    let last = &told.last().unwrap().2;
    assert_eq!(pixels(last), pixels(&plain));

    // Who comes late, or again, hears of the end.
    let id = last["id"].as_str().unwrap();
    let late = events(&app.get(&format!("/v1/jobs/{id}/events")).await.text().await.unwrap());
    assert_eq!((late.len(), late[0].0.as_str()), (1, "completed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_tells_of_all_jobs_and_goes_on_where_it_was_cut_off() {
    let app = TestApp::start().await;
    let mut stream = app.get("/v1/jobs/events").await;
    let first = app.queue_up(&quick(&json!({}))).await;
    let text = read_until(&mut stream, "event: completed").await;
    let (.., number, data) = events(&text).pop().unwrap();
    assert_eq!(data["id"], first.as_str());
    drop(stream);
    let second = app.queue_up(&quick(&json!({}))).await;
    app.ended(&second).await;
    let request = app.client.get(app.url("/v1/jobs/events")).header("last-event-id", number);
    let mut stream = request.send().await.unwrap();
    let text = read_until(&mut stream, "event: completed").await;
    assert!(text.contains(&second) && !text.contains(&first), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_canceled_while_it_waits_and_while_it_runs() {
    let app = TestApp::with(narrow()).await;
    let running = app.queue_up(&long()).await;
    let waiting = app.queue_up(&long()).await;
    let answer: Json = app.post(&format!("/v1/jobs/{waiting}/cancel"), &json!({})).await.json().await.unwrap();
    assert_eq!(answer["status"], "canceled");

    // Once it runs ...
    let mut stream = app.get(&format!("/v1/jobs/{running}/events")).await;
    read_until(&mut stream, "event: progress").await;
    app.post(&format!("/v1/jobs/{running}/cancel"), &json!({})).await;
    let job = app.ended(&running).await;
    assert_eq!(job["status"], "canceled");
    // ... and the worker is free for others, and the end stays as it is.
    assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
    let again: Json = app.post(&format!("/v1/jobs/{running}/cancel"), &json!({})).await.json().await.unwrap();
    assert_eq!(
        (again["status"].clone(), again["finished_at"].clone()),
        (json!("canceled"), job["finished_at"].clone())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_cancels_its_job() {
    let app = TestApp::with(narrow()).await;
    for _ in 0..3 {
        let request = app.client.post(app.url("/v1/text-to-image")).json(&long());
        let call = tokio::spawn(request.send());
        // Until it has come in ...
        let open = async || {
            let (queued, running) =
                (app.json("/v1/jobs?status=queued").await, app.json("/v1/jobs?status=running").await);
            let job = queued["data"].get(0).or(running["data"].get(0)).cloned();
            job.map(|job| job["id"].as_str().unwrap().to_owned())
        };
        eventually("the job comes in", async || open().await.is_some()).await;
        let path = format!("/v1/jobs/{}", open().await.unwrap());
        call.abort();
        // ... and is gone.
        eventually("the job is canceled", async || app.json(&path).await["status"] == "canceled").await;
    }
    assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_give_the_same_job() {
    let app = TestApp::start().await;
    let send = |body: Json, wait: bool| {
        let mut request = app.client.post(app.url("/v1/text-to-image")).header("idempotency-key", "order 7");
        if !wait {
            request = request.header("prefer", "respond-async");
        }
        let request = request.json(&body);
        async move { request.send().await.unwrap() }
    };
    // No seed: what comes back must be the first job's image.
    let first: Json = send(quick(&json!({})), false).await.json().await.unwrap();
    let second: Json = send(quick(&json!({})), false).await.json().await.unwrap();
    let third: Json = send(quick(&json!({})), true).await.json().await.unwrap();
    assert_eq!(first["id"], second["id"]);
    assert_eq!((&first["id"], &third["status"]), (&third["id"], &json!("succeeded")));
    assert_eq!(first["parameters"]["seed"], third["images"][0]["seed"]);
    let request = app.client.post(app.url("/v1/text-to-image")).header("idempotency-key", "order 7");
    let webp = request.header("accept", "image/webp").json(&quick(&json!({}))).send().await.unwrap();
    assert_eq!(webp.headers()["content-type"], "image/webp");
    assert_eq!(imaging::decode(&webp.bytes().await.unwrap(), &DECODE).unwrap().width(), 64);
    let other = send(quick(&json!({"steps": 4})), false).await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let other: Json = other.json().await.unwrap();
    assert_eq!(other["type"], "/problems/idempotency-conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_page_by_page_and_deleted_with_their_images() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = app.queue_up(&quick(&json!({}))).await;
        app.ended(&id).await;
        ids.push(id);
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/jobs?limit=2".to_owned();
    loop {
        let page = app.json(&path).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/jobs?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);
    let path = format!("/v1/jobs/{}", ids[0]);
    assert_eq!(app.client.delete(app.url(&path)).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(app.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(app.get(&format!("{path}/images/0")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_jobs_with_long_texts_end_early_and_leave_none_out() {
    let app = TestApp::start().await;
    let made = app.queue_up(&quick(&json!({}))).await;
    app.ended(&made).await;
    let made = app.store.get(made.parse().unwrap()).await.unwrap().unwrap();
    let mut ids = vec![made.id.to_string()];
    for length in [600 << 10, 1, 600 << 10, 1, 600 << 10] {
        let input = TextToImage { prompt: "x".repeat(length) }.into();
        let generation = unchecked(&Generation { input, common: Common::default() });
        // It belongs to a connection that never was, so nothing runs it.
        let job = Job { id: Uuid::now_v7(), durable: false, ..made.clone() };
        let job = Job { spec: JobSpec { generation, ..job.spec }, ..job };
        let new = NewJob { job: &job, idempotency: None, holder: None, charge: None, most_jobs: None };
        app.store.insert_job(new).await.unwrap();
        ids.push(job.id.to_string());
    }
    ids.reverse();
    let (mut seen, mut path) = (Vec::new(), "/v1/jobs".to_owned());
    loop {
        let page = app.json(&path).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["has_more"], page["next_cursor"].is_string());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/jobs?cursor={cursor}");
    }
    assert_eq!(seen, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_jobs_are_gone_and_later_forgotten() {
    let (usual, clock) = (Setup::default(), Arc::new(ManualClock::default()));
    let (ttl, forget_after) = (Duration::from_hours(1), Duration::from_hours(24));
    let jobs = JobsConfig { ttl, forget_after, clock: clock.clone(), ..usual.jobs.clone() };
    let app = TestApp::with(Setup { jobs, ..usual }).await;
    let id = app.queue_up(&quick(&json!({}))).await;
    assert_eq!(app.ended(&id).await["status"], "succeeded");
    let path = format!("/v1/jobs/{id}/images/0");
    assert_eq!(app.get(&path).await.status(), StatusCode::OK);
    clock.advance(ttl);
    assert_eq!(app.get(&path).await.status(), StatusCode::GONE);
    clock.advance(Duration::from_hours(23));
    assert_eq!(app.get(&format!("/v1/jobs/{id}")).await.status(), StatusCode::GONE);
    clock.advance(Duration::from_hours(2));
    eventually("the job is forgotten", async || app.get(&path).await.status() == StatusCode::NOT_FOUND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_come_back() {
    let usual = narrow();
    let capacity = Capacity { jobs: 2, ..usual.jobs.capacity };
    let app = TestApp::with(Setup { jobs: JobsConfig { capacity, ..usual.jobs.clone() }, ..usual }).await;
    let first = app.queue_up(&long()).await;
    app.queue_up(&long()).await;
    let refused = app.draw(&quick(&json!({}))).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json::<Json>().await.unwrap()["type"], "/problems/queue-full");
    app.post(&format!("/v1/jobs/{first}/cancel"), &json!({})).await;
    app.ended(&first).await;
    assert_eq!(
        app.client
            .post(app.url("/v1/text-to-image"))
            .header("prefer", "respond-async")
            .json(&quick(&json!({})))
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::ACCEPTED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_say_the_same_as_json() {
    let app = TestApp::start().await;
    let heart = golden("text_english.png");
    let file = || Part::bytes(heart.clone()).file_name("heart.png");
    let common = |form: Form| {
        form.text("steps", "3").text("prior[steps]", "2").text("prior.guidance_scale", "3").text("seed", "8")
    };
    let with = |mut body: Json| {
        body["steps"] = json!(3);
        body["prior"] = json!({"steps": 2, "guidance_scale": 3});
        body["seed"] = json!(8);
        body
    };
    let image = base64(&heart);
    for (mode, form, body) in [
        ("text-to-image", Form::new().text("prompt", "123"), json!({"prompt": "123"})),
        ("image-variations", Form::new().part("image", file()), json!({"image": image})),
        (
            "image-fusion",
            Form::new().part("image", file()).part("image[]", file()).text("weight", "0.25").text("weight", "0.75"),
            json!({"images": [{"image": image, "weight": 0.25}, {"image": image, "weight": 0.75}]}),
        ),
        (
            "image-fusion",
            Form::new().part("image", file()).part("image", file()).text("weights", "[0.25, 0.75]"),
            json!({"images": [{"image": image, "weight": 0.25}, {"image": image, "weight": 0.75}]}),
        ),
        (
            "image-fusion",
            Form::new()
                .part("images[0][image]", file())
                .text("images[0][weight]", "0.25")
                .part("images[1][image]", file())
                .text("images[1][weight]", "0.75"),
            json!({"images": [{"image": image, "weight": 0.25}, {"image": image, "weight": 0.75}]}),
        ),
        (
            "text-image-fusion",
            Form::new().text("inputs[1][prompt]", "кошка").part("inputs[0][image]", file()),
            json!({"inputs": [{"image": image}, {"prompt": "кошка"}]}),
        ),
        (
            "text-image-fusion",
            Form::new().text("prompt", "кошка").part("image", file()),
            json!({"inputs": [{"image": image}, {"prompt": "кошка"}]}),
        ),
        (
            "outpainting",
            Form::new().part("image", file()).text("expand", r#"{"left": 8}"#),
            json!({"image": image, "expand": {"left": 8}}),
        ),
    ] {
        let path = format!("/v1/{mode}");
        let formed = app.client.post(app.url(&path)).multipart(common(form)).send().await.unwrap();
        let formed: Json = formed.json().await.unwrap();
        let written: Json = app.post(&path, &with(body)).await.json().await.unwrap();
        assert_eq!(pixels(&formed), pixels(&written), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_images_are_used_by_reference() {
    let app = TestApp::start().await;
    let made: Json = app.draw(&quick(&json!({"seed": 4}))).await.json().await.unwrap();
    let body = |image: Json| json!({"image": image, "steps": 3, "seed": 1});
    let reference = json!({"job": made["id"], "index": 0});
    let referred: Json = app.post("/v1/image-variations", &body(reference)).await.json().await.unwrap();
    let sent: Json =
        app.post("/v1/image-variations", &body(made["images"][0]["b64_json"].clone())).await.json().await.unwrap();
    assert_eq!(pixels(&referred), pixels(&sent));
    let unknown = json!({"job": "00000000-0000-7000-8000-000000000000"});
    let problem = app.problem("/v1/image-variations", &body(unknown)).await;
    assert_eq!(problem["errors"][0]["pointer"], "/image");
    let url = app.problem("/v1/image-variations", &body(json!("https://example.com/cat.png"))).await;
    assert_eq!(url["errors"][0]["pointer"], "/image");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_prompts_name_their_categories_and_styles_add_their_words() {
    let app = TestApp::with(Setup { lexicon: vec![("violence", vec!["pipe bomb"])], ..Setup::default() }).await;
    let problem = app.problem("/v1/text-to-image", &quick(&json!({"negative_prompt": "no PIPE-BOMB"}))).await;
    assert_eq!(
        (&problem["type"], &problem["categories"]),
        (&json!("/problems/moderation-blocked"), &json!(["violence"]))
    );
    assert!(problem["request_id"].is_string());
    let styled: Json = app.draw(&quick(&json!({"style": "pixel-art"}))).await.json().await.unwrap();
    assert_eq!(styled["parameters"]["prompt"], "red heart, pixel art");
    assert_eq!(styled["parameters"]["negative_prompt"], "photo");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_say_how_they_were_made() {
    let app = TestApp::start().await;
    for (format, wanted) in [("png", true), ("jpeg", true), ("webp", true), ("png", false)] {
        let body = quick(
            &json!({"prompt": "кошка", "seed": 7, "output_format": format, "output_quality": 80, "embed_metadata": wanted}),
        );
        let answer: Json = app.draw(&body).await.json().await.unwrap();
        let file = base64::engine::general_purpose::STANDARD.decode(answer["images"][0]["b64_json"].as_str().unwrap());
        let file = file.unwrap();
        let parameters: Option<Json> = if format == "png" {
            let reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
            let text = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == "parameters");
            text.map(|chunk| serde_json::from_str(&chunk.get_text().unwrap()).unwrap())
        } else {
            let exif = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(&file)).unwrap();
            let comment = exif.get_field(exif::Tag::UserComment, exif::In::PRIMARY).unwrap();
            let exif::Value::Undefined(bytes, _) = &comment.value else { panic!("{comment:?}") };
            let comment: Json = serde_json::from_slice(&bytes[8..]).unwrap();
            Some(comment["parameters"].clone())
        };
        assert_eq!(parameters.is_some(), wanted, "{format}");
        if let Some(parameters) = parameters {
            assert_eq!((&parameters["prompt"], &parameters["seed"]), (&json!("кошка"), &json!(7)), "{format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jpeg_without_room_for_the_parameters_has_the_seed() {
    let app = TestApp::start().await;
    let long = "ж".repeat(4000);
    let body = quick(&json!({
        "prompt": long, "negative_prompt": long, "negative_prior_prompt": long, "seed": 7, "output_format": "jpeg",
    }));
    let answer: Json = app.draw(&body).await.json().await.unwrap();
    let file = base64::engine::general_purpose::STANDARD.decode(answer["images"][0]["b64_json"].as_str().unwrap());
    let exif = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(file.unwrap())).unwrap();
    let comment = exif.get_field(exif::Tag::UserComment, exif::In::PRIMARY).unwrap();
    let exif::Value::Undefined(bytes, _) = &comment.value else { panic!("{comment:?}") };
    assert_eq!(&bytes[8..], br#"{"seed":7}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_replayed_ends_and_of_live_events_go_together() {
    let app = TestApp::start().await;
    let first = app.queue_up(&quick(&json!({}))).await;
    app.ended(&first).await;
    let replayed = events(&app.get(&format!("/v1/jobs/{first}/events")).await.text().await.unwrap());
    let number = replayed[0].1.clone();
    // Who goes on after a replayed end hears of what comes after it, and not of that end again.
    let listen = |path: String| app.client.get(app.url(&path)).header("last-event-id", number.clone()).send();
    let mut all = listen("/v1/jobs/events".to_owned()).await.unwrap();
    let second = app.queue_up(&quick(&json!({}))).await;
    let text = read_until(&mut all, "event: completed").await;
    assert!(text.contains(&second) && !text.contains(&first));
    let again = listen(format!("/v1/jobs/{first}/events")).await.unwrap().text().await.unwrap();
    assert!(events(&again).is_empty(), "{again}");
}

/// The system's clock, but for what it is set back by, h.
#[derive(Debug, Default)]
struct SetBack(AtomicI64);

impl Clock for SetBack {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() - jiff::SignedDuration::from_hours(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_hears_of_an_end_once_though_the_clock_was_set_back() {
    let (usual, clock) = (narrow(), Arc::new(SetBack::default()));
    let app = TestApp::with(Setup { jobs: JobsConfig { clock: clock.clone(), ..usual.jobs.clone() }, ..usual }).await;
    let id = app.queue_up(&long()).await;
    let path = format!("/v1/jobs/{id}/events");
    let mut cut_off = app.get(&path).await;
    let text = read_until(&mut cut_off, "event: progress").await;
    let (_, progress, _) = events(&text).pop().unwrap();
    drop(cut_off);
    let listening = app.get(&path).await;
    clock.0.store(1, Ordering::SeqCst);
    app.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
    let heard = events(&listening.text().await.unwrap()).pop().unwrap();
    let resume = async |number: &str| {
        let request = app.client.get(app.url(&path)).header("last-event-id", number);
        events(&request.send().await.unwrap().text().await.unwrap())
    };
    let resumed = resume(&progress).await;
    assert_eq!(resumed.as_slice(), std::slice::from_ref(&heard));
    assert_eq!((heard.0.as_str(), &heard.2["status"]), ("failed", &json!("canceled")));
    assert!(resume(&heard.1).await.is_empty(), "it has heard of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_files_are_lost_says_so_and_its_key_draws_again() {
    let data = tempfile::TempDir::new().unwrap();
    let app = TestApp::with(Setup { data: Some(data.path().to_owned()), ..Setup::default() }).await;
    let send = async || -> Json {
        let request = app.client.post(app.url("/v1/text-to-image")).header("idempotency-key", "once");
        let request = request.header("prefer", "respond-async").json(&quick(&json!({"seed": 1})));
        request.send().await.unwrap().json().await.unwrap()
    };
    let first = send().await["id"].as_str().unwrap().to_owned();
    let image = app.ended(&first).await["images"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(send().await["id"], first.as_str());
    let folder = std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path().join(&first));
    std::fs::remove_dir_all(folder.into_iter().find(|folder| folder.exists()).unwrap()).unwrap();
    let gone = app.client.get(&image).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::GONE, "{}", gone.text().await.unwrap());
    let second = send().await["id"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    assert_eq!(app.ended(&second).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_expired_job_says_so() {
    let (usual, clock) = (Setup::default(), Arc::new(ManualClock::default()));
    let jobs = JobsConfig { clock: clock.clone(), ..usual.jobs.clone() };
    let app = TestApp::with(Setup { jobs, ..usual }).await;
    let send = || {
        let request = app.client.post(app.url("/v1/text-to-image")).header("idempotency-key", "once");
        request.json(&quick(&json!({"seed": 1}))).send()
    };
    assert_eq!(send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(send().await.unwrap().status(), StatusCode::OK);
    clock.advance(Duration::from_hours(1));
    assert_eq!(send().await.unwrap().status(), StatusCode::GONE);
}
