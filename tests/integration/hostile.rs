//! Input that is made to hurt, or that few programs write: a 4xx that says what is wrong, or what a viewer would show.
//!
//! The files of `tests/fixtures/pictures` were made with Pillow and by hand: 32x16 px, red on the left, blue on the right.

use kandinsky::imaging::{self, DecodeLimits};
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value as Json, json};

use crate::app::{TestApp, base64, golden, quick};
use crate::embedded::{DECODE, root};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/fixtures/pictures").join(name)).unwrap()
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const WHITE: [u8; 3] = [255; 3];

/// The colours at the middles of the left and the right half (or the upper and the lower one), within what JPEG loses.
fn assert_halves(name: &str, bytes: &[u8], upright: bool, want: [[u8; 3]; 2]) {
    let picture = imaging::decode(bytes, &DECODE).unwrap_or_else(|error| panic!("{name}: {error}"));
    let size = if upright { (16, 32) } else { (32, 16) };
    assert_eq!((picture.width(), picture.height()), size, "{name}");
    let middles = if upright { [(8, 8), (8, 24)] } else { [(8, 8), (24, 8)] };
    for ((x, y), want) in middles.into_iter().zip(want) {
        let got = picture.pixel(x, y);
        assert!(got.iter().zip(want).all(|(a, b)| a.abs_diff(b) < 12), "{name}: {got:?}, not {want:?}");
    }
}

#[test]
fn unusual_images_look_as_a_viewer_shows_them() {
    for name in ["cmyk.jpg", "progressive.jpg", "palette.png", "rgb16.png", "icc.png", "lossless.webp"] {
        assert_halves(name, &fixture(name), false, [RED, BLUE]);
    }
    // The first frame.
    for name in ["animated.png", "animated.webp", "animated.gif", "picture.bmp", "picture.tiff"] {
        assert_halves(name, &fixture(name), false, [RED, BLUE]);
    }
    // Turned as its EXIF says: what is on the left comes to the top.
    assert_halves("rotated.jpg", &fixture("rotated.jpg"), true, [RED, BLUE]);
    // One colour is transparent, and lies on white.
    assert_halves("palette_transparent.png", &fixture("palette_transparent.png"), false, [RED, WHITE]);
    assert_halves("grey_alpha.png", &fixture("grey_alpha.png"), false, [[76; 3], [29; 3]]);
    // What hides behind an image, or is blown up beside it, is not looked at.
    for name in ["polyglot.png", "profile_bomb.png", "text_bomb.png"] {
        assert_halves(name, &fixture(name), false, [RED, BLUE]);
    }
}

