//! What each mode promises beyond looking right.

use kandinsky::domain::{Common, Image, PriorKind, PriorSettings, Size, VariantArray as _};
use kandinsky::modes::{
    Expand, Extent, FusionInput, Generation, ImageFusion, Inpainting, Input, Outpainting, TextImageFusion, Weighted,
    Window,
};

use crate::embedded::{engine, quick, read, root, run, text};

fn heart() -> Image {
    read(&root().join("tests/goldens/text_english.png"))
}

fn pixel(picture: &Image, x: u32, y: u32) -> &[u8] {
    picture.pixel(x, y)
}

/// Repaints a rectangle in the middle.
fn mask(picture: &Image) -> Image {
    let inside = |i: u32| {
        let (x, y) = (i % picture.width(), i / picture.width());
        (20..44).contains(&x) && (24..40).contains(&y)
    };
    let gray = (0..picture.width() * picture.height()).map(|i| if inside(i) { 255 } else { 0 }).collect();
    Image::gray(picture.width(), picture.height(), gray)
}

fn inpainting(prompt: Option<&str>, feather: u32) -> Generation {
    let image = heart();
    let mask = mask(&image);
    let prompt = prompt.map(str::to_owned);
    Generation {
        input: Input::Inpainting(Inpainting { feather, ..Inpainting::new(prompt, image, mask) }),
        common: quick(),
    }
}

#[test]
fn image_i_of_n_is_the_image_of_seed_plus_i() {
    let many = run(engine(), text("red heart", Common { n: 3, seed: 40, ..quick() })).unwrap();
    assert_eq!(many.len(), 3);
    assert!(many[0] != many[1] && many[1] != many[2]);
    for (i, picture) in many.iter().enumerate() {
        let alone = run(engine(), text("red heart", Common { seed: 40 + i as u64, ..quick() })).unwrap();
        assert!(alone[0] == *picture, "picture {i} depends on its batch");
    }
}

#[test]
fn any_size_comes_back_as_asked_for() {
    for (width, height) in [(1, 1), (50, 70), (64, 33), (97, 64)] {
        let common = Common { size: Some(Size { width, height }), ..quick() };
        let picture = run(engine(), text("red heart", common)).unwrap().remove(0);
        assert_eq!((picture.width(), picture.height(), picture.channels()), (width, height, Image::RGB));
    }
}

#[test]
fn inpainting_keeps_every_pixel_outside_of_the_mask() {
    for prompt in [Some("green circle"), None] {
        let (original, result) = (heart(), run(engine(), inpainting(prompt, 0)).unwrap().remove(0));
        let mask = mask(&original);
        let mut changed = 0;
        for (i, grey) in mask.pixels().iter().enumerate() {
            let same = original.pixels()[3 * i..3 * i + 3] == result.pixels()[3 * i..3 * i + 3];
            assert!(*grey == 255 || same, "pixel {i} outside of the mask was changed");
            changed += usize::from(!same);
        }
        assert!(changed > 100, "only {changed} pixels were repainted");
    }
}

#[test]
fn feather_softens_the_edge_inside_the_mask_only() {
    let original = heart();
    let sharp = run(engine(), inpainting(Some("green circle"), 0)).unwrap().remove(0);
    let soft = run(engine(), inpainting(Some("green circle"), 6)).unwrap().remove(0);
    assert_eq!(pixel(&soft, 19, 30), pixel(&original, 19, 30));
    // The middle is further than 6 px from the edge in every direction.
    assert_eq!(pixel(&soft, 32, 32), pixel(&sharp, 32, 32));
    // At the edge, the soft image is nearer to the original than the sharp one.
    let distance = |picture: &Image| -> u32 {
        (24..40)
            .flat_map(|y| (0..3).map(move |c| (y, c)))
            .map(|(y, c)| u32::from(pixel(picture, 20, y)[c].abs_diff(pixel(&original, 20, y)[c])))
            .sum()
    };
    assert!(distance(&soft) < distance(&sharp), "{} against {}", distance(&soft), distance(&sharp));
}

#[test]
fn outpainting_extends_around_the_untouched_image() {
    let image = heart();
    let extent = Extent::Expand(Expand { left: 16, top: 0, right: 5, bottom: 16 });
    let input = Input::Outpainting(Outpainting::new(None, image.clone(), extent));
    let result = run(engine(), Generation { input, common: quick() }).unwrap().remove(0);
    assert_eq!((result.width(), result.height()), (85, 80));
    for y in 0..64 {
        for x in 0..64 {
            assert_eq!(pixel(&result, x + 16, y), pixel(&image, x, y));
        }
    }
}

