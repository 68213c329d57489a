//! What the lexicon that ships with the program finds and lets pass, measured on labelled prompts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use kandinsky::moderation::{
    Credentials, HttpModerationTransport, Lexicon, LexiconFiles, Policies, PromptModeration, Remote, RemoteConfig,
    RemoteKind,
};
use kandinsky::retry::{BreakerPolicy, RetryPolicy};
use kandinsky::signature::Signer;
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64, golden, quick};

/// Least share of what is refused that is abusive, and of what is abusive that is refused, on prompts that no term was
/// chosen by. docs/moderation.md has the measured ones.
const PRECISION: f64 = 0.95;
const RECALL: f64 = 0.90;

struct Prompt {
    abusive: bool,
    category: String,
    set: String,
    text: String,
}

fn prompts() -> Vec<Prompt> {
    let lines = include_str!("moderation/labelled.tsv").lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.starts_with("label\t"));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.splitn(6, '\t').collect();
            let [label, _language, _kind, category, set, text] = fields[..] else { panic!("{line}") };
            assert!(["benign", "abusive"].contains(&label) && ["dev", "test"].contains(&set), "{line}");
            let (category, set) = (category.to_owned(), set.to_owned());
            Prompt { abusive: label == "abusive", category, set, text: unescape(text) }
        })
        .collect()
}

/// `\t`, `\n`, `\\` and `\u{hex}`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('u')) => {
                let digits: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                out.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
            }
            ('\\', Some(other)) | (other, _) => out.push(other),
        }
    }
    out
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a few hundred prompts")]
fn the_built_in_lexicon_refuses_what_is_abusive_and_little_else() {
    let lexicon = Lexicon::built_in().unwrap();
    let prompts = prompts();
    let count = |abusive: bool| prompts.iter().filter(|prompt| prompt.abusive == abusive).count();
    assert!(count(true) >= 300 && count(false) >= 300, "{} abusive, {} benign", count(true), count(false));
    for (set, precision, recall) in [("dev", 0.99, 0.99), ("test", PRECISION, RECALL)] {
        let (mut right, mut wrong, mut missed, mut named) = (0, 0, 0, 0);
        for prompt in prompts.iter().filter(|prompt| prompt.set == set) {
            let found = lexicon.find(&prompt.text);
            match (prompt.abusive, found.is_empty()) {
                (true, false) => right += 1,
                (true, true) => missed += 1,
                (false, false) => wrong += 1,
                (false, true) => {}
            }
            named += usize::from(found.iter().any(|finding| finding.category == prompt.category));
        }
        let got = (f64::from(right) / f64::from(right + wrong), f64::from(right) / f64::from(right + missed));
        println!("{set}: precision {:.4}, recall {:.4}", got.0, got.1);
        assert!(got.0 >= precision && got.1 >= recall, "{set}: precision {:.4}, recall {:.4}", got.0, got.1);
        // Nearly all by their own category.
        assert!(named as f64 >= 0.97 * f64::from(right), "{set}: {named} of {right} by their category");
    }
}

