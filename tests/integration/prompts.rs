//! What prompts bring with them: characters that cannot be seen, syntax of other programs, more words than encoders read.

use kandinsky::domain::{Common, Image, PriorSettings, PromptSyntax, Warning, WarningCode};
use kandinsky::modes::{FusionInput, Generation, Input, TextImageFusion, Weighted};
use serde_json::{Value as Json, json};

use crate::app::{TestApp, quick as quick_body};
use crate::embedded::{checked, engine, quick, run, text};

fn draw(prompt: &str, common: Common) -> Image {
    run(engine(), text(prompt, common)).unwrap().remove(0)
}

fn weights() -> Common {
    Common { prompt_syntax: PromptSyntax::Weights, ..quick() }
}

#[test]
fn characters_that_cannot_be_seen_change_no_image() {
    let plain = draw("красный ёж on a blue background", quick());
    for prompt in [
        "\u{feff}красный ёж on a blue background",
        "кра\u{ad}сный ё\u{200b}ж on a blue\u{2060} background\u{200e}",
        "красныи\u{306} е\u{308}ж on a blue background\n",
        "красный\u{a0}ёж\u{2003}on a \u{202b}blue\u{202c} background\u{fe0f}",
        "красный\tёж \u{1}on\u{3000}a blue background",
    ] {
        assert!(draw(prompt, quick()) == plain, "{prompt:?}");
    }
    let avoiding = |text: &str| draw("pizza", Common { negative_prompt: Some(text.to_owned()), ..quick() });
    assert!(avoiding("\u{feff}синии\u{306}") == avoiding("синий"));
}

#[test]
fn networks_are_not_drawn_in_either_syntax() {
    let plain = draw("panda on a yellow background", quick());
    for syntax in [PromptSyntax::Plain, PromptSyntax::Weights] {
        let common = Common { prompt_syntax: syntax, ..quick() };
        assert!(draw("panda on a yellow background <lora:bears:0.8>", common) == plain, "{syntax:?}");
    }
}

#[test]
fn weights_of_one_change_nothing_and_others_do() {
    let plain = draw("panda on a yellow background", quick());
    for prompt in ["(panda:1.0) on a yellow background", "([panda]) on a (yellow:1) background"] {
        assert!(draw(prompt, weights()) == plain, "{prompt}");
    }
    let heavy = draw("(panda:1.5) on a yellow background", weights());
    let light = draw("(panda:0.5) on a yellow background", weights());
    assert!(heavy != plain && light != plain && heavy != light);
    // The same words without the syntax are drawn as a text with brackets.
    assert!(draw("(panda:1.5) on a yellow background", quick()) != heavy);
    // What was encoded with weights is not taken for what has none.
    assert!(draw("panda on a yellow background", quick()) == plain);
}

#[test]
fn explore() {
    let mean = |image: &Image| {
        let pixels = image.pixels();
        let corner = |c: usize| {
            let at = [0, 3 * 63, 3 * 64 * 63, 3 * (64 * 64 - 1)];
            at.iter().map(|at| f64::from(pixels[at + c])).sum::<f64>() / 4.0
        };
        [corner(0), corner(1), corner(2)]
    };
    for prompt in [
        "panda on a (yellow:W) background",
        "heart on a (blue:W) (red:V) background",
        "сердце на (синем:W) (красном:V) фоне",
    ] {
        for w in ["0", "0.3", "0.6", "1", "1.3", "1.6", "2", "4"] {
            let v: f64 = 2.0 - w.parse::<f64>().unwrap();
            let prompt = prompt.replace('W', w).replace('V', &format!("{}", v.max(0.0)));
            let mut sum = [0.0; 3];
            for seed in 0..6 {
                let common = Common {
                    seed,
                    steps: 12,
                    prior: PriorSettings { steps: 8, ..PriorSettings::default() },
                    ..weights()
                };
                let m = mean(&draw(&prompt, common));
                (0..3).for_each(|c| sum[c] += m[c] / 6.0);
            }
            println!("{prompt}: {sum:.0?}");
        }
    }
}