#[test]
fn a_sliding_window_returns_the_window() {
    let image = heart();
    let window = Window { x: 40, y: -8, width: 64, height: 48 };
    let extent = Extent::Window(window);
    let prompt = Some("red heart on a blue background".to_owned());
    let input = Input::Outpainting(Outpainting::new(prompt, image.clone(), extent));
    let result = run(engine(), Generation { input, common: quick() }).unwrap().remove(0);
    assert_eq!((result.width(), result.height()), (64, 48));
    assert_eq!(pixel(&result, 0, 8), pixel(&image, 40, 0));
    assert_eq!(pixel(&result, 23, 47), pixel(&image, 63, 39));
}

#[test]
fn a_window_that_misses_the_image_is_refused() {
    let extent = Extent::Window(Window { x: 64, y: 0, width: 64, height: 64 });
    let input = Input::Outpainting(Outpainting::new(None, heart(), extent));
    let error = run(engine(), Generation { input, common: quick() }).unwrap_err().to_string();
    assert!(error.contains("/window") && error.contains("part of the image"), "{error}");
}

#[test]
fn fusion_weights_decide_the_mix() {
    let (red, yellow) = (heart(), read(&root().join("tests/goldens/text_russian.png")));
    let fuse = |weight: f32| {
        let images =
            vec![Weighted { value: red.clone(), weight }, Weighted { value: yellow.clone(), weight: 1.0 - weight }];
        let input = Input::ImageFusion(ImageFusion { images });
        run(engine(), Generation { input, common: Common { steps: 15, ..quick() } }).unwrap().remove(0)
    };
    // Blue and yellow background: the corner follows the heavier image.
    let (mostly_blue, mostly_yellow) = (fuse(0.95), fuse(0.05));
    assert!(pixel(&mostly_blue, 2, 60)[2] > pixel(&mostly_blue, 2, 60)[0]);
    assert!(pixel(&mostly_yellow, 2, 60)[0] > pixel(&mostly_yellow, 2, 60)[2]);
}

#[test]
fn text_and_image_fusion_listens_to_both() {
    let run_with = |prompt: &str| {
        let inputs = vec![
            Weighted { value: FusionInput::Image(heart()), weight: 0.5 },
            Weighted { value: FusionInput::Text(prompt.to_owned()), weight: 0.5 },
        ];
        let input = Input::TextImageFusion(TextImageFusion { inputs, decoder_prompt: None });
        run(engine(), Generation { input, common: quick() }).unwrap().remove(0)
    };
    assert!(run_with("a cat on a green background") != run_with("pizza on a red background"));
}

#[test]
fn every_prior_draws_and_the_regressions_ignore_the_priors_settings() {
    let draw = |kind: PriorKind, steps: u32| {
        let prior = PriorSettings { kind, steps, ..PriorSettings::default() };
        run(engine(), text("red heart on a blue background", Common { prior, ..quick() })).unwrap().remove(0)
    };
    let pictures: Vec<Image> = PriorKind::VARIANTS.iter().map(|&kind| draw(kind, 3)).collect();
    for i in 0..pictures.len() {
        for j in 0..i {
            assert!(
                pictures[i] != pictures[j],
                "{:?} and {:?} draw the same",
                PriorKind::VARIANTS[i],
                PriorKind::VARIANTS[j]
            );
        }
    }
    for kind in [PriorKind::Linear, PriorKind::Residual, PriorKind::None] {
        assert!(draw(kind, 3) == draw(kind, 7), "{kind:?} depends on steps it does not take");
    }
}

#[test]
fn options_that_change_the_image_change_it() {
    let usual = run(engine(), text("red heart", quick())).unwrap();
    let with = |common: Common| run(engine(), text("red heart", common)).unwrap();
    assert!(with(Common { quantize_latents: true, ..quick() }) != usual);
    assert!(with(Common { negative_prompt: Some("blue".to_owned()), ..quick() }) != usual);
    // The reference's combined pipelines leave the decoder without it.
    let prior_alone = Common { negative_decoder_prompt: Some(String::new()), ..quick() };
    let both = Common { negative_prompt: Some("blue".to_owned()), ..quick() };
    assert!(with(both.clone()) != with(Common { negative_prompt: both.negative_prompt, ..prior_alone }));
    assert!(with(Common { negative_prior_prompt: Some("blue".to_owned()), ..quick() }) != usual);
    assert!(with(Common { negative_decoder_prompt: Some("blue".to_owned()), ..quick() }) != usual);
    assert!(with(Common { guidance_scale: 1.0, ..quick() }) != usual);
    assert!(with(Common { eta: 1.0, ..quick() }) != usual);
    assert!(with(quick()) == usual);
}

