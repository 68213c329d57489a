//! Images signed with C2PA manifests, read back by the library's own reader; `.ci/c2pa` asks others. The credentials are
//! made by OpenSSL, anew in each run.
//!
//!     cargo test --release --features c2pa --test manifests

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use c2pa::assertions::Actions;
use c2pa::validation_status::ValidationStatus;
use c2pa::{Context, Reader, ValidationState};
use kandinsky::app;
use kandinsky::config::{Config, Overrides};
use kandinsky::domain::{Format, Image, Output};
use kandinsky::imaging::{DecodeLimits, Encoder, Metadata, decode};
use kandinsky::modes::Mode;

const ANY: DecodeLimits = DecodeLimits { max_side: u32::MAX, max_pixels: u64::MAX };
const FORMATS: [Format; 3] = [Format::Png, Format::Jpeg, Format::Webp];
const PARAMETERS: &str = r#"{"prompt":"nobody's business"}"#;

struct Credentials {
    folder: tempfile::TempDir,
}

impl Credentials {
    fn new(algorithm: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/marks/certificate.sh");
        assert!(Command::new(script).arg(folder.path()).arg(algorithm).status().unwrap().success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn encoder(&self, algorithm: &str) -> anyhow::Result<Encoder> {
        encoder(&self.path("chain.pem"), &self.path("key.pem"), algorithm)
    }
}

fn encoder(certificates: &Path, key: &Path, algorithm: &str) -> anyhow::Result<Encoder> {
    let environment = [
        ("marking.c2pa_certificates", certificates.to_str().unwrap()),
        ("marking.c2pa_key", key.to_str().unwrap()),
        ("marking.c2pa_algorithm", algorithm),
    ];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
    app::encoder(&Config::from_layers(None, environment, &Overrides::default()).unwrap())
}

fn gradient() -> Image {
    let rgb = (0..40 * 24_u32).flat_map(|i| [i * 7, i * 5, i * 3].map(|x| x.to_le_bytes()[0])).collect();
    Image::rgb(40, 24, rgb)
}

fn written(encoder: &Encoder, format: Format, mode: Mode) -> Vec<u8> {
    let metadata = Metadata { origin: mode.origin(), seed: 7, parameters: PARAMETERS };
    encoder.finished(&gradient(), &Output { format, ..Output::default() }, &metadata).unwrap()
}

fn read(file: &[u8], format: Format) -> Reader {
    Reader::from_context(Context::new()).with_stream(format.media_type(), Cursor::new(file)).unwrap()
}

#[test]
fn what_is_signed_is_read_back_and_changes_no_pixel() {
    let signing = Credentials::new("es256").encoder("es256").unwrap();
    let plain = Encoder::new(true, None);
    for format in FORMATS {
        for mode in Mode::ALL {
            let file = written(&signing, format, mode);
            assert!(decode(&file, &ANY).unwrap() == decode(&written(&plain, format, mode), &ANY).unwrap());
            let reader = read(&file, format);
            assert_eq!(reader.validation_state(), ValidationState::Valid, "{format:?}: {reader}");
            let manifest = reader.active_manifest().unwrap();
            assert_eq!(manifest.title(), Some(mode.name()));
            let actions: Actions = manifest.find_assertion(Actions::LABEL).unwrap();
            let [created] = actions.actions() else { panic!("{actions:?}") };
            assert_eq!(created.action(), "c2pa.created");
            let source = serde_json::to_value(created.source_type()).unwrap();
            assert_eq!(source, mode.origin().source.uri());
            assert!(!reader.detailed_json().contains("nobody"), "{reader}");
        }
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    let signing = Credentials::new("es256").encoder("es256").unwrap();
    for format in FORMATS {
        let file = written(&signing, format, Mode::TextToImage);
        let mut bent = file.clone();
        // In the pixels' data, which ends the JPEG and comes before the manifest in WebP.
        let at = match format {
            Format::Png => file.windows(4).position(|chunk| chunk == b"IDAT").unwrap() + 30,
            Format::Jpeg => file.len() - 30,
            Format::Webp => file.windows(3).position(|chunk| chunk == b"VP8").unwrap() + 100,
        };
        bent[at] ^= 1;
        let reader = read(&bent, format);
        assert_eq!(reader.validation_state(), ValidationState::Invalid, "{format:?}");
        let codes: Vec<&str> = reader.validation_status().unwrap().iter().map(ValidationStatus::code).collect();
        assert!(codes.contains(&"assertion.dataHash.mismatch"), "{format:?}: {codes:?}");
    }
}

#[test]
fn every_algorithm_signs_with_its_own_keys_only() {
    for algorithm in ["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] {
        let credentials = Credentials::new(algorithm);
        let file = written(&credentials.encoder(algorithm).unwrap(), Format::Png, Mode::TextToImage);
        assert_eq!(read(&file, Format::Png).validation_state(), ValidationState::Valid, "{algorithm}");
        let other = if algorithm == "es256" { "es384" } else { "es256" };
        let refused = format!("{:#}", credentials.encoder(other).unwrap_err());
        assert!(refused.starts_with("marking.c2pa_key: "), "{refused}");
    }
}

#[test]
fn a_certificate_of_another_key_is_refused_and_the_key_is_not_told() {
    let (ours, theirs) = (Credentials::new("es256"), Credentials::new("es256"));
    let refused = encoder(&theirs.path("chain.pem"), &ours.path("key.pem"), "es256").unwrap_err();
    assert!(format!("{refused:#}").starts_with("marking.c2pa_certificates: "), "{refused:#}");
    // The chain is in every image: nothing else may be in its file.
    let both = ours.path("both.pem");
    let parts = ["chain.pem", "key.pem"].map(|name| std::fs::read(ours.path(name)).unwrap());
    std::fs::write(&both, parts.concat()).unwrap();
    let refused = format!("{:#}", encoder(&both, &both, "es256").unwrap_err());
    assert!(refused.contains("there is something else than certificates in it"), "{refused}");
    let encoder = ours.encoder("es256").unwrap();
    assert!(format!("{encoder:?}").contains("ManifestSigner { algorithm: Es256, .. }"), "{encoder:?}");
}
