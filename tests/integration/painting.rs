//! What is repainted fits into its image: large images, borders, colours, proportions, and noise that is taken away.

use kandinsky::domain::{Anchor, Common, Image, Limits, PriorSettings, Region, Size};
use kandinsky::modes::{
    CanvasRequest, Expand, Extent, Generation, ImageToImage, ImageVariations, Inpainting, Input, Outpainting,
    Repainting,
};

use serde_json::{Value as Json, json};

use crate::app::{TestApp, base64, merged};
use crate::embedded::{engine, limits, quick, read, root, run};

fn picture(name: &str) -> Image {
    read(&root().join("tests/fixtures/pictures").join(name))
}

fn mask(name: &str) -> Image {
    let image = picture(name);
    let gray = image.pixels().chunks_exact(3).map(|pixel| pixel[0]).collect();
    Image::gray(image.width(), image.height(), gray)
}

fn draw(input: impl Into<Input>, common: Common) -> Image {
    run(engine(), Generation { input: input.into(), common }).unwrap().remove(0)
}

/// Enough steps for colours.
fn steps(steps: u32, seed: u64) -> Common {
    Common { steps, seed, prior: PriorSettings { steps: 5, ..PriorSettings::default() }, ..Common::default() }
}

/// The mean colour of the pixels that `at` picks.
fn mean(image: &Image, at: impl Fn(u32, u32) -> bool) -> [f64; 3] {
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for y in 0..image.height() {
        for x in (0..image.width()).filter(|x| at(*x, y)) {
            (0..3).for_each(|c| sum[c] += f64::from(image.pixel(x, y)[c]));
            count += 1.0;
        }
    }
    sum.map(|sum| sum / count)
}

fn most_apart(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|c| (a[c] - b[c]).abs()).fold(0.0, f64::max)
}

/// Pixels of the original that are not where they were, of an image that was put at `x`, `y`.
fn moved(original: &Image, result: &Image, (left, top): (u32, u32)) -> usize {
    let all = (0..original.height()).flat_map(|y| (0..original.width()).map(move |x| (x, y)));
    all.filter(|(x, y)| original.pixel(*x, *y) != result.pixel(x + left, y + top)).count()
}

#[test]
fn without_a_prompt_an_image_goes_on_with_what_touches_its_border() {
    for name in ["heart.png", "face.png"] {
        let image = picture(name);
        let border = mean(&image, |x, y| x == 0 || y == 0 || x == 63 || y == 63);
        let extent = Extent::Expand(Expand { left: 32, top: 32, right: 32, bottom: 32 });
        for seed in [1, 2] {
            let result = draw(Outpainting::new(None, image.clone(), extent), steps(15, seed));
            assert_eq!((result.size(), moved(&image, &result, (32, 32))), (Size { width: 128, height: 128 }, 0));
            let new = mean(&result, |x, y| !((32..96).contains(&x) && (32..96).contains(&y)));
            assert!(most_apart(new, border) < 45.0, "{name}, seed {seed}: {new:?} around {border:?}");
        }
    }
}

#[test]
fn a_hole_in_a_large_image_is_repainted_at_the_models_own_size() {
    let (image, mask) = (picture("scene256.png"), mask("mask_scene256.png"));
    let prompt = Some("red heart on a blue background".to_owned());
    let result = draw(Inpainting::new(prompt, image.clone(), mask.clone()), steps(20, 3));
    let mut red = 0;
    for (i, mark) in mask.pixels().iter().enumerate() {
        let (old, new) = (&image.pixels()[3 * i..3 * i + 3], &result.pixels()[3 * i..3 * i + 3]);
        assert!(*mark >= 128 || old == new, "pixel {i} was kept and has changed");
        red += usize::from(*mark >= 128 && new[0] > 150 && new[1] < 110 && new[2] < 110);
    }
    assert!(red > 300, "only {red} of the hole's pixels are red");
}

