//! Image files as programs and people send them: their colours come out as a viewer shows them, parts of files are refused, and
//! what is not read is named.
//!
//! `quad.png` has the four colours; `p3*`, `icc_*`, `linear_gama.png` and `srgb_profile.png` are the same in other ways of writing
//! them, made with Pillow and Little CMS.

use kandinsky::domain::{Image, MaskConvention};
use kandinsky::http::DecodeBudget;
use kandinsky::imaging::{self, DecodeError};
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64};
use crate::embedded::{DECODE, root};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/fixtures/pictures").join(name)).unwrap()
}

fn decoded(name: &str) -> Image {
    imaging::decode(&fixture(name), &DECODE).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The largest difference of a sample.
fn difference(a: &Image, b: &Image) -> u8 {
    assert_eq!(a.size(), b.size());
    a.pixels().iter().zip(b.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn colours_are_brought_to_srgb_however_a_file_says_what_they_are() {
    let quad = decoded("quad.png");
    assert_eq!(quad.pixel(8, 8), [220, 40, 40]);
    for (name, within) in [
        ("icc_adobe.png", 3),
        ("p3.webp", 2),
        ("p3.tiff", 2),
        ("p3_cicp.png", 2),
        ("p3_16.png", 2),
        ("linear_gama.png", 2),
        ("srgb_profile.png", 0),
    ] {
        assert!(difference(&decoded(name), &quad) <= within, "{name}: {}", difference(&decoded(name), &quad));
    }
    // JPEG loses some.
    for name in ["icc_p3.jpg", "p3_two_chunks.jpg"] {
        for at in [8, 56] {
            let (got, want) = (decoded(name), &quad);
            for (a, b) in got.pixel(at, at).iter().zip(want.pixel(at, at)) {
                assert!(a.abs_diff(*b) <= 4, "{name}: {:?} at {at}", got.pixel(at, at));
            }
        }
    }
    let gray: Vec<u8> = decoded("gray_linear.png").pixels().chunks(12).take(6).map(|pixel| pixel[0]).collect();
    for (got, want) in gray.iter().zip([0, 56, 128, 188, 229, 255]) {
        assert!(got.abs_diff(want) <= 1, "{gray:?}");
    }
    // Marks are no colours.
    let mask = imaging::decode_mask(&fixture("gray_linear.png"), MaskConvention::White, &DECODE).unwrap();
    assert_eq!(mask.pixel(20, 0), [200 + 55]);
    assert_eq!(mask.pixel(9, 0), [55]);
}

#[test]
fn parts_of_files_are_refused_and_a_png_may_lack_its_end() {
    let whole = decoded("p_noiend.png");
    assert_eq!((whole.width(), whole.height()), (96, 80));
    let cut = |name: &str, share: f64| {
        let file = fixture(name);
        let length = file.len() as f64 * share;
        #[expect(clippy::cast_sign_loss, reason = "a share of a length")]
        imaging::decode(&file[..length as usize], &DECODE)
    };
    for name in [
        "quad.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "p_noiend.png",
        "heart_softhole.png",
        "lossless.webp",
        "p3.webp",
        "picture.bmp",
        "picture.tiff",
    ] {
        for share in [0.5, 0.75, 0.9] {
            assert!(cut(name, share).is_err(), "{name}: {share} of it");
        }
    }
    assert!(cut("animated.gif", 0.2).is_err());
    assert!(imaging::decode(&fixture("heart_trunc.jpg"), &DECODE).is_err());
    for (name, said) in
        [("j_arith.jpg", "arithmetic coding is not supported"), ("j_31.jpg", "subsampling is not supported")]
    {
        let error = imaging::decode(&fixture(name), &DECODE).unwrap_err();
        assert!(matches!(error, DecodeError::Unsupported(_)) && error.to_string().contains(said), "{name}: {error}");
    }
    for (name, said) in [("quad.avif", "AVIF"), ("quad.heic", "HEIC")] {
        let error = imaging::decode(&fixture(name), &DECODE).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("save it as"), "{name}: {error}");
    }
}

/// A lossless WebP of one colour whose header says 8192x8192: a few bytes that become 200 MB.
fn bomb() -> Vec<u8> {
    fixture("one_color_8192.webp")
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_would_take_too_much_memory_are_refused_before_the_first_is_decoded() {
    let app = TestApp::with(Setup { decoding: DecodeBudget::new(64 << 20, 2), ..Setup::default() }).await;
    let image = json!({"image": base64(&bomb())});
    for (path, body, status) in [
        ("/v1/image-fusion", json!({"images": vec![image.clone(); 40]}), 422),
        ("/v1/image-fusion", json!({"images": vec![image.clone(); 2]}), 413),
        ("/v1/image-variations", image.clone(), 413),
        ("/v1/images/edits", json!({"image": vec![image["image"].clone(); 8], "prompt": "x"}), 400),
        (
            "/v1/images/edits",
            json!({"image": vec![image["image"].clone(); 40], "mask": image["image"], "prompt": "x"}),
            400,
        ),
    ] {
        let response = app.post(path, &body).await;
        assert_eq!(response.status().as_u16(), status, "{path}: {}", response.text().await.unwrap());
    }
    // What fits is drawn, one after the other.
    let quad = json!({"image": base64(&fixture("quad.png")), "steps": 1});
    assert_eq!(app.post("/v1/image-variations", &quad).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_base64_are_read_as_clients_write_them() {
    let app = TestApp::start().await;
    let quad = fixture("quad.png");
    let text = base64(&quad);
    let unpadded = text.trim_end_matches('=').to_owned();
    for image in [unpadded.clone(), text.replace('+', "-").replace('/', "_"), format!("DATA:image/PNG;BASE64,{text}")] {
        let response = app.post("/v1/image-variations", &json!({"image": image, "steps": 1})).await;
        assert_eq!(response.status(), StatusCode::OK, "{image:.40}");
    }
    let part = |media_type: &str| Part::bytes(quad.clone()).mime_str(media_type).unwrap();
    for part in [
        part("image/png"),
        part("application/octet-stream"),
        Part::bytes(quad.clone()),
        Part::text(unpadded.clone()),
        Part::bytes(quad.clone()).file_name(""),
    ] {
        let form = Form::new().part("image", part).text("steps", "1");
        let response = app.client.post(app.url("/v1/image-variations")).multipart(form).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
    }
    // A prompt from a file is its text, and an image is no prompt.
    let prompt = |part: Part| Form::new().part("prompt", part).text("steps", "1").text("prior", r#"{"steps": 1}"#);
    let send = |form: Form| app.client.post(app.url("/v1/text-to-image")).multipart(form).send();
    let form = prompt(Part::bytes("red heart".as_bytes()).file_name("prompt.txt"));
    let answer: Json = send(form).await.unwrap().json().await.unwrap();
    assert_eq!(answer["parameters"]["prompt"], "red heart", "{answer:.200}");
    assert_eq!(send(prompt(part("image/png"))).await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
}
