//! The secret that webhooks are signed with: the operator's, or one made at the first start and kept.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// The file in the folder of data.
const FILE: &str = "webhook-secret";

/// The configured secret, else the kept one, else a new one that is kept from then on.
pub(super) fn webhooks(configured: &SecretString, data: &Path) -> anyhow::Result<SecretString> {
    if !configured.expose_secret().is_empty() {
        return Ok(configured.clone());
    }
    std::fs::create_dir_all(data).with_context(|| format!("cannot make the folder {}", data.display()))?;
    let path = data.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(kept) => Ok(SecretString::from(kept.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Two random UUIDs: 244 random bits.
            let bytes = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
            let secret = format!("whsec_{}", STANDARD.encode(bytes));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let written = options.open(&path).and_then(|mut file| file.write_all(secret.as_bytes()));
            written.with_context(|| format!("cannot write {}", path.display()))?;
            tracing::info!(file = %path.display(), "made a secret that webhooks are signed with");
            Ok(SecretString::from(secret))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
