//! C2PA manifests: a signed statement in the file that a model made this image, bound to every byte of it (C2PA 2.2;
//! docs/marking.md).
//!
//! Invariants: credentials that cannot sign are found when they are read, not at the first image. The key is never
//! printed. Of a request, a manifest tells the mode alone.

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use c2pa::assertions::{Actions, c2pa_action};
use c2pa::validation_status::ValidationStatus;
use c2pa::{BoxedSigner, Builder, Context, Reader, Signer, SigningAlg, ValidationState, create_signer};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value as Json, json};

use super::encode::{EncodeError, Sign, failed, to_png};
use super::provenance::{DigitalSource, Origin};
use crate::domain::{Format, Image};

/// What a signature takes besides the certificates: 512 bytes for RSA of 4096 bits, and headers.
const SIGNATURE: usize = 1024;

/// What keeps images from being signed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("no such algorithm")]
    Algorithm,
    #[error("{0}; a PEM file in PKCS#8 without a passphrase is expected, with a key for the algorithm")]
    Key(String),
    #[error("{0}")]
    Certificates(String),
}

/// Puts signed manifests into files.
pub struct ManifestSigner {
    signer: Unstamped,
    context: Arc<Context>,
}

impl fmt::Debug for ManifestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestSigner").field("algorithm", &self.signer.alg()).finish_non_exhaustive()
    }
}

impl ManifestSigner {
    /// `certificates`: PEM, the signer's own first, up to the authority's; `key`: PEM in PKCS#8; `algorithm`: C2PA's name
    /// in small letters, such as `es256`.
    pub fn new(certificates: &[u8], key: &SecretString, algorithm: &str) -> Result<Self, CredentialError> {
        let algorithm: SigningAlg = algorithm.parse().map_err(|_| CredentialError::Algorithm)?;
        if holds_more_than_certificates(certificates) {
            let message = "there is something else than certificates in it, and all of it would be in every image";
            return Err(CredentialError::Certificates(message.to_owned()));
        }
        let with = |certificates: &[u8]| {
            create_signer::from_keys(certificates, key.expose_secret().as_bytes(), algorithm, None)
        };
        // Without certificates, only the key can be wrong.
        with(&[]).map_err(|error| CredentialError::Key(error.to_string()))?;
        let wrong = |error: c2pa::Error| CredentialError::Certificates(error.to_string());
        let signer = Unstamped::new(with(certificates).map_err(wrong)?).map_err(wrong)?;
        let signer = Self { signer, context: Context::new().into_shared() };
        signer.rehearse()?;
        Ok(signer)
    }

    /// Sign an image of one pixel, and read it back.
    fn rehearse(&self) -> Result<(), CredentialError> {
        let wrong = |error: &dyn fmt::Display| {
            CredentialError::Certificates(format!(
                "{error}; the key's own certificate must come first, be valid today and be meant for signing C2PA \
                 claims, documents or mail"
            ))
        };
        let pixel = Image::rgb(1, 1, vec![0; 3]);
        let origin = Origin { mode: "text-to-image", source: DigitalSource::TrainedAlgorithmicMedia };
        let file = to_png(&pixel).and_then(|file| self.sign(file, Format::Png, origin));
        let file = file.map_err(|EncodeError(error)| wrong(&error))?;
        let reader = Reader::from_shared_context(&self.context)
            .with_stream(Format::Png.media_type(), Cursor::new(file))
            .map_err(|error| wrong(&error))?;
        match reader.validation_state() {
            // Whether it is trusted is up to those who read it.
            ValidationState::Valid | ValidationState::Trusted => Ok(()),
            ValidationState::Invalid => Err(wrong(&codes(&reader))),
        }
    }
}

/// Whether there is a key in the file, for one. The library takes whatever is PEM for a certificate.
fn holds_more_than_certificates(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.matches("-----BEGIN ").count() != text.matches("-----BEGIN CERTIFICATE-----").count()
}

/// What is wrong with a manifest, in C2PA's words.
fn codes(reader: &Reader) -> String {
    let status = reader.validation_status().unwrap_or_default();
    let codes: Vec<&str> = status.iter().map(ValidationStatus::code).collect();
    format!("signatures do not hold: {}", codes.join(", "))
}

impl Sign for ManifestSigner {
    fn sign(&self, file: Vec<u8>, format: Format, origin: Origin) -> Result<Vec<u8>, EncodeError> {
        let mut signed = Cursor::new(Vec::new());
        Builder::from_shared_context(&self.context)
            .with_definition(definition(origin))
            .and_then(|mut builder| {
                builder.sign(&self.signer, format.media_type(), &mut Cursor::new(file), &mut signed)
            })
            .map_err(failed)?;
        Ok(signed.into_inner())
    }
}

/// What is stated. An image that goes on from another is created all the same, as a composite: C2PA's "opened" and
/// "edited" would need the other's file as an ingredient with the manifests in it, of which only the pixels are here.
fn definition(origin: Origin) -> Json {
    let created = json!({"action": c2pa_action::CREATED, "digitalSourceType": origin.source.uri()});
    json!({
        "claim_version": 2,
        "claim_generator_info": [{"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")}],
        "title": origin.mode,
        "assertions": [{"label": Actions::LABEL_VERSIONED, "created": true, "data": {"actions": [created]}}],
    })
}

/// A signer that asks no authority for the time, and so does not keep 10 kB in every file for the answer.
struct Unstamped {
    signer: BoxedSigner,
    reserve: usize,
}

impl Unstamped {
    fn new(signer: BoxedSigner) -> c2pa::Result<Self> {
        let certificates: usize = signer.certs()?.iter().map(Vec::len).sum();
        Ok(Self { signer, reserve: SIGNATURE + certificates })
    }
}

impl Signer for Unstamped {
    fn sign(&self, data: &[u8]) -> c2pa::Result<Vec<u8>> {
        self.signer.sign(data)
    }

    fn alg(&self) -> SigningAlg {
        self.signer.alg()
    }

    fn certs(&self) -> c2pa::Result<Vec<Vec<u8>>> {
        self.signer.certs()
    }

    fn reserve_size(&self) -> usize {
        self.reserve
    }
}
