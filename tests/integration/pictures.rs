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

use crate::app::{Setup, TestApp, base64, merged};
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

/// A chunk of a PNG.
fn chunk(kind: [u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut checksum = flate2::Crc::new();
    checksum.update(&kind);
    checksum.update(contents);
    let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
    [&length[..], &kind, contents, &checksum.sum().to_be_bytes()].concat()
}

#[test]
fn a_png_is_upright_wherever_it_says_how_it_was_held() {
    // One entry of EXIF: the orientation is 6, so the first row is the right side.
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let file = imaging::to_png(&Image::rgb(2, 1, vec![255, 0, 0, 0, 0, 255])).unwrap();
    let (before_pixels, end) = (8 + 25, file.len() - 12);
    for at in [before_pixels, end] {
        let file = [&file[..at], &chunk(*b"eXIf", exif), &file[at..]].concat();
        let image = imaging::decode(&file, &DECODE).unwrap();
        assert_eq!((image.width(), image.height()), (1, 2), "at {at} of {end}");
        assert_eq!(image.pixels(), [255, 0, 0, 0, 0, 255], "at {at} of {end}");
    }
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

/// Colours in the middle of each of eight fields, four in a row.
fn fields(name: &str) -> Vec<[u8; 3]> {
    let image = decoded(name);
    (0..8).map(|i| image.pixel(i % 4 * 16 + 8, i / 4 * 16 + 8).try_into().unwrap()).collect()
}

/// The profiles of these files are tables, written for a display with red in its green and a gamma of 1.8, and for inks that absorb
/// nine tenths; what they mean was computed from that.
#[test]
fn profiles_of_tables_and_inks_are_applied() {
    let colours = [
        [227, 118, 53],
        [53, 176, 77],
        [53, 82, 210],
        [243, 224, 65],
        [146, 146, 146],
        [251, 251, 251],
        [10, 10, 10],
        [109, 195, 210],
    ];
    let inks = [
        [255, 255, 255],
        [139, 255, 255],
        [255, 139, 255],
        [255, 255, 139],
        [129, 129, 129],
        [169, 169, 229],
        [229, 169, 169],
        [220, 220, 220],
    ];
    for (name, wanted) in [("lut_rgb.png", colours), ("lut_cmyk.jpg", inks), ("lut_cmyk.tiff", inks)] {
        for (got, want) in fields(name).iter().zip(wanted) {
            let apart = got.iter().zip(want).map(|(a, b)| a.abs_diff(b)).max();
            assert!(apart <= Some(8), "{name}: {got:?} instead of {want:?}");
        }
    }
    // By EXIF alone, as cameras say it.
    let (got, quad) = (decoded("exif_adobe.jpg"), decoded("quad.png"));
    for (x, y) in [(8, 8), (56, 8), (8, 56), (56, 56)] {
        let apart = got.pixel(x, y).iter().zip(quad.pixel(x, y)).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(4), "{:?} at {x}, {y}", got.pixel(x, y));
    }
}

/// What Little CMS makes of the levels 0, 16, 64, 128, 200 and 255 of lightness.
#[test]
fn gray_profiles_over_lightness_are_applied() {
    let image = decoded("gray_lightness.png");
    for (x, want) in (0..).zip([0, 20, 60, 119, 194, 255]) {
        assert!(image.pixel(x, 0).iter().all(|got| got.abs_diff(want) <= 1), "{:?} at {x}", image.pixel(x, 0));
    }
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
    // A download for which room was made: the rest is zeros, which are valid codes.
    for name in ["quad.jpg", "photo.jpg"] {
        let mut file = fixture(name);
        let half = file.len() / 2;
        file[half..].fill(0);
        assert!(imaging::decode(&file, &DECODE).is_err(), "{name}: zeros from its half on");
    }
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

/// Where the coded data of a JPEG's first scan begin.
fn coded_data(file: &[u8]) -> usize {
    let header = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    header + 2 + usize::from(u16::from_be_bytes([file[header + 2], file[header + 3]]))
}

#[test]
fn a_part_of_a_jpeg_is_refused_though_it_has_an_end_and_a_whole_one_may_lack_its_own() {
    for name in ["photo.jpg", "photo_progressive.jpg", "photo_restarts.jpg", "cmyk.jpg", "quad.jpg"] {
        let (whole, file) = (decoded(name), fixture(name));
        let (start, end) = (coded_data(&file), file.len() - 2);
        let at = |hundredths: usize| start + (end - start) * hundredths / 100;
        for hundredths in [5, 20, 35, 50, 65, 80, 90, 97] {
            let mut cut = file[..at(hundredths)].to_vec();
            if cut.last() == Some(&0xff) {
                cut.pop();
            }
            assert!(imaging::decode(&cut, &DECODE).is_err(), "{name}: {hundredths} % without an end");
            cut.extend([0xff, 0xd9]);
            assert!(imaging::decode(&cut, &DECODE).is_err(), "{name}: {hundredths} % with an end");
        }
        let hole = [&file[..at(40)], &file[at(60)..]].concat();
        assert!(imaging::decode(&hole, &DECODE).is_err(), "{name}: without its middle");
        let endless = imaging::decode(&file[..end], &DECODE);
        assert!(endless.is_ok_and(|image| image == whole), "{name}: without its end alone");
    }
}

#[test]
fn scans_that_a_progressive_jpeg_lacks_are_missed() {
    let file = fixture("photo_progressive.jpg");
    let scans: Vec<usize> = (0..file.len() - 1).filter(|at| file[*at..].starts_with(&[0xff, 0xda])).collect();
    assert!(scans.len() > 5);
    for next in &scans[1..] {
        let shorter = [&file[..*next], &[0xff, 0xd9]].concat();
        let error = imaging::decode(&shorter, &DECODE).unwrap_err();
        assert!(!matches!(error, DecodeError::UnknownFormat), "{error}");
    }
}

/// The place of a tag's values in a little-endian TIFF, and how many there are.
fn tiff_values(file: &[u8], tag: u16) -> (usize, usize) {
    let long = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let directory = long(4);
    let entry = (0..99).map(|i| directory + 2 + 12 * i).find(|at| file[*at..*at + 2] == tag.to_le_bytes()).unwrap();
    let count = long(entry + 4);
    (if count == 1 { entry + 8 } else { long(entry + 8) }, count)
}

#[test]
fn a_tiff_that_lacks_data_of_its_strips_is_refused() {
    const OFFSETS: u16 = 273;
    const BYTES: u16 = 279;
    for (name, tag, share) in [("photo_jpeg.tiff", BYTES, 3), ("picture.tiff", BYTES, 3), ("picture.tiff", OFFSETS, 0)]
    {
        assert!(imaging::decode(&fixture(name), &DECODE).is_ok());
        let mut file = fixture(name);
        let (at, count) = tiff_values(&file, tag);
        let last = at + 4 * (count - 1);
        let value = u32::from_le_bytes(file[last..last + 4].try_into().unwrap());
        file[last..last + 4].copy_from_slice(&(value / 4 * share).to_le_bytes());
        assert!(imaging::decode(&file, &DECODE).is_err(), "{name}: {tag}");
    }
}

/// A TIFF of 64x48 px whose JPEG says 65,535x65,535: gone through, it would take the time and the memory of that.
#[test]
fn a_jpeg_in_a_tiff_is_no_larger_than_it() {
    let mut file = fixture("photo_jpeg.tiff");
    let frame = file.windows(4).position(|bytes| bytes[..2] == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 9].fill(0xff);
    let error = imaging::decode(&file, &DECODE).unwrap_err().to_string();
    assert!(error.contains("larger than the whole"), "{error}");
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
    // Masks take less: 6 bytes a pixel of both together.
    let scene = json!({"image": base64(&fixture("scene256.png")), "mask": base64(&fixture("mask_scene256.png"))});
    let small = TestApp::with(Setup { decoding: DecodeBudget::new(6 << 16, 2), ..Setup::default() }).await;
    let both = merged(scene, &json!({"steps": 1, "prompt": "x", "prior": {"steps": 1}}));
    assert_eq!(small.post("/v1/inpainting", &both).await.status(), StatusCode::OK);
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
