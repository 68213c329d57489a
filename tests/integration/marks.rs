//! What files say of their origin is there as the operator wishes, whatever the request says, and changes no pixel.

use std::io::Cursor;
use std::sync::Arc;

use base64::Engine as _;
use image::{ImageDecoder, ImageReader};
use kandinsky::domain::{Format, Image, Output};
use kandinsky::imaging::{DecodeLimits, EncodeError, Encoder, Metadata, Origin, Sign, decode};
use kandinsky::jobs::JobsConfig;
use kandinsky::modes::Mode;
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64, events, golden, quick};

const ANY: DecodeLimits = DecodeLimits { max_side: u32::MAX, max_pixels: u64::MAX };
const FORMATS: [Format; 3] = [Format::Png, Format::Jpeg, Format::Webp];
const TRAINED: &str = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";
const COMPOSITE: &str = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia";

/// The XMP packet as another library finds it.
fn xmp(file: &[u8]) -> Option<String> {
    let mut decoder = ImageReader::new(Cursor::new(file)).with_guessed_format().unwrap().into_decoder().unwrap();
    decoder.xmp_metadata().unwrap().map(|packet| String::from_utf8(packet).unwrap())
}

/// Whether the file's digital source type is this.
fn is_of(file: &[u8], uri: &str) -> bool {
    let packet = xmp(file).unwrap_or_default();
    packet.contains(&format!("<Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>"))
        && packet.contains(concat!("<xmp:CreatorTool>kandinsky ", env!("CARGO_PKG_VERSION"), "</xmp:CreatorTool>"))
}

fn gradient() -> Image {
    let rgb = (0..40 * 24_u32).flat_map(|i| [i * 7, i * 5, i * 3].map(|x| (x % 256) as u8)).collect();
    Image::rgb(40, 24, rgb)
}

#[test]
fn marks_change_no_pixel_and_do_not_depend_on_the_request() {
    let picture = gradient();
    let metadata =
        Metadata { origin: Mode::TextToImage.origin(), seed: 7, parameters: r#"{"prompt":"кошка & <b>"}"# };
    for (format, quality) in FORMATS.into_iter().flat_map(|format| [80, 100].map(|quality| (format, quality))) {
        let write = |mark: bool, embed_metadata: bool| {
            let output = Output { format, quality, embed_metadata };
            Encoder::new(mark, None).finished(&picture, &output, &metadata).unwrap()
        };
        let bare = decode(&write(false, false), &ANY).unwrap();
        if format == Format::Png || (format == Format::Webp && quality == 100) {
            assert!(bare == picture, "{format:?}");
        }
        for (mark, embed_metadata) in [(false, true), (true, false), (true, true)] {
            let file = write(mark, embed_metadata);
            assert!(decode(&file, &ANY).unwrap() == bare, "{format:?} at {quality}");
            assert_eq!(is_of(&file, TRAINED), mark, "{format:?} at {quality}");
            assert_eq!(xmp(&file).is_some(), mark, "{format:?} at {quality}");
            let seed = file.windows(4).any(|bytes| bytes == b"seed");
            assert_eq!(seed, embed_metadata, "{format:?} at {quality}");
        }
    }
}

#[test]
fn what_goes_on_from_an_image_is_no_creation() {
    for mode in Mode::ALL {
        let goes_on = matches!(mode, Mode::ImageToImage | Mode::Inpainting | Mode::Outpainting);
        assert_eq!(mode.origin().source.uri(), if goes_on { COMPOSITE } else { TRAINED }, "{mode:?}");
    }
}

/// Signs by a word at the end.
#[derive(Debug)]
struct Word;

impl Sign for Word {
    fn sign(&self, file: Vec<u8>, format: Format, origin: Origin) -> Result<Vec<u8>, EncodeError> {
        Ok([file, format!("signed {} {}", format.name(), origin.mode).into_bytes()].concat())
    }
}

#[test]
fn finished_images_are_signed_and_copies_are_not() {
    let (encoder, output) = (Encoder::new(true, Some(Box::new(Word))), Output::default());
    let metadata = Metadata { origin: Mode::Inpainting.origin(), seed: 7, parameters: "" };
    let picture = gradient();
    let signature = "signed png inpainting";
    let is_signed = |file: &[u8]| file.ends_with(signature.as_bytes());
    assert!(is_signed(&encoder.finished(&picture, &output, &metadata).unwrap()));
    assert!(!is_signed(&encoder.unsigned(&picture, &output, &metadata).unwrap()));
    assert!(!is_signed(&encoder.preview(&picture, Mode::Inpainting.origin()).unwrap()));
}

fn file(image: &Json) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(image["b64_json"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_server_gives_away_is_marked() {
    let app = TestApp::start().await;
    for format in ["png", "jpeg", "webp"] {
        let body = quick(&json!({"output_format": format, "embed_metadata": false}));
        let answer: Json = app.draw(&body).await.json().await.unwrap();
        assert!(is_of(&file(&answer["images"][0]), TRAINED), "{format}");
        let id = answer["id"].as_str().unwrap();
        let thumbnail = app.get(&format!("/v1/jobs/{id}/images/0?width=16")).await.bytes().await.unwrap();
        assert_eq!(decode(&thumbnail, &ANY).unwrap().width(), 16);
        assert!(is_of(&thumbnail, TRAINED), "thumbnail in {format}");
    }

    let body = quick(&json!({"image": base64(&golden("text_english.png")), "strength": 0.7, "preview_interval": 1}));
    let request = app.client.post(app.url("/v1/image-to-image")).header("accept", "text/event-stream");
    let events = events(&request.json(&body).send().await.unwrap().text().await.unwrap());
    let previews: Vec<&Json> = events.iter().filter(|event| event.0 == "preview").map(|event| &event.2).collect();
    assert!(!previews.is_empty());
    assert!(previews.iter().all(|preview| is_of(&file(preview), COMPOSITE)));
    let completed = events.iter().find(|event| event.0 == "completed").unwrap();
    assert!(is_of(&file(&completed.2["images"][0]), COMPOSITE));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_can_turn_marks_off() {
    let usual = Setup::default();
    let jobs = JobsConfig { encoder: Arc::new(Encoder::new(false, None)), ..usual.jobs.clone() };
    let app = TestApp::with(Setup { jobs, ..usual }).await;
    let answer: Json = app.draw(&quick(&json!({}))).await.json().await.unwrap();
    assert_eq!(xmp(&file(&answer["images"][0])), None);
}

#[cfg(not(feature = "c2pa"))]
#[test]
fn a_build_that_cannot_sign_does_not_start_where_it_should() {
    use kandinsky::config::{Config, Overrides};

    let environment = ["c2pa_certificates", "c2pa_key"].map(|key| (format!("marking.{key}"), "x.pem".to_owned()));
    let config = Config::from_layers(None, environment, &Overrides::default()).unwrap();
    let refused = kandinsky::app::encoder(&config).unwrap_err().to_string();
    assert!(refused.starts_with("marking.c2pa_certificates: ") && refused.contains("--features c2pa"), "{refused}");
}
