//! Transparency: laid on white where a model looks at it, and stored colours where the transparency itself is the mask.
//!
//! Invariant: images are not premultiplied, so a transparent pixel still has the colour that its file gives it.

use crate::domain::Image;

const OPAQUE: u8 = 255;

/// An image as it looks on a white background; one without transparency is shared, not copied.
#[must_use]
pub fn on_white(image: &Image) -> Image {
    if !image.has_alpha() {
        return image.clone();
    }
    let pixels = image.pixels().chunks_exact(Image::RGBA);
    let rgb = pixels.flat_map(|p| [0, 1, 2].map(|c| blend_on_white(p[c], p[3]))).collect();
    Image::rgb(image.width(), image.height(), rgb)
}

/// Pillow's `alpha_composite` of one sample on an opaque white background, bit for bit.
#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of bytes")]
fn blend_on_white(value: u8, alpha: u8) -> u8 {
    const PRECISION: u32 = 7;
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let sum = ((value * alpha + 255 * (255 - alpha)) << PRECISION) + (0x80 << PRECISION);
    ((((sum >> 8) + sum) >> 8) >> PRECISION) as u8
}

/// The stored colours of an image whose transparent pixels are all marked by the mask, each at least as much as it is
/// transparent: there, transparency is the mark. Another image stays as it is.
#[must_use]
pub fn stored_colors_under(image: Image, mask: &Image) -> Image {
    let covers = |(pixel, mark): (&[u8], &u8)| pixel[3].saturating_add(*mark) == OPAQUE;
    let is_mark = image.has_alpha()
        && image.size() == mask.size()
        && image.pixels().chunks_exact(Image::RGBA).zip(mask.pixels()).all(covers);
    if is_mark { without_alpha(&image) } else { image }
}

/// The transparency of an image as a mask: what is transparent is marked. `None`: it has none.
#[must_use]
pub fn transparency(image: &Image) -> Option<Image> {
    let marks = || image.pixels().chunks_exact(Image::RGBA).map(|pixel| OPAQUE - pixel[3]).collect();
    image.has_alpha().then(|| Image::gray(image.width(), image.height(), marks()))
}

fn without_alpha(image: &Image) -> Image {
    let rgb = image.pixels().chunks_exact(Image::RGBA).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    Image::rgb(image.width(), image.height(), rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_colors_are_used_only_where_all_transparency_is_marked() {
        let image = Image::rgba(2, 1, vec![10, 20, 30, 255, 40, 50, 60, 100]);
        let own = transparency(&image).unwrap();
        assert_eq!(own.pixels(), [0, 155]);
        assert_eq!(stored_colors_under(image.clone(), &own).pixels(), [10, 20, 30, 40, 50, 60]);
        let less = Image::gray(2, 1, vec![255, 154]);
        assert_eq!(stored_colors_under(image.clone(), &less), image);
    }
}
