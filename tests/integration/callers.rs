//! What callers write, as they write it: names and values of other servers, addresses that are nearly right, sizes that do not
//! suit the model; and what they are told.

use kandinsky::domain::{Limits, SizePolicy};
use kandinsky::imaging;
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64, golden, merged, quick};
use crate::embedded::{DECODE, limits};

const GENERATIONS: &str = "/v1/images/generations";
/// Words that belong to the implementation.
const FOREIGN: [&str; 9] =
    ["expected", "u32", "u64", "struct", "sequence", "invalid type", "missing field", "serde", "EOF"];

fn heart() -> String {
    base64(&golden("text_english.png"))
}

/// A request that is quick, as far as it is one.
fn with_steps(body: Json) -> Json {
    merged(body, &json!({"steps": 3, "prior": {"steps": 2}, "seed": 5}))
}

async fn answer(app: &TestApp, path: &str, body: &Json) -> Json {
    let response = app.post(path, body).await;
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{path}: {text:.500}");
    serde_json::from_str(&text).unwrap()
}

fn decoded(answer: &Json) -> kandinsky::domain::Image {
    use kandinsky::imaging::decode;
    let first = answer.pointer("/data/0/b64_json").or_else(|| answer.pointer("/images/0/b64_json"));
    let file = ::base64::Engine::decode(&::base64::engine::general_purpose::STANDARD, first.unwrap().as_str().unwrap());
    decode(&file.unwrap(), &DECODE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_short_and_name_what_was_sent() {
    let app = TestApp::start().await;
    let (long, image) = ("A".repeat(200_000), heart());
    let many: Json =
        (0..500).map(|i| (format!("{i}{}", "k".repeat(100)), json!(1))).collect::<serde_json::Map<_, _>>().into();
    for (path, body, named) in [
        (GENERATIONS, json!({"prompt": "x", "size": [64, 64]}), "size: must be auto or WIDTHxHEIGHT"),
        (GENERATIONS, json!({"prompt": "x", "size": "999999999999x64"}), "size: must be 1 to"),
        (GENERATIONS, json!({"prompt": "x", "quality": {}}), "quality: must be one of"),
        (GENERATIONS, json!({"prompt": "x", "size": "99999x64"}), "px a side (limits.max_side)"),
        ("/v1/text-to-image", json!({"prompt": "x", "scheduler": 5}), "must be one of ddim"),
        ("/v1/text-to-image", json!({"prompt": "x", "output_format": ["png"]}), "must be one of png"),
        ("/v1/text-to-image", json!({"prompt": "x", "steps": 0}), "(limits.max_steps)"),
        (GENERATIONS, json!({"prompt": "x", "quality": "ultra"}), "quality: must be one of"),
        (GENERATIONS, json!({"prompt": "x", "background": "green"}), "background: must be auto or opaque"),
        (GENERATIONS, json!({"prompt": "x", "stream": "maybe"}), "stream: must be true or false"),
        (GENERATIONS, json!({"prompt": "x", "num_inference_steps": 0}), "num_inference_steps: must be 1 to"),
        (GENERATIONS, json!({"prompt": "x", "cfg_scale": "much"}), "cfg_scale: must be a number"),
        (GENERATIONS, json!({"prompt": "x", "webhook": "http://x"}), "webhook: must be an object"),
        (
            GENERATIONS,
            json!({"prompt": "x", "size": "64x64", "width": 64}),
            "size: cannot be given together with width",
        ),
        (GENERATIONS, json!({"prompt": " "}), "prompt: must not be empty"),
        (GENERATIONS, json!({"prompt": "\u{feff}\u{200b}\u{3164}"}), "prompt: must not be empty"),
        (GENERATIONS, json!({"prompt": ["x"]}), "prompt: must be a text"),
        (GENERATIONS, json!({"prompt": "x", "image": image}), "image: is not read here"),
        ("/v1/text-to-image", json!({"prompt": image}), "this is an image in base64"),
        (GENERATIONS, json!({"prompt": "x", "model": long}), "is not loaded; kandinsky-mini is"),
        ("/v1/images/edits", json!({"prompt": "x", "image": image, "mask": image}), "mask: has no transparent part"),
        ("/v1/images/edits", json!({"prompt": "x", "images": [{"file_id": "f"}]}), "images.0: names a file"),
        ("/", json!({"inputs": "x", "parameters": {"num_inference_steps": 0}}), "parameters.num_inference_steps: must"),
        ("/", json!({"inputs": "x", "parameters": {"width": 0}}), "parameters.width: must be 1"),
        ("/", json!({"inputs": 5}), "inputs: must be a prompt"),
        ("/", json!({"inputs": long}), "inputs: must be a prompt or an image"),
        ("/v1/image-fusion", json!({"images": [long, 5]}), "/images/1"),
        ("/v1/text-to-image", many, "more fields are invalid"),
        ("/v1/image-fusion", json!({"images": vec![json!({"image": "AAAA", "weight": "x"}); 500]}), "more fields are"),
        ("/v1/text-to-image", json!({"prompt": "x", "seed": -2}), "or -1 for a random one"),
        ("/v1/text-to-image", json!({"prompt": "x", "n": 1.5}), "must be a whole number"),
        ("/v1/inpainting", json!({"image": 5}), "must be an image in base64"),
        ("/v1/moderations", json!({"input": 5}), "input: must be a text"),
    ] {
        let response = app.post(path, &body).await;
        assert!(response.status().is_client_error(), "{path}: {named}");
        let text = response.text().await.unwrap();
        assert!(text.len() < 2048, "{path}: {} bytes: {text:.300}", text.len());
        let plain = text.replace("\\\"", "\"");
        assert!(plain.contains(named), "{path}: {named}: {text}");
        assert!(!FOREIGN.iter().any(|word| text.contains(word)), "{text}");
        assert!(!text.contains("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "{path} quotes");
    }
    for text in ["", "{", "nope", "{\"a\":1,\"a\":2}", "[1,2"] {
        let request = app.client.post(app.url(GENERATIONS)).header("content-type", "application/json").body(text);
        let error: Json = request.send().await.unwrap().json().await.unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(!FOREIGN.iter().any(|word| message.contains(word)) && !message.contains("at line"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_read_as_programs_write_them() {
    let app = TestApp::start().await;
    let exact = json!({"prompt": "red heart", "n": 1, "steps": 3, "prior": {"steps": 2}, "seed": 7, "width": 64});
    let loose =
        json!({"prompt": "red heart", "n": "1", "steps": 3.0, "prior": {"steps": "2"}, "seed": "7", "width": 64.0});
    let (exact, loose) =
        (answer(&app, "/v1/text-to-image", &exact).await, answer(&app, "/v1/text-to-image", &loose).await);
    assert_eq!(exact["images"], loose["images"]);
    for (path, body) in [
        ("/v1/text-to-image", quick(&json!({"seed": -1}))),
        (GENERATIONS, merged(with_steps(json!({"prompt": "x"})), &json!({"seed": -1}))),
    ] {
        let (first, second) = (answer(&app, path, &body).await, answer(&app, path, &body).await);
        let seed = |answer: &Json| {
            answer.pointer("/data/0/seed").or_else(|| answer.pointer("/images/0/seed")).unwrap().as_u64()
        };
        assert!(seed(&first).is_some() && seed(&first) != seed(&second), "-1 is any seed: {path}");
    }
    let form = Form::new().text("prompt", "red heart").text("n", "undefined").text("size", "").text("steps", "3");
    let form = form.part("image", Part::bytes(golden("text_english.png")).file_name("a.png")).text("prior[steps]", "2");
    let sent = app.client.post(app.url("/v1/images/edits")).multipart(form.text("seed", "-1")).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK, "{}", sent.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_other_servers_have_for_fields_are_read_and_the_rest_is_reported() {
    let app = TestApp::start().await;
    let own = with_steps(json!({"prompt": "red heart", "guidance_scale": 2, "scheduler": "euler_a"}));
    let others = json!({"prompt": "red heart", "num_inference_steps": 3, "prior": {"steps": 2}, "seed": 5, "cfg_scale": 2,
        "sampler": "Euler a", "user": "someone", "style": "vivid", "hires_fix": true});
    let (own, others) = (answer(&app, GENERATIONS, &own).await, answer(&app, GENERATIONS, &others).await);
    assert!(decoded(&own) == decoded(&others));
    assert!(own.get("warnings").is_none());
    let fields: Vec<&str> =
        others["warnings"].as_array().unwrap().iter().map(|warning| warning["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["/style", "/hires_fix"], "what is asked for and not done");
    let wide = answer(&app, GENERATIONS, &with_steps(json!({"prompt": "x", "width": 96, "height": 64}))).await;
    assert_eq!(wide["size"], "96x64");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_answers_as_the_model_of_its_name_does() {
    let app = TestApp::start().await;
    for (body, is_url) in [
        (json!({"model": "dall-e-3"}), true),
        (json!({"model": "openai/dall-e-2"}), true),
        (json!({"model": "dall-e-3", "response_format": "b64_json"}), false),
        (json!({"model": "gpt-image-1"}), false),
        (json!({"model": "openai/kandinsky-mini"}), false),
        (json!({"model": ""}), false),
        (json!({}), false),
    ] {
        let made = answer(&app, GENERATIONS, &merged(with_steps(json!({"prompt": "x"})), &body)).await;
        assert_eq!(
            (made["data"][0]["url"].is_string(), made["data"][0]["b64_json"].is_string()),
            (is_url, !is_url),
            "{body}"
        );
    }
    let variation = answer(&app, "/v1/images/variations", &with_steps(json!({"image": heart()}))).await;
    assert!(variation["data"][0]["url"].is_string(), "as dall-e-2, which alone has this call");
    assert_eq!(app.json("/v1/models/dall-e-3").await["id"], "dall-e-3");
    let long = app.post(GENERATIONS, &json!({"model": "dall-e-2", "prompt": "x".repeat(1001)})).await;
    assert!(long.text().await.unwrap().contains("at most 1000 characters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_read_in_every_shape_that_clients_send() {
    let app = TestApp::start().await;
    let image = heart();
    let url = format!("data:image/png;base64,{image}");
    let mut made = Vec::new();
    for shape in [
        json!({"image": image}),
        json!({"image": url}),
        json!({"image": [url]}),
        json!({"image[]": url}),
        json!({"images": [image]}),
        json!({"images": [{"image_url": url}]}),
        json!({"image": {"image_url": {"url": url}}}),
        json!({"images": [{"type": "image_url", "image_url": {"url": url}}]}),
        json!({"image": {"b64_json": image}}),
    ] {
        let body = merged(with_steps(json!({"prompt": "green heart", "model": "gpt-image-1"})), &shape);
        made.push(answer(&app, "/v1/images/edits", &body).await["data"].clone());
    }
    assert!(made.iter().all(|data| *data == made[0]));
    let plain = with_steps(json!({"images": [image, image]}));
    let weighted = with_steps(json!({"images": [{"image": image}, {"image": url}]}));
    let (plain, weighted) =
        (answer(&app, "/v1/image-fusion", &plain).await, answer(&app, "/v1/image-fusion", &weighted).await);
    assert_eq!(plain["images"], weighted["images"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_sent_to_hugging_faces_address_is_redrawn_and_never_read_as_a_prompt() {
    let app = TestApp::start().await;
    let own = json!({"num_inference_steps": 3, "prior": {"steps": 2}, "seed": 5});
    let native = with_steps(json!({"image": heart(), "prompt": "green heart", "strength": 0.7}));
    let native = decoded(&answer(&app, "/v1/image-to-image", &native).await);
    let parameters = merged(own.clone(), &json!({"prompt": "green heart"}));
    for path in ["/", "/models/kandinsky-mini", "/pipeline/image-to-image/kandinsky-mini"] {
        let response = app.post(path, &json!({"inputs": heart(), "parameters": parameters})).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let made = imaging::decode(&response.bytes().await.unwrap(), &DECODE).unwrap();
        assert!(made == native, "{path}: the native endpoint's image");
    }
    let raw = app.client.post(app.url("/")).body(golden("text_english.png")).send().await.unwrap();
    assert_eq!((raw.status(), raw.headers()["content-type"].to_str().unwrap()), (StatusCode::OK, "image/png"));
    for inputs in [heart()[..400].to_owned(), "QUJD".repeat(100)] {
        let response = app.post("/", &json!({"inputs": inputs, "parameters": own})).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(response.text().await.unwrap().starts_with("{\"error\":\"inputs: "));
    }
    let wrong = app.post("/pipeline/text-to-image/kandinsky-mini", &json!({"inputs": heart()})).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_nearly_right_work_and_others_are_told_the_nearest() {
    let app = TestApp::start().await;
    let body = with_steps(json!({"prompt": "red heart"}));
    for path in [
        "/images/generations",
        "/v1/images/generations/",
        "//v1/images/generations",
        "/v1/v1/images/generations",
        "/openai/deployments/dall-e-3/images/generations?api-version=2024-02-01",
    ] {
        answer(&app, path, &body).await;
    }
    assert_eq!(app.json("/models").await["object"], "list");
    let unknown = app.post("/api/images/generations", &body).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let problem: Json = unknown.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/not-found");
    let said = problem["error"]["message"].as_str().unwrap();
    assert!(said.contains("did you mean /v1/images/generations?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_same_job_on_openais_surface() {
    let app = TestApp::start().await;
    let body = with_steps(json!({"prompt": "red heart", "seed": -1}));
    let send = |body: Json| app.client.post(app.url(GENERATIONS)).header("idempotency-key", "once").json(&body).send();
    let first: Json = send(body.clone()).await.unwrap().json().await.unwrap();
    let second: Json = send(body.clone()).await.unwrap().json().await.unwrap();
    assert!(first["id"].is_string() && first["id"] == second["id"] && first["data"] == second["data"]);
    let other = send(merged(body.clone(), &json!({"prompt": "another"}))).await.unwrap();
    assert_eq!(other.status(), StatusCode::BAD_REQUEST);
    let streamed = send(merged(body, &json!({"stream": true}))).await.unwrap();
    assert_eq!(streamed.status(), StatusCode::BAD_REQUEST, "another request");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_same_job_where_the_body_is_an_image() {
    let app = TestApp::start().await;
    let send = async |path: &str, image: &str| {
        let request = app.client.post(app.url(path)).header("idempotency-key", "once").body(golden(image));
        let response = request.send().await.unwrap();
        (response.status(), response.bytes().await.unwrap())
    };
    // No seed: what comes back must be the first job's image.
    let first = send("/", "text_english.png").await;
    assert_eq!(first.0, StatusCode::OK, "{:?}", first.1);
    assert!(send("/", "text_english.png").await == first);
    for (path, image) in [("/", "text_russian.png"), ("/models/kandinsky-mini", "text_english.png")] {
        let (status, _) = send(path, image).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {image}: another request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_say_what_json_says_in_tasks_and_of_random_seeds() {
    let app = TestApp::start().await;
    let task = Form::new().text("inputs", "red heart").text("parameters[num_inference_steps]", "3");
    let native = Form::new().text("prompt", "red heart").text("steps", "3");
    for (path, form) in [
        ("/", task.text("parameters[seed]", "-1").text("parameters[prior]", r#"{"steps": 2}"#)),
        ("/v1/text-to-image", native.text("seed", "-1").text("prior[steps]", "2")),
    ] {
        let request = app.client.post(app.url(path)).header("accept", "image/png");
        let response = request.multipart(form).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let seed = response.headers()["x-seed"].to_str().unwrap().parse::<u64>().unwrap();
        assert!(u32::try_from(seed).is_ok(), "{path}: drawn at random, of 32 bits: {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_the_model_cannot_draw_is_drawn_in_its_ratio_and_enlarged() {
    let usual = Setup::default();
    let fit = Limits { size_policy: SizePolicy::Fit, max_side: 2048, max_enlarged_pixels: 1 << 21, ..limits() };
    let app = TestApp::with(Setup { limits: fit, ..usual }).await;
    for (size, drawn) in [("1024x1024", "64x64"), ("1024x512", "91x45"), ("256x256", "64x64")] {
        let body = with_steps(json!({"prompt": "red heart on a blue background", "size": size}));
        let made = answer(&app, GENERATIONS, &body).await;
        assert_eq!(made["size"], size);
        let image = decoded(&made);
        assert_eq!(format!("{}x{}", image.width(), image.height()), size);
        let warning = &made["warnings"][0];
        assert_eq!((&warning["code"], &warning["field"]), (&json!("value_adjusted"), &json!("/size")));
        assert!(warning["message"].as_str().unwrap().contains(&format!("drawn at {drawn} px")), "{warning}");
    }
    let exact = answer(&app, GENERATIONS, &with_steps(json!({"prompt": "x", "size": "128x128"}))).await;
    assert!(exact.get("warnings").is_none(), "what the model can draw is drawn as it is");
    let most = app.post(GENERATIONS, &json!({"prompt": "x", "size": "2048x2048"})).await;
    assert!(most.text().await.unwrap().contains("size: must have at most"), "over what is enlarged");
    let strict = TestApp::with(Setup { limits: limits().for_model(16), ..Setup::default() }).await;
    let refused = strict.post(GENERATIONS, &json!({"prompt": "x", "size": "512x512"})).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.text().await.unwrap().contains("\"param\":\"size\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn aspect_ratios_are_exact_and_differ() {
    let app = TestApp::start().await;
    for (ratio, width, height) in [("1:1", 1, 1), ("2:3", 2, 3), ("3:2", 3, 2), ("9:16", 9, 16), ("16:9", 16, 9)] {
        let image = decoded(&answer(&app, "/v1/text-to-image", &quick(&json!({"aspect_ratio": ratio}))).await);
        assert_eq!(image.width() * height, image.height() * width, "{ratio}: {}x{}", image.width(), image.height());
        assert!((2000..=4096).contains(&(image.width() * image.height())), "{ratio}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fusion_weights_count_in_proportion_unless_they_are_to_stay() {
    let app = TestApp::start().await;
    let (heart, face) = (heart(), base64(&golden("text_russian.png")));
    let fuse = async |weights: [Json; 2], more: Json| {
        let [first, second] = weights;
        let images = json!([{"image": heart, "weight": first}, {"image": face, "weight": second}]);
        answer(&app, "/v1/image-fusion", &merged(with_steps(json!({"images": images})), &more)).await
    };
    let halves = fuse([json!(0.5), json!(0.5)], json!({})).await;
    let ones = fuse([json!(1), json!(1)], json!({})).await;
    assert!(decoded(&halves) == decoded(&ones));
    assert!(halves.get("warnings").is_none());
    assert_eq!(ones["warnings"][0]["code"], "value_adjusted");
    let kept = fuse([json!(1), json!(1)], json!({"normalize_weights": false})).await;
    assert!(decoded(&kept) != decoded(&ones) && kept["parameters"]["normalize_weights"] == json!(false));
    let rest = fuse([json!(0.75), Json::Null], json!({})).await;
    assert!(decoded(&rest) == decoded(&fuse([json!(0.75), json!(0.25)], json!({})).await));
    for weights in [[0.0, 0.0], [1.0, -1.0]] {
        let images = json!([{"image": heart, "weight": weights[0]}, {"image": face, "weight": weights[1]}]);
        let problem = app.problem("/v1/image-fusion", &json!({"images": images})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/images");
    }
}
