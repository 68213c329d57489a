//! The classifier on CLIP's embeddings, and the hook on finished images.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use kandinsky::app::{Clip, learn_concepts};
use kandinsky::domain::{Common, Image};
use kandinsky::engine::{Engine, GenerationRequest};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::imaging::{self, DecodeLimits};
use kandinsky::jobs::JobsConfig;
use kandinsky::moderation::{
    Action, Classifier, Concepts, ImageModerator, Moderator, OutputModeration, Policies, Policy, PromptModeration,
    RemoteKind,
};
use kandinsky::tensor::Compute;
use serde_json::{Value as Json, json};

use crate::app::{SECRET, Setup, TestApp, events, merged, quick};
use crate::embedded::{self, engine, model_folder, run, start, text};
use crate::faulty::{Fault, FaultHook};
use crate::moderation::{asking, service};
use crate::workers;

const WEAPONS: [&str; 6] = ["bomb", "dagger", "crossed swords", "kitchen knife", "axe", "bow and arrow"];
const OTHERS: [&str; 12] = [
    "red heart",
    "panda",
    "red apple",
    "sun",
    "automobile",
    "rocket",
    "cat face",
    "pizza",
    "guitar",
    "tree",
    "house",
    "book",
];
const SEEN: [&str; 6] = ["red", "blue", "green", "yellow", "white", "orange"];
const UNSEEN: [&str; 3] = ["purple", "pink", "black"];

fn on(name: &str, colour: &str) -> String {
    format!("{name} on a {colour} background")
}

fn labelled(names: &[&str], label: &[&str]) -> Vec<(Vec<String>, String)> {
    let label: Vec<String> = label.iter().map(|label| (*label).to_owned()).collect();
    names.iter().flat_map(|name| SEEN.map(|colour| (label.clone(), on(name, colour)))).collect()
}

/// Concepts of weapons in texts.
async fn weapons(engine: &Engine) -> Concepts {
    let texts = [labelled(&WEAPONS, &["violence"]), labelled(&OTHERS, &[])].concat();
    learn_concepts(engine, texts, Vec::new(), 0.95).await.unwrap()
}

async fn fresh_engine() -> Arc<Engine> {
    Arc::new(tokio::task::spawn_blocking(|| start(&model_folder())).await.unwrap().unwrap())
}

fn drawn(prompt: &str, seed: u64) -> Image {
    let common = Common { steps: 12, seed, ..embedded::quick() };
    run(engine(), text(prompt, common)).unwrap().remove(0)
}

