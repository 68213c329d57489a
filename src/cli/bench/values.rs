//! Values of flags, read from text.
//!
//! Invariant: what is read is in the range that its user can work with.

use crate::domain::Size;

pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    // A million is beyond any use, and keeps durations in their range.
    if number > 0.0 && number <= 1e6 { Ok(number) } else { Err("must be above 0, and at most 1000000".to_owned()) }
}

pub(super) fn size(text: &str) -> Result<Size, String> {
    let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    match sides {
        Some((width @ 1..=16_384, height @ 1..=16_384)) => Ok(Size { width, height }),
        _ => Err("must be WIDTHxHEIGHT, such as 64x96".to_owned()),
    }
}
