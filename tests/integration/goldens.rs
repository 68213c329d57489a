//! kandinsky-mini draws what diffusers' pipelines draw with it: same prompt, seed, steps and size, same image.
//!
//! The goldens are made by `tests/goldens/make_goldens.py`.

use kandinsky::domain::{BackendChoice, Common, Image, MaskConvention, PriorSettings, Size};
use kandinsky::engine::Engine;
use kandinsky::imaging;
use kandinsky::modes::{
    FusionInput, Generation, ImageFusion, ImageToImage, ImageVariations, Inpainting, Input, TextImageFusion,
    TextToImage, Weighted,
};
use kandinsky::schedulers;
use serde_json::Value as Json;

use crate::embedded::{DECODE, begin, engine, finish, model_folder, read, root, start_with};

/// Mean absolute difference that is allowed, levels of 255.
const MEAN_LIMIT: f64 = 1.0;
/// Share of values that must be within [`NEAR`] levels.
const NEAR_SHARE: f64 = 0.99;
const NEAR: u8 = 4;

fn text(case: &Json, name: &str) -> Option<String> {
    case[name].as_str().map(str::to_owned)
}

fn number(case: &Json, name: &str) -> u32 {
    u32::try_from(case[name].as_u64().expect("a number")).expect("a small number")
}

fn picture(case: &Json) -> Image {
    read(&root().join("tests/goldens").join(case["image"].as_str().expect("an image")))
}

fn weight(case: &Json) -> f32 {
    case["weight"].as_f64().expect("a weight") as f32
}

fn input(case: &Json) -> Input {
    let prompt = text(case, "prompt");
    match case["mode"].as_str().expect("a mode") {
        "text-to-image" => Input::TextToImage(TextToImage { prompt: prompt.expect("a prompt") }),
        "image-to-image" => Input::ImageToImage(ImageToImage::new(
            prompt.expect("a prompt"),
            picture(case),
            Some(case["strength"].as_f64().expect("a strength")),
        )),
        "image-variations" => Input::ImageVariations(ImageVariations { image: picture(case) }),
        "image-fusion" => {
            let parts = case["images"].as_array().expect("images");
            let images = parts.iter().map(|part| Weighted { value: picture(part), weight: weight(part) }).collect();
            Input::ImageFusion(ImageFusion { images })
        }
        "text-image-fusion" => {
            let parts = case["inputs"].as_array().expect("inputs");
            let ingredient = |part: &Json| match text(part, "prompt") {
                Some(prompt) => FusionInput::Text(prompt),
                None => FusionInput::Image(picture(part)),
            };
            let inputs = parts.iter().map(|part| Weighted { value: ingredient(part), weight: weight(part) }).collect();
            Input::TextImageFusion(TextImageFusion { inputs, decoder_prompt: None })
        }
        "inpainting" => {
            let mask = std::fs::read(root().join("tests/goldens").join(case["mask"].as_str().expect("a mask")));
            let mask = imaging::decode_mask(&mask.expect("a file"), MaskConvention::White, &DECODE).expect("a mask");
            Input::Inpainting(Inpainting { composite: false, ..Inpainting::new(prompt, picture(case), mask) })
        }
        other => panic!("unknown mode {other}"),
    }
}

fn generation(case: &Json) -> Generation {
    let common = Common {
        negative_prompt: text(case, "negative_prompt"),
        // The reference's combined pipelines leave the decoder without.
        negative_decoder_prompt: Some(String::new()),
        size: Some(Size { width: number(case, "width"), height: number(case, "height") }),
        seed: case["seed"].as_u64().expect("a seed"),
        steps: number(case, "steps"),
        guidance_scale: case["guidance_scale"].as_f64().expect("a scale") as f32,
        scheduler: text(case, "scheduler").map(|name| schedulers::parse(&name).expect("a scheduler")),
        prior: PriorSettings {
            steps: number(&case["prior"], "steps"),
            guidance_scale: case["prior"]["guidance_scale"].as_f64().expect("a scale") as f32,
            ..PriorSettings::default()
        },
        ..Common::default()
    };
    Generation { input: input(case), common }
}

#[test]
fn images_equal_the_reference() {
    compare(engine());
}

#[test]
fn images_in_candles_operations_equal_the_reference() {
    compare(&start_with(&model_folder(), BackendChoice::Candle).expect("kandinsky-mini loads"));
}

/// Make every golden with `engine`, and hold it against the reference's. They are drawn side by side, in shared batches.
fn compare(engine: &Engine) {
    let folder = root().join("tests/goldens");
    let cases = std::fs::read(folder.join("cases.json")).expect("cases.json");
    let cases: Vec<Json> = serde_json::from_slice(&cases).expect("JSON");
    let name = |case: &Json| case["name"].as_str().expect("a name").to_owned();
    let running = cases.iter().map(|case| begin(engine, generation(case))).collect::<anyhow::Result<Vec<_>>>();
    let mut failures = Vec::new();
    for (case, running) in cases.iter().zip(running.expect("all can be begun")) {
        let name = name(case);
        let want = read(&folder.join(format!("{name}.png")));
        let got = finish(running).expect(&name).remove(0);
        assert_eq!((got.width(), got.height()), (want.width(), want.height()), "{name}");
        let differences: Vec<u8> = got.pixels().iter().zip(want.pixels()).map(|(a, b)| a.abs_diff(*b)).collect();
        let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / differences.len() as f64;
        let near = differences.iter().filter(|d| **d <= NEAR).count() as f64 / differences.len() as f64;
        let most = differences.iter().max();
        println!("{name}: mean {mean:.4} levels, {:.2} % within {NEAR}, most {most:?}", 100.0 * near);
        if mean > MEAN_LIMIT || near < NEAR_SHARE {
            failures.push(format!("{name}: mean {mean:.3}, {:.2} % near", 100.0 * near));
        }
    }
    assert!(cases.len() >= 10, "only {} cases", cases.len());
    assert!(failures.is_empty(), "{failures:#?}");
}