/// Concepts of hearts in images.
fn hearts() -> Concepts {
    static HEARTS: std::sync::OnceLock<Concepts> = std::sync::OnceLock::new();
    let learned = || {
        let mut pictures = Vec::new();
        for seed in 0..12 {
            let colour = SEEN[1 + seed as usize % 5];
            pictures.push((vec!["violence".to_owned()], drawn(&on("red heart", colour), seed)));
            pictures.push((Vec::new(), drawn(&on("panda", colour), seed)));
            pictures.push((Vec::new(), drawn(&on("automobile", colour), seed)));
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(learn_concepts(engine(), Vec::new(), pictures, 0.95)).unwrap()
    };
    HEARTS.get_or_init(|| std::thread::scope(|scope| scope.spawn(learned).join().unwrap())).clone()
}

fn results(engine: &Arc<Engine>, action: Action) -> Arc<OutputModeration> {
    let judge: Arc<dyn ImageModerator> = Arc::new(Classifier::new(hearts(), Arc::new(Clip(engine.clone()))));
    let policies = Policies::new(Policy::default(), "[doctors]\nallow = [\"violence\"]").unwrap();
    Arc::new(OutputModeration::new(vec![judge], policies, action))
}

async fn app_with(engine: Arc<Engine>, results: Arc<OutputModeration>, keys: bool) -> TestApp {
    let usual = Setup::default();
    let jobs = JobsConfig { output_moderation: Some(results), ..usual.jobs.clone() };
    TestApp::with(Setup { engine: Some(engine), jobs, keys, ..usual }).await
}

fn heart(more: &Json) -> Json {
    let body = json!({"prompt": on("red heart", "green"), "seed": 77, "steps": 12, "prior": {"steps": 3}});
    merged(body, more)
}

fn panda() -> Json {
    heart(&json!({"prompt": on("panda", "green")}))
}

fn pixels(answer: &Json) -> Image {
    use base64::Engine as _;
    let file = base64::engine::general_purpose::STANDARD.decode(answer["b64_json"].as_str().unwrap()).unwrap();
    imaging::decode(&file, &DecodeLimits { max_side: 4096, max_pixels: 1 << 24 }).unwrap()
}

/// The mean difference of neighbours in a row: what there is of edges.
fn sharpness(picture: &Image) -> f64 {
    let rows = picture.pixels().chunks(3 * picture.width() as usize);
    let of_row = |row: &[u8]| row.iter().zip(&row[3..]).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
    rows.map(of_row).sum::<f64>() / picture.pixels().len() as f64
}

#[test]
fn workers_embed_as_the_model_does_while_they_draw_and_draw_the_same() {
    let checkpoint = Checkpoint::find(&model_folder()).unwrap();
    let model = Kandinsky::load(&checkpoint, &Compute::cpu(), LoadOptions::default(), &mut |_| {}).unwrap();
    let picture = drawn("panda", 3);
    let texts = model.text_embeds(&["panda", "панда"]).unwrap();
    let want =
        (texts.iter().map(|text| vec![text.clone()]).collect::<Vec<_>>(), vec![model.image_embed(&picture).unwrap()]);

    let engine = start(&model_folder()).unwrap();
    let common = Common { steps: 30, seed: 9, n: 4, ..embedded::quick() };
    let mut drawing = engine.submit(GenerationRequest::new(text("red heart", common.clone()))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..5 {
        let texts = runtime.block_on(engine.embed_texts(vec!["panda".to_owned(), "панда".to_owned()])).unwrap();
        let image = runtime.block_on(engine.embed_images(vec![picture.clone()])).unwrap();
        assert!((texts, image) == want);
    }
    assert_eq!(want.0[0][0].len(), engine.info().clip_width.unwrap());
    let mut pictures = Vec::new();
    while let Some(event) = drawing.blocking_recv() {
        if let kandinsky::engine::Event::Image { index, image: picture } = event {
            pictures.push((index, picture));
        }
    }
    pictures.sort_by_key(|(index, _)| *index);
    let pictures: Vec<Image> = pictures.into_iter().map(|(_, picture)| picture).collect();
    assert!(pictures == run(&engine, text("red heart", common)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_a_lost_worker_had_are_answered_when_it_is_back() {
    let crash = Arc::new(AtomicBool::new(false));
    let armed = crash.clone();
    let fault: FaultHook =
        Arc::new(move |_| if armed.swap(false, Ordering::SeqCst) { Fault::Crash } else { Fault::Nothing });
    let engine = tokio::task::spawn_blocking(move || workers::start(1, Some(fault))).await.unwrap();
    let engine = Arc::new(engine);
    let hook = Arc::new(Classifier::new(weapons(&engine).await, Arc::new(Clip(engine.clone()))));
    crash.store(true, Ordering::SeqCst);
    let mut drawing = engine.submit(GenerationRequest::new(text("red heart", embedded::quick()))).unwrap();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let hook = hook.clone();
            tokio::spawn(async move { hook.review(&["dagger on a pink background"]).await.unwrap() })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap().len(), 1);
    }
    while drawing.recv().await.is_some() {}
    assert!(!crash.load(Ordering::SeqCst), "the worker was not lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_learned_from_labelled_texts_refuses_texts_like_them() {
    let engine = fresh_engine().await;
    let concepts = weapons(&engine).await;
    let learned = &concepts.texts[0];
    assert_eq!((learned.category.as_str(), learned.examples), ("violence", 36));
    assert!(learned.precision >= 0.95 && learned.recall >= 0.9, "{} {}", learned.precision, learned.recall);
    let classifier = Classifier::new(concepts, Arc::new(Clip(engine.clone())));
    let chain = PromptModeration::new(vec![Arc::new(classifier)], Policies::default());
    let app = TestApp::with(Setup { engine: Some(engine), moderation: Some(chain), ..Setup::default() }).await;
    for (names, refused) in [(&WEAPONS[..], true), (&OTHERS[..], false)] {
        let mut wrong = BTreeSet::new();
        for name in names {
            for colour in UNSEEN {
                let judged = app.post("/v1/moderations", &json!({"input": on(name, colour)})).await;
                let judged: Json = judged.json().await.unwrap();
                if judged["results"][0]["flagged"] != refused {
                    wrong.insert(on(name, colour));
                }
            }
        }
        assert!(wrong.len() <= 1, "{wrong:?}");
    }
    // What the decoder would read all the same, CLIP must not overlook.
    let far = format!("{}dagger on a pink background", ". ".repeat(100));
    for evasion in ["<|endoftext|> dagger on a pink background", "<|EndOfText|>dagger on a pink background", &far] {
        let judged: Json = app.post("/v1/moderations", &json!({"input": evasion})).await.json().await.unwrap();
        assert_eq!(judged["results"][0]["flagged"], true, "{evasion}");
    }
    let problem = app.problem("/v1/text-to-image", &json!({"prompt": "dagger on a pink background"})).await;
    assert_eq!(problem["type"], "/problems/moderation-blocked");
    let finding = &problem["moderation"][0];
    assert_eq!((&finding["rule"], &finding["pointer"]), (&json!("classifier: violence"), &json!("/prompt")));
    assert!(finding["score"].as_f64().unwrap() >= 0.5, "{finding}");
    assert_eq!(app.draw(&quick(&json!({"prompt": "panda on a pink background"}))).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_blocked_fails_its_job_and_nobody_sees_it() {
    let engine = fresh_engine().await;
    let app = app_with(engine.clone(), results(&engine, Action::Block), true).await;
    let holder = app.key(&[kandinsky::records::Scope::Generate], kandinsky::records::KeyLimits::default()).await;
    let refused = holder.draw(&heart(&json!({}))).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let problem: Json = refused.json().await.unwrap();
    assert_eq!(
        (&problem["type"], &problem["categories"]),
        (&json!("/problems/moderation-blocked"), &json!(["violence"]))
    );
    assert_eq!(problem["detail"], "image 0 is refused by moderation");
    assert_eq!(problem["moderation"][0]["rule"], "classifier: violence");
    assert_eq!(holder.draw(&panda()).await.status(), StatusCode::OK);

    let queued = holder.queue_up(&heart(&json!({"preview_interval": 1}))).await;
    let id = queued.json::<Json>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let told = holder.get(&format!("/v1/jobs/{id}/events")).await.text().await.unwrap();
    let names: BTreeSet<String> = events(&told).into_iter().map(|(name, ..)| name).collect();
    assert!(!names.contains("preview"), "{names:?}");
    let job = holder.json(&format!("/v1/jobs/{id}")).await;
    assert_eq!((&job["status"], &job["images"]), (&json!("failed"), &json!([])));
    assert_eq!(job["error"]["type"], "/problems/moderation-blocked");
    assert_eq!(holder.get(&format!("/v1/jobs/{id}/images/0")).await.status(), StatusCode::NOT_FOUND);

    let scrapes = app.key(&[kandinsky::records::Scope::Metrics], kandinsky::records::KeyLimits::default()).await;
    assert_eq!(scrapes.post("/v1/moderations", &json!({"input": "x"})).await.status(), StatusCode::FORBIDDEN);

    // Whose key's policy allows it, gets it, with what was found.
    let doctor = app.key_with_policy("doctors").await;
    let allowed: Json = doctor.draw(&heart(&json!({}))).await.json().await.unwrap();
    let moderation = &allowed["images"][0]["moderation"];
    assert_eq!((&moderation["blurred"], &moderation["findings"][0]["category"]), (&json!(false), &json!("violence")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_refused_can_be_blurred_and_the_others_are_as_ever() {
    let engine = fresh_engine().await;
    let app = app_with(engine.clone(), results(&engine, Action::Blur), false).await;
    let plain = TestApp::with(Setup { engine: Some(engine), ..Setup::default() }).await;
    let judge = async |app: &TestApp, image: &Json| {
        let url = format!("data:image/png;base64,{}", image["b64_json"].as_str().unwrap());
        let parts =
            json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
        app.post("/v1/moderations", &json!({"input": parts})).await
    };
    for (body, blurred) in [(heart(&json!({})), true), (panda(), false)] {
        let judged: Json = app.draw(&body).await.json().await.unwrap();
        let usual: Json = plain.draw(&body).await.json().await.unwrap();
        let (judged, usual) = (&judged["images"][0], &usual["images"][0]);
        let unjudged = judge(&plain, usual).await;
        assert_eq!(unjudged.status(), StatusCode::BAD_REQUEST);
        let listed: Json = judge(&app, usual).await.json().await.unwrap();
        assert_eq!(listed["results"][0]["flagged"], blurred);
        assert_eq!(listed["results"][0]["category_applied_input_types"]["violence"], json!(["text", "image"]));
        let shown = app.client.post(app.url("/v1/text-to-image")).header("accept", "image/png").json(&body);
        let shown = shown.send().await.unwrap();
        let named = json!({"prompt": body["prompt"], "seed": 77});
        if !blurred {
            assert!(!shown.headers().contains_key("x-moderation"));
            assert_eq!((judged.get("moderation"), &judged["b64_json"]), (None, &usual["b64_json"]));
            continue;
        }
        assert_eq!(judged["moderation"]["blurred"], true);
        assert_eq!(shown.headers()["x-moderation"], "blurred");
        let openai: Json = app.post("/v1/images/generations", &named).await.json().await.unwrap();
        assert_eq!(openai["data"][0]["moderation"]["blurred"], true);
        let (judged, usual) = (pixels(judged), pixels(usual));
        assert_eq!((judged.width(), judged.height()), (usual.width(), usual.height()));
        let (left, had) = (sharpness(&judged), sharpness(&usual));
        assert!(left < 0.5 * had, "{left} of {had}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_the_edge_of_a_long_image_is_seen() {
    let engine = fresh_engine().await;
    let hook = results(&engine, Action::Block);
    let (heart, panda) =
        std::thread::spawn(|| (drawn(&on("red heart", "green"), 77), drawn(&on("panda", "green"), 77))).join().unwrap();
    let beside = |pictures: [&Image; 3]| {
        let row =
            |y: usize| pictures.iter().flat_map(move |p| p.pixels()[3 * 64 * y..3 * 64 * (y + 1)].iter().copied());
        Image::rgb(192, 64, (0..64).flat_map(row).collect())
    };
    let above =
        |pictures: [&Image; 3]| Image::rgb(64, 192, pictures.iter().flat_map(|p| p.pixels().iter().copied()).collect());
    for hidden in [[&heart, &panda, &panda], [&panda, &panda, &heart], [&panda, &heart, &panda]] {
        assert!(hook.review(&beside(hidden), None).await.unwrap().refused);
        assert!(hook.review(&above(hidden), None).await.unwrap().refused);
    }
}

/// Flags whatever it is.
fn flagged(_: &Json) -> Json {
    json!({"results": [{"flagged": true, "categories": {"sexual": true}, "category_scores": {"sexual": 0.7}}]})
}

fn judged_by(url: &str, kind: RemoteKind, fail_open: bool) -> Arc<OutputModeration> {
    Arc::new(OutputModeration::new(
        vec![Arc::new(asking(url, kind, SECRET, fail_open))],
        Policies::default(),
        Action::Block,
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_elsewhere_judges_images_too() {
    let engine = fresh_engine().await;
    let (url, seen) = service(StatusCode::OK, flagged).await;
    for kind in [RemoteKind::OpenAi, RemoteKind::Webhook] {
        let app = app_with(engine.clone(), judged_by(&url, kind, false), false).await;
        let problem = app.problem("/v1/text-to-image", &quick(&json!({"seed": 4}))).await;
        assert_eq!(problem["moderation"], json!([{"category": "sexual", "score": 0.7, "rule": "remote"}]));
        let openai = app.post("/v1/images/generations", &json!({"prompt": "red heart"})).await;
        assert_eq!(openai.json::<Json>().await.unwrap()["error"]["code"], "moderation_blocked");
    }
    let plain = TestApp::with(Setup { engine: Some(engine.clone()), ..Setup::default() }).await;
    let usual: Json = plain.draw(&quick(&json!({"seed": 4}))).await.json().await.unwrap();
    let want = pixels(&usual["images"][0]);
    {
        let seen = seen.lock().unwrap();
        let [openai, webhook] = [0, 2].map(|i| serde_json::from_str::<Json>(&seen[i].1).unwrap());
        let sent = [&openai["input"][0]["image_url"]["url"], &webhook["images"][0]].map(|sent| sent.as_str().unwrap());
        let sent = [sent[0].strip_prefix("data:image/png;base64,").unwrap(), sent[1]];
        for file in sent {
            assert!(pixels(&json!({"b64_json": file})) == want);
        }
    }
    let (down, _) = service(StatusCode::INTERNAL_SERVER_ERROR, flagged).await;
    for (fail_open, status) in [(false, StatusCode::SERVICE_UNAVAILABLE), (true, StatusCode::OK)] {
        let app = app_with(engine.clone(), judged_by(&down, RemoteKind::OpenAi, fail_open), false).await;
        assert_eq!(app.draw(&quick(&json!({}))).await.status(), status);
    }
}

#[test]
fn the_command_line_learns_concepts_that_a_server_takes() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let row = |(labels, text): (Vec<String>, String)| format!("{}\t{text}\n", labels.first().map_or("benign", |l| l));
    let rows = [labelled(&WEAPONS, &["violence"]), labelled(&OTHERS, &[])].concat();
    let table: String = rows.into_iter().map(row).collect();
    std::fs::write(path("texts.tsv"), format!("# labelled by hand\n\n{table}")).unwrap();
    let learn = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kandinsky"));
        command.current_dir(folder.path()).args(["moderation", "learn", "--device", "cpu"]).args(more);
        command.output().unwrap()
    };
    let learned = learn(&["--texts", "texts.tsv", "--out", "concepts.json"]);
    let said = String::from_utf8(learned.stdout).unwrap();
    assert!(learned.status.success(), "{}", String::from_utf8_lossy(&learned.stderr));
    assert!(said.contains("texts: violence: 36 examples; held out: precision"), "{said}");
    let written = Concepts::parse(&std::fs::read_to_string(path("concepts.json")).unwrap()).unwrap();
    assert_eq!((written.model.as_str(), written.texts.len()), ("kandinsky-mini", 1));

    let check = |results: &str| {
        let settings = format!(
            "[moderation]\nchain = [\"lexicon\", \"classifier\"]\nconcepts = \"concepts.json\"\nresults = \"{results}\"\n"
        );
        std::fs::write(path("kandinsky.toml"), settings).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kandinsky"));
        let checked = command.current_dir(folder.path()).args(["serve", "--check", "--config", "kandinsky.toml"]);
        let checked = checked.args(["--listen", "127.0.0.1:0"]).output().unwrap();
        (checked.status.code(), String::from_utf8_lossy(&checked.stderr).into_owned())
    };
    assert_eq!(check("off").0, Some(0));
    let (code, said) = check("blur");
    assert!(
        code == Some(2) && said.contains("moderation.concepts") && said.contains("no concepts for images"),
        "{said}"
    );

    for (table, why) in [
        ("violence bomb\n", "line 1: there is no tab"),
        ("violence\tbomb\n", "violence: 1 examples, 0 others"),
        ("Benign\tcat\n", "no example names a category"),
        ("violence,benign\tcat\n", "line 1: what is benign has no other category"),
        ("\u{feff}# nothing\n", "there are no examples"),
    ] {
        std::fs::write(path("bad.tsv"), table).unwrap();
        let failed = learn(&["--texts", "bad.tsv"]);
        let said = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(!failed.status.success() && said.contains(why), "{said}");
    }
    let mixed: Vec<String> =
        (0..40).map(|i| format!("{}\tcat {}", ["Violence", "benign"][i % 2], i * i % 83)).collect();
    std::fs::write(path("mixed.tsv"), format!("\u{feff}{}\n", mixed.join("\n"))).unwrap();
    let warned = learn(&["--texts", "mixed.tsv", "--out", "mixed.json"]);
    let said = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(warned.status.success() && said.contains("texts: violence: target precision not reached"), "{said}");
    std::fs::write(path("bad.tsv"), "violence\tgone.png\n").unwrap();
    let failed = learn(&["--images", "bad.tsv"]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("gone.png"));
    assert!(!path("concepts.json.new").exists());
}
