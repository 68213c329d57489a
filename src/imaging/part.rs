//! Parts of images, cut out.

use crate::domain::{Image, Rect};

/// A part of an image; the whole one is shared, not copied. It must lie within the image.
#[must_use]
pub fn crop(image: &Image, part: Rect) -> Image {
    if part == Rect::whole(image.size()) {
        return image.clone();
    }
    let channels = image.channels();
    let (row, from, length) =
        (image.width() as usize * channels, part.x as usize * channels, part.width as usize * channels);
    let rows = image.pixels().chunks_exact(row.max(1)).skip(part.y as usize).take(part.height as usize);
    Image::new(part.size(), channels, rows.flat_map(|row| &row[from..from + length]).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_out_and_the_whole_is_shared() {
        let image = Image::rgb(4, 3, (0..36).collect());
        let part = Rect { x: 1, y: 1, width: 2, height: 2 };
        assert_eq!(crop(&image, part).pixels(), [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32]);
        assert!(crop(&image, Rect::whole(image.size())).shares_pixels_with(&image));
    }
}
