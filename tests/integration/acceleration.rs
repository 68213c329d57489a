//! Ways to draw with less work: they are asked for by request, leave out what they say, and are told with the image.

use std::rc::Rc;

use kandinsky::diffusion::DiffusionModel as _;
use kandinsky::domain::{Acceleration, Common, Image};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::tensor::Compute;
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, quick as body};
use crate::embedded::{engine, model_folder, quick, run, text};

/// Of each decoder step the rows, and the number of the network.
fn decoder_steps(model: &Kandinsky, common: Common) -> Vec<(usize, u8)> {
    let mut sample = model.begin(&Rc::new(text("red heart", common).reduce()), 0).unwrap();
    let mut steps = Vec::new();
    loop {
        let state = sample.state();
        if model.info().stages[state.key.stage].denoises {
            steps.push((state.rows, state.key.network));
        }
        if model.step(state.key, &mut [&mut *sample]).unwrap()[0].is_some() {
            return steps;
        }
    }
}

#[test]
fn steps_leave_out_what_the_request_says() {
    let options = LoadOptions { inpainting: false, ..LoadOptions::default() };
    let checkpoint = Checkpoint::find(&model_folder()).unwrap();
    let model = Kandinsky::load(&checkpoint, &Compute::cpu(), options, &mut |_| {}).unwrap();
    let steps = |acceleration| decoder_steps(&model, Common { steps: 10, acceleration, ..quick() });
    let usual = Acceleration::default();
    assert_eq!(steps(usual), [(2, 0); 10]);
    let reusing = steps(Acceleration { cache_interval: 4, ..usual });
    assert_eq!(reusing.iter().map(|(_, network)| *network).collect::<Vec<_>>(), [0, 2, 2, 2, 0, 2, 2, 2, 0, 2]);
    let rows = |steps: Vec<(usize, u8)>| steps.into_iter().map(|(rows, _)| rows).collect::<Vec<_>>();
    // Timesteps 901, 801, ... 1, of which those from 750 to 350 are guided.
    let middle = Acceleration { guidance_start: 0.25, guidance_end: 0.65, ..usual };
    assert_eq!(rows(steps(middle)), [1, 1, 2, 2, 2, 2, 1, 1, 1, 1]);
    // Where guidance begins, there are no features of its row yet.
    let both = steps(Acceleration { cache_interval: 5, ..middle });
    assert_eq!(both[..6], [(1, 0), (1, 2), (2, 0), (2, 2), (2, 2), (2, 0)]);
}

/// Peak signal-to-noise ratio, dB.
fn psnr(a: &Image, b: &Image) -> f64 {
    let squares: f64 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * a.pixels().len() as f64 / squares.max(1.0)).log10()
}

#[test]
fn an_accelerated_image_is_another_one_and_nearly_the_same() {
    let draw = |acceleration| {
        let common = Common { steps: 24, seed: 3, acceleration, ..quick() };
        run(engine(), text("red heart on a blue background", common)).unwrap().remove(0)
    };
    let whole = draw(Acceleration::default());
    for acceleration in [
        Acceleration { cache_interval: 2, ..Acceleration::default() },
        Acceleration { guidance_end: 0.8, ..Acceleration::default() },
    ] {
        let near = psnr(&draw(acceleration), &whole);
        assert!((20.0..60.0).contains(&near), "{acceleration}: {near:.1} dB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_how_it_is_accelerated_and_its_answer_draws_the_same_again() {
    let app = TestApp::start().await;
    let wanted = json!({"cache_interval": 2, "guidance_end": 0.5});
    let first: Json =
        app.draw(&body(&json!({"seed": 5, "steps": 6, "acceleration": wanted}))).await.json().await.unwrap();
    let said = &first["parameters"]["acceleration"];
    assert_eq!(*said, json!({"cache_interval": 2, "guidance_start": 0.0, "guidance_end": 0.5}));
    let again: Json = app.draw(&first["parameters"]).await.json().await.unwrap();
    assert_eq!(again["images"][0]["b64_json"], first["images"][0]["b64_json"]);
    let usual: Json = app.draw(&body(&json!({"seed": 5, "steps": 6}))).await.json().await.unwrap();
    assert!(usual["parameters"].get("acceleration").is_none());
    assert_ne!(usual["images"][0]["b64_json"], first["images"][0]["b64_json"]);

    // A form writes the same with dots.
    let form = reqwest::multipart::Form::new()
        .text("prompt", "red heart")
        .text("seed", "5")
        .text("steps", "6")
        .text("prior.steps", "2")
        .text("acceleration.cache_interval", "2")
        .text("acceleration.guidance_end", "0.5");
    let sent: Json =
        app.client.post(app.url("/v1/text-to-image")).multipart(form).send().await.unwrap().json().await.unwrap();
    assert_eq!(sent["images"][0]["b64_json"], first["images"][0]["b64_json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_left_out_is_refused_by_name() {
    let app = TestApp::start().await;
    let refused = async |acceleration: Json| {
        let problem = app.problem("/v1/text-to-image", &body(&json!({"acceleration": acceleration}))).await;
        assert_eq!(problem["status"], StatusCode::UNPROCESSABLE_ENTITY.as_u16());
        let errors = problem["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = json!({"cache_interval": 0, "guidance_start": -0.1, "guidance_end": 1.5});
    let pointers = ["/acceleration/cache_interval", "/acceleration/guidance_start", "/acceleration/guidance_end"];
    assert_eq!(refused(all).await, pointers);
    assert_eq!(refused(json!({"guidance_start": 0.7, "guidance_end": 0.2})).await, [pointers[2]]);
    assert_eq!(refused(json!({"cache": 3})).await, ["/acceleration/cache"]);
    assert_eq!(refused(json!("fast")).await, ["/acceleration"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_say_what_a_fast_request_has() {
    let app = TestApp::start().await;
    let fast = app.json("/v1/capabilities").await["acceleration"]["fast"].clone();
    let answer = app.draw(&body(&fast)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Json = answer.json().await.unwrap();
    for field in ["steps", "acceleration"] {
        assert_eq!(answer["parameters"][field], fast[field]);
    }
}
