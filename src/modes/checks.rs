//! Checks that several modes share.

use crate::domain::{Limits, Size, Violations};

/// A text within the limit of its length, without NUL.
pub fn check_text(text: &str, pointer: &str, limits: &Limits, violations: &mut Violations) {
    let max = limits.max_prompt_chars;
    violations.require(text.chars().count() <= max, pointer, format!("must have at most {max} characters"));
    violations.require(!text.contains('\0'), pointer, "must not contain NUL characters");
}

/// [`check_text`], if there is a text.
pub(super) fn check_optional_text(text: Option<&String>, pointer: &str, limits: &Limits, violations: &mut Violations) {
    if let Some(text) = text {
        check_text(text, pointer, limits, violations);
    }
}

/// A size of results within the limits; `pointers`: where width and height come from.
pub(super) fn check_size(size: Size, pointers: (&str, &str), limits: &Limits, violations: &mut Violations) {
    let max = limits.max_side;
    for (side, pointer) in [(size.width, pointers.0), (size.height, pointers.1)] {
        violations.require((1..=max).contains(&side), pointer, format!("must be 1 to {max} px"));
    }
    let pixels = u64::from(size.width) * u64::from(size.height);
    let most = limits.max_pixels;
    violations.require(pixels <= most, pointers.0, format!("width times height must be at most {most} px"));
}
