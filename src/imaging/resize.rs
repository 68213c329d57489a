//! Resizing of callers' images for what they get back. (What the networks see is resized by the model itself, as the
//! reference does it.)

use image::imageops::{self, FilterType};
use image::{GrayImage, RgbImage};

use crate::domain::{Image, Size};

/// Resize an RGB image with a sharp filter.
#[must_use]
pub fn resize(image: &Image, size: Size) -> Image {
    let Some(source) = RgbImage::from_raw(image.width(), image.height(), image.pixels().to_vec()) else {
        return image.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, FilterType::Lanczos3);
    Image::rgb(size.width, size.height, resized.into_raw())
}

/// Resize a mask without making new gray levels.
#[must_use]
pub fn resize_mask(mask: &Image, size: Size) -> Image {
    let Some(source) = GrayImage::from_raw(mask.width(), mask.height(), mask.pixels().to_vec()) else {
        return mask.clone();
    };
    let resized = imageops::resize(&source, size.width, size.height, FilterType::Nearest);
    Image::gray(size.width, size.height, resized.into_raw())
}