#[test]
fn adjectives_of_people_say_nothing_of_things() {
    let lexicon = Lexicon::built_in().unwrap();
    for text in [
        "обнажённое дерево зимой",
        "Обнаженные ветви на фоне неба",
        "обнажённый дуб в поле, туман",
        "дерево обнажённое, чёрные сучья",
        "голая роща осенью",
        "голый утёс над морем",
        "оголённые деревья, ноябрь",
        "оголённый провод, макро",
        "раздетые манекены на витрине",
        "нагие горы на рассвете",
        "отлив обнажил дно",
        "волк обнажает клыки",
        "обезглавленная статуя в парке",
        "выпотрошенный чемодан на кровати",
        "разрубленное полено и топор",
        "суп с раком",
        "голубоглазый ребёнок",
        "дети и голубь",
        "девочка в голубом платье",
        "мальчик и голова лошади",
        "дети играют под голыми деревьями",
        "naked trees in winter fog",
        "a naked light bulb in a dark room",
        "naked forest in autumn",
        "undressed mannequins in a shop window",
        "a decapitated statue in a garden",
        "mutilated tree after the storm",
        "bare button on a coat",
        "children playing under naked trees",
    ] {
        assert_eq!(lexicon.find(text), [], "{text}");
    }
    for (text, category) in [
        ("обнажённая девушка у дерева", "sexual"),
        ("дерево и обнажённая девушка", "sexual"),
        ("обнажённая деревенская девушка", "sexual"),
        ("голые деревья и голая женщина", "sexual"),
        ("голая девочка", "sexual/minors"),
        ("девочка нагишом", "sexual/minors"),
        ("голый ребенок под голубым небом", "sexual/minors"),
        ("a naked woman under naked trees", "sexual"),
        ("naked mountain climber", "sexual"),
        ("naked child near a naked tree", "sexual/minors"),
        ("a dismembered body and a dismembered doll", "violence/graphic"),
    ] {
        let found = lexicon.find(text);
        assert!(found.iter().any(|finding| finding.category == category), "{text}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hides_in_the_syntax_of_prompts() {
    let app = TestApp::with(Setup { lexicon: vec![("violence", vec!["pipe bomb"])], ..Setup::default() }).await;
    for (prompt, syntax) in [
        ("a (pi:1.1)(pe:0.9) bomb", "weights"),
        ("a pi[pe|xx] bomb", "weights"),
        ("a pipe <lora:x:1> bomb", "plain"),
        ("a pi\u{200b}pe\u{ad} bomb", "plain"),
    ] {
        let problem = app.problem("/v1/text-to-image", &json!({"prompt": prompt, "prompt_syntax": syntax})).await;
        assert_eq!(problem["type"], "/problems/moderation-blocked", "{prompt}: {problem}");
        assert_eq!(problem["moderation"][0]["pointer"], "/prompt", "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_moderated_alone_is_bounded_in_all() {
    let app = TestApp::with(Setup { lexicon: vec![("violence", vec!["pipe bomb"])], ..Setup::default() }).await;
    let judge = async |texts: Vec<String>| app.post("/v1/moderations", &json!({"input": texts})).await.status();
    assert_eq!(judge(vec!["x ".repeat(2000); 25]).await, StatusCode::OK);
    assert_eq!(judge(vec!["x ".repeat(2000); 26]).await, StatusCode::BAD_REQUEST);
    assert_eq!(judge(vec!["x".to_owned(); 65]).await, StatusCode::BAD_REQUEST);
}

#[test]
fn prompts_of_the_model_that_ships_with_the_program_pass() {
    let lexicon = Lexicon::built_in().unwrap();
    let cases: serde_json::Value = serde_json::from_str(include_str!("../goldens/cases.json")).unwrap();
    let mut seen = 0;
    for case in cases.as_array().unwrap() {
        if let Some(prompt) = case["prompt"].as_str() {
            assert_eq!(lexicon.find(prompt), [], "{prompt}");
            seen += 1;
        }
    }
    assert!(seen > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_of_every_mode_and_surface_is_judged() {
    let app =
        TestApp::with(Setup { lexicon: vec![("violence", vec!["pipe bomb", "pixel"])], ..Setup::default() }).await;
    let image = base64(&golden("text_english.png"));
    for (mode, body, pointer) in [
        ("text-to-image", json!({"prompt": "a p1pe-b0mb"}), "/prompt"),
        ("text-to-image", json!({"prompt": "x", "negative_prompt": "pipe bomb"}), "/negative_prompt"),
        ("text-to-image", json!({"prompt": "x", "negative_prior_prompt": "pipe bomb"}), "/negative_prior_prompt"),
        ("text-to-image", json!({"prompt": "x", "negative_decoder_prompt": "pipe bomb"}), "/negative_decoder_prompt"),
        ("text-to-image", json!({"prompt": "x", "style": "pixel-art"}), "/prompt"),
        ("image-to-image", json!({"prompt": "pipe bomb", "image": image}), "/prompt"),
        ("image-variations", json!({"image": image, "negative_prompt": "pipe bomb"}), "/negative_prompt"),
        ("text-image-fusion", json!({"inputs": [{"image": image}, {"prompt": "pipe bomb"}]}), "/inputs/1/prompt"),
        (
            "text-image-fusion",
            json!({"inputs": [{"image": image}, {"prompt": "x"}], "decoder_prompt": "pipe bomb"}),
            "/decoder_prompt",
        ),
        ("outpainting", json!({"image": image, "expand": {"left": 8}, "prompt": "pipe bomb"}), "/prompt"),
    ] {
        let problem = app.problem(&format!("/v1/{mode}"), &body).await;
        assert_eq!(problem["type"], "/problems/moderation-blocked", "{mode}: {problem}");
        let finding = &problem["moderation"][0];
        assert_eq!((&finding["category"], &finding["pointer"]), (&json!("violence"), &json!(pointer)), "{problem}");
        assert!(finding["rule"].as_str().unwrap().starts_with("lexicon: p"), "{finding}");
    }
    let openai = app.post("/v1/images/generations", &json!({"prompt": "pipe bomb"})).await;
    assert_eq!(openai.status(), StatusCode::BAD_REQUEST);
    assert_eq!(openai.json::<Json>().await.unwrap()["error"]["code"], "moderation_blocked");
    let task = app.post("/models/kandinsky-mini", &json!({"inputs": "pipe bomb"})).await;
    assert_eq!(task.status(), StatusCode::BAD_REQUEST);
    assert_eq!(app.json("/v1/jobs").await["data"], json!([]), "something was queued");
    let judged: Json =
        app.post("/v1/moderations", &json!({"input": ["a cat", "pipe bomb"]})).await.json().await.unwrap();
    assert_eq!((&judged["results"][0]["flagged"], &judged["results"][1]["flagged"]), (&json!(false), &json!(true)));
    assert_eq!(judged["results"][1]["category_scores"]["violence"], 1.0);
}

/// What a moderation service was sent.
pub type Seen = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A moderation service with this judgement, and what it was sent.
pub async fn service(status: StatusCode, judgement: fn(&Json) -> Json) -> (String, Seen) {
    let seen = Seen::default();
    let theirs = seen.clone();
    let judge = move |headers: HeaderMap, body: String| {
        let answer = judgement(&serde_json::from_str(&body).unwrap());
        theirs.lock().unwrap().push((headers, body));
        async move { (status, axum::Json(answer)) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/moderations", listener.local_addr().unwrap());
    let router = Router::new().route("/moderations", post(judge));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

/// Flags texts that hold "cat".
fn cats(asked: &Json) -> Json {
    let texts = asked.get("input").or_else(|| asked.get("texts")).unwrap().as_array().unwrap();
    let judged = texts.iter().map(|text| {
        let cat = text.as_str().unwrap().contains("cat");
        json!({"flagged": cat, "categories": {"hate": cat}, "category_scores": {"hate": if cat { 0.9 } else { 0.0 }}})
    });
    json!({"results": judged.collect::<Vec<_>>()})
}

pub fn asking(url: &str, kind: RemoteKind, key: &str, fail_open: bool) -> Remote {
    let credentials = match kind {
        RemoteKind::OpenAi => Credentials::Bearer(key.into()),
        RemoteKind::Webhook => Credentials::Signature(key.into()),
    };
    let config = RemoteConfig {
        kind,
        model: "omni".to_owned(),
        retry: RetryPolicy::constant(Duration::ZERO).at_most(1),
        fail_open,
        breaker: BreakerPolicy { after: 100, pause: Duration::ZERO },
    };
    Remote::new(
        config,
        Arc::new(HttpModerationTransport::new(url.to_owned(), credentials, Duration::from_secs(20)).unwrap()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_elsewhere_is_asked_with_its_key_or_by_signed_messages() {
    let (url, seen) = service(StatusCode::OK, cats).await;
    let lexicon = LexiconFiles::from(Lexicon::default());
    let chain = PromptModeration::new(
        vec![Arc::new(lexicon), Arc::new(asking(&url, RemoteKind::OpenAi, "sk-1", false))],
        Policies::default(),
    );
    let app = TestApp::with(Setup { moderation: Some(chain), ..Setup::default() }).await;
    let problem = app.problem("/v1/text-to-image", &json!({"prompt": "a cat", "negative_prompt": "dog"})).await;
    assert_eq!(
        problem["moderation"],
        json!([{"category": "hate", "score": 0.9, "rule": "remote", "pointer": "/prompt"}])
    );
    assert_eq!(app.draw(&quick(&json!({}))).await.status(), StatusCode::OK);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let hook = asking(&url, RemoteKind::Webhook, secret, false);
    let found = kandinsky::moderation::Moderator::review(&hook, &["dog", "cat"]).await.unwrap();
    assert_eq!(found.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1]);

    let seen = seen.lock().unwrap();
    let header = |i: usize, name: &str| seen[i].0[name].to_str().unwrap().to_owned();
    assert_eq!(header(0, "authorization"), "Bearer sk-1");
    let sent = header(2, "webhook-timestamp").parse().unwrap();
    let want = Signer::new(&secret.into()).unwrap().sign(&header(2, "webhook-id"), sent, &seen[2].1);
    assert_eq!(header(2, "webhook-signature"), want);
    assert!(seen[2].0.get("authorization").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_while_a_moderation_that_must_answer_does_not() {
    let (url, _) = service(StatusCode::INTERNAL_SERVER_ERROR, cats).await;
    let chain = PromptModeration::new(vec![Arc::new(asking(&url, RemoteKind::OpenAi, "", false))], Policies::default());
    let app = TestApp::with(Setup { moderation: Some(chain), ..Setup::default() }).await;
    let refused = app.draw(&quick(&json!({}))).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Json>().await.unwrap()["type"], "/problems/moderation-unavailable");
}
