//! Prompts that are drawn in another language than they are sent in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use kandinsky::domain::{ApplyTo, Limits, TranslateWhen};
use kandinsky::retry::{BreakerPolicy, RetryPolicy};
use kandinsky::tensor::files::Folder;
use kandinsky::translation::{
    LanguagePair, LibreTranslate, LibreTranslateConfig, Marian, Target, Translation, TranslationConfig,
    TranslationError, Translator,
};
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64, golden, merged, quick};
use crate::embedded::{limits, model_folder};

/// What the translator of these tests knows.
const KNOWN: [(&str, &str); 8] = [
    ("красное сердце", "red heart"),
    ("кот", "cat"),
    ("на синем фоне", "on a blue background"),
    ("красное сердце на синем фоне", "red heart on a blue background"),
    ("размытое", "blurry"),
    ("цветок", "gore"),
    ("cat", "CAT"),
    ("дыра", "ho\0le"),
];

/// A translator that knows some texts and fails on others.
#[derive(Default)]
struct Dictionary {
    asked: AtomicUsize,
}

#[async_trait]
impl Translator for Dictionary {
    fn name(&self) -> &'static str {
        "dictionary"
    }

    async fn translate(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError> {
        self.asked.fetch_add(texts.len(), Ordering::SeqCst);
        let known = |text: &String| {
            let found = KNOWN.iter().find(|(russian, _)| russian == text);
            found
                .map(|(_, english)| (*english).to_owned())
                .ok_or_else(|| TranslationError::Failed(format!("not {text}")))
        };
        texts.iter().map(known).collect()
    }
}

fn config(fail_open: bool) -> TranslationConfig {
    TranslationConfig {
        languages: LanguagePair { from: "ru".to_owned(), to: "en".to_owned() },
        when: TranslateWhen::Auto,
        apply_to: ApplyTo::Both,
        fail_open,
        timeout: Duration::from_mins(1),
        breaker: BreakerPolicy { after: 100, pause: Duration::ZERO },
        cache_bytes: 1 << 16,
    }
}

async fn translating(fail_open: bool) -> TestApp {
    translating_as(config(fail_open)).await
}

async fn translating_as(config: TranslationConfig) -> TestApp {
    let translation = Translation::new(config, Arc::new(Dictionary::default()));
    let lexicon = vec![("violence", vec!["gore", "кровь"])];
    TestApp::with(Setup { translation: Some(Arc::new(translation)), lexicon, ..Setup::default() }).await
}