#[test]
fn limits_of_generated_images_apply_to_what_is_drawn() {
    // 700x500 px are more than a generated image may have.
    let large = Image::filled(Size { width: 700, height: 500 }, Image::RGB, 90);
    let marked = |x: usize, y: usize| (300..340).contains(&x) && (200..230).contains(&y);
    let gray = (0..700 * 500).map(|i| if marked(i % 700, i / 700) { 255 } else { 0 }).collect();
    let mask = Image::gray(700, 500, gray);
    let inpainting = Inpainting::new(Some("green circle".to_owned()), large.clone(), mask);
    let full = Repainting { region: Region::Full, ..Repainting::default() };
    let refused = Generation { input: Inpainting { repainting: full, ..inpainting.clone() }.into(), common: quick() };
    assert!(refused.check(&limits(), Some(64)).is_err());
    let result = draw(inpainting, quick());
    assert_eq!(result.size(), large.size());
    let changed = result.pixels().chunks_exact(3).enumerate().filter(|(_, pixel)| *pixel != [90, 90, 90]);
    let changed: Vec<usize> = changed.map(|(i, _)| i).collect();
    assert!(changed.iter().all(|i| marked(i % 700, i / 700)) && changed.len() > 500, "{} changed", changed.len());

    // All of it: drawn smaller, and enlarged.
    let extent = Extent::Expand(Expand { right: 60, bottom: 20, ..Expand::default() });
    let result = draw(Outpainting::new(None, large.clone(), extent), quick());
    assert_eq!((result.size(), moved(&large, &result, (0, 0))), (Size { width: 760, height: 520 }, 0));
}

#[test]
fn an_image_of_the_models_own_size_is_drawn_as_ever() {
    let image = picture("heart.png");
    let gray = (0..64 * 64).map(|i| if i % 64 < 20 { 255 } else { 0 }).collect();
    let inpainting = Inpainting::new(Some("green circle".to_owned()), image, Image::gray(64, 64, gray));
    let full = Repainting { region: Region::Full, ..Repainting::default() };
    let whole = Inpainting { repainting: full, ..inpainting.clone() };
    assert!(draw(inpainting, quick()) == draw(whole, quick()));
}

#[test]
fn the_colours_of_a_new_part_match_those_at_the_seam() {
    let image = picture("face.png");
    let extent = Extent::Expand(Expand { left: 16, right: 16, ..Expand::default() });
    let seam = |match_colors: bool| {
        let prompt = Some("smiling face on a green background".to_owned());
        let mut input = Outpainting::new(prompt, image.clone(), extent);
        input.repainting.match_colors = match_colors;
        let result = draw(input, steps(20, 1));
        assert_eq!(moved(&image, &result, (16, 0)), 0);
        let column = |at: u32| mean(&result, |x, _| x == at);
        most_apart(column(15), column(16)).max(most_apart(column(79), column(80)))
    };
    let (matched, plain) = (seam(true), seam(false));
    assert!(matched < 8.0 && plain > 12.0, "a step of {matched} levels, {plain} without");
}

#[test]
fn outpainting_extends_to_a_canvas_and_stretches_nothing() {
    let image = picture("heart.png");
    let canvas = |extent: Extent, wanted: CanvasRequest, anchor: Anchor| {
        let input = Outpainting { wanted, anchor, ..Outpainting::new(None, image.clone(), extent) };
        draw(input, quick())
    };
    let wide = CanvasRequest { ratio: Some((16, 9)), ..CanvasRequest::default() };
    let right = Extent::Expand(Expand { right: 16, ..Expand::default() });
    let result = canvas(right, wide, Anchor::TopLeft);
    assert_eq!((result.size(), moved(&image, &result, (0, 0))), (Size { width: 128, height: 72 }, 0));
    let nothing = Extent::Expand(Expand::default());
    let result = canvas(nothing, wide, Anchor::Center);
    assert_eq!((result.size(), moved(&image, &result, (32, 4))), (Size { width: 128, height: 72 }, 0));
    let sides = CanvasRequest { width: Some(80), height: Some(100), ratio: None };
    let result = canvas(nothing, sides, Anchor::BottomRight);
    assert_eq!((result.size(), moved(&image, &result, (16, 36))), (Size { width: 80, height: 100 }, 0));

    // Without room for all of it, the image becomes smaller: as wide as it is high.
    let left = Extent::Expand(Expand { left: 16, ..Expand::default() });
    let same = CanvasRequest { width: Some(64), height: Some(64), ratio: None };
    let input = Outpainting { wanted: same, ..Outpainting::new(None, image.clone(), left) };
    let checked = Generation { input: input.into(), common: quick() }.check(&limits(), Some(64)).unwrap();
    let Some(Input::Inpainting(canvas)) = checked.input.get().reduce() else { panic!("outpainting is inpainting") };
    let known: Vec<usize> = (0..64 * 64).filter(|i| canvas.mask.pixels()[*i] == 0).collect();
    let columns = known.iter().map(|i| i % 64).collect::<std::collections::BTreeSet<_>>().len();
    let rows = known.iter().map(|i| i / 64).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((canvas.image.size(), columns, rows), (Size { width: 64, height: 64 }, 51, 51));
}

