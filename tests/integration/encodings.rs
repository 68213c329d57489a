//! What was encoded once is not encoded again, and nothing of it shows in an image.

use std::rc::Rc;

use kandinsky::diffusion::{DiffusionModel as _, generate};
use kandinsky::domain::{Common, Image, PriorSettings};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::modes::{CheckedGeneration, Generation, ImageToImage, ImageVariations, Input, TextToImage};
use kandinsky::tensor::Compute;

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
