//! Masks of requests, and the images that they are for.
//!
//! Invariant: an image and its mask have one size, and the mask marks something; else the request hears what either has.

use super::{ImageBody, ImageDecoder};
use crate::domain::{Image, MaskConvention, Size};
use crate::imaging;

/// The lowest value of a mask that is repainted.
pub const REPAINTED: u8 = 128;
/// What is wrong with a mask that has no such value.
pub const NOTHING_MARKED: &str = "marks nothing to repaint";

/// A mask as a request has it.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    pub body: &'a ImageBody,
    pub pointer: &'a str,
    pub convention: MaskConvention,
    /// Whether its gray levels mean something.
    pub soft: bool,
}

impl ImageDecoder {
    /// An image and its mask; `None` if one is invalid, with the violations noted. The image is RGB, or RGBA if it has
    /// transparency other than what a mask of the convention alpha marks. The mask is gray, 255 where it is repainted.
    pub fn image_and_mask(&mut self, (body, pointer): (&ImageBody, &str), mask: Mask<'_>) -> Option<(Image, Image)> {
        let upright = self.upright_image(body, pointer);
        let marks = self.mask(mask.body, mask.convention, mask.pointer);
        let (upright, marks) = upright.zip(marks)?;
        let (image, size) = (upright.image, marks.size());
        let Some(marks) = fitted(marks, image.size(), mask.soft) else {
            let turned = if upright.turned { ", to which its EXIF turned it" } else { "" };
            let Size { width, height } = image.size();
            self.violations.add(
                mask.pointer,
                format!(
                    "must have the size or the proportions of the image, {width}x{height}{turned}; it has {}x{}",
                    size.width, size.height
                ),
            );
            return None;
        };
        if !marks.pixels().iter().any(|mark| *mark >= REPAINTED) {
            let most = marks.pixels().iter().max().copied().unwrap_or(0);
            self.violations.add(mask.pointer, format!("{NOTHING_MARKED}: {}", why_nothing(most, mask.convention)));
            return None;
        }
        let image = match mask.convention {
            MaskConvention::Alpha => imaging::stored_colors_under(image, &marks),
            MaskConvention::White | MaskConvention::Black => image,
        };
        Some((image, marks))
    }

    /// An image's own transparency as a mask, if enough of it is transparent to be marked. No violation is noted.
    pub fn own_mask(&mut self, body: &ImageBody) -> Option<Image> {
        let known = self.violations.0.len();
        let image = self.image_with_alpha(body, "");
        self.violations.0.truncate(known);
        marked_transparency(&image?)
    }

    /// An image whose own transparency is its mask, as [`Self::image_and_mask`] gives it; or the image as it looks on white, if
    /// nothing of it is transparent enough to be marked.
    pub fn image_and_own_mask(&mut self, body: &ImageBody, pointer: &str) -> Option<(Image, Option<Image>)> {
        let image = self.image_with_alpha(body, pointer)?;
        Some(match marked_transparency(&image) {
            Some(mask) => (imaging::stored_colors_under(image, &mask), Some(mask)),
            None => (imaging::on_white(&image), None),
        })
    }
}

/// What is transparent of an image, as a mask. `None`: not enough of it to be marked.
fn marked_transparency(image: &Image) -> Option<Image> {
    imaging::transparency(image).filter(|mask| mask.pixels().iter().any(|mark| *mark >= REPAINTED))
}

/// A mask in the size of its image. `None`: the proportions differ by more than a rounded side.
fn fitted(mask: Image, size: Size, soft: bool) -> Option<Image> {
    if mask.size() == size {
        return Some(mask);
    }
    if !mask.size().agrees_with(size) {
        return None;
    }
    Some(if soft { imaging::resize_soft_mask(&mask, size) } else { imaging::fit_mask(&mask, size) })
}

/// What a mask has instead of marks; `most` is the highest value of it, as a mark.
fn why_nothing(most: u8, convention: MaskConvention) -> String {
    match convention {
        MaskConvention::White => {
            format!("its lightest value is {most} of 255, and {REPAINTED} or more is repainted")
        }
        MaskConvention::Black => {
            let (darkest, last) = (255 - most, 255 - REPAINTED);
            format!(
                "its darkest value is {darkest} of 255, and {last} or less is repainted (what is transparent is not)"
            )
        }
        MaskConvention::Alpha => {
            let (alpha, last) = (255 - most, 255 - REPAINTED);
            format!("its most transparent pixel has an alpha of {alpha} of 255, and {last} or less is repainted")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_scaled_where_proportions_agree() {
        let mask = |width, height| Image::filled(Size { width, height }, Image::GRAY, 255);
        let fits = |mask: Image, width, height| fitted(mask, Size { width, height }, false).is_some();
        assert!(fits(mask(128, 64), 64, 32) && fits(mask(33, 17), 100, 50) && fits(mask(64, 64), 64, 64));
        assert!(fits(mask(1334, 1000), 4000, 3000));
        assert!(!fits(mask(96, 64), 64, 96) && !fits(mask(64, 64), 64, 60) && !fits(mask(100, 50), 100, 49 - 2));
    }
}
