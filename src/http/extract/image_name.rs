//! The last part of an image's path: its index, which may have the extension of its format, so that downloads have names.
//!
//! Invariant: an extension changes nothing of what is answered. One of another format than the image's is no image.

use crate::domain::{Format, VariantArray as _};

/// The extensions of a format; the first is the usual one.
pub(crate) fn extensions(format: Format) -> &'static [&'static str] {
    match format {
        Format::Png => &["png"],
        Format::Jpeg => &["jpg", "jpeg"],
        Format::Webp => &["webp"],
    }
}

/// A path without the extension of an image's format.
pub(crate) fn without_extension(path: &str) -> &str {
    let known = |extension: &str| Format::VARIANTS.iter().any(|format| extensions(*format).contains(&extension));
    match path.rsplit_once('.') {
        Some((rest, extension)) if known(extension) => rest,
        _ => path,
    }
}

/// The index of an image, and whether the name may be one of an image of this format.
pub(crate) fn read_name(name: &str) -> Option<(u32, impl Fn(Format) -> bool)> {
    let index = without_extension(name);
    let extension = name[index.len()..].strip_prefix('.').map(str::to_owned);
    let fits = move |format| extension.as_deref().is_none_or(|extension| extensions(format).contains(&extension));
    Some((index.parse().ok()?, fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_the_extension_of_its_format() {
        let fits = |name: &str, format| read_name(name).map(|(index, fits)| (index, fits(format)));
        assert_eq!(fits("0", Format::Png), Some((0, true)));
        assert_eq!(fits("7.png", Format::Png), Some((7, true)));
        assert_eq!(fits("7.png", Format::Webp), Some((7, false)));
        assert_eq!(fits("7.jpeg", Format::Jpeg), Some((7, true)));
        assert_eq!(fits("7.gif", Format::Png), None);
        assert_eq!(fits(".png", Format::Png), None);
    }
}