#[test]
fn an_image_that_is_redrawn_keeps_its_proportions() {
    let wide = picture("wide.png");
    let redrawn = ImageToImage::new("red heart".to_owned(), wide.clone(), Some(0.4));
    assert_eq!(draw(redrawn, quick()).size(), Size { width: 90, height: 45 });
    let varied = ImageVariations { image: wide };
    assert_eq!(draw(varied, quick()).size(), Size { width: 90, height: 45 });
    let square = ImageVariations { image: picture("scene256.png") };
    let checked = Generation { input: square.into(), common: quick() }.check(&Limits::UNBOUNDED, Some(64)).unwrap();
    assert_eq!(checked.size(64), Size { width: 64, height: 64 });
}

#[test]
fn few_steps_leave_no_more_noise_than_many() {
    let image = picture("heart.png");
    let grain = |steps_in_all: u32, strength: f64, scheduler: &str| {
        let prompt = "red heart on a blue background".to_owned();
        let input = ImageToImage::new(prompt, image.clone(), Some(strength));
        let scheduler = kandinsky::schedulers::parse(scheduler).ok();
        let result = draw(input, Common { scheduler, ..steps(steps_in_all, 1) });
        let middle = mean(&result, |x, y| x < 12 && y >= 52);
        let spread = mean(&Image::rgb(12, 12, corner(&result, middle)), |_, _| true);
        spread.iter().sum::<f64>() / 3.0
    };
    let usual = [(1, 0.3), (2, 0.5), (4, 0.3)];
    let strong = [(1, 1.0), (2, 0.75), (3, 0.75), (5, 0.75)];
    for (scheduler, cases) in [
        ("ddim", [&usual[..], &strong].concat()),
        ("dpmpp_2m_karras", [&usual[..], &strong].concat()),
        ("euler_karras", [&usual[..], &strong[2..]].concat()),
        ("euler", usual.to_vec()),
        ("unipc", usual.to_vec()),
        ("ddpm", [&usual[..], &strong].concat()),
    ] {
        let many = grain(50, 0.3, scheduler);
        for (count, strength) in cases {
            let few = grain(count, strength, scheduler);
            assert!(few < many + 1.5, "{scheduler}: {few} with {count} steps at {strength}, {many} with 50");
        }
    }
}

/// A dark half and a light one.
fn halves(width: u32) -> Image {
    let pixel = |i: u32| if i % width < width / 2 { [40; 3] } else { [200; 3] };
    Image::rgb(width, 64, (0..width * 64).flat_map(pixel).collect())
}