async fn drawn(app: &TestApp, body: Json) -> Json {
    let response = app.draw(&quick(&merged(json!({"seed": 5}), &body))).await;
    let status = response.status();
    let answer: Json = response.json().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// The pixels' file, without the parameters that tell how it came about.
fn image(answer: &Json) -> &str {
    answer["images"][0]["b64_json"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_russian_prompt_and_its_translation_give_one_image() {
    let app = translating(true).await;
    let russian =
        json!({"prompt": "красное сердце на синем фоне", "negative_prompt": "размытое", "embed_metadata": false});
    let russian = drawn(&app, russian).await;
    let english =
        json!({"prompt": "red heart on a blue background", "negative_prompt": "blurry", "embed_metadata": false});
    let english = drawn(&app, english).await;
    assert!(image(&russian) == image(&english));
    let parameters = &russian["parameters"];
    assert_eq!(parameters["prompt"], "красное сердце на синем фоне");
    assert_eq!(parameters["prompt_translated"], "red heart on a blue background");
    assert_eq!(
        (&parameters["negative_prompt"], &parameters["negative_prompt_translated"]),
        (&json!("размытое"), &json!("blurry"))
    );
    assert_eq!(parameters["translate"], "auto");
    assert!(english["parameters"].get("prompt_translated").is_none());
    // The answer's parameters, sent again, give the same image.
    let mut again = parameters.clone();
    again["embed_metadata"] = json!(false);
    assert!(image(&drawn(&app, again).await) == image(&russian));
    let openai: Json = app.post("/v1/images/generations", &json!({"prompt": "кот"})).await.json().await.unwrap();
    assert_eq!(openai["data"][0]["revised_prompt"], "cat");
    // A job that is looked at later says the same.
    let id = app.queue_up(&quick(&json!({"prompt": "кот"}))).await;
    let job = app.ended(&id).await;
    assert_eq!((&job["parameters"]["prompt"], &job["parameters"]["prompt_translated"]), (&json!("кот"), &json!("cat")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_translator_of_the_embedded_model_draws_russian_as_its_english() {
    let folder = Folder::Disk(model_folder().join("translate-ru-en"));
    let marian = tokio::task::spawn_blocking(move || Marian::start(&folder, Target::Only).unwrap()).await.unwrap();
    let translation = Translation::new(config(false), Arc::new(marian));
    let app = TestApp::with(Setup { translation: Some(Arc::new(translation)), ..Setup::default() }).await;
    for (russian, english) in [
        ("красное сердце на синем фоне", "red heart on a blue background"),
        ("Ёлка на жёлтом фоне", "evergreen tree on a yellow background"),
        ("собака", "dog"),
    ] {
        let translated = drawn(&app, json!({"prompt": russian, "embed_metadata": false})).await;
        assert_eq!(translated["parameters"]["prompt_translated"], english);
        let plain = drawn(&app, json!({"prompt": english, "embed_metadata": false})).await;
        assert!(image(&translated) == image(&plain), "{russian}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_say_what_was_asked_for_and_what_was_drawn() {
    let app = translating(true).await;
    let file = app.client.post(app.url("/v1/text-to-image")).header("accept", "image/png");
    let file = file.json(&quick(&json!({"prompt": "кот"}))).send().await.unwrap().bytes().await.unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
    let text = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == "parameters").unwrap();
    let said: Json = serde_json::from_str(&text.get_text().unwrap()).unwrap();
    assert_eq!((&said["prompt"], &said["prompt_translated"]), (&json!("кот"), &json!("cat")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_what_is_translated() {
    let app = translating(true).await;
    let translated = async |prompt: &str, when: &str| {
        let answer = drawn(&app, json!({"prompt": prompt, "translate": when})).await;
        answer["parameters"].get("prompt_translated").and_then(Json::as_str).map(str::to_owned)
    };
    assert_eq!(translated("кот", "off").await, None);
    assert_eq!(translated("cat", "auto").await, None);
    assert_eq!(translated("cat", "always").await.as_deref(), Some("CAT"));
    let problem = app.problem("/v1/text-to-image", &json!({"prompt": "кот", "translate": "never"})).await;
    assert_eq!(problem["errors"][0]["pointer"], "/translate");
    let capabilities = app.json("/v1/capabilities").await;
    let expected = json!({"available": true, "backend": "dictionary", "from": "ru", "to": "en", "default": "auto", "apply_to": "both"});
    assert_eq!(capabilities["translation"], expected);

    let without = TestApp::start().await;
    assert_eq!(without.json("/v1/capabilities").await["translation"], json!({"available": false, "default": "off"}));
    let answer = drawn(&without, json!({"prompt": "кот", "translate": "always"})).await;
    assert_eq!(answer["warnings"][0]["code"], "field_ignored");
    assert!(answer["parameters"].get("translate").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn styles_are_added_in_their_own_words_and_weights_stay() {
    let app = translating(true).await;
    let styled = drawn(&app, json!({"prompt": "кот", "style": "pixel-art"})).await;
    assert_eq!(styled["parameters"]["prompt_translated"], "cat, pixel art");
    assert_eq!(styled["parameters"]["prompt"], "кот, pixel art");
    assert_eq!(styled["parameters"]["negative_prompt"], "photo");
    let weighted = json!({"prompt": "(красное сердце:1.5) на синем фоне", "prompt_syntax": "weights"});
    let weighted = drawn(&app, weighted).await;
    assert_eq!(weighted["parameters"]["prompt_translated"], "(red heart:1.5) on a blue background");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decoder_alone_may_read_the_original() {
    let app = translating_as(TranslationConfig { apply_to: ApplyTo::Clip, ..config(false) }).await;
    assert_eq!(app.json("/v1/capabilities").await["translation"]["apply_to"], "clip");
    // A prior without chance: the same embedding, however it is asked for.
    let common = json!({"seed": 5, "steps": 3, "prior": {"kind": "linear"}, "embed_metadata": false});
    let drawn = async |path: &str, body: Json| -> Json {
        app.post(path, &merged(common.clone(), &body)).await.json().await.unwrap()
    };
    let sent = json!({"prompt": "красное сердце", "negative_prompt": "размытое"});
    let translated = drawn("/v1/text-to-image", sent.clone()).await;
    let parameters = &translated["parameters"];
    assert_eq!(parameters["prompt_translated"], "red heart", "{translated}");
    assert_eq!(parameters["translation_applies_to"], "clip");
    // What it comes to, said field by field.
    let english = json!({"prompt": "red heart", "weight": 0.5});
    let by_hand = json!({
        "inputs": [english, english], "decoder_prompt": "красное сердце", "translate": "off",
        "negative_prompt": "blurry", "negative_decoder_prompt": "размытое",
    });
    assert!(image(&translated) == image(&drawn("/v1/text-image-fusion", by_hand).await));
    assert!(image(&translated) != image(&drawn("/v1/text-to-image", merged(sent, &json!({"translate": "off"}))).await));
    // What was answered, sent again, gives the same image; a text that needs no translation is read by both.
    let again = merged(parameters.clone(), &json!({"embed_metadata": false}));
    assert!(image(&translated) == image(&drawn("/v1/text-to-image", again).await));
    let plain = drawn("/v1/text-to-image", json!({"prompt": "red heart"})).await;
    assert!(plain["parameters"].get("translation_applies_to").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_all_modes_are_translated() {
    let app = translating(false).await;
    let picture = base64(&golden("text_english.png"));
    let common = json!({"steps": 2, "prior": {"steps": 1}, "negative_prompt": "размытое"});
    for (mode, body) in [
        ("image-to-image", json!({"image": picture, "prompt": "кот"})),
        ("inpainting", json!({"image": picture, "mask": picture, "prompt": "кот"})),
        ("outpainting", json!({"image": picture, "prompt": "кот", "width": 96, "height": 64})),
        ("image-variations", json!({"image": picture})),
        ("image-fusion", json!({"images": [{"image": picture}, {"image": picture}]})),
    ] {
        let body = merged(common.clone(), &body);
        let answer: Json = app.post(&format!("/v1/{mode}"), &body).await.json().await.unwrap();
        let said = &answer["parameters"];
        assert_eq!(
            said["prompt_translated"],
            if body.get("prompt").is_some() { json!("cat") } else { Json::Null },
            "{mode}: {answer}"
        );
        assert_eq!(said["negative_prompt_translated"], "blurry", "{mode}");
        assert_eq!(said["negative_decoder_prompt_translated"], "blurry", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_another_api_show_the_translation() {
    let app = translating(false).await;
    let body = quick(&json!({"prompt": "кот", "negative_prompt": "размытое"}));
    let answer: Json = app.post("/sdapi/v1/txt2img", &body).await.json().await.unwrap();
    let info: Json = serde_json::from_str(answer["info"].as_str().unwrap()).unwrap();
    let expected = json!({"Prompt translated": "cat", "Negative prompt translated": "blurry"});
    assert_eq!((&info["prompt"], &info["extra_generation_params"]), (&json!("кот"), &expected));
    let below = info["infotexts"][0].as_str().unwrap();
    assert!(below.contains(r#", Prompt translated: "cat""#), "{below}");
    for plain in [json!({"prompt": "red heart"}), json!({"prompt": "кот", "translate": "off"})] {
        let answer: Json = app.post("/sdapi/v1/txt2img", &quick(&plain)).await.json().await.unwrap();
        let info: Json = serde_json::from_str(answer["info"].as_str().unwrap()).unwrap();
        assert_eq!(info["extra_generation_params"], json!({}), "{plain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_fusions_are_translated() {
    let app = translating(true).await;
    let body = json!({"inputs": [{"prompt": "кот"}, {"prompt": "red heart"}], "decoder_prompt": "красное сердце"});
    let answer: Json = app.post("/v1/text-image-fusion", &quick_without_prompt(&body)).await.json().await.unwrap();
    let parameters = &answer["parameters"];
    assert_eq!(parameters["inputs"][0]["prompt_translated"], "cat", "{answer}");
    assert_eq!(parameters["inputs"][0]["prompt"], "кот");
    assert!(parameters["inputs"][1].get("prompt_translated").is_none());
    assert_eq!(parameters["decoder_prompt_translated"], "red heart");
}

fn quick_without_prompt(body: &Json) -> Json {
    let mut body = quick(body);
    body.as_object_mut().unwrap().remove("prompt");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_moderated_and_what_is_drawn_too() {
    let app = translating(true).await;
    for prompt in ["кровь", "цветок"] {
        let problem = app.problem("/v1/text-to-image", &json!({"prompt": prompt})).await;
        assert_eq!(problem["type"], "/problems/moderation-blocked", "{prompt}");
        assert_eq!(problem["moderation"][0]["pointer"], "/prompt", "{prompt}");
    }
    assert_eq!(drawn(&app, json!({"prompt": "цветок", "translate": "off"})).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_translation_the_original_is_drawn_with_a_warning_or_nothing_is() {
    let app = translating(true).await;
    let russian = drawn(&app, json!({"prompt": "слон", "embed_metadata": false})).await;
    assert_eq!(
        russian["warnings"],
        json!([{
            "code": "prompt_not_translated",
            "message": "the text could not be translated, and is drawn as it is",
            "field": "/prompt",
        }])
    );
    assert!(russian["parameters"].get("prompt_translated").is_none());
    let plain = drawn(&app, json!({"prompt": "слон", "translate": "off", "embed_metadata": false})).await;
    assert!(image(&russian) == image(&plain) && plain.get("warnings").is_none());

    let strict = translating(false).await;
    let refused = strict.draw(&quick(&json!({"prompt": "слон"}))).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Json>().await.unwrap()["type"], "/problems/translation-unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_translation_that_could_not_have_been_sent_is_none() {
    let translation = Arc::new(Translation::new(config(true), Arc::new(Dictionary::default())));
    let limits = Limits { max_prompt_chars: 29, ..limits() };
    let app = TestApp::with(Setup { translation: Some(translation), limits, ..Setup::default() }).await;
    for prompt in ["красное сердце на синем фоне", "дыра"] {
        let answer = drawn(&app, json!({"prompt": prompt})).await;
        assert_eq!(answer["warnings"][0]["code"], "prompt_not_translated", "{prompt}");
    }
}

/// A LibreTranslate that gives these answers in turn, the last one for ever; where it is, and what it was asked.
async fn service(answers: Vec<(StatusCode, Json)>) -> (String, Arc<parking_lot::Mutex<Vec<Json>>>) {
    let asked = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let translate = async move |axum::Json(body): axum::Json<Json>| {
        let mut seen = seen.lock();
        seen.push(body);
        let (status, answer) = answers[(seen.len() - 1).min(answers.len() - 1)].clone();
        (status, axum::Json(answer))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/translate", post(translate))).await });
    (url, asked)
}

fn libretranslate(url: &str, key: &str) -> LibreTranslate {
    let config = LibreTranslateConfig {
        url: url.to_owned(),
        key: key.into(),
        timeout: Duration::from_mins(1),
        retry: RetryPolicy::constant(Duration::ZERO).at_most(2),
    };
    LibreTranslate::new(config, LanguagePair { from: "ru".to_owned(), to: "en".to_owned() }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn libretranslate_is_asked_as_it_is_documented() {
    let busy = (StatusCode::TOO_MANY_REQUESTS, json!({"error": "Slowdown: 30 per 1 minute"}));
    let (url, asked) = service(vec![busy, (StatusCode::OK, json!({"translatedText": ["cat", "heart"]}))]).await;
    let texts = || vec!["кот".to_owned(), "сердце".to_owned()];
    assert_eq!(libretranslate(&url, "secret").translate(texts()).await.unwrap(), ["cat", "heart"]);
    let body = json!({"q": ["кот", "сердце"], "source": "ru", "target": "en", "format": "text", "api_key": "secret"});
    assert_eq!(*asked.lock(), [body.clone(), body]);
    let (url, asked) = service(vec![(StatusCode::OK, json!({"translatedText": "cat"}))]).await;
    assert_eq!(libretranslate(&url, "").translate(vec!["кот".to_owned()]).await.unwrap(), ["cat"]);
    assert!(asked.lock()[0].get("api_key").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_libretranslate_refuses_is_no_translation() {
    for (status, answer, said, attempts) in [
        (StatusCode::BAD_REQUEST, json!({"error": "ru is not supported"}), "400: ru is not supported", 1),
        (StatusCode::FORBIDDEN, json!({"error": "Invalid API key"}), "403: Invalid API key", 1),
        (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": "Cannot translate text"}), "500: Cannot translate text", 2),
        (StatusCode::FOUND, json!({}), "302", 1),
        (StatusCode::OK, json!({"translation": ["cat"]}), "not readable", 1),
    ] {
        let (url, asked) = service(vec![(status, answer)]).await;
        let error = libretranslate(&url, "s3cret").translate(vec!["кот".to_owned()]).await.unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        assert_eq!(asked.lock().len(), attempts, "{status}");
    }
    // Fewer texts than were asked for.
    let (url, _) = service(vec![(StatusCode::OK, json!({"translatedText": ["cat"]}))]).await;
    let translation = Translation::new(config(true), Arc::new(libretranslate(&url, "")));
    assert!(translation.translate(&["кот".to_owned(), "пёс".to_owned()]).await.is_err());
    // A page of something else that listens there.
    let page = Router::new().fallback(async || axum::response::Html("<html>Sign in</html>"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, page).await });
    let error = libretranslate(&url, "").translate(vec!["кот".to_owned()]).await.unwrap_err().to_string();
    assert!(error.contains("not readable") && !error.contains("Sign in"), "{error}");
    // No service.
    let gone = libretranslate("http://127.0.0.1:9", "s3cret").translate(vec!["кот".to_owned()]).await;
    assert!(!gone.unwrap_err().to_string().contains("127.0.0.1"));
}
