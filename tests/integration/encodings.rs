//! What was encoded once is not encoded again, and nothing of it shows in a picture.

use kandinsky::domain::{Image, PriorKind, PriorSettings, Size};
use kandinsky::families::kandinsky21::{Checkpoint, Conditioning, Kandinsky, LoadOptions, Task};
use kandinsky::tensor::Compute;

use crate::embedded::{model_folder, read, root};

fn load(cache_bytes: usize) -> Kandinsky {
    let options = LoadOptions { cache_bytes, ..LoadOptions::default() };
    let checkpoint = Checkpoint::find(&model_folder()).expect("the model");
    Kandinsky::load(&checkpoint, &Compute::cpu(), options, &mut |_| {}).expect("the model")
}

fn heart() -> Image {
    read(&root().join("tests/goldens/text_english.png"))
}

fn task(conditioning: Conditioning, seed: u64) -> Task {
    Task {
        conditioning,
        size: Size { width: 64, height: 64 },
        seed,
        steps: 3,
        guidance_scale: 4.0,
        scheduler: None,
        eta: 0.0,
        prior: PriorSettings { kind: PriorKind::Diffusion, steps: 2, guidance_scale: 4.0 },
        negative_prompt: None,
        negative_prior_prompt: None,
        negative_decoder_prompt: None,
        quantize_latents: false,
    }
}

#[test]
fn pictures_of_one_prompt_and_image_encode_them_once() {
    let model = load(LoadOptions::default().cache_bytes);
    let image = heart();
    let conditioning =
        |prompt: &str| Conditioning::ImageToImage { prompt: prompt.to_owned(), image: image.clone(), strength: 0.5 };
    let encode = |conditioning: Conditioning, seed: u64| {
        let before = model.cache_counts();
        let mut sample = model.begin(task(conditioning, seed)).unwrap();
        model.encode(&mut [&mut sample]).unwrap();
        let after = model.cache_counts();
        (after.hits - before.hits, after.misses - before.misses)
    };
    // The prompt and the empty text by each of the two text encoders, and the picture by MoVQ.
    assert_eq!(encode(conditioning("red heart"), 1), (0, 5));
    assert_eq!(encode(conditioning("red heart"), 2), (5, 0));
    // Another prompt: the empty text and the picture are known.
    assert_eq!(encode(conditioning("pizza"), 3), (3, 2));
    // CLIP sees the same picture for the first time.
    let (_, misses) = encode(Conditioning::ImageVariations { image: image.clone() }, 4);
    assert_eq!(misses, 1);
}

#[test]
fn pictures_are_the_same_with_and_without_a_cache() {
    let (with, without) = (load(LoadOptions::default().cache_bytes), load(0));
    for conditioning in [
        Conditioning::TextToImage { prompt: "red heart".to_owned() },
        Conditioning::ImageVariations { image: heart() },
        Conditioning::ImageToImage { prompt: "red heart".to_owned(), image: heart(), strength: 0.7 },
    ] {
        for seed in 0..2 {
            let draw = |model: &Kandinsky| model.generate(task(conditioning.clone(), seed), &mut |_| {}).unwrap();
            assert!(draw(&with) == draw(&without));
        }
    }
    assert!(with.cache_counts().hits > without.cache_counts().hits);
}
