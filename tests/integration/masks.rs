//! Masks and transparency as people draw them: what is marked is repainted, and everything else comes back as it was.
//!
//! The files of `tests/fixtures/pictures` were made with Pillow, 64x64 px: four colours, strokes and gradients as masks, the
//! golden heart with a hole of soft edges in its transparency, and cut out as a sticker.

use kandinsky::domain::{Image, Size};
use kandinsky::imaging::{self, decode_with_alpha};
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value as Json, json};

use crate::app::{TestApp, base64, merged};
use crate::embedded::{DECODE, root};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/fixtures/pictures").join(name)).unwrap()
}

fn image(name: &str) -> Image {
    decode_with_alpha(&fixture(name), &DECODE).unwrap()
}

/// The image that a request gives, as it is in its file.
async fn made(app: &TestApp, path: &str, body: &Json) -> Image {
    let body = merged(json!({"steps": 2, "prior": {"steps": 1}, "seed": 5, "prompt": "red heart"}), body);
    let answer: Json = app.post(path, &body).await.json().await.unwrap();
    let field = if answer["data"].is_array() { &answer["data"][0] } else { &answer["images"][0] };
    let text = field["b64_json"].as_str().unwrap_or_else(|| panic!("{answer}"));
    decode_with_alpha(&from_base64(text), &DECODE).unwrap()
}

fn from_base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// A gray mask with a square of 16 px in its middle.
fn square() -> Image {
    let inside = |i: usize| (24..40).contains(&(i % 64)) && (24..40).contains(&(i / 64));
    Image::gray(64, 64, (0..64 * 64).map(|i| if inside(i) { 255 } else { 0 }).collect())
}

