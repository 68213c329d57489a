//! Making a picture unrecognisable.
//!
//! Invariant: nothing finer than a few soft patches is left, however the result is sharpened.

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::domain::Picture;

/// Patches along the longer side.
const PATCHES: u32 = 4;

/// The same picture seen through frosted glass: means of a few patches, joined softly.
#[must_use]
pub fn blur(picture: &Picture) -> Picture {
    let (width, height) = (picture.width, picture.height);
    let longer = width.max(height).max(1);
    let patches = |side: u32| (side * PATCHES / longer).max(1);
    let Some(source) = RgbImage::from_raw(width, height, picture.rgb.clone()) else {
        // It is no picture; its bytes must not get out all the same.
        return Picture { width, height, rgb: vec![0; picture.rgb.len()] };
    };
    let coarse = imageops::resize(&source, patches(width), patches(height), FilterType::Triangle);
    let soft = imageops::resize(&coarse, width, height, FilterType::Triangle);
    Picture { width, height, rgb: soft.into_raw() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_go_and_the_mean_colour_stays() {
        let (width, height) = (96_u32, 64_u32);
        let pixel =
            |i: u32| if (i % width / 2 + i / width / 2).is_multiple_of(2) { [250, 40, 40] } else { [10, 40, 40] };
        let picture = Picture { width, height, rgb: (0..width * height).flat_map(pixel).collect() };
        let blurred = blur(&picture);
        assert_eq!((blurred.width, blurred.height, blurred.rgb.len()), (96, 64, picture.rgb.len()));
        for pixel in blurred.rgb.chunks(3) {
            assert!(pixel[0].abs_diff(130) < 8 && pixel[1] == 40, "{pixel:?}");
        }
    }

    #[test]
    fn small_pictures_are_no_trouble() {
        let picture = Picture { width: 1, height: 300, rgb: vec![9; 900] };
        assert_eq!(blur(&picture), picture);
    }
}
