//! Parts of images: cut out, and put back.

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

/// An image with `piece` at `part`, of its size. Both have the same channels.
#[must_use]
pub fn paste(image: &Image, piece: Image, part: Rect) -> Image {
    if part == Rect::whole(image.size()) {
        return piece;
    }
    let channels = image.channels();
    let (row, from, length) =
        (image.width() as usize * channels, part.x as usize * channels, part.width as usize * channels);
    let mut whole = image.clone();
    let rows = whole.pixels_mut().chunks_exact_mut(row.max(1)).skip(part.y as usize);
    for (row, new) in rows.zip(piece.pixels().chunks_exact(length.max(1))) {
        row[from..from + length].copy_from_slice(new);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_out_goes_back_where_it_was() {
        let image = Image::rgb(4, 3, (0..36).collect());
        let part = Rect { x: 1, y: 1, width: 2, height: 2 };
        let piece = crop(&image, part);
        assert_eq!(piece.pixels(), [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32]);
        assert_eq!(paste(&image, piece, part), image);
        let white = paste(&image, Image::filled(part.size(), 3, 255), part);
        assert_eq!(white.pixel(1, 1), [255; 3]);
        assert_eq!(white.pixel(3, 1), image.pixel(3, 1));
        assert!(crop(&image, Rect::whole(image.size())).shares_pixels_with(&image));
    }
}
