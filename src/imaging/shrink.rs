//! Images from outside made small, where only their content matters.
//!
//! Invariant: an image of up to [`LARGEST`] pixels stays as it is, bit for bit.

use crate::domain::{Image, Size};

/// Most pixels of an image that is looked at as a whole: four times those of the largest result.
pub const LARGEST: u64 = 1 << 24;

/// An image of at most about 16 million pixels: means of blocks of a larger one.
#[must_use]
pub fn shrink(image: Image) -> Image {
    let pixels = u64::from(image.width()) * u64::from(image.height());
    let Some(side) = (2..=64_u32).find(|side| pixels / u64::from(side * side) <= LARGEST).filter(|_| pixels > LARGEST)
    else {
        return image;
    };
    let size = Size { width: image.width().div_ceil(side), height: image.height().div_ceil(side) };
    let (channels, row) = (image.channels(), image.width() as usize * image.channels());
    let mut means = Vec::with_capacity(size.width as usize * size.height as usize * channels);
    // A row of blocks at a time.
    for rows in image.pixels().chunks(row * side as usize) {
        let (mut sums, height) = (vec![0_u32; size.width as usize * channels], rows.len() / row);
        for row in rows.chunks_exact(row) {
            for (x, pixel) in row.chunks_exact(channels).enumerate() {
                let block = &mut sums[x / side as usize * channels..][..channels];
                block.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u32::from(*sample));
            }
        }
        for (x, block) in sums.chunks_exact(channels).enumerate() {
            let width = side.min(image.width() - u32::try_from(x).unwrap_or(0) * side);
            let count = width * u32::try_from(height).unwrap_or(1);
            #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes")]
            means.extend(block.iter().map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    Image::new(size, channels, means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_images_become_means_of_blocks_and_others_stay() {
        let small = Image::filled(Size { width: 4096, height: 4096 }, Image::RGB, 7);
        assert!(shrink(small.clone()).shares_pixels_with(&small));
        let (width, height) = (8193, 4099);
        let stripes = (0..width * height).map(|i| if i % width % 2 == 0 { 100 } else { 200 }).collect();
        let shrunk = shrink(Image::gray(width, height, stripes));
        assert_eq!(shrunk.size(), Size { width: 4097, height: 2050 });
        assert_eq!((shrunk.pixel(9, 9), shrunk.pixel(4096, 2049)), (&[150][..], &[100][..]));
    }
}
