//! Resizing of callers' images for what they get back. (What the networks see is resized by the model itself, as the
//! reference does it.)
//!
//! Invariant: what is transparent lends its neighbours no colour.

use image::imageops::{self, FilterType};
use image::{GrayImage, RgbImage, Rgba32FImage};

use crate::domain::{Image, Size};

/// Resize an RGB or RGBA image with a sharp filter.
#[must_use]
pub fn resize(image: &Image, size: Size) -> Image {
    if image.has_alpha() {
        return resize_with_alpha(image, size);
    }
    let Some(source) = RgbImage::from_raw(image.width(), image.height(), image.pixels().to_vec()) else {
        return image.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, FilterType::Lanczos3);
    Image::rgb(size.width, size.height, resized.into_raw())
}

/// Colours weighted by how opaque they are.
fn resize_with_alpha(image: &Image, size: Size) -> Image {
    let weigh = |p: &[u8]| {
        let [r, g, b, a] = [p[0], p[1], p[2], p[3]].map(|x| f32::from(x) / 255.0);
        [r * a, g * a, b * a, a]
    };
    let weighed = image.pixels().chunks_exact(Image::RGBA).flat_map(weigh).collect();
    let Some(source) = Rgba32FImage::from_raw(image.width(), image.height(), weighed) else {
        return image.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, FilterType::Lanczos3);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    let byte = |x: f32| (x.clamp(0.0, 1.0) * 255.0).round() as u8;
    let unweigh = |p: &image::Rgba<f32>| {
        let [r, g, b, a] = p.0;
        if a <= 0.0 { [0; 4] } else { [r / a, g / a, b / a, a].map(byte) }
    };
    Image::rgba(size.width, size.height, resized.pixels().flat_map(unweigh).collect())
}

/// Resize a mask without making new gray levels. No mark gets lost, however thin it is.
#[must_use]
pub fn fit_mask(mask: &Image, size: Size) -> Image {
    if size.width >= mask.width() && size.height >= mask.height() {
        return resize_gray(mask, size, FilterType::Nearest);
    }
    // The source pixels that a target pixel covers, in part at least.
    let covered = |i: u32, to: u32, from: u32| {
        let scaled = |i: u32| u64::from(i) * u64::from(from);
        let (first, last) = (scaled(i) / u64::from(to), scaled(i + 1).div_ceil(u64::from(to)));
        #[expect(clippy::cast_possible_truncation, reason = "at most the side of an image")]
        (first as usize..last as usize)
    };
    let row = mask.width() as usize;
    let columns: Vec<_> = (0..size.width).map(|x| covered(x, size.width, mask.width())).collect();
    let mut marks = Vec::with_capacity(size.width as usize * size.height as usize);
    for y in 0..size.height {
        let rows = covered(y, size.height, mask.height());
        for columns in &columns {
            let values = rows.clone().flat_map(|y| &mask.pixels()[y * row + columns.start..y * row + columns.end]);
            marks.push(values.copied().max().unwrap_or(0));
        }
    }
    Image::gray(size.width, size.height, marks)
}

/// Resize a mask whose gray levels mean something.
#[must_use]
pub fn resize_soft_mask(mask: &Image, size: Size) -> Image {
    resize_gray(mask, size, FilterType::Triangle)
}

fn resize_gray(mask: &Image, size: Size, filter: FilterType) -> Image {
    let Some(source) = GrayImage::from_raw(mask.width(), mask.height(), mask.pixels().to_vec()) else {
        return mask.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, filter);
    Image::gray(size.width, size.height, resized.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparent_pixels_lend_no_colour() {
        let image = Image::rgba(4, 1, [[255, 0, 0, 255], [255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 0]].concat());
        let resized = resize(&image, Size { width: 8, height: 2 });
        for pixel in resized.pixels().chunks(4).filter(|pixel| pixel[3] > 8) {
            assert_eq!(pixel[..3], [255, 0, 0], "{pixel:?}");
        }
    }

    #[test]
    fn a_thin_mark_survives_shrinking() {
        let mut marks = vec![0; 64];
        marks[13] = 255;
        let small = fit_mask(&Image::gray(8, 8, marks), Size { width: 2, height: 3 });
        assert_eq!(small.pixels(), [0, 255, 0, 0, 0, 0]);
    }
}
