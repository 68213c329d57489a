//! Texts that are images: where a field takes a prompt or an image, or is given the one for the other.
//!
//! Invariant: an image in base64 is never drawn as a prompt.

use base64::Engine as _;

use super::images::LENIENT;
use crate::imaging;

/// As many characters of base64 as are decoded to see what they are.
const START: usize = 64;

/// Whether a text has the characters of base64 alone.
#[must_use]
pub fn is_base64(text: &str) -> bool {
    text.trim().bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&c))
}

/// Whether a text is an image: a `data:` URL, or base64 that begins as an image file does.
#[must_use]
pub fn is_encoded_image(text: &str) -> bool {
    let text = text.trim();
    if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) && text.contains(";base64,") {
        return true;
    }
    if !is_base64(text) {
        return false;
    }
    let start: String = text.chars().filter(|c| !c.is_whitespace()).take(START).collect();
    let start = start.replace('-', "+").replace('_', "/");
    let digits = start.trim_end_matches('=');
    // A single one has no whole byte.
    let digits = if digits.len() % 4 == 1 { &digits[..digits.len() - 1] } else { digits };
    LENIENT.decode(digits).is_ok_and(|bytes| imaging::has_image_signature(&bytes))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn base64_is_told_from_prompts() {
        let png = STANDARD.encode(b"\x89PNG\r\n\x1a\n and so on");
        let unpadded = png.trim_end_matches('=');
        let jpeg = STANDARD.encode(b"\xff\xd8\xff\xe0 and so on");
        for image in
            [png.as_str(), unpadded, jpeg.as_str(), "data:image/png;base64,AAAA", "\niVBORw0KGgo\nAAAA", "iVBORw0KGgo"]
        {
            assert!(is_encoded_image(image), "{image}");
        }
        for prompt in
            ["", "cat", "красное сердце", "red heart on a blue background", "hyphen-ated", "Q", "data: a chart"]
        {
            assert!(!is_encoded_image(prompt), "{prompt}");
        }
    }
}
