//! Making an image unrecognisable.
//!
//! Invariant: nothing finer than a few soft patches is left, however the result is sharpened.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::alpha::on_white;
use crate::domain::Image;

/// Patches along the longer side.
const PATCHES: u32 = 4;

/// The same image seen through frosted glass: means of a few patches, joined softly.
#[must_use]
pub fn blur(image: &Image) -> Image {
    let (width, height) = (image.width(), image.height());
    let longer = width.max(height).max(1);
    let patches = |side: u32| (side * PATCHES / longer).max(1);
    let Some(source) = RgbImage::from_raw(width, height, on_white(image).into_pixels()) else {
        // Not RGB; its bytes must not get out all the same.
        return Image::filled(image.size(), Image::RGB, 0);
    };
    let coarse = imageops::resize(&source, patches(width), patches(height), FilterType::Triangle);
    let soft = imageops::resize(&coarse, width, height, FilterType::Triangle);
    Image::rgb(width, height, soft.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_go_and_the_mean_colour_stays() {
        let (width, height) = (96_u32, 64_u32);
        let pixel =
            |i: u32| if (i % width / 2 + i / width / 2).is_multiple_of(2) { [250, 40, 40] } else { [10, 40, 40] };
        let image = Image::rgb(width, height, (0..width * height).flat_map(pixel).collect());
        let blurred = blur(&image);
        assert_eq!(blurred.size(), image.size());
        for pixel in blurred.pixels().chunks(3) {
            assert!(pixel[0].abs_diff(130) < 8 && pixel[1] == 40, "{pixel:?}");
        }
    }

    #[test]
    fn small_images_are_no_trouble() {
        let image = Image::rgb(1, 300, vec![9; 900]);
        assert_eq!(blur(&image), image);
    }
}