/// Pixels of an image that differ from another's.
fn changed(a: &Image, b: &Image) -> usize {
    a.pixels().chunks(a.channels()).zip(b.pixels().chunks(b.channels())).filter(|(a, b)| a != b).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_transparency_is_the_mask_it_blends_over_the_stored_colours() {
    let app = TestApp::start().await;
    let hole = fixture("heart_softhole.png");
    let both = json!({"image": base64(&hole), "mask": base64(&hole), "mask_convention": "alpha"});
    let drawn = made(&app, "/v1/inpainting", &merged(both.clone(), &json!({"composite": false}))).await;
    let stored = image("heart_softhole.png");
    for (path, body) in [
        ("/v1/inpainting", both),
        ("/v1/images/edits", json!({"image": base64(&hole)})),
        ("/v1/images/edits", json!({"image": base64(&hole), "mask": base64(&hole)})),
    ] {
        let result = made(&app, path, &body).await;
        assert_eq!(result.channels(), Image::RGB, "{path}: it is opaque");
        let pixels = stored.pixels().chunks(4).zip(drawn.pixels().chunks(3)).zip(result.pixels().chunks(3));
        for (i, ((own, new), got)) in pixels.enumerate() {
            let share = 1.0 - f64::from(own[3]) / 255.0;
            for c in 0..3 {
                let want = f64::from(own[c]) + share * (f64::from(new[c]) - f64::from(own[c]));
                assert!((f64::from(got[c]) - want).abs() < 1.0, "{path}: pixel {i} of {own:?} and {new:?} is {got:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_transparent_in_a_mask_is_not_marked() {
    let app = TestApp::start().await;
    let quad = fixture("quad.png");
    let strokes = fixture("mask_rgba_blackstroke.png");
    let body = json!({"image": base64(&quad), "mask": base64(&strokes), "mask_convention": "black"});
    let result = made(&app, "/v1/inpainting", &body).await;
    let alpha = image("mask_rgba_blackstroke.png");
    let (own, pixels) = (image("quad.png"), result.pixels().chunks(3));
    let outside = pixels.zip(own.pixels().chunks(3)).zip(alpha.pixels().chunks(4)).filter(|(_, mark)| mark[3] == 0);
    assert!(outside.clone().count() > 3000);
    assert!(outside.clone().all(|((got, own), _)| got == own), "unmarked pixels were repainted");
    assert!(changed(&result, &own) > 0, "nothing was repainted");
}

#[tokio::test(flavor = "multi_thread")]
async fn gray_masks_blend_where_that_is_asked_for() {
    let app = TestApp::start().await;
    let (quad, mask) = (fixture("quad.png"), fixture("mask_gradient.png"));
    let body = |more: Json| merged(json!({"image": base64(&quad), "mask": base64(&mask)}), &more);
    let drawn = made(&app, "/v1/inpainting", &body(json!({"composite": false}))).await;
    let soft = made(&app, "/v1/inpainting", &body(json!({"soft_mask": true}))).await;
    let hard = made(&app, "/v1/inpainting", &body(json!({}))).await;
    let (own, marks) = (image("quad.png"), imaging::from_png(&mask, Image::GRAY).unwrap());
    for (i, mark) in marks.pixels().iter().enumerate() {
        for c in 3 * i..3 * i + 3 {
            let (own, new) = (f64::from(own.pixels()[c]), f64::from(drawn.pixels()[c]));
            let want = own + f64::from(*mark) / 255.0 * (new - own);
            assert!((f64::from(soft.pixels()[c]) - want).abs() < 1.0, "pixel {i}, marked by {mark}");
            assert!((f64::from(hard.pixels()[c]) - if *mark < 128 { own } else { new }).abs() < 0.5, "pixel {i}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sticker_keeps_its_transparency_outside_of_the_mask() {
    let app = TestApp::start().await;
    let own = image("sticker.png");
    let body = json!({"image": base64(&fixture("sticker.png")), "mask": base64(&imaging::to_png(&square()).unwrap())});
    let assert_kept = |result: &Image, what: &str| {
        assert_eq!(result.channels(), Image::RGBA, "{what}");
        for (i, mark) in square().pixels().iter().enumerate() {
            let (got, own) = (&result.pixels()[4 * i..4 * i + 4], &own.pixels()[4 * i..4 * i + 4]);
            assert!(if *mark > 0 { got[3] == 255 } else { got == own }, "{what}: pixel {i} is {got:?}, was {own:?}");
        }
    };
    assert_kept(&made(&app, "/v1/inpainting", &body).await, "png");
    let webp = merged(body.clone(), &json!({"output_format": "webp", "output_quality": 100}));
    assert_kept(&made(&app, "/v1/inpainting", &webp).await, "webp");
    let jpeg = made(&app, "/v1/inpainting", &merged(body.clone(), &json!({"output_format": "jpeg"}))).await;
    assert!(jpeg.pixel(0, 0).iter().all(|x| *x > 250), "a JPEG is on white: {:?}", jpeg.pixel(0, 0));
    // A durable job's pixels go through the store.
    let id = app.queue_up(&json!({"prompt": "x"})).await;
    app.ended(&id).await;
    let request = app.client.post(app.url("/v1/inpainting")).header("prefer", "respond-async");
    let body = merged(body, &json!({"steps": 1, "prompt": "x", "prior": {"steps": 1}}));
    let job: Json = request.json(&body).send().await.unwrap().json().await.unwrap();
    let id = job["id"].as_str().unwrap();
    assert_eq!(app.ended(id).await["status"], "succeeded");
    let file = app.get(&format!("/v1/jobs/{id}/images/0")).await.bytes().await.unwrap();
    assert_kept(&decode_with_alpha(&file, &DECODE).unwrap(), "stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_line_is_repainted_in_a_smaller_result_too() {
    const SIDE: u32 = 128;
    let app = TestApp::start().await;
    let colors = (0..SIDE * SIDE).flat_map(|i| [i % SIDE, i / SIDE, 90].map(|x| x as u8));
    let picture = Image::rgb(SIDE, SIDE, colors.collect());
    for marked in [52, 53] {
        let marks = (0..SIDE * SIDE).map(|i| if i % SIDE == marked { 255 } else { 0 });
        let mask = Image::gray(SIDE, SIDE, marks.collect());
        let body = json!({
            "image": base64(&imaging::to_png(&picture).unwrap()), "mask": base64(&imaging::to_png(&mask).unwrap()),
            "width": 64, "height": 64,
        });
        let result = made(&app, "/v1/inpainting", &body).await;
        let small = imaging::resize(&picture, Size { width: 64, height: 64 });
        let is_new = |x: u32, y: u32| result.pixel(x, y) != small.pixel(x, y);
        let count = |x: u32| (0..64).filter(|y| is_new(x, *y)).count();
        assert!(count(26) > 32, "column {marked}: {} new pixels", count(26));
        assert!((0..64).all(|x| x == 26 || count(x) == 0), "column {marked}: others are new");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_that_do_not_fit_hear_what_they_have() {
    let app = TestApp::start().await;
    let quad = base64(&fixture("quad.png"));
    let turned = base64(&fixture("exif6_96x64.jpg"));
    let raw = base64(&imaging::to_png(&Image::gray(96, 64, vec![255; 96 * 64])).unwrap());
    for (body, said) in [
        (json!({"image": turned, "mask": raw}), vec!["64x96", "EXIF", "96x64"]),
        (json!({"image": quad, "mask": base64(&fixture("mask_01.png"))}), vec!["lightest value is 1 of 255", "128"]),
        (json!({"image": quad, "mask": quad, "mask_convention": "alpha"}), vec!["no transparent part"]),
    ] {
        let problem = app.problem("/v1/inpainting", &merged(json!({"prompt": "x"}), &body)).await;
        let (error, text) = (&problem["errors"][0], problem.to_string());
        assert_eq!(error["pointer"], "/mask");
        assert!(said.iter().all(|said| text.contains(said)), "{said:?}: {text}");
    }
    // In the same proportions it is scaled.
    let body = json!({"image": quad, "mask": base64(&fixture("mask_128.png"))});
    let result = made(&app, "/v1/inpainting", &body).await;
    let marks = imaging::from_png(&fixture("mask_128.png"), Image::GRAY).unwrap();
    let own = image("quad.png");
    for (x, y) in (0..64).flat_map(|x| (0..64).map(move |y| (x, y))) {
        let marked =
            [(0, 0), (1, 0), (0, 1), (1, 1)].iter().any(|(dx, dy)| marks.pixel(2 * x + dx, 2 * y + dy)[0] > 127);
        assert!(marked || result.pixel(x, y) == own.pixel(x, y), "{x}, {y}");
    }
    assert!(changed(&result, &own) > 0);
    let part = |name: &str| Part::bytes(fixture(name)).file_name("a.png");
    let form = Form::new().part("image", part("quad.png")).part("mask", part("mask_128.png")).text("steps", "1");
    let response = app.client.post(app.url("/v1/inpainting")).multipart(form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