#[test]
fn image_to_image_keeps_the_image_at_low_strength_whatever_the_steps_and_the_scheduler() {
    use kandinsky::domain::Scheduler;
    use kandinsky::modes::ImageToImage;
    use kandinsky::schedulers;
    let image = heart();
    let mean_difference = |strength: f64, steps: u32, scheduler: Option<Scheduler>| {
        let prompt = "red heart on a blue background".to_owned();
        let input = Input::ImageToImage(ImageToImage::new(prompt, image.clone(), Some(strength)));
        let common = Common { steps, scheduler, prior: PriorSettings::default(), ..quick() };
        let result = run(engine(), Generation { input, common }).unwrap().remove(0);
        let sum: u64 = result.pixels().iter().zip(image.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / image.pixels().len() as f64
    };
    assert!(mean_difference(0.0, 10, None) < 8.0, "strength 0 changes the picture");
    for scheduler in schedulers::selectable().map(|info| Some(info.scheduler())).chain([None]) {
        for (strength, steps) in [(0.2, 3), (0.3, 20)] {
            let difference = mean_difference(strength, steps, scheduler.clone());
            assert!(difference < 30.0, "{scheduler:?}, {steps} steps at {strength}: {difference} levels off");
        }
    }
}

#[test]
fn one_step_of_anything_is_a_prediction_and_not_noise() {
    use kandinsky::domain::Scheduler;
    let prior = PriorSettings { steps: 1, guidance_scale: 1.0, ..PriorSettings::default() };
    let one = run(engine(), text("red heart on a blue background", Common { prior, steps: 20, ..quick() })).unwrap();
    let [r, g, b] = [0, 1, 2].map(|c| i32::from(pixel(&one[0], 2, 60)[c]));
    assert!(b > r + 60 && b > g + 40, "one prior step: background is {r},{g},{b}");
    // Neighbouring pixels of noise differ by far more than those of an image.
    let roughness = |picture: &Image| -> f64 {
        let pairs = picture.pixels().chunks(3).zip(picture.pixels().chunks(3).skip(1));
        pairs.map(|(a, b)| f64::from(a[0].abs_diff(b[0]))).sum::<f64>() / f64::from(picture.width() * picture.height())
    };
    for scheduler in ["euler", "euler_karras", "euler_a"] {
        let common = Common {
            scheduler: Some(Scheduler::named(scheduler)),
            steps: 1,
            prior: PriorSettings::default(),
            ..quick()
        };
        let picture = run(engine(), text("red heart on a blue background", common)).unwrap().remove(0);
        assert!(roughness(&picture) < 25.0, "{scheduler}: {}", roughness(&picture));
    }
}

#[test]
fn a_mask_of_a_single_column_repaints_it() {
    let image = heart();
    let grey: Vec<u8> = (0..64 * 64).map(|i| if i % 64 == 33 { 255 } else { 0 }).collect();
    let mask = Image::gray(64, 64, grey);
    let prompt = Some("green circle".to_owned());
    let input = Input::Inpainting(Inpainting::new(prompt, image.clone(), mask));
    let result = run(engine(), Generation { input, common: quick() }).unwrap().remove(0);
    assert!((0..64).any(|y| pixel(&result, 33, y) != pixel(&image, 33, y)));
    assert_eq!(pixel(&result, 32, 20), pixel(&image, 32, 20));
}

#[test]
fn every_scheduler_draws_a_heart() {
    for info in kandinsky::schedulers::selectable() {
        let steps = if ["ddpm", "euler_a"].contains(&info.name) { 40 } else { 20 };
        let common = Common { scheduler: Some(info.scheduler()), steps, prior: PriorSettings::default(), ..quick() };
        let picture = run(engine(), text("red heart on a blue background", common)).unwrap().remove(0);
        let [r, g, b] = [0, 1, 2].map(|c| i32::from(pixel(&picture, 2, 60)[c]));
        assert!(b > r + 60 && b > g + 40, "{}: background is {r},{g},{b}", info.name);
        let [r, g, b] = [0, 1, 2].map(|c| i32::from(pixel(&picture, 32, 32)[c]));
        assert!(r > g + 60 && r > b + 60, "{}: the middle is {r},{g},{b}", info.name);
    }
}
