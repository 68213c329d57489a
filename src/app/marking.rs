//! What the configuration says of marks, as something that writes pictures.
//!
//! Invariant: whatever keeps pictures from being marked as configured is found at start, not at the first picture.

use crate::config::Config;
use crate::imaging::Encoder;

/// Writes pictures, marked as configured.
pub fn encoder(config: &Config) -> anyhow::Result<Encoder> {
    Ok(Encoder::new(config.marking.xmp, None))
}
