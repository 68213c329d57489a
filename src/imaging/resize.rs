//! Resizing of users' pictures for what they get back. (What the networks see is resized by the model itself, as the
//! reference does it.)

use image::imageops::{self, FilterType};
use image::{GrayImage, RgbImage};

use crate::domain::{Mask, Picture, Size};

/// Resize with a sharp filter.
#[must_use]
pub fn resize(picture: &Picture, size: Size) -> Picture {
    let Some(source) = RgbImage::from_raw(picture.width, picture.height, picture.rgb.clone()) else {
        return picture.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, FilterType::Lanczos3);
    Picture { width: size.width, height: size.height, rgb: resized.into_raw() }
}

/// Resize without making new grey levels.
#[must_use]
pub fn resize_mask(mask: &Mask, size: Size) -> Mask {
    let Some(source) = GrayImage::from_raw(mask.width, mask.height, mask.grey.clone()) else {
        return mask.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, FilterType::Nearest);
    Mask { width: size.width, height: size.height, grey: resized.into_raw() }
}
