//! What the configuration says of marks, as something that writes images.
//!
//! Invariant: anything that keeps images from being marked as configured is found at start, not at the first image.

use std::path::Path;

use crate::config::Config;
use crate::imaging::{Encoder, Sign};

/// Writes images, marked as configured.
pub fn encoder(config: &Config) -> anyhow::Result<Encoder> {
    let marking = &config.marking;
    let signer = match (&marking.c2pa_certificates, &marking.c2pa_key) {
        (Some(certificates), Some(key)) => Some(signer(certificates, key, &marking.c2pa_algorithm)?),
        // The checks of the configuration let through both or none.
        _ => None,
    };
    Ok(Encoder::new(marking.xmp, signer))
}

#[cfg(feature = "c2pa")]
fn signer(certificates: &Path, key: &Path, algorithm: &str) -> anyhow::Result<Box<dyn Sign>> {
    use anyhow::Context as _;
    use secrecy::SecretString;

    use crate::imaging::{CredentialError, ManifestSigner};

    let about = |name: &str, path: &Path| format!("marking.{name}: {}", path.display());
    let about_certificates = || about("c2pa_certificates", certificates);
    let about_key = || about("c2pa_key", key);
    let chain = std::fs::read(certificates).with_context(about_certificates)?;
    let secret = SecretString::from(std::fs::read_to_string(key).with_context(about_key)?);
    let signer = ManifestSigner::new(&chain, &secret, algorithm).map_err(|error| {
        let key = match &error {
            CredentialError::Algorithm => "marking.c2pa_algorithm".to_owned(),
            CredentialError::Key(_) => about_key(),
            CredentialError::Certificates(_) => about_certificates(),
        };
        anyhow::Error::new(error).context(key)
    })?;
    tracing::info!(?signer, "images are signed");
    Ok(Box::new(signer))
}

#[cfg(not(feature = "c2pa"))]
fn signer(_: &Path, _: &Path, _: &str) -> anyhow::Result<Box<dyn Sign>> {
    anyhow::bail!(
        "marking.c2pa_certificates: this build signs no images; build it with --features c2pa, or leave it empty"
    )
}