#[test]
fn a_size_of_other_proportions_crops_the_image_and_stretches_nothing() {
    let square = Common { size: Some(Size { width: 64, height: 64 }), ..quick() };
    let wide = picture("wide.png");
    let middle = kandinsky::imaging::crop(&wide, kandinsky::domain::Rect { x: 32, y: 0, width: 64, height: 64 });
    let redraw = |image: &Image| ImageToImage::new("red heart".to_owned(), image.clone(), Some(0.4));
    assert!(draw(redraw(&wide), square.clone()) == draw(redraw(&middle), square.clone()));

    // The part of the image is kept that has the mask.
    let image = halves(128);
    let marks =
        |from: u32| Image::gray(128, 64, (0..128 * 64).map(|i| if i % 128 >= from { 255 } else { 0 }).collect());
    let result = draw(Inpainting::new(None, image.clone(), marks(120)), square.clone());
    let kept = mean(&result, |x, _| x < 56);
    assert_eq!((result.size(), kept), (Size { width: 64, height: 64 }, [200.0; 3]));
    let checked = |mask: Image| {
        let input = Inpainting::new(None, image.clone(), mask);
        Generation { input: input.into(), common: square.clone() }.check(&limits(), Some(64))
    };
    let warnings = checked(marks(120)).unwrap().size_warnings();
    assert!(warnings[0].message.contains("64x64 px of its 128x64"), "{warnings:?}");
    // Of marks at both ends nothing would be left.
    let ends =
        Image::gray(128, 64, (0..128 * 64).map(|i| if (8..120).contains(&(i % 128)) { 0 } else { 255 }).collect());
    assert_eq!(checked(ends).unwrap_err().0[0].pointer, "/mask");
}

/// How far the pixels of the lower left corner are from a colour.
fn corner(image: &Image, from: [f64; 3]) -> Vec<u8> {
    let all = (52..64).flat_map(|y| (0..12).map(move |x| (x, y)));
    let apart = all.flat_map(|(x, y)| [0, 1, 2].map(|c| (f64::from(image.pixel(x, y)[c]) - from[c]).abs()));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 255")]
    let bytes = apart.map(|x| x.round() as u8).collect();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_name_the_canvas_the_region_and_the_seam() {
    let app = TestApp::start().await;
    let file = |name: &str| base64(&std::fs::read(root().join("tests/fixtures/pictures").join(name)).unwrap());
    let (heart, wide) = (file("heart.png"), file("wide.png"));
    let ask = |more: Json| merged(json!({"steps": 1, "prior": {"steps": 1}, "prompt": "red heart"}), &more);
    let size = async |path: &str, body: Json| -> String {
        let answer: Json = app.post(path, &body).await.json().await.unwrap();
        let parameters = &answer["parameters"];
        format!("{}x{}", parameters["width"], parameters["height"])
    };
    let outpaint = |more: Json| ask(merged(json!({"image": heart}), &more));
    assert_eq!(size("/v1/outpainting", outpaint(json!({"aspect_ratio": "16:9", "anchor": "left"}))).await, "128x72");
    assert_eq!(size("/v1/outpainting", outpaint(json!({"width": 96}))).await, "96x64");
    let all = json!({"expand": {"left": 16}, "width": 64, "height": 64, "feather": 4, "match_colors": false,
        "region": "full"});
    assert_eq!(size("/v1/outpainting", outpaint(all)).await, "64x64");
    assert_eq!(size("/v1/image-to-image", ask(json!({"image": wide}))).await, "90x45");
    assert_eq!(size("/v1/image-to-image", ask(json!({"image": wide, "height": 32}))).await, "64x32");
    assert_eq!(size("/v1/image-to-image", ask(json!({"image": wide, "width": 64, "height": 64}))).await, "64x64");

    for (more, pointer) in [
        (json!({}), "/expand"),
        (json!({"expand": {"left": 1}, "region": "whole"}), "/region"),
        (json!({"expand": {"left": 1}, "padding": 70_000}), "/padding"),
        (json!({"expand": {"left": 1}, "feather": 257}), "/feather"),
        (json!({"width": 96, "anchor": "middle"}), "/anchor"),
        (json!({"aspect_ratio": "1:1"}), "/aspect_ratio"),
        (json!({"width": 64, "height": 64}), "/width"),
        (json!({"height": 64}), "/height"),
        (json!({"aspect_ratio": "16:9", "width": 128}), "/aspect_ratio"),
    ] {
        let problem = app.problem("/v1/outpainting", &outpaint(more.clone())).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{more}: {problem}");
    }
}