fn cuts(generation: Generation) -> Vec<(String, String)> {
    let cut = |warning: Warning| {
        (warning.code == WarningCode::PromptCut).then(|| (warning.field.unwrap(), warning.cut.unwrap()))
    };
    engine().info().warnings(&checked(generation)).into_iter().filter_map(cut).collect()
}

/// 660 characters that say nothing, and what is wanted behind them.
const QUALITY: &str = "masterpiece, best quality, ultra detailed, highly intricate, sharp focus, professional photography, \
    cinematic lighting, award winning composition, trending on artstation, octane render, unreal engine five, \
    hyperrealistic textures, masterpiece, best quality, ultra detailed, highly intricate, sharp focus, professional \
    photography, cinematic lighting, award winning composition, trending on artstation, octane render, unreal engine five, \
    hyperrealistic textures, masterpiece, best quality, ultra detailed, highly intricate, sharp focus, professional \
    photography, cinematic lighting, award winning composition, ";

#[test]
fn every_text_that_is_cut_is_named_for_each_encoder() {
    let long = format!("{QUALITY}red heart on a blue background");
    let common = Common { negative_prompt: Some(long.clone()), ..quick() };
    let found = cuts(text(&long, common).into());
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["/prompt", "/negative_prompt", "/prompt", "/negative_prompt"]);
    assert!(found.iter().all(|(_, cut)| long.contains(cut.trim_end_matches('…'))), "{found:?}");

    let part = |text: &str| Weighted { value: FusionInput::Text(text.to_owned()), weight: 0.5 };
    let fusion = |texts: [&str; 2], decoder: Option<&str>| {
        let decoder_prompt = decoder.map(str::to_owned);
        let input = Input::TextImageFusion(TextImageFusion { inputs: texts.map(part).into(), decoder_prompt });
        let fields = cuts(Generation { input, common: quick() }).into_iter().map(|(field, _)| field);
        fields.collect::<Vec<_>>()
    };
    assert_eq!(fusion(["red heart", &long], None), ["/inputs/1/prompt", "/inputs"]);
    assert_eq!(fusion(["red heart", "pizza"], Some(&long)), ["/decoder_prompt"]);
    assert_eq!(fusion(["red heart", "pizza"], None), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_what_was_not_read() {
    let app = TestApp::start().await;
    let prompt = format!("{QUALITY}(red heart:1.3) on a blue background <lora:hearts:1>");
    let answer: Json = app.draw(&quick_body(&json!({"prompt": prompt}))).await.json().await.unwrap();
    let codes: Vec<&str> =
        answer["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["prompt_syntax_unsupported", "prompt_syntax_not_read", "prompt_cut", "prompt_cut"]);
    assert!(answer["warnings"].as_array().unwrap().iter().all(|warning| warning["field"] == "/prompt"));
    let path = format!("/v1/jobs/{}", answer["id"].as_str().unwrap());
    let job: Json = app.client.get(app.url(&path)).send().await.unwrap().json().await.unwrap();
    assert_eq!(job["warnings"], answer["warnings"]);

    let request = app.client.post(app.url("/v1/text-to-image")).header("accept", "image/png");
    let response = request.json(&quick_body(&json!({"prompt": prompt}))).send().await.unwrap();
    let codes = "prompt_cut, prompt_syntax_not_read, prompt_syntax_unsupported";
    assert_eq!(response.headers()["x-warnings"], codes);
    let file = response.bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&file).contains("\"code\":\"prompt_cut\""), "the file does not say it");

    let body = quick_body(&json!({"prompt": "(red heart:1.3) on a blue background", "prompt_syntax": "weights"}));
    let answer: Json = app.draw(&body).await.json().await.unwrap();
    assert_eq!((&answer["warnings"], &answer["parameters"]["prompt_syntax"]), (&Json::Null, &json!("weights")));
    let problem = app.problem("/v1/text-to-image", &json!({"prompt": "a", "prompt_syntax": "compel"})).await;
    assert_eq!(problem["errors"][0]["pointer"], "/prompt_syntax");
}
