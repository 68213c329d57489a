//! Squares that together show all of an image, for judges that look at squares: CLIP's preprocessing cuts away what is
//! left and right, or above and below, of the middle one.
//!
//! Invariant: every pixel has its part in a view of its surroundings; there are few views, and they are small, however large
//! and however thin the image is.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::alpha::on_white;
use crate::domain::Image;

/// Longest side of a view, px: twice what CLIP's image encoders take.
const LONGEST: u32 = 448;
/// Shortest side, px: what is thin is stretched.
const SHORTEST: u32 = 32;
/// Most views of parts.
const MOST_PARTS: u32 = 31;

/// The whole image as a square, and if it is longer than it is wide, squares of its parts, each of which shares one half
/// with the next.
#[must_use]
pub fn views(image: &Image) -> Vec<Image> {
    let image = &on_white(image);
    let (width, height) = (image.width(), image.height());
    let (longer, shorter) = (width.max(height), width.min(height).max(1));
    let side = shorter.clamp(SHORTEST, LONGEST);
    let view = |left: u32, top: u32, width: u32, height: u32| {
        let part = crop(image, left, top, width, height);
        if (width, height) == (side, side) {
            return part;
        }
        let Some(part) = RgbImage::from_raw(width, height, part.into_pixels()) else { return image.clone() };
        let square = imageops::resize(&part, side, side, FilterType::Triangle);
        Image::rgb(side, side, square.into_raw())
    };
    let mut views = vec![view(0, 0, width, height)];
    if longer == shorter {
        return views;
    }
    let parts = (2 * longer).div_ceil(shorter).saturating_sub(1).clamp(2, MOST_PARTS);
    let length = shorter.max((2 * longer).div_ceil(parts + 1)).min(longer);
    for part in 0..parts {
        let start = u64::from(longer - length) * u64::from(part) / u64::from(parts - 1);
        let start = u32::try_from(start).unwrap_or(0);
        views.push(if width > height { view(start, 0, length, height) } else { view(0, start, width, length) });
    }
    views
}

/// A part of an image.
fn crop(image: &Image, left: u32, top: u32, width: u32, height: u32) -> Image {
    let (row, from) = (3 * image.width() as usize, 3 * left as usize);
    let rows = image.pixels().chunks_exact(row.max(1)).skip(top as usize).take(height as usize);
    Image::rgb(width, height, rows.flat_map(|row| &row[from..from + 3 * width as usize]).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Image {
        let rgb = (0..height)
            .flat_map(|y| {
                (0..width).flat_map({
                    let colour = &colour;
                    move |x| colour(x, y)
                })
            })
            .collect();
        Image::rgb(width, height, rgb)
    }

    #[test]
    fn a_square_is_seen_as_it_is() {
        let byte = |x: u32| u8::try_from(x).unwrap();
        let image = painted(64, 64, |x, y| [byte(x), byte(y), 7]);
        assert!(views(&image) == [image]);
    }

    #[test]
    fn what_is_at_an_end_fills_a_view() {
        for end in [0, 2] {
            let wide = painted(192, 64, |x, _| if x / 64 == end { [255, 0, 0] } else { [0, 0, 255] });
            let tall = painted(64, 192, |_, y| if y / 64 == end { [255, 0, 0] } else { [0, 0, 255] });
            for image in [wide, tall] {
                let views = views(&image);
                assert_eq!(views.len(), 6);
                assert!(views.iter().any(|view| view.pixels().chunks(3).all(|pixel| pixel == [255, 0, 0])));
            }
        }
    }

    #[test]
    fn nearly_square_images_are_seen_to_their_edges() {
        let image = painted(100, 90, |x, _| if x < 4 { [255, 0, 0] } else { [0, 0, 0] });
        let seen = |view: &Image| view.pixels().chunks(3).filter(|pixel| pixel[0] > 200).count();
        assert!(views(&image).iter().any(|view| seen(view) >= 3 * 90));
    }

    #[test]
    fn large_and_thin_images_give_few_and_small_views() {
        for (width, height) in [(8192, 1), (1, 8192), (3000, 2000), (2, 3)] {
            let views = views(&painted(width, height, |_, _| [9, 9, 9]));
            assert!(views.len() <= 32, "{}", views.len());
            for view in &views {
                assert!((32..=448).contains(&view.width()) && view.width() == view.height());
                assert!(view.pixels().iter().all(|x| *x == 9));
            }
        }
    }
}
