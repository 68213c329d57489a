//! What an image looks like to CLIP where a mask hides it: as what is nearest to it.
//!
//! Invariant: the filled image has no colour that the kept part does not have.

use crate::domain::Image;

/// A pixel that nothing is known of yet.
const UNKNOWN: u32 = u32::MAX;

/// The image with each pixel that the mask repaints (`keep` is 1 for kept pixels and 0 for those, row by row) copied from the
/// nearest kept one. `None`: nothing is kept.
#[must_use]
pub fn from_nearest(image: &Image, keep: &[f32]) -> Option<Image> {
    if !keep.iter().any(|keep| *keep > 0.0) {
        return None;
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let nearest = nearest_kept(keep, width, height);
    let channels = image.channels();
    let pixels = nearest.into_iter().flat_map(|from| {
        let at = from as usize * channels;
        &image.pixels()[at..at + channels]
    });
    Some(Image::new(image.size(), channels, pixels.copied().collect()))
}

/// For each pixel the index of the nearest kept one (of some that is less than a pixel further away, at worst). Two passes hand
/// on what the neighbours have found (Danielsson 1980, "Euclidean distance mapping").
#[expect(clippy::cast_possible_truncation, reason = "fewer pixels than 2^32")]
fn nearest_kept(keep: &[f32], width: usize, height: usize) -> Vec<u32> {
    let mut nearest: Vec<u32> =
        keep.iter().enumerate().map(|(i, keep)| if *keep > 0.0 { i as u32 } else { UNKNOWN }).collect();
    let squared = |x: usize, y: usize, kept: u32| {
        let (kx, ky) = (kept as usize % width, kept as usize / width);
        (x.abs_diff(kx).pow(2) + y.abs_diff(ky).pow(2)) as u64
    };
    let ask = |nearest: &mut Vec<u32>, x: usize, y: usize, neighbours: &[(isize, isize)]| {
        for (dx, dy) in neighbours {
            let (Some(nx), Some(ny)) = (x.checked_add_signed(*dx), y.checked_add_signed(*dy)) else { continue };
            if nx >= width || ny >= height || nearest[ny * width + nx] == UNKNOWN {
                continue;
            }
            let (found, own) = (nearest[ny * width + nx], nearest[y * width + x]);
            if own == UNKNOWN || squared(x, y, found) < squared(x, y, own) {
                nearest[y * width + x] = found;
            }
        }
    };
    for y in 0..height {
        (0..width).for_each(|x| ask(&mut nearest, x, y, &[(-1, -1), (0, -1), (1, -1), (-1, 0)]));
        (0..width).rev().for_each(|x| ask(&mut nearest, x, y, &[(1, 0)]));
    }
    for y in (0..height).rev() {
        (0..width).rev().for_each(|x| ask(&mut nearest, x, y, &[(1, 1), (0, 1), (-1, 1), (1, 0)]));
        (0..width).for_each(|x| ask(&mut nearest, x, y, &[(-1, 0)]));
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_comes_from_the_nearest_kept_one() {
        let (width, height) = (23_usize, 17_usize);
        let kept = [(3, 2), (20, 4), (11, 9), (1, 15), (19, 16)];
        let mut keep = vec![0.0; width * height];
        for (x, y) in kept {
            keep[y * width + x] = 1.0;
        }
        for (i, found) in nearest_kept(&keep, width, height).into_iter().enumerate() {
            let distance = |(x, y): (usize, usize)| {
                let (x, y) = (x.abs_diff(i % width), y.abs_diff(i / width));
                f64::from(u32::try_from(x * x + y * y).unwrap()).sqrt()
            };
            let best = kept.iter().copied().map(distance).fold(f64::INFINITY, f64::min);
            let found = distance((found as usize % width, found as usize / width));
            assert!(found < best + 1.0, "pixel {i}: {found} instead of {best}");
        }
    }

    #[test]
    fn a_border_goes_on_and_no_new_colour_appears() {
        let image = Image::rgb(4, 1, vec![10, 20, 30, 40, 50, 60, 1, 1, 1, 2, 2, 2]);
        let filled = from_nearest(&image, &[1.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(filled.pixels(), [10, 20, 30, 40, 50, 60, 40, 50, 60, 40, 50, 60]);
        assert_eq!(from_nearest(&image, &[0.0; 4]), None);
    }
}
