//! The secrets that webhooks and addresses are signed with: the operator's, or ones made at the first start and kept.
//!
//! Invariant: there are two, since receivers of webhooks know the first.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use super::private::prepare_data_folder;

/// The secret of webhooks.
pub(super) fn webhooks(configured: &SecretString, data: &Path) -> anyhow::Result<SecretString> {
    find(configured, data, "webhook-secret", "whsec_")
}

/// The secret of addresses.
pub(super) fn addresses(configured: &SecretString, data: &Path) -> anyhow::Result<SecretString> {
    find(configured, data, "url-secret", "")
}

/// The configured secret, else the one that is kept in `file`, else a new one that is kept from then on.
fn find(configured: &SecretString, data: &Path, file: &str, prefix: &str) -> anyhow::Result<SecretString> {
    if !configured.expose_secret().is_empty() {
        return Ok(configured.clone());
    }
    prepare_data_folder(data)?;
    let path = data.join(file);
    match std::fs::read_to_string(&path) {
        Ok(kept) => Ok(SecretString::from(kept.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("there are no random numbers: {error}"))?;
            let secret = format!("{prefix}{}", STANDARD.encode(bytes));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let written = options.open(&path).and_then(|mut file| file.write_all(secret.as_bytes()));
            written.with_context(|| format!("cannot write {}", path.display()))?;
            tracing::info!(file = %path.display(), "made a secret to sign with");
            Ok(SecretString::from(secret))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
