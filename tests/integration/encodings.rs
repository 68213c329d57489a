//! What was encoded once is not encoded again, and nothing of it shows in an image.

use std::rc::Rc;

use kandinsky::diffusion::{DiffusionModel as _, Sample, generate};
use kandinsky::domain::{Common, Image, PriorSettings};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::modes::{CheckedGeneration, Generation, ImageToImage, ImageVariations, Input, TextToImage};
use kandinsky::tensor::{Compute, CpuOptions, ProductPrecision, probe};

use crate::embedded::{checked, model_folder, read, root};

fn load(cache_bytes: usize) -> Kandinsky {
    let options = LoadOptions { cache_bytes, ..LoadOptions::default() };
    let checkpoint = Checkpoint::find(&model_folder()).expect("the model");
    Kandinsky::load(&checkpoint, &Compute::cpu(), options, &mut |_| {}).expect("the model")
}

fn heart() -> Image {
    read(&root().join("tests/goldens/text_english.png"))
}

fn request(input: impl Into<Input>, seed: u64) -> CheckedGeneration {
    let prior = PriorSettings { steps: 2, ..PriorSettings::default() };
    checked(Generation { input: input.into(), common: Common { seed, steps: 3, prior, ..Common::default() } })
}

fn redrawn(prompt: &str, strength: f64) -> ImageToImage {
    ImageToImage::new(prompt.to_owned(), heart(), Some(strength))
}

#[test]
fn images_of_one_prompt_and_image_encode_them_once() {
    let model = load(LoadOptions::default().cache_bytes);
    let encode = |request: CheckedGeneration| {
        let before = model.cache_counts();
        let mut sample = model.begin(&Rc::new(request), 0).unwrap();
        model.step(sample.state().key, &mut [&mut *sample]).unwrap();
        let after = model.cache_counts();
        (after.hits - before.hits, after.misses - before.misses)
    };
    // The prompt and the empty text by each of the two text encoders, and the image by MoVQ.
    assert_eq!(encode(request(redrawn("red heart", 0.5), 1)), (0, 5));
    assert_eq!(encode(request(redrawn("red heart", 0.5), 2)), (5, 0));
    // Another prompt: the empty text and the image are known.
    assert_eq!(encode(request(redrawn("pizza", 0.5), 3)), (3, 2));
    // CLIP sees the same image for the first time.
    let (_, misses) = encode(request(ImageVariations { image: heart() }, 4));
    assert_eq!(misses, 1);
}

#[test]
fn images_are_the_same_with_and_without_a_cache() {
    let (with, without) = (load(LoadOptions::default().cache_bytes), load(0));
    let inputs: [Input; 3] = [
        TextToImage { prompt: "red heart".to_owned() }.into(),
        ImageVariations { image: heart() }.into(),
        redrawn("red heart", 0.7).into(),
    ];
    for input in inputs {
        for seed in 0..2 {
            let draw = |model: &Kandinsky| generate(model, request(input.clone(), seed), 0).unwrap();
            assert!(draw(&with) == draw(&without));
        }
    }
    assert!(with.cache_counts().hits > without.cache_counts().hits);
}

#[test]
fn images_are_the_same_where_padding_is_left_out() {
    let long = ["red heart"; 12].join(", ");
    let bf16 = CpuOptions { precision: ProductPrecision::Bf16, ..CpuOptions::default() };
    for compute in [Ok(Compute::cpu()), Compute::on_cpu(bf16)].into_iter().flatten() {
        let checkpoint = Checkpoint::find(&model_folder()).expect("the model");
        let options = LoadOptions { cache_bytes: 0, ..LoadOptions::default() };
        let model = Kandinsky::load(&checkpoint, &compute, options, &mut |_| {}).expect("the model");
        // Texts of one request are read together, though they are not as long.
        for (prompt, negative) in [("", "ugly"), ("red heart", "a blue square, blurry"), (&long, "ugly")] {
            let mut request = Generation::from(request(TextToImage { prompt: prompt.to_owned() }, 1));
            request.common.negative_prompt = Some(negative.to_owned());
            let draw = || generate(&model, checked(request.clone()), 0).expect("an image");
            // What is recorded is computed token by token.
            let (whole, _) = probe::record(draw);
            assert!(draw() == whole, "{compute:?}: {prompt:?} and {negative:?}");
        }
    }
}

/// Begin all requests in one step.
fn begin_together(model: &Kandinsky, requests: &[CheckedGeneration]) -> Vec<Box<dyn Sample>> {
    let mut samples: Vec<_> =
        requests.iter().map(|request| model.begin(&Rc::new(request.clone()), 0).unwrap()).collect();
    let key = samples[0].state().key;
    assert!(samples.iter().all(|sample| sample.state().key == key));
    let mut batch: Vec<&mut dyn Sample> = samples.iter_mut().map(|sample| &mut **sample).collect();
    model.step(key, &mut batch).unwrap();
    samples
}

#[test]
fn texts_and_images_of_several_requests_are_encoded_in_one_call_each() {
    let other = || read(&root().join("tests/goldens/text_russian.png"));
    let texts = ["red heart", "pizza on a blue background", "кошка"];
    let texts = texts.map(|prompt| request(TextToImage { prompt: prompt.to_owned() }, 1));
    let images = [heart(), other()].map(|image| request(ImageVariations { image }, 2));
    for requests in [&texts[..], &images[..]] {
        let (compute, meter) = Compute::cpu().metered();
        let checkpoint = Checkpoint::find(&model_folder()).unwrap();
        let fresh = || Kandinsky::load(&checkpoint, &compute, LoadOptions::default(), &mut |_| {}).unwrap();
        let calls = |requests: &[CheckedGeneration]| {
            let model = fresh();
            drop(meter.take());
            let samples = begin_together(&model, requests);
            let calls: u64 = meter.take().values().map(|layer| layer.calls).sum();
            (calls, model, samples)
        };
        let (alone, ..) = calls(&requests[..1]);
        let (together, model, samples) = calls(requests);
        assert_eq!(together, alone, "layers are asked for as often as for one request");
        for (request, mut sample) in requests.iter().zip(samples) {
            let image = loop {
                if let Some(image) = model.step(sample.state().key, &mut [&mut *sample]).unwrap().remove(0) {
                    break image;
                }
            };
            assert!(image == generate(&fresh(), request.clone(), 0).unwrap(), "an image depends on its batch");
        }
    }
}