#[test]
fn broken_files_are_refused_by_name() {
    let palette = std::fs::read(root().join("fuzz/corpus/picture/palette_of_a_third_more.png")).unwrap();
    let error = imaging::decode(&palette, &DECODE).unwrap_err().to_string();
    assert_eq!(error, "the image is damaged: its palette ends within a colour");
    // Of what a decoder says nothing is passed on.
    let garbled = "the image is damaged: its data contradict each other; was it changed on its way?";
    let whole = fixture("rgb16.png");
    let end = whole.len() - 13;
    let mut flipped = whole.clone();
    flipped[end] ^= 0xff;
    assert_eq!(imaging::decode(&flipped, &DECODE).unwrap_err().to_string(), garbled);
    // A Targa file begins as a cursor does.
    let targa = [[0, 0, 2, 0, 0, 0, 0, 0].as_slice(), &[0; 40]].concat();
    assert!(
        imaging::decode(&targa, &DECODE).unwrap_err().to_string().starts_with("images of this format are not read")
    );
    // A file may break off anywhere: never a panic, and never an image of another size.
    for name in [
        "rgb16.png",
        "palette.png",
        "cmyk.jpg",
        "progressive.jpg",
        "rotated.jpg",
        "animated.webp",
        "lossless.webp",
        "animated.gif",
        "picture.bmp",
        "picture.tiff",
    ] {
        let whole = fixture(name);
        for length in 0..whole.len() {
            if let Ok(picture) = imaging::decode(&whole[..length], &DECODE) {
                assert_eq!(picture.width() * picture.height(), 512, "{name}, {length} bytes");
            }
        }
    }
    // Any byte may be wrong.
    for name in [
        "rgb16.png",
        "palette_transparent.png",
        "animated.png",
        "cmyk.jpg",
        "rotated.jpg",
        "lossless.webp",
        "animated.gif",
        "picture.bmp",
        "picture.tiff",
    ] {
        let whole = fixture(name);
        let limits = DecodeLimits { max_side: 64, max_pixels: 4096 };
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            if let Ok(picture) = imaging::decode(&bent, &limits) {
                assert!(picture.width() <= 64 && picture.height() <= 64, "{name}, byte {at}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polyglot_comes_back_as_nothing_but_an_image() {
    let app = TestApp::start().await;
    let body = json!({
        "image": base64(&fixture("polyglot.png")), "mask": base64(&imaging::to_png(&mask()).unwrap()), "steps": 1,
    });
    let request = app.client.post(app.url("/v1/inpainting")).header("accept", "image/png").json(&body);
    let file = request.send().await.unwrap().bytes().await.unwrap();
    assert!(imaging::decode(&file, &DECODE).is_ok());
    assert!(!String::from_utf8_lossy(&file).contains("alert"));
}

fn mask() -> kandinsky::domain::Image {
    kandinsky::domain::Image::gray(32, 16, [[0; 16], [255; 16]].concat().repeat(16))
}

/// The answer to a body as it is.
async fn send(app: &TestApp, body: impl Into<reqwest::Body>) -> (StatusCode, Json) {
    let request = app.client.post(app.url("/v1/text-to-image")).header("content-type", "application/json");
    let response = request.body(body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_means_harm_is_refused_and_says_why() {
    let app = TestApp::start().await;
    for (body, status, said) in [
        (r#"{"prompt": "a", "prompt": "b"}"#.to_owned(), 400, "comes twice"),
        (r#"{"prompt": "a", "prior": {"steps": 1, "steps": 2}}"#.to_owned(), 400, "comes twice"),
        (r#"{"prompt": "a", "guidance_scale": NaN}"#.to_owned(), 400, "JSON"),
        (r#"{"prompt": "a", "guidance_scale": 1e999}"#.to_owned(), 400, "JSON"),
        (r#"{"prompt": "a", "guidance_scale": 1e300}"#.to_owned(), 422, "guidance_scale"),
        (r#"{"prompt": "a", "steps": 99999999999999999999999}"#.to_owned(), 422, "steps"),
        (r#"{"prompt": "a", "seed": -2}"#.to_owned(), 422, "seed"),
        (format!(r#"{{"prompt": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), 400, "JSON"),
        (format!(r#"{{"prompt": "{}"}}"#, "a".repeat(500_000)), 422, "characters"),
        (format!(r#"{{"prompt": [{}]}}"#, vec!["0"; 100_000].join(",")), 400, "10000 values"),
        (r#"{"prompt": "a\u0000b"}"#.to_owned(), 422, "NUL"),
        (r#"{"prompt": "\ud800"}"#.to_owned(), 400, "JSON"),
        (r#"["prompt"]"#.to_owned(), 422, "object"),
        ("\u{feff}{}".to_owned(), 422, "must be given"),
        (String::new(), 400, "JSON"),
        (r#"{"prompt": "a", "model": "../../etc/passwd"}"#.to_owned(), 422, "model"),
        (r#"{"prompt": "a", "style": "../styles"}"#.to_owned(), 422, "style"),
    ] {
        let (got, problem) = send(&app, body.clone()).await;
        assert_eq!(got.as_u16(), status, "{body:.60}: {problem}");
        assert!(problem.to_string().contains(said), "{body:.60}: {problem}");
    }
    let (status, _) = send(&app, vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // What is only strange is drawn: directions, joiners, control characters that end nothing.
    let strange = json!({"prompt": "\u{202e}red\u{2066} heart\u{200d}\u{7}\t\r\n", "steps": 1, "prior": {"steps": 1}});
    assert_eq!(app.draw(&strange).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_mean_harm_are_refused_and_say_why() {
    let app = TestApp::start().await;
    let heart = golden("text_english.png");
    let file = |name: &str| Part::bytes(heart.clone()).file_name(name.to_owned());
    let deep = format!("prior{}", "[a]".repeat(1000));
    for (form, status) in [
        (Form::new(), 400),
        (Form::new().part("image", file("a.png")).part("image", file("b.png")), 422),
        (Form::new().part("image", Part::bytes(vec![0; 2 << 20]).file_name("a.png")), 413),
        (Form::new().part("image", file("a.png")).text(deep, "1"), 400),
        (Form::new().part("image", file("a.png")).text("prior", "[]").text("prior[steps]", "1"), 422),
        (Form::new().part("image", file("a.png")).text("seed", "nan"), 422),
        (Form::new().part("image", file("a.png")).text("prior", r#"{"steps": 1, "steps": 2}"#), 422),
        (Form::new().part("image", file("a.png")).text("", "x"), 422),
        ((0..100).fold(Form::new(), |form, i| form.text(format!("f{i}"), "x")), 400),
    ] {
        let response = app.client.post(app.url("/v1/image-variations")).multipart(form).send().await.unwrap();
        let (got, problem) = (response.status().as_u16(), response.text().await.unwrap());
        assert_eq!(got, status, "{problem}");
        assert!(problem.contains("detail"), "{problem}");
    }
    // A file's name is nobody's business.
    let traversal = Form::new().part("image", file("../../../etc/passwd")).text("steps", "1").text("n", "1");
    let response = app.client.post(app.url("/v1/image-variations")).multipart(traversal).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    for (content_type, body) in [
        ("multipart/form-data", "--x\r\n\r\n--x--"),
        ("multipart/form-data; boundary=", ""),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nno end"),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n"),
    ] {
        let request = app.client.post(app.url("/v1/image-variations")).header("content-type", content_type).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{content_type}: {}", response.text().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_paths_and_headers_reach_nothing() {
    let app = TestApp::start().await;
    for path in [
        "/v1/jobs/..%2f..%2fetc%2fpasswd",
        "/v1/jobs/%00",
        "/v1/jobs/00000000-0000-7000-8000-000000000000/images/..%2f0",
        "/v1/models/..%2f..%2fsecret",
        "/docs/..%2f..%2fCargo.toml",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
    ] {
        let response = app.get(path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    // What a client says of itself comes back only if it is harmless.
    let long = "a".repeat(4000);
    for id in ["a b", "<script>", long.as_str()] {
        let response = app.client.get(app.url("/healthz")).header("x-request-id", id).send().await.unwrap();
        let answered = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let harmless = id == "<script>" || answered != id;
        assert!(harmless && answered.len() < 200, "{answered}");
    }
    let request = app.client.post(app.url("/v1/text-to-image")).header("host", "evil.example/\"><script>");
    let response = request.json(&quick(&json!({"response_format": "url"}))).send().await.unwrap();
    if response.status() == StatusCode::OK {
        assert!(!response.text().await.unwrap().contains("script"));
    }
}
