//! The HTTP surface, called as clients call it.

use kandinsky::imaging;
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, base64, golden, quick};
use crate::embedded::DECODE;

fn decode64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_call_gives_images_with_their_seeds() {
    let app = TestApp::start().await;
    let response = app.draw(&quick(&json!({"seed": 5, "n": 2, "width": 96}))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Json = response.json().await.unwrap();
    assert_eq!(answer["status"], "succeeded");
    assert_eq!(answer["mode"], "text-to-image");
    assert_eq!(answer["model"], "kandinsky-mini");
    assert_eq!(answer["images"].as_array().unwrap().len(), 2);
    for (i, image) in answer["images"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&image["index"], &image["seed"]), (&json!(i), &json!(5 + i)));
        let bytes = decode64(image["b64_json"].as_str().unwrap()).unwrap();
        let picture = imaging::decode(&bytes, &DECODE).unwrap();
        assert_eq!((picture.width(), picture.height()), (96, 64));
    }

    // The seed that is returned makes the same image again, also when it was drawn by the server.
    let random: Json = app.draw(&quick(&json!({}))).await.json().await.unwrap();
    let seed = &random["images"][0]["seed"];
    let again: Json = app.draw(&quick(&json!({"seed": seed}))).await.json().await.unwrap();
    assert_eq!(random["images"][0]["b64_json"], again["images"][0]["b64_json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_an_image_gives_its_bytes() {
    let app = TestApp::start().await;
    for (media_type, start) in
        [("image/png", &b"\x89PNG"[..]), ("image/jpeg", b"\xff\xd8\xff"), ("image/webp", b"RIFF")]
    {
        let request = app.client.post(app.url("/v1/text-to-image")).header("accept", media_type);
        let response = request.json(&quick(&json!({"seed": 9}))).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], media_type);
        assert_eq!(response.headers()["x-seed"], "9");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.starts_with(start), "{media_type}");
        assert_eq!(imaging::decode(&bytes, &DECODE).unwrap().width(), 64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_violation_is_reported_at_once() {
    let app = TestApp::start().await;
    let body = json!({
        "prompt": "x".repeat(5000), "steps": 0, "n": 99, "width": 100_000, "guidance_scale": -1,
        "scheduler": "magic", "prior": {"kind": "magic", "steps": 1000},
    });
    let problem = app.problem("/v1/text-to-image", &body).await;
    assert_eq!(problem["status"], 422);
    let mut pointers: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    pointers.dedup();
    assert_eq!(
        pointers,
        ["/guidance_scale", "/n", "/prior/kind", "/prior/steps", "/prompt", "/scheduler", "/steps", "/width"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_4xx_problems() {
    let app = TestApp::start().await;
    let send = |body: &'static str, media_type: &'static str| {
        let request = app.client.post(app.url("/v1/text-to-image")).header("content-type", media_type);
        request.body(body).send()
    };
    for (body, media_type, status) in [
        ("{", "application/json", 400),
        ("[]", "application/json", 422),
        ("{}", "application/json", 422),
        (r#"{"prompt": 3}"#, "application/json", 422),
        (r#"{"prompt": "x", "steps": -1}"#, "application/json", 422),
        (r#"{"prompt": "x", "steps": 1e99}"#, "application/json", 422),
        (r#"{"prompt": "x"}"#, "text/plain", 415),
    ] {
        let response = send(body, media_type).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{body}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{body}");
    }
    let large = "x".repeat(2 << 20);
    let response = app.draw(&json!({"prompt": large})).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(app.client.get(app.url("/nothing")).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let wrong = app.client.get(app.url("/v1/text-to-image")).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_has_its_route() {
    let app = TestApp::start().await;
    let file = |name: &str| base64(&golden(name));
    let (heart, mask) = (file("text_english.png"), file("mask.png"));
    let url = format!("data:image/png;base64,{heart}");
    for (mode, body, size) in [
        ("image-to-image", json!({"image": heart, "prompt": "a face", "strength": 0.9}), (64, 64)),
        ("image-variations", json!({"image": url}), (64, 64)),
        ("image-fusion", json!({"images": [{"image": heart, "weight": 0.4}, {"image": heart}]}), (64, 64)),
        ("text-image-fusion", json!({"inputs": [{"image": heart}, {"prompt": "кошка"}]}), (64, 64)),
        ("inpainting", json!({"image": heart, "mask": mask}), (64, 64)),
        ("outpainting", json!({"image": heart, "expand": {"left": 16}}), (80, 64)),
        ("outpainting", json!({"image": heart, "window": {"x": -8, "y": 0, "width": 48, "height": 48}}), (48, 48)),
    ] {
        let mut body = body;
        body["steps"] = json!(3);
        body["prior"] = json!({"steps": 2});
        let response = app.client.post(app.url(&format!("/v1/{mode}"))).json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{mode}");
        let answer: Json = response.json().await.unwrap();
        assert_eq!(answer["mode"], mode);
        assert_eq!((&answer["images"][0]["width"], &answer["images"][0]["height"]), (&json!(size.0), &json!(size.1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_images_are_named() {
    let app = TestApp::start().await;
    let encode = |bytes: &[u8]| base64(bytes);
    let png = golden("text_english.png");
    let long = kandinsky::domain::Image::rgb(2000, 1, vec![0; 6000]);
    let large = imaging::to_png(&long).unwrap();
    // Width and height, and the header's checksum.
    let mut absurd = png.clone();
    absurd[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
    absurd[29..33].copy_from_slice(&0x2f54_a48a_u32.to_be_bytes());
    for (image, status) in [
        (encode(&absurd), 413),
        ("%%%".to_owned(), 422),
        ("data:image/png,abc".to_owned(), 422),
        (encode(b"no image at all"), 422),
        (encode(&png[..png.len() / 2]), 422),
        (encode(b""), 422),
        (encode(&large), 413),
    ] {
        let body = json!({"image": image});
        let response = app.client.post(app.url("/v1/image-variations")).json(&body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{image:.40}");
        let problem: Json = response.json().await.unwrap();
        let said = if status == 413 { problem["detail"].clone() } else { problem["errors"][0]["pointer"].clone() };
        assert!(said.as_str().unwrap().starts_with("/image"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_field_is_refused_rather_than_ignored() {
    let app = TestApp::start().await;
    let problem = app.problem("/v1/text-to-image", &json!({"prompt": "red heart", "step": 5})).await;
    assert_eq!(problem["errors"][0]["pointer"], "/step");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_contract_are_served() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(app.client.get(app.url(path)).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    let contract: Json = app.client.get(app.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
    assert!(contract["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(contract["paths"]["/v1/text-to-image"]["post"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_wrong_kind_are_named_together_with_those_out_of_range() {
    let app = TestApp::start().await;
    let body = json!({"prompt": "x", "n": "a", "seed": -2, "width": 0, "prior": {"steps": "b"}, "foo": 1});
    let problem = app.problem("/v1/text-to-image", &body).await;
    let mut pointers: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/foo", "/n", "/prior/steps", "/seed", "/width"]);
    let missing = app.problem("/v1/text-to-image", &json!({"n": "a"})).await;
    let pointers: Vec<&Json> = missing["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/prompt", "/n"]);
    let last = json!({"prompt": "x", "n": 2, "seed": i64::MAX});
    assert_eq!(app.problem("/v1/text-to-image", &last).await["errors"][0]["pointer"], "/seed");
}

#[tokio::test(flavor = "multi_thread")]
async fn structures_are_not_taken_by_position() {
    let app = TestApp::start().await;
    let image = base64(&golden("text_english.png"));
    for (mode, body, pointer) in [
        ("text-to-image", json!({"prompt": "x", "prior": ["diffusion", 5, 4.0]}), "/prior"),
        ("text-to-image", json!({"prompt": "x", "webhook": ["https://example.com/hook"]}), "/webhook"),
        ("outpainting", json!({"image": image, "expand": [8, 0, 0, 0]}), "/expand"),
        ("image-fusion", json!({"images": [[image, 1], {"image": image}]}), "/images/0"),
        ("image-variations", json!({"image": ["00000000-0000-7000-8000-000000000000", 0]}), "/image"),
    ] {
        let problem = app.problem(&format!("/v1/{mode}"), &body).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_blamed_on_what_they_come_from() {
    let app = TestApp::start().await;
    let body = json!({"image": base64(&golden("text_english.png")), "expand": {"left": 100_000}});
    let problem = app.problem("/v1/outpainting", &body).await;
    let errors = problem["errors"].as_array().unwrap();
    assert!(errors.iter().all(|error| error["pointer"] == "/expand"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_surface_has_its_own_form_of_errors() {
    let app = TestApp::start().await;
    let large = json!({"prompt": "x".repeat(2 << 20), "inputs": "x"});
    for (path, body, status, member) in [
        ("/v1/images/generations", &large, 413, "/error/message"),
        ("/v1/images/edits", &json!({"prompt": "x"}), 400, "/error/param"),
        ("/models/kandinsky-mini", &large, 413, "/error"),
        ("/models/other", &json!({"inputs": "x"}), 404, "/error"),
        ("/models/someone/other", &json!({"inputs": "x"}), 404, "/error"),
        ("/v1/image-variations", &large, 413, "/detail"),
    ] {
        let response = app.post(path, body).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let answer: Json = response.json().await.unwrap();
        assert!(answer.pointer(member).unwrap().is_string(), "{path}: {answer}");
    }
    let wrong: Json = app.json("/v1/images/generations").await;
    assert_eq!(wrong["error"]["type"], "invalid_request_error");
    let unreadable = app.get("/v1/jobs/%ff").await;
    assert_eq!(unreadable.headers()["content-type"], "application/problem+json");
    assert!(unreadable.json::<Json>().await.unwrap()["request_id"].is_string());
}
